//! The line between a jailed process and its supervisor: what was applied, and probes from inside while it works.
//!
//! It is a line of its own, beside whatever the process works with: nothing that the process does waits for it,
//! and nobody in between can answer for another. What comes over it are outcomes only, as numbers. What they mean is
//! said by who asked, from the same list of probes; so a process that was taken over can lie about an outcome, and about
//! nothing else. [`crate::inspect`] does not ask it.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Applied, Errno, Kind,
    channel::{Channel, ReceiveError, SendError},
    probe::{self, Got, Places, ProbeResult},
};

/// The longest packet, in bytes.
const PACKET_BYTES_MAX: usize = 64 << 10;

/// Asks for probes.
const PROBE: [u8; 1] = [1];

/// Threads that try beside the one that answers.
const THREADS: usize = 1;

/// From the jailed process.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Answer {
    /// First, once the jail is applied.
    Applied(Applied),
    /// To each question: a thread, and its outcomes in the order of [`probe::probes`].
    Tried(Vec<(u32, Vec<Outcome>)>),
}

/// [`Got`] without words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Outcome {
    Refused(i32),
    Succeeded,
    Found,
    FoundNothing,
    Nothing,
}

/// The jailed side: tells what was applied, and has a thread answer from now on, which ends with the supervisor.
///
/// `channel` is the descriptor that the process inherited for this. `places` as the supervisor knows them.
pub fn answer(channel: OwnedFd, applied: &Applied, places: Places) -> Result<(), OversightError> {
    let channel = Channel::from_descriptor(channel).map_err(OversightError::Line)?;
    send(&channel, &Answer::Applied(applied.clone()))?;
    let kind = applied.kind;
    let thread = std::thread::Builder::new().name("oversight".to_owned());
    let answering = thread.spawn(move || {
        let mut question = [0; PROBE.len()];
        while let Ok(Some(_)) = channel.recv(&mut question) {
            if send(&channel, &Answer::Tried(tried(kind, &places))).is_err() {
                return;
            }
        }
    });
    answering.map_err(OversightError::Line).map(drop)
}

fn tried(kind: Kind, places: &Places) -> Vec<(u32, Vec<Outcome>)> {
    let mut threads: Vec<(u32, Vec<Outcome>)> = Vec::new();
    for row in probe::run_on_threads(kind, places, THREADS) {
        let outcome = Outcome::from(&row.got);
        match threads.iter_mut().find(|(thread, _)| *thread == row.thread) {
            Some((_, outcomes)) => outcomes.push(outcome),
            None => threads.push((row.thread, vec![outcome])),
        }
    }
    threads
}

/// The supervisor's side.
#[derive(Debug)]
pub struct Oversight {
    channel: Channel,
    kind: Kind,
    places: Places,
    applied: Option<Applied>,
}

/// What came from the process.
#[derive(Debug)]
pub enum Heard {
    /// The jail is applied: [`Oversight::applied`].
    Applied,
    /// It tried to get out.
    Probed(Vec<ProbeResult>),
    /// The process has ended, or closed the line.
    Ended,
}

impl Oversight {
    /// Our side, and the end that the process inherits.
    pub fn of(kind: Kind, places: Places) -> io::Result<(Oversight, OwnedFd)> {
        let (ours, theirs) = Channel::pair()?;
        ours.set_nonblocking(true)?;
        let oversight = Oversight { channel: ours, kind, places, applied: None };
        Ok((oversight, theirs.into_descriptor()))
    }

    /// What the process said it applied, before it read anything of a stranger's; `None` until then.
    #[must_use]
    pub fn applied(&self) -> Option<&Applied> {
        self.applied.as_ref()
    }

    /// The jail that the process is to be in.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Asks for probes. The answer comes by [`Oversight::hear`].
    pub fn ask(&self) -> Result<(), OversightError> {
        self.channel.send(&PROBE, &[]).map_err(OversightError::Send)
    }

    /// One packet; `None` when there is none now. An error means that the process says what it must not.
    pub fn hear(&mut self) -> Result<Option<Heard>, OversightError> {
        let mut packet = vec![0; PACKET_BYTES_MAX];
        let length = match self.channel.recv(&mut packet) {
            Ok(Some((length, _))) => length,
            Ok(None) => return Ok(Some(Heard::Ended)),
            Err(error) if error.would_block() => return Ok(None),
            Err(error) => return Err(OversightError::Receive(error)),
        };
        match decode(packet.get(..length).unwrap_or_default())? {
            Answer::Applied(applied) => {
                if self.applied.is_some() || applied.kind != self.kind {
                    return Err(OversightError::Unexpected);
                }
                self.applied = Some(applied);
                Ok(Some(Heard::Applied))
            }
            Answer::Tried(threads) => Ok(Some(Heard::Probed(self.judge(threads)?))),
        }
    }

    /// Every thread has to have tried everything, and there have to be as many as were asked for.
    fn judge(&self, threads: Vec<(u32, Vec<Outcome>)>) -> Result<Vec<ProbeResult>, OversightError> {
        let probes = probe::probes(self.kind, &self.places);
        if threads.len() != 1 + THREADS || threads.iter().any(|(_, outcomes)| outcomes.len() != probes.len())
        {
            return Err(OversightError::Unexpected);
        }
        let rows = threads.into_iter().flat_map(|(thread, outcomes)| {
            let judge = move |(probe, outcome): (&probe::Probe, Outcome)| probe.judge(thread, outcome.into());
            probes.iter().zip(outcomes).map(judge).collect::<Vec<_>>()
        });
        Ok(rows.collect())
    }
}

