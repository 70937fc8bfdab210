//! What benchmarks share: a worker between a scripted client and a scripted origin, on no runtime,
//! and configurations of any size.

#![forbid(unsafe_code)]

#[cfg(feature = "glommio")]
pub mod on_glommio;
pub mod rig;
pub mod world;
