//! Runs of simulated worlds.

mod conformance;
mod h2;
mod level2;
mod meta;
mod relay;
mod scenarios;
mod swarm;
