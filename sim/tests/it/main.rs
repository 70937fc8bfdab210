//! Runs of simulated worlds.

mod bounds;
mod conformance;
mod diff;
mod folder;
#[cfg(feature = "level2")]
mod h2;
#[cfg(feature = "level2")]
mod level2;
#[cfg(feature = "level2")]
mod meta;
mod relay;
mod scenarios;
mod swarm;
mod tolls;
mod wires;
