//! Runs of simulated worlds.

mod meta;
mod relay;
mod scenarios;
mod swarm;
