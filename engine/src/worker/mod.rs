//! The data-plane machine: owns the connections of one core and moves HTTP between them.

pub mod log;
pub mod record;
