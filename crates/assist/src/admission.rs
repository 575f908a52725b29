//! How many requests are in the pipeline, all together and of one person.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::control::Limits;

use crate::RefusalKind;

/// The doorkeeper.
#[derive(Debug)]
pub(crate) struct Admission {
    requests_max: u32,
    requests_per_person_max: u32,
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    all: u32,
    /// Persons with none are not in it.
    persons: HashMap<String, u32>,
}

/// A place in the pipeline, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    person: String,
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Arc<Admission> {
        Arc::new(Admission {
            requests_max: limits.requests_max,
            requests_per_person_max: limits.requests_per_person_max,
            running: Mutex::default(),
        })
    }

    /// A place for a person, or why there is none.
    pub(crate) fn enter(self: &Arc<Self>, person: &str) -> Result<Place, (RefusalKind, String)> {
        let mut running = self.lock();
        if running.all >= self.requests_max {
            let message =
                format!("the server is busy: {} requests are in it; try again shortly", running.all);
            return Err((RefusalKind::Busy, message));
        }
        let of_person = running.persons.get(person).copied().unwrap_or(0);
        if of_person >= self.requests_per_person_max {
            let message =
                format!("you have {of_person} requests running, which is the limit; wait for one to end");
            return Err((RefusalKind::TooManyRequests, message));
        }
        running.all += 1;
        running.persons.insert(person.to_owned(), of_person + 1);
        Ok(Place { admission: Arc::clone(self), person: person.to_owned() })
    }

    /// Requests in the pipeline.
    pub(crate) fn running(&self) -> u32 {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut running = self.admission.lock();
        running.all -= 1;
        if let Some(count) = running.persons.get_mut(&self.person) {
            *count -= 1;
            if *count == 0 {
                running.persons.remove(&self.person);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_and_places_come_back() {
        let limits = Limits { requests_max: 3, requests_per_person_max: 2, ..Limits::default() };
        let admission = Admission::new(&limits);
        let a1 = admission.enter("a").unwrap();
        let _a2 = admission.enter("a").unwrap();
        assert_eq!(admission.enter("a").unwrap_err().0, RefusalKind::TooManyRequests);
        let _b = admission.enter("b").unwrap();
        assert_eq!(admission.enter("c").unwrap_err().0, RefusalKind::Busy);
        drop(a1);
        assert!(admission.enter("c").is_ok());
        assert_eq!(admission.running(), 2);
    }
}
