//! Services: the balancing maths.

pub mod rotation;
pub mod ticket;
