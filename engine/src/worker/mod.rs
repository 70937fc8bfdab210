//! The data-plane machine: owns the connections of one core and moves HTTP between them.

pub mod accounts;
mod api;
#[cfg(test)]
mod fixture;
pub mod internal;
pub mod log;
mod metrics;
pub mod record;
