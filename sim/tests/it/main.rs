//! Runs of simulated worlds.

mod conformance;
mod meta;
mod relay;
mod scenarios;
mod swarm;
