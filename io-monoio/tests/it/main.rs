//! The driver over real sockets.

mod command;
mod conformance;
mod examples;
mod smoke;
mod world;
