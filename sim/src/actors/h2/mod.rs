//! HTTP/2 (RFC 9113) as the outside world speaks it: naive, strict about what it gets, and sharing
//! no code with the engine but a table.

pub mod floods;
pub mod frames;
pub mod hpack;
pub mod session;
pub mod translator;
