//! Simulated worlds for the engine: machines, actors and a network in one queue of events with a
//! virtual clock, finite chance, and oracles that judge from outside.

#![forbid(unsafe_code)]

pub mod actors;
pub mod book;
pub mod dialect;
pub mod driver;
pub mod entropy;
pub mod fault;
pub mod foresight;
pub mod gateway;
pub mod home;
pub mod ledger;
#[cfg(feature = "level2")]
pub mod level2;
pub mod life;
pub mod model;
#[cfg(feature = "mutants")]
pub mod mutants;
pub mod net;
pub mod oracle;
pub mod pairs;
pub mod plan;
pub mod proactor;
pub mod secure;
pub mod shrink;
pub mod site;
pub mod swarm;
pub mod terrain;
pub mod trace;
pub mod weather;
pub mod wire;
pub mod wiring;
pub mod world;
pub mod wounds;
