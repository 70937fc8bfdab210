//! TLS in simulated worlds: cryptography without chance of its own, authorities that sign what a
//! site needs, and the cloak that an actor's end of a link wears.

pub mod authority;
pub mod cloak;
pub mod crypto;
pub mod rotation;
pub mod tap;
pub mod wardrobe;
