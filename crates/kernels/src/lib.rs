//! The arithmetic of the reproducible profile: matrix products and attention whose every result is one
//! fixed chain of roundings, however many are computed together, in whatever order, by however many
//! threads, on whatever processor. Where one has AVX-512 with VNNI, wider vectors compute the same chains.
//!
//! llama.cpp's own kernels choose their order of sums by the shape of a batch, so the same prompt gives
//! other bits in other company. The formats of [`blocks`] are ggml's.
//!
//! No kernel here allocates more than its callers' shapes imply, reads outside the slices it is given, or
//! keeps anything between calls. `unsafe` is for vector instructions on values alone.

#![allow(unsafe_code, reason = "vector instructions; see `lanes`")]

pub mod attention;
pub mod blocks;
mod lanes;
pub mod product;
