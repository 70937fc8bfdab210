//! Configuration: documents in the Traefik dialect, turned into types that cannot be wrong.

pub mod address;
pub mod fixed;
pub mod references;
pub mod typed;
