#![expect(clippy::wildcard_enum_match_arm, reason = "the enums underneath are open")]
//! TLS on both sides, in memory, with time and files as inputs. The only room that names the
//! libraries underneath: the rest of the engine sees a [`Session`], the [`Door`] that clients enter
//! by, and the [`Connector`] that servers are reached with.

mod caller;
pub mod chain;
mod connector;
mod crypto;
mod der;
mod door;
mod generated;
mod key_log;
mod keyring;
mod keys;
mod refusal;
mod session;
mod shelf;
mod tickets;
mod verify;
mod workload;

/// The names of the application protocols (RFC 7301 §6, RFC 9113 §3.1).
pub const H2: &[u8] = b"h2";
pub const HTTP_1: &[u8] = b"http/1.1";

pub use connector::Connector;
pub use crypto::{Clock, Crypto, MakeKey};
pub use der::CertificateInfo;
pub use door::{Door, Policy, policy};
use generated::generated;
pub use keyring::{Found, Keyring, Listed, Role};
pub use keys::{Identity, Roots};
pub use refusal::Refusal;
pub use session::{Session, Sink, Trouble};
pub use shelf::Shelf;
pub use tickets::Tickets;
pub use workload::{SPIFFE, Svid};
