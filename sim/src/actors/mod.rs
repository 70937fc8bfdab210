//! The outside world: who connects, who is connected to, and who edits the configuration.

pub mod attacker;
pub mod client;
pub mod codec;
pub mod h2;
pub mod sender;
pub mod server;

use crate::book::Book;
use crate::entropy::Stream;
use crate::ledger::Ledger;
use crate::net::Net;

/// What an actor may touch when it is called.
#[derive(Debug)]
pub struct Scene<'a> {
    pub net: &'a mut Net,
    pub ledger: &'a mut Ledger,
    pub workload: &'a mut Stream,
    pub book: &'a Book,
    pub calm: bool,
}
