//! One KV sequence: what it holds, and the generation that runs on it.

use std::time::Instant;

use protocol::Digest;
use protocol::released::Released;
use protocol::worker::{Drafts, Generate, Times, Token};
use sha2::Sha256;

use crate::drafts::Acceptance;
use crate::grammar::Grammar;

pub(crate) struct Slot {
    pub(crate) sequence: u32,
    /// Tokens whose KV entries are at cells `0..held.len()`.
    pub(crate) held: Vec<Token>,
    /// Whose they are: entries never serve another scope.
    pub(crate) scope: Option<Digest>,
    /// Counts up; the slot with the lowest number was used longest ago.
    pub(crate) last_admission: u64,
    pub(crate) running: Option<Running>,
}

pub(crate) struct Running {
    /// Its prompt less what is healed.
    pub(crate) request: Box<Generate>,
    /// Chosen and sent, not evaluated yet.
    pub(crate) pending: Option<Token>,
    pub(crate) chosen: u32,
    pub(crate) credit: u32,
    pub(crate) released: Released,
    /// How the prompt's last word goes on being spelled: the next tokens have to fit.
    pub(crate) healing: Vec<u8>,
    /// What the text is held to.
    pub(crate) grammar: Option<Grammar>,
    /// The token expected next, whether or not it was evaluated.
    pub(crate) guess: Option<Token>,
    pub(crate) acceptance: Acceptance,
    pub(crate) drafts: Drafts,
    pub(crate) queued_us: u64,
    pub(crate) admitted: Instant,
    pub(crate) first_row: Option<Instant>,
    /// Digests the rows of logits, where that was asked for.
    pub(crate) rows: Option<Sha256>,
}

impl Slot {
    /// Tokens of the prompt that are not evaluated.
    pub(crate) fn prompt_left(&self) -> usize {
        match &self.running {
            Some(running) if running.first_row.is_none() => running.request.prompt.len() - self.held.len(),
            _ => 0,
        }
    }
}

impl Running {
    /// Not waiting for credit.
    pub(crate) fn may_go_on(&self) -> bool {
        self.first_row.is_none() || self.credit > 0
    }

    pub(crate) fn is_late(&self) -> bool {
        match (self.request.predict_ms_max, self.first_row) {
            (Some(ms), Some(first)) => first.elapsed().as_millis() >= u128::from(ms),
            _ => false,
        }
    }

    pub(crate) fn times(&self) -> Times {
        let prompt_us = match self.first_row {
            Some(first) => u64::try_from((first - self.admitted).as_micros()).unwrap_or(u64::MAX),
            None => micros(self.admitted),
        };
        Times { queued_us: self.queued_us, prompt_us, predict_us: self.first_row.map_or(0, micros) }
    }
}

pub(crate) fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
