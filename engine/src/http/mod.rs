//! HTTP as both versions share it: methods, heads, fields, framing.

pub mod alias;
pub mod blame;
pub mod discreet;
pub mod fields;
pub mod framing;
pub mod head;
pub mod method;
pub mod options;
pub mod reference;
pub mod request;
pub mod status;
pub mod target;
pub mod websocket;
