//! Level 2: the same machines over the sockets of turmoil, for what concerns topology. Hosts for a
//! parent, its children, origins and clients; partitions, held links and crashes between them.
//! Origins and clients are hyper, so that an independent implementation judges our HTTP.
//!
//! A run is a function of its seed: everything is drawn beforehand (`plan`), one thread runs all
//! hosts, and nothing here selects among ready futures at random or iterates over a hash map, so
//! tokio's unstable seed of its own chance is not needed.

mod client;
mod driver;
mod exec;
mod host;
mod judge;
mod origin;
mod payload;
pub mod plan;
mod ports;
mod run;
mod stage;

pub use run::{Report, Tally, play, play_checked, sweep};
