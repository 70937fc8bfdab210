//! Behaviour of the engine through its public surface. One binary: a module per topic.

mod bodies;
mod control;
mod drain;
mod failover;
mod faults;
mod forward;
mod frames;
mod h2;
mod h2c;
mod heads;
mod middlewares;
mod mirrors;
mod operate;
mod pair;
mod plan;
mod pools;
mod refusals;
mod rotation;
mod secure;
mod secure_servers;
mod shed;
mod smuggling;
mod storm;
mod tunnels;
mod uplinks;
