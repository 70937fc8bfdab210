//! The driver over real sockets.

mod conformance;
