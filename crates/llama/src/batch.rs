//! Tokens to be evaluated in one call.

use llama_cpp_sys_2 as sys;

use crate::Token;

/// A batch of fixed capacity; each token belongs to one sequence.
pub struct Batch {
    raw: sys::llama_batch,
    capacity: usize,
}

// SAFETY: the batch owns its arrays, and nothing else points to them.
unsafe impl Send for Batch {}

impl Batch {
    /// A batch with room for `capacity` tokens (at most 2^20).
    pub fn new(capacity: u32) -> Batch {
        let capacity_c = i32::try_from(capacity.min(1 << 20)).unwrap_or(1 << 20);
        // SAFETY: allocates arrays of that many entries, one sequence a token.
        let raw = unsafe { sys::llama_batch_init(capacity_c, 0, 1) };
        Batch { raw, capacity: usize::try_from(capacity_c).unwrap_or(0) }
    }

    /// Tokens in it.
    pub fn len(&self) -> usize {
        usize::try_from(self.raw.n_tokens).unwrap_or(0)
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.raw.n_tokens == 0
    }

    /// Tokens that still fit.
    pub fn room(&self) -> usize {
        self.capacity - self.len()
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.raw.n_tokens = 0;
    }

    /// Adds a token at a position of a sequence; with `logits`, its row can be read after decoding.
    /// Returns the row's number.
    ///
    /// # Panics
    /// When the batch is full: a caller asks [`Batch::room`] first.
    pub fn add(&mut self, token: Token, position: u32, sequence: u32, logits: bool) -> usize {
        let row = self.len();
        assert!(row < self.capacity, "the batch is full");
        let position = i32::try_from(position).unwrap_or(i32::MAX);
        let sequence = i32::try_from(sequence).unwrap_or(i32::MAX);
        // SAFETY: `llama_batch_init` allocated every array with `capacity` entries, and each entry of
        // `seq_id` with room for one; `row` is below `capacity`.
        unsafe {
            *self.raw.token.add(row) = token;
            *self.raw.pos.add(row) = position;
            *self.raw.n_seq_id.add(row) = 1;
            **self.raw.seq_id.add(row) = sequence;
            *self.raw.logits.add(row) = i8::from(logits);
        }
        self.raw.n_tokens += 1;
        row
    }

    pub(crate) fn raw(&self) -> sys::llama_batch {
        self.raw
    }

    pub(crate) fn wants_logits(&self, row: usize) -> bool {
        // SAFETY: only rows that were added are read.
        row < self.len() && unsafe { *self.raw.logits.add(row) } != 0
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: made by `llama_batch_init`, freed once.
        unsafe { sys::llama_batch_free(self.raw) };
    }
}
