//! Talking HTTP over connections that a driver holds: operations, bytes in, bytes out, deadlines,
//! pools.

pub mod fetch;
pub mod fifo;
pub mod inbox;
pub mod outbox;
pub mod proxied;
pub mod queue;
pub mod secure;
pub mod upstream;
pub mod wire;
