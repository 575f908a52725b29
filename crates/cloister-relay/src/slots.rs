//! The upstream's slots, each with what was last evaluated in it and for whom: the upstream may reuse KV entries
//! of a slot only for the scope (person and label set) that they were made for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::Digest;
use protocol::worker::Failure;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::serve::RETRY_AFTER_S;

/// All slots, and who waits for one.
pub(crate) struct Slots {
    free: Arc<Semaphore>,
    queue_max: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    slots: Vec<Slot>,
    waiting: u32,
    /// Counts admissions; the slot with the lowest number was used longest ago.
    admissions: u64,
}

#[derive(Default)]
struct Slot {
    busy: bool,
    /// Whose entries it holds; `None` when that is not known.
    scope: Option<Digest>,
    last_admission: u64,
}

/// A slot of one's own, until dropped.
pub(crate) struct Place {
    slots: Arc<Slots>,
    /// The upstream's number of it.
    pub(crate) number: usize,
    scope: Digest,
    /// Whether what is in it was made for this scope.
    pub(crate) may_reuse: bool,
    _permit: OwnedSemaphorePermit,
}

/// Counts one that waits, until dropped.
struct Waiter<'a>(&'a Slots);

impl Slots {
    pub(crate) fn new(count: u32, queue_max: u32) -> Arc<Slots> {
        let slots = (0..count).map(|_| Slot::default()).collect();
        Arc::new(Slots {
            free: Arc::new(Semaphore::new(usize::try_from(count).unwrap_or(1))),
            queue_max,
            state: Mutex::new(State { slots, ..State::default() }),
        })
    }

    /// Waits for a slot; first come, first served.
    pub(crate) async fn enter(self: &Arc<Slots>, scope: Digest) -> Result<Place, Failure> {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let _waiter = self.wait()?;
                let closed = |_| Failure::Engine("the relay is ending".to_owned());
                Arc::clone(&self.free).acquire_owned().await.map_err(closed)?
            }
        };
        let (number, may_reuse) = self.lock().take(scope);
        Ok(Place { slots: Arc::clone(self), number, scope, may_reuse, _permit: permit })
    }

    fn wait(&self) -> Result<Waiter<'_>, Failure> {
        let mut state = self.lock();
        if state.waiting >= self.queue_max {
            return Err(Failure::QueueFull { waiting: state.waiting, retry_after_s: RETRY_AFTER_S });
        }
        state.waiting += 1;
        Ok(Waiter(self))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The free slot of that scope, or the one used longest ago. A permit says that one is free.
    fn take(&mut self, scope: Digest) -> (usize, bool) {
        self.admissions += 1;
        let free = self.slots.iter_mut().enumerate().filter(|(_, slot)| !slot.busy);
        let best = free.min_by_key(|(_, slot)| (slot.scope != Some(scope), slot.last_admission));
        let Some((number, slot)) = best else { return (0, false) };
        let may_reuse = slot.scope == Some(scope);
        // Not known again until the upstream has evaluated something for this scope.
        *slot = Slot { busy: true, scope: None, last_admission: self.admissions };
        (number, may_reuse)
    }
}

impl Place {
    /// The upstream has evaluated this scope's prompt in the slot.
    pub(crate) fn evaluated(&self) {
        if let Some(slot) = self.slots.lock().slots.get_mut(self.number) {
            slot.scope = Some(self.scope);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(slot) = self.slots.lock().slots.get_mut(self.number) {
            slot.busy = false;
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: Digest = Digest([1; 32]);
    const BOB: Digest = Digest([2; 32]);

    fn check(scopes: &[(Digest, bool)], expected: &[(usize, bool)]) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let slots = Slots::new(2, 0);
            for ((scope, evaluated), expected) in scopes.iter().zip(expected) {
                let place = slots.enter(*scope).await.unwrap();
                assert_eq!((place.number, place.may_reuse), *expected);
                if *evaluated {
                    place.evaluated();
                }
            }
        });
    }

    #[test]
    fn a_slot_is_reused_for_its_scope_only() {
        check(
            &[(ADA, true), (BOB, true), (ADA, true), (BOB, true)],
            &[(0, false), (1, false), (0, true), (1, true)],
        );
        // What ended before anything was evaluated leaves the slot's content unknown.
        check(&[(ADA, true), (ADA, false), (ADA, true)], &[(0, false), (0, true), (1, false)]);
    }

    #[test]
    fn a_full_queue_refuses() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let slots = Slots::new(1, 1);
            let place = slots.enter(ADA).await.unwrap();
            let waiting = tokio::spawn({
                let slots = Arc::clone(&slots);
                async move { slots.enter(BOB).await.map(|place| place.may_reuse) }
            });
            tokio::task::yield_now().await;
            assert_eq!(
                slots.enter(BOB).await.err(),
                Some(Failure::QueueFull { waiting: 1, retry_after_s: RETRY_AFTER_S })
            );
            drop(place);
            assert_eq!(waiting.await.unwrap(), Ok(false));
            assert_eq!(slots.enter(ADA).await.map(|place| place.number), Ok(0));
        });
    }
}
