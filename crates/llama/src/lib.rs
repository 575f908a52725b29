//! A thin safe wrapper over llama.cpp, for the program `cloister-engine` and nobody else.
//!
//! It covers what a worker needs: loading a model from an open descriptor, tokens, batches, logits,
//! and dropping the tail of a sequence. It opens no file by name, reads no environment and decides
//! nothing: which kernels run is [`ContextSettings`] and [`ModelSettings`].
//!
//! Threads: a [`Context`] is `Send` and not `Sync`; a [`Model`] may be shared.

#![allow(unsafe_code, reason = "this is the one crate that calls llama.cpp")]

mod batch;
mod context;
mod device;
mod model;
mod seam;

pub use batch::Batch;
pub use context::{Context, ContextError, ContextSettings, DecodeError};
pub use device::{Gpu, gpus};
pub use model::{FillTokens, LoadError, Model, ModelSettings, TokenizeError};

use std::ffi::{CStr, c_char, c_void};
use std::sync::OnceLock;

use llama_cpp_sys_2 as sys;

/// A token's number in a vocabulary.
pub type Token = sys::llama_token;

/// Where llama.cpp's words go: a level (`warn`, `error`) and a line.
pub type LogSink = fn(&str, &str);

static LOG_SINK: OnceLock<LogSink> = OnceLock::new();

/// Prepares llama.cpp. Its warnings and errors go to `sink`, the rest is dropped. Call once, first.
pub fn initialise(sink: LogSink) {
    LOG_SINK.get_or_init(|| sink);
    // SAFETY: `log` matches the callback's type, uses no user data, and lives for ever.
    unsafe { sys::llama_log_set(Some(log), std::ptr::null_mut()) };
    // SAFETY: no precondition but being called before models are loaded.
    unsafe { sys::llama_backend_init() };
}

unsafe extern "C" fn log(level: sys::ggml_log_level, text: *const c_char, _user: *mut c_void) {
    let name = match level {
        sys::GGML_LOG_LEVEL_WARN => "warn",
        sys::GGML_LOG_LEVEL_ERROR => "error",
        _ => return,
    };
    // SAFETY: llama.cpp passes a NUL-terminated string that lives during the call.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    if let Some(sink) = LOG_SINK.get() {
        sink(name, text.trim_end());
    }
}

/// Puts kernels whose results do not depend on the batch in place of llama.cpp's, for the whole process.
/// Call before the first context is made.
pub fn install_kernels() {
    seam::install();
}

/// Whether an operation was computed by kernels whose results may depend on the batch.
pub fn unproven() -> bool {
    seam::unproven()
}

/// The features of this CPU that the build can use, in llama.cpp's own words.
pub fn system_info() -> String {
    // SAFETY: returns a pointer to a static, NUL-terminated string.
    unsafe { CStr::from_ptr(sys::llama_print_system_info()) }.to_string_lossy().trim().to_owned()
}

/// llama.cpp's version, in its own words.
pub fn version() -> String {
    // SAFETY: returns a pointer to a static, NUL-terminated string.
    unsafe { CStr::from_ptr(sys::llama_version()) }.to_string_lossy().into_owned()
}
