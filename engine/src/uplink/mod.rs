//! Uplinks: what a child tells its parents, and what a parent makes of it.

pub mod advert;
mod decode;
pub mod materialise;
