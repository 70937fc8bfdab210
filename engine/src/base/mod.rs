//! The ground floor: time, chance, ids, memory, limits, marks and diagnostics. Knows nothing of
//! HTTP.

pub mod base64;
pub mod cidr;
pub mod diag;
pub mod digest;
pub mod id;
pub mod intern;
pub mod limits;
pub mod line;
pub mod mark;
pub mod md5;
pub mod mutant;
pub mod name;
pub mod nearest;
pub mod page;
pub mod prng;
pub mod secret;
pub mod sip;
pub mod slab;
pub mod spiffe;
pub mod tape;
pub mod text;
pub mod time;
pub mod timers;
