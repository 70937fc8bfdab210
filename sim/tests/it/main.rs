//! Runs of simulated worlds.

mod relay;
