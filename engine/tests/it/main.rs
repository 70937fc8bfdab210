//! Behaviour of the engine through its public surface. One binary: a module per topic.

mod heads;
mod smuggling;
