//! HTTP/2 (RFC 9113), both ends of a connection, without a socket: bytes in, events out, frames
//! into an outbox. Streams are tied to flow control by hand: what came is granted again only when
//! its reader has taken it.

pub mod call;
pub mod flow;
pub mod frame;
pub mod hpack;
pub mod huffman;
pub mod ledger;
pub mod link;
pub mod message;
mod read;
pub mod stream;
pub mod table;
pub mod write;
