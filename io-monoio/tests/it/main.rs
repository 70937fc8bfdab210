//! The driver over real sockets.

mod agreement;
mod authority;
mod command;
mod examples;
mod foresight;
mod providers;
mod real;
mod redis;
mod reloads;
mod smoke;
mod wire;
mod workload;
mod world;
