//! Services: the balancing maths, and what middlewares make of a head.

pub mod choosing;
pub mod failover;
pub mod load;
pub mod middleware;
pub mod mirror;
pub mod rest;
pub mod rotation;
pub mod signed;
pub mod stale;
pub mod standing;
pub mod sticky;
pub mod ticket;
