//! HTTP as both versions share it: methods, heads, fields, framing.

pub mod request;
