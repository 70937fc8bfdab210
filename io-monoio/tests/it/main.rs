//! The driver over real sockets.

mod command;
mod examples;
mod smoke;
mod world;
