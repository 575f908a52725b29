//! KV cache and evaluation.

use std::ptr::NonNull;
use std::sync::Arc;

use llama_cpp_sys_2 as sys;

use crate::{Batch, Model};

/// How a context evaluates.
#[derive(Clone, Copy, Debug)]
pub struct ContextSettings {
    /// Tokens one sequence can hold. llama.cpp rounds up to a multiple of 256.
    pub sequence_tokens: u32,
    /// Sequences, each with a KV stream of its own.
    pub sequences: u32,
    /// Tokens of a [`Batch`] at most.
    pub batch_tokens: u32,
    /// Threads for arithmetic.
    pub threads: u32,
}

/// A KV cache over a model. Sequences are numbered from 0.
pub struct Context {
    raw: NonNull<sys::llama_context>,
    model: Arc<Model>,
    sequences: u32,
    /// Rows of the last decode that have logits.
    rows: Vec<bool>,
}

// SAFETY: llama.cpp ties a context to no thread; without `Sync` only one uses it at a time.
unsafe impl Send for Context {}

/// Why there is no context.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// llama.cpp said no, mostly for want of memory.
    #[error("llama.cpp could not make a context of {sequences} sequences of {sequence_tokens} tokens")]
    Refused {
        /// As asked.
        sequences: u32,
        /// As asked.
        sequence_tokens: u32,
    },
}

/// Why a batch was not evaluated.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// No room in a sequence; the KV cache is as before the call.
    #[error("the KV cache has no room for the batch")]
    NoRoom,
    /// Anything else; sequences of the batch must be cleared.
    #[error("llama.cpp failed to evaluate a batch (code {0})")]
    Failed(i32),
}

impl Context {
    /// Allocates the KV cache.
    pub fn new(model: Arc<Model>, settings: ContextSettings) -> Result<Context, ContextError> {
        let refused = ContextError::Refused {
            sequences: settings.sequences,
            sequence_tokens: settings.sequence_tokens,
        };
        let Some(all_tokens) = settings.sequence_tokens.checked_mul(settings.sequences) else {
            return Err(refused);
        };
        // SAFETY: returns a plain struct.
        let mut params = unsafe { sys::llama_context_default_params() };
        params.n_ctx = all_tokens;
        params.n_seq_max = settings.sequences;
        params.n_batch = settings.batch_tokens;
        params.n_ubatch = settings.batch_tokens;
        let threads = i32::try_from(settings.threads).unwrap_or(1);
        params.n_threads = threads;
        params.n_threads_batch = threads;
        params.flash_attn_type = sys::LLAMA_FLASH_ATTN_TYPE_ENABLED;
        // One stream a sequence: attention sums run over a sequence's own cells, in position order.
        params.kv_unified = false;
        params.no_perf = true;
        // SAFETY: the model is loaded and outlives the context by the `Arc` below.
        let raw = unsafe { sys::llama_init_from_model(model.raw(), params) };
        let raw = NonNull::new(raw).ok_or(refused)?;
        Ok(Context { raw, model, sequences: settings.sequences, rows: Vec::new() })
    }

    /// Tokens one sequence can hold.
    pub fn sequence_tokens(&self) -> u32 {
        // SAFETY: the context exists.
        unsafe { sys::llama_n_ctx_seq(self.raw.as_ptr()) }
    }

    /// Evaluates a batch, and returns when that is done; rows added with `logits` can be read until the next call.
    pub fn decode(&mut self, batch: &Batch) -> Result<(), DecodeError> {
        self.rows.clear();
        // SAFETY: the batch's arrays are valid for its length; llama.cpp checks tokens, positions and
        // sequence numbers and answers -1.
        let code = unsafe { sys::llama_decode(self.raw.as_ptr(), batch.raw()) };
        match code {
            0 => {
                // A GPU is told what to do and works on: who times a step, or paces the next, waits for it here.
                // SAFETY: the context exists.
                unsafe { sys::llama_synchronize(self.raw.as_ptr()) };
                self.rows.extend((0..batch.len()).map(|row| batch.wants_logits(row)));
                Ok(())
            }
            1 => Err(DecodeError::NoRoom),
            code => Err(DecodeError::Failed(code)),
        }
    }

