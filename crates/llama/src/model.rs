//! A loaded model and its vocabulary.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::IntoRawFd;
use std::ptr::NonNull;

use llama_cpp_sys_2 as sys;

use crate::Token;

/// How a model is loaded.
#[derive(Clone, Copy, Debug)]
pub struct ModelSettings {
    /// Lets llama.cpp re-pack weights for its faster kernels. Their results depend on the batch.
    pub repack: bool,
    /// Puts all layers, and what is computed with them, on the GPUs ([`crate::gpus`]): more than they can hold is
    /// refused. Otherwise no layer is.
    pub gpu: bool,
}

/// Weights and vocabulary. Mapped from the descriptor it was loaded from: the file must never change.
pub struct Model {
    raw: NonNull<sys::llama_model>,
    vocab: NonNull<sys::llama_vocab>,
}

// SAFETY: after loading, llama.cpp only reads the model; contexts on several threads share one.
unsafe impl Send for Model {}
// SAFETY: as above; every method here takes `&self` and only reads.
unsafe impl Sync for Model {}

/// Why a model was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The descriptor is of no use.
    #[error("the model's descriptor cannot be read as a stream")]
    Stream(#[source] std::io::Error),
    /// llama.cpp said no; its own words went to the log sink.
    #[error("llama.cpp refused the model (its reason is in the log)")]
    Refused,
    /// The architecture needs what this wrapper does not offer.
    #[error("{0} models are not supported")]
    Unsupported(&'static str),
}

/// Why a text was not turned into tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokenizeError {
    /// More than 2 GiB of text.
    #[error("a text of {0} bytes is too long")]
    TooLong(usize),
    /// llama.cpp said no.
    #[error("llama.cpp could not tokenize the text")]
    Refused,
}

/// Tokens of fill-in-the-middle, where the model has them.
#[derive(Clone, Copy, Debug)]
pub struct FillTokens {
    /// Before the text ahead of the hole.
    pub prefix: Token,
    /// Before the text behind it.
    pub suffix: Token,
    /// Before the hole's own text.
    pub middle: Token,
    /// Before a repository's name.
    pub repository: Option<Token>,
    /// Between files.
    pub file: Option<Token>,
}

impl Model {
    /// Maps a GGUF from an open file, from its beginning. The file is closed afterwards; the map stays.
    pub fn load(file: File, settings: ModelSettings) -> Result<Model, LoadError> {
        let descriptor = file.into_raw_fd();
        // SAFETY: the descriptor is open and owned by nobody else now; the mode is a C string.
        let stream = unsafe { libc::fdopen(descriptor, c"rb".as_ptr()) };
        if stream.is_null() {
            let error = std::io::Error::last_os_error();
            // SAFETY: fdopen failed, so the descriptor is still ours to close.
            unsafe { libc::close(descriptor) };
            return Err(LoadError::Stream(error));
        }
        // SAFETY: returns a plain struct.
        let mut params = unsafe { sys::llama_model_default_params() };
        // Negative means all.
        params.n_gpu_layers = if settings.gpu { -1 } else { 0 };
        params.load_mode = sys::LLAMA_LOAD_MODE_MMAP;
        params.use_extra_bufts = settings.repack;
        // SAFETY: the stream is open and at its beginning; llama.cpp does not keep it after the call.
        let raw = unsafe { sys::llama_model_load_from_file_ptr(stream.cast(), params) };
        // SAFETY: the stream is open and not used again.
        unsafe { libc::fclose(stream) };
        let raw = NonNull::new(raw).ok_or(LoadError::Refused)?;
        // SAFETY: the model is loaded; the vocabulary lives as long as it does.
        let vocab = unsafe { sys::llama_model_get_vocab(raw.as_ptr()) };
        let model = NonNull::new(vocab.cast_mut()).map(|vocab| Model { raw, vocab });
        let Some(model) = model else {
            // SAFETY: loaded above and used by nobody.
            unsafe { sys::llama_model_free(raw.as_ptr()) };
            return Err(LoadError::Refused);
        };
        model.refuse_unsupported()?;
        Ok(model)
    }

    /// The wrapper's promises (a tail can be dropped, cell = position) hold for plain decoders with
    /// full attention.
    fn refuse_unsupported(&self) -> Result<(), LoadError> {
        let raw = self.raw.as_ptr();
        // SAFETY: the model is loaded; each call reads a property of it.
        unsafe {
            if sys::llama_model_has_encoder(raw) {
                return Err(LoadError::Unsupported("encoder-decoder"));
            }
            if sys::llama_model_is_recurrent(raw) || sys::llama_model_is_hybrid(raw) {
                return Err(LoadError::Unsupported("recurrent"));
            }
            if sys::llama_model_is_diffusion(raw) {
                return Err(LoadError::Unsupported("diffusion"));
            }
            if sys::llama_model_n_swa(raw) > 0 {
                return Err(LoadError::Unsupported("sliding-window"));
            }
        }
        Ok(())
    }

    pub(crate) fn raw(&self) -> *mut sys::llama_model {
        self.raw.as_ptr()
    }

    /// Tokens of context the model was trained for.
    pub fn trained_context_tokens(&self) -> u32 {
        // SAFETY: the model is loaded.
        u32::try_from(unsafe { sys::llama_model_n_ctx_train(self.raw.as_ptr()) }).unwrap_or(0)
    }

    /// Size of the vocabulary; also the length of a row of logits.
    pub fn vocabulary(&self) -> usize {
        // SAFETY: the vocabulary lives with the model.
        usize::try_from(unsafe { sys::llama_vocab_n_tokens(self.vocab.as_ptr()) }).unwrap_or(0)
    }

