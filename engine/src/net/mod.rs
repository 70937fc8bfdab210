//! Talking HTTP over connections that a driver holds.

pub mod fetch;
