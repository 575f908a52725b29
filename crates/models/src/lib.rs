//! Models on this machine: what a file of weights says of itself, and the vault that keeps it.
//!
//! - [`gguf`] reads the header of a GGUF file strictly, before any C++ sees the file. It follows the
//!   GGUF specification (versions 2 and 3, little-endian) and refuses what llama.cpp would read
//!   differently, allocate without limit, or abort on.
//! - [`vault`] imports files by digest, and keeps the lock of each deployment.
//!
//! Nothing here runs a model, renders a template, or speaks to another process.

pub mod gguf;
pub mod vault;

#[cfg(test)]
mod sample;
