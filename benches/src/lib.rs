//! What benchmarks share: a worker between a scripted client and a scripted origin, on no runtime.

#![forbid(unsafe_code)]

pub mod rig;
