//! The production driver: engine machines on monoio, a thread per core.

mod bell;
mod buf;
pub mod clock;
#[cfg(test)]
mod conformance;
mod core;
pub mod fault;
mod files;
pub mod gateway;
pub mod helper;
mod journal;
mod key_log;
mod links;
pub mod listen;
mod password;
mod port;
mod ports;
pub mod runtime;
mod seat;
pub mod slot;
mod start;
mod watch;
mod workload;
