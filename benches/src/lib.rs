//! What benchmarks share.

#![forbid(unsafe_code)]
