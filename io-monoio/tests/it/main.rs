//! The driver over real sockets.

mod command;
mod conformance;
mod smoke;
mod world;
