//! The driver over real sockets.

mod command;
mod examples;
mod foresight;
mod smoke;
mod world;
