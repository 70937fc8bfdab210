//! Simulated worlds for the engine: machines, actors and a network in one queue of events with a
//! virtual clock, finite chance, and oracles that judge from outside.

#![forbid(unsafe_code)]

pub mod driver;
pub mod entropy;
pub mod fault;
pub mod net;
pub mod oracle;
pub mod proactor;
pub mod trace;
pub mod wire;