    /// Whether the token ends a generation.
    pub fn ends_generation(&self, token: Token) -> bool {
        // SAFETY: the vocabulary lives with the model; llama.cpp checks the number itself.
        self.contains(token) && unsafe { sys::llama_vocab_is_eog(self.vocab.as_ptr(), token) }
    }

    /// Whether the number is a token of this vocabulary.
    pub fn contains(&self, token: Token) -> bool {
        usize::try_from(token).is_ok_and(|token| token < self.vocabulary())
    }

    /// The token that begins a text, where the model wants one.
    pub fn begin_of_text(&self) -> Option<Token> {
        // SAFETY: the vocabulary lives with the model.
        let wanted = unsafe { sys::llama_vocab_get_add_bos(self.vocab.as_ptr()) };
        wanted.then(|| self.begin_token()).flatten()
    }

    fn begin_token(&self) -> Option<Token> {
        // SAFETY: the vocabulary lives with the model.
        self.existing(unsafe { sys::llama_vocab_bos(self.vocab.as_ptr()) })
    }

    /// The begin-of-text token as it is spelled, or empty.
    pub fn begin_of_text_spelling(&self) -> String {
        self.begin_token().map(|token| self.spelling(token)).unwrap_or_default()
    }

    /// The end-of-text token as it is spelled, or empty.
    pub fn end_of_text_spelling(&self) -> String {
        // SAFETY: the vocabulary lives with the model.
        let token = self.existing(unsafe { sys::llama_vocab_eos(self.vocab.as_ptr()) });
        token.map(|token| self.spelling(token)).unwrap_or_default()
    }

    /// Tokens of fill-in-the-middle; `None` unless prefix, suffix and middle all exist.
    pub fn fill_tokens(&self) -> Option<FillTokens> {
        let vocab = self.vocab.as_ptr();
        // SAFETY: the vocabulary lives with the model; each call reads one number.
        let (prefix, suffix, middle, repository, file) = unsafe {
            (
                sys::llama_vocab_fim_pre(vocab),
                sys::llama_vocab_fim_suf(vocab),
                sys::llama_vocab_fim_mid(vocab),
                sys::llama_vocab_fim_rep(vocab),
                sys::llama_vocab_fim_sep(vocab),
            )
        };
        Some(FillTokens {
            prefix: self.existing(prefix)?,
            suffix: self.existing(suffix)?,
            middle: self.existing(middle)?,
            repository: self.existing(repository),
            file: self.existing(file),
        })
    }

    fn existing(&self, token: Token) -> Option<Token> {
        self.contains(token).then_some(token)
    }

    fn spelling(&self, token: Token) -> String {
        // SAFETY: the token is of this vocabulary; the text is NUL-terminated and lives with the model.
        let text = unsafe { sys::llama_vocab_get_text(self.vocab.as_ptr(), token) };
        if text.is_null() {
            return String::new();
        }
        // SAFETY: as above, and not null.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }

    /// The tokens of a text, nothing added. With `special`, special tokens spelled in the text become
    /// those tokens; without, they stay text.
    pub fn tokenize(&self, text: &str, special: bool) -> Result<Vec<Token>, TokenizeError> {
        let text_len = i32::try_from(text.len()).map_err(|_| TokenizeError::TooLong(text.len()))?;
        // No token is shorter than a byte, but some vocabularies put a space in front.
        let mut tokens: Vec<Token> = vec![0; text.len() + 8];
        let room = i32::try_from(tokens.len()).map_err(|_| TokenizeError::TooLong(text.len()))?;
        // SAFETY: both buffers are valid for the lengths given; the text need not be NUL-terminated.
        let count = unsafe {
            sys::llama_tokenize(
                self.vocab.as_ptr(),
                text.as_ptr().cast(),
                text_len,
                tokens.as_mut_ptr(),
                room,
                false,
                special,
            )
        };
        tokens.truncate(usize::try_from(count).map_err(|_| TokenizeError::Refused)?);
        Ok(tokens)
    }

    /// Appends the token's bytes, which may be a part of a UTF-8 sequence. Control tokens have none.
    pub fn append_piece(&self, token: Token, bytes: &mut Vec<u8>) {
        self.append(token, false, bytes);
    }

    /// The same, with control tokens spelled as the model's author names them.
    pub fn append_spelling(&self, token: Token, bytes: &mut Vec<u8>) {
        self.append(token, true, bytes);
    }

    fn append(&self, token: Token, special: bool, bytes: &mut Vec<u8>) {
        if !self.contains(token) {
            return;
        }
        let mut room = 64;
        loop {
            let start = bytes.len();
            bytes.resize(start + room, 0);
            let room_c = i32::try_from(room).unwrap_or(i32::MAX);
            // SAFETY: `room` bytes are valid from `start`; the token is of this vocabulary.
            let written = unsafe {
                sys::llama_token_to_piece(
                    self.vocab.as_ptr(),
                    token,
                    bytes[start..].as_mut_ptr().cast(),
                    room_c,
                    0,
                    special,
                )
            };
            // A negative answer is the length needed.
            let written_len = usize::try_from(written.unsigned_abs()).unwrap_or(0);
            bytes.truncate(start + if written < 0 { 0 } else { written_len });
            if written >= 0 || written_len <= room {
                return;
            }
            room = written_len;
        }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: loaded once, and contexts hold an `Arc` of this value, so none is left.
        unsafe { sys::llama_model_free(self.raw.as_ptr()) };
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("vocabulary", &self.vocabulary()).finish_non_exhaustive()
    }
}