    /// The logits of a row of the last decoded batch, one for each token of the vocabulary; `None` for
    /// a row that was added without logits.
    pub fn logits(&mut self, row: usize) -> Option<&[f32]> {
        if !self.rows.get(row).copied().unwrap_or(false) {
            return None;
        }
        let row = i32::try_from(row).ok()?;
        // SAFETY: the row was decoded with logits; the pointer is null or valid until the next decode,
        // which needs `&mut self`.
        let logits = NonNull::new(unsafe { sys::llama_get_logits_ith(self.raw.as_ptr(), row) })?;
        // SAFETY: a row has as many values as the vocabulary has tokens.
        Some(unsafe { std::slice::from_raw_parts(logits.as_ptr(), self.model.vocabulary()) })
    }

    /// Drops the entries of a sequence from a position on. Returns whether llama.cpp did.
    pub fn truncate(&mut self, sequence: u32, position: u32) -> bool {
        if sequence >= self.sequences {
            return false;
        }
        let (Ok(sequence), Ok(position)) = (i32::try_from(sequence), i32::try_from(position)) else {
            return false;
        };
        // SAFETY: the context exists; -1 means to the end.
        unsafe {
            let memory = sys::llama_get_memory(self.raw.as_ptr());
            sys::llama_memory_seq_rm(memory, sequence, position, -1)
        }
    }

    /// Bytes that [`Context::save`] needs for a sequence.
    pub fn saved_len(&self, sequence: u32) -> usize {
        let Ok(sequence) = i32::try_from(sequence) else { return 0 };
        // SAFETY: the context exists; llama.cpp answers for any number.
        unsafe { sys::llama_state_seq_get_size(self.raw.as_ptr(), sequence) }
    }

    /// The entries of a sequence, bit for bit; `None` when llama.cpp could not.
    pub fn save(&mut self, sequence: u32) -> Option<Vec<u8>> {
        if sequence >= self.sequences {
            return None;
        }
        let mut bytes = vec![0; self.saved_len(sequence)];
        let sequence = i32::try_from(sequence).ok()?;
        // SAFETY: the buffer is valid for its length, which llama.cpp checks.
        let written = unsafe {
            sys::llama_state_seq_get_data(self.raw.as_ptr(), bytes.as_mut_ptr(), bytes.len(), sequence)
        };
        (written == bytes.len() && written > 0).then_some(bytes)
    }

    /// Puts saved entries back, into a sequence that is emptied first; they come to lie at the cells they
    /// were made in. Returns whether llama.cpp did; if not, the sequence is empty.
    pub fn restore(&mut self, sequence: u32, bytes: &[u8]) -> bool {
        if !self.truncate(sequence, 0) {
            return false;
        }
        let Ok(number) = i32::try_from(sequence) else { return false };
        // SAFETY: the buffer is valid for its length, and was written by `save` of this context.
        let read =
            unsafe { sys::llama_state_seq_set_data(self.raw.as_ptr(), bytes.as_ptr(), bytes.len(), number) };
        let done = read == bytes.len();
        if !done {
            self.truncate(sequence, 0);
        }
        done
    }

    /// The highest position a sequence holds; `None` for an empty one.
    pub fn last_position(&self, sequence: u32) -> Option<u32> {
        let sequence = i32::try_from(sequence).ok().filter(|_| sequence < self.sequences)?;
        // SAFETY: the context exists and the sequence is one of its own.
        let position = unsafe {
            let memory = sys::llama_get_memory(self.raw.as_ptr());
            sys::llama_memory_seq_pos_max(memory, sequence)
        };
        u32::try_from(position).ok()
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: made by `llama_init_from_model`, freed once, before its model.
        unsafe { sys::llama_free(self.raw.as_ptr()) };
    }
}
