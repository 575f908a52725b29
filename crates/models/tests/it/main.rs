//! The reader against headers made for it, damaged ones, and the real test models; the vault on a real disk.

mod builder;
mod gguf;
mod vault;
