//! Foresight: the user's own documents, run forward on hypothetical events. The machines are those
//! that carry traffic; the network, the clients, the origins and the children without documents
//! are simple and say what they are. Nothing goes wrong but what the scenario says.
//!
//! `documents` reads files and finds out who is whose child; `scenario` is the script; `stage` is
//! the world with `process`, `station` (origins and played children) and `crowd` (clients) in it;
//! `explain` asks once everybody has found one another, and `diff` asks two; `figures` counts;
//! `watch` sees what views change; `report` tells.

pub mod bounds;
mod crowd;
pub mod diff;
pub mod documents;
pub mod explain;
pub mod figures;
mod html;
mod process;
#[cfg(test)]
mod recorded;
pub mod rehearse;
pub mod report;
mod sample;
pub mod scenario;
mod simulate;
pub mod stage;
mod station;
mod streams;
pub mod watch;

pub use simulate::{Options, Spread, simulate, spread};
