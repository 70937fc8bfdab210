//! HTTP/1.1 on the wire: bytes to heads and bodies, and back.

pub mod chunked;
pub mod parse;
pub mod write;
