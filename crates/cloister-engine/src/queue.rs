//! Requests that wait for a sequence, and whose turn it is.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use protocol::Digest;
use protocol::ids::GenerationId;
use protocol::worker::{Class, Generate};

use crate::grammar::Grammar;

/// After that long a chat no longer lets completions go first.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct Waiting {
    pub(crate) request: Box<Generate>,
    /// What its text is held to.
    pub(crate) grammar: Option<Grammar>,
    pub(crate) since: Instant,
    /// As its person was told.
    told_ahead: Option<u32>,
}

/// In the order of arrival.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Vec<Waiting>,
}

/// What each person got: tokens evaluated and generated for them. Who got fewest goes first. Somebody who
/// comes new, or back, begins with what the least served of the others has: nobody saves up turns.
#[derive(Default)]
pub(crate) struct Shares {
    persons: HashMap<Digest, Share>,
}

#[derive(Clone, Copy, Default)]
struct Share {
    tokens: u64,
    /// Requests that wait or run.
    requests: u32,
    /// Of those, running.
    running: u32,
}

impl Shares {
    pub(crate) fn enter(&mut self, person: Digest) {
        let least = self.persons.values().map(|share| share.tokens).min().unwrap_or(0);
        let share = self.persons.entry(person).or_insert(Share { tokens: least, ..Share::default() });
        share.requests += 1;
    }

    pub(crate) fn start(&mut self, person: Digest) {
        if let Some(share) = self.persons.get_mut(&person) {
            share.running += 1;
        }
    }

    pub(crate) fn charge(&mut self, person: Digest, tokens: usize) {
        if let Some(share) = self.persons.get_mut(&person) {
            share.tokens += tokens as u64;
        }
    }

    /// A request of the person's ended, or was not even started.
    pub(crate) fn leave(&mut self, person: Digest, ran: bool) {
        if let Some(share) = self.persons.get_mut(&person) {
            share.requests -= 1;
            share.running -= u32::from(ran);
            if share.requests == 0 {
                self.persons.remove(&person);
            }
        }
    }

    /// Tokens that the person got.
    pub(crate) fn of(&self, person: Digest) -> u64 {
        self.persons.get(&person).map_or(0, |share| share.tokens)
    }

    fn running(&self, person: Digest) -> u32 {
        self.persons.get(&person).map_or(0, |share| share.running)
    }
}

impl Waiting {
    /// A chat that waited long goes with the completions.
    fn class(&self) -> Class {
        if self.since.elapsed() > PATIENCE { Class::Completion } else { self.request.class }
    }
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn push(&mut self, request: Box<Generate>, grammar: Option<Grammar>) {
        self.waiting.push(Waiting { request, grammar, since: Instant::now(), told_ahead: None });
    }

    pub(crate) fn remove(&mut self, id: GenerationId) -> Option<Waiting> {
        let place = self.waiting.iter().position(|waiting| waiting.request.id == id)?;
        Some(self.waiting.remove(place))
    }

    pub(crate) fn get_mut(&mut self, id: GenerationId) -> Option<&mut Waiting> {
        self.waiting.iter_mut().find(|waiting| waiting.request.id == id)
    }

    /// Who goes next: completions first, then whose person has fewest requests running, then got fewest
    /// tokens, then came first. `None` when nobody of the allowed classes waits.
    pub(crate) fn next(&mut self, shares: &Shares, chats: bool) -> Option<Waiting> {
        let order = self.order(shares);
        let place = order
            .into_iter()
            .find(|&place| chats || self.waiting[place].request.class == Class::Completion)?;
        Some(self.waiting.remove(place))
    }

    /// Whether [`Queue::next`] would have one.
    pub(crate) fn has_next(&self, chats: bool) -> bool {
        self.waiting.iter().any(|waiting| chats || waiting.request.class == Class::Completion)
    }

    /// Places of the queue in the order of their turns, as if nobody else came.
    fn order(&self, shares: &Shares) -> Vec<usize> {
        let mut running: HashMap<Digest, u32> = HashMap::new();
        let mut left: Vec<usize> = (0..self.waiting.len()).collect();
        let mut order = Vec::with_capacity(left.len());
        let rank = |running: &HashMap<Digest, u32>, place: usize| {
            let waiting = &self.waiting[place];
            let person = waiting.request.person;
            let more = running.get(&person).copied().unwrap_or(0);
            (waiting.class(), shares.running(person) + more, shares.of(person), place)
        };
        while let Some(at) = (0..left.len()).min_by_key(|&at| rank(&running, left[at])) {
            let place = left.remove(at);
            *running.entry(self.waiting[place].request.person).or_default() += 1;
            order.push(place);
        }
        order
    }

    /// Calls `tell` for each request for which the number of those ahead of it has changed.
    pub(crate) fn tell(&mut self, shares: &Shares, mut tell: impl FnMut(GenerationId, u32)) {
        for (ahead, place) in (0..).zip(self.order(shares)) {
            let waiting = &mut self.waiting[place];
            if waiting.told_ahead != Some(ahead) {
                waiting.told_ahead = Some(ahead);
                tell(waiting.request.id, ahead);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::worker::{Sampling, Until};

    fn request(id: u64, person: u8, class: Class) -> Box<Generate> {
        Box::new(Generate {
            id: GenerationId(id),
            prompt: vec![1],
            sampling: Sampling::GREEDY,
            tokens_max: 1,
            stop: Vec::new(),
            predict_ms_max: None,
            until: Until::End,
            heal: false,
            cache_scope: Digest([0; 32]),
            person: Digest([person; 32]),
            class,
            digest_rows: false,
            credit: 1,
            json_schema: None,
            syntax: None,
        })
    }

    #[test]
    fn turns() {
        let (mut queue, mut shares) = (Queue::default(), Shares::default());
        let requests =
            [(1, 1, Class::Chat), (2, 1, Class::Chat), (3, 2, Class::Chat), (4, 1, Class::Completion)];
        for (id, person, class) in requests {
            shares.enter(Digest([person; 32]));
            queue.push(request(id, person, class), None);
        }
        let mut told = Vec::new();
        queue.tell(&shares, |id, ahead| told.push((id.0, ahead)));
        // The completion first; then the other person, who has none yet.
        assert_eq!(told, [(4, 0), (3, 1), (1, 2), (2, 3)]);
        queue.tell(&shares, |_, _| panic!("nothing has changed"));

        let mut next = |shares: &mut Shares, chats| {
            let waiting = queue.next(shares, chats)?;
            shares.start(waiting.request.person);
            Some(waiting.request.id.0)
        };
        assert_eq!(next(&mut shares, false), Some(4));
        assert_eq!(next(&mut shares, false), None);
        shares.leave(Digest([1; 32]), true);
        shares.charge(Digest([1; 32]), 1);
        assert_eq!(next(&mut shares, true), Some(3));
        assert_eq!(next(&mut shares, true), Some(1));
        assert_eq!(next(&mut shares, true), Some(2));
    }

    #[test]
    fn nobody_saves_up_turns() {
        let mut shares = Shares::default();
        let [a, b] = [1, 2].map(|byte| Digest([byte; 32]));
        shares.enter(a);
        shares.charge(a, 500);
        shares.enter(b);
        assert_eq!(shares.of(b), 500);
        shares.leave(b, false);
        assert_eq!(shares.of(b), 0);
    }
}
