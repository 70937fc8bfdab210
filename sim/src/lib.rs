//! Simulated worlds for the engine.

#![forbid(unsafe_code)]