impl AsFd for Oversight {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

impl From<&Got> for Outcome {
    fn from(got: &Got) -> Outcome {
        match got {
            Got::Refused(errno) => Outcome::Refused(errno.number()),
            Got::Succeeded => Outcome::Succeeded,
            Got::Found(_) => Outcome::Found,
            Got::FoundNothing => Outcome::FoundNothing,
            Got::Nothing => Outcome::Nothing,
        }
    }
}

impl From<Outcome> for Got {
    fn from(outcome: Outcome) -> Got {
        match outcome {
            Outcome::Refused(number) => Got::Refused(Errno::new(number)),
            Outcome::Succeeded => Got::Succeeded,
            Outcome::Found => Got::Found("something".to_owned()),
            Outcome::FoundNothing => Got::FoundNothing,
            Outcome::Nothing => Got::Nothing,
        }
    }
}

fn send(channel: &Channel, answer: &Answer) -> Result<(), OversightError> {
    let packet = postcard::to_stdvec(answer).map_err(OversightError::Form)?;
    channel.send(&packet, &[]).map_err(OversightError::Send)
}

fn decode<T: DeserializeOwned>(packet: &[u8]) -> Result<T, OversightError> {
    let (answer, rest) = postcard::take_from_bytes(packet).map_err(OversightError::Form)?;
    if rest.is_empty() { Ok(answer) } else { Err(OversightError::Unexpected) }
}

/// Why the line is of no use.
#[derive(Debug, thiserror::Error)]
pub enum OversightError {
    /// It is none, or its thread cannot be started.
    #[error("the line to the supervisor is of no use")]
    Line(#[source] io::Error),
    /// Not sent.
    #[error("the line to the supervisor does not take a message")]
    Send(#[source] SendError),
    /// Not received.
    #[error("a process's line cannot be read")]
    Receive(#[source] ReceiveError),
    /// Not of the known form.
    #[error("a message about a jail is malformed")]
    Form(#[source] postcard::Error),
    /// Of the known form, and yet not what was asked for.
    #[error("a process answers what it was not asked, or not all of it")]
    Unexpected,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Route, probe::Verdict};

    fn applied(kind: Kind) -> Applied {
        Applied {
            name: "test".to_owned(),
            kind,
            route: Route::Direct,
            network_namespace: 1,
            landlock_abi: 4,
            landlock_refuses: true,
            system_calls_allowed: 50,
            descriptors: vec![],
            read_write: vec![],
            read_only: vec![],
            weaker: vec![],
        }
    }

    /// What a process might send, however it was taken over.
    fn heard(packets: &[Vec<u8>]) -> Result<Vec<Option<Heard>>, OversightError> {
        let (mut ours, theirs) = Oversight::of(Kind::Engine, Places::default()).unwrap();
        let theirs = Channel::from_descriptor(theirs).unwrap();
        packets.iter().for_each(|packet| theirs.send(packet, &[]).unwrap());
        packets.iter().map(|_| ours.hear()).collect()
    }

    fn packet(answer: &Answer) -> Vec<u8> {
        postcard::to_stdvec(answer).unwrap()
    }

    #[test]
    fn outcomes_are_judged_here() {
        let count = probe::probes(Kind::Engine, &Places::default()).len();
        let all = |outcome| Answer::Tried(vec![(1, vec![outcome; count]), (2, vec![outcome; count])]);
        let verdicts = |outcome| {
            let mut heard = heard(&[packet(&all(outcome))]).unwrap();
            let Some(Some(Heard::Probed(rows))) = heard.pop() else { panic!() };
            rows
        };
        assert!(verdicts(Outcome::Succeeded).iter().all(|row| row.verdict == Verdict::Fail));
        let refused = verdicts(Outcome::Refused(libc::EPERM));
        assert!(refused.iter().any(|row| row.verdict == Verdict::Pass));
        assert!(refused.iter().any(|row| row.verdict == Verdict::Fail), "not everything is stopped by EPERM");
    }

    #[test]
    fn what_was_not_asked_is_refused() {
        let first = packet(&Answer::Applied(applied(Kind::Engine)));
        assert!(matches!(heard(std::slice::from_ref(&first)).unwrap()[..], [Some(Heard::Applied)]));
        let unexpected = [
            vec![packet(&Answer::Applied(applied(Kind::Gateway)))],
            vec![first.clone(), first.clone()],
            vec![packet(&Answer::Tried(vec![]))],
            vec![packet(&Answer::Tried(vec![(1, vec![Outcome::Succeeded])]))],
            vec![[first, vec![0]].concat()],
        ];
        for packets in unexpected {
            assert!(matches!(heard(&packets), Err(OversightError::Unexpected)), "{packets:?}");
        }
        assert!(matches!(heard(&[vec![9, 9, 9]]), Err(OversightError::Form(_))));
    }

    #[test]
    fn the_end_shows() {
        let (mut ours, theirs) = Oversight::of(Kind::Engine, Places::default()).unwrap();
        assert!(ours.hear().unwrap().is_none());
        drop(theirs);
        assert!(matches!(ours.hear().unwrap(), Some(Heard::Ended)));
    }
}
