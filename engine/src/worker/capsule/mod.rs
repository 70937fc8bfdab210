//! A capsule: what a process decided lately and by what, as a file of lines.
//!
//! ```text
//! 9f86d081884c7d65 {"header":{"capsule":1,…}}      versions, the static configuration
//! 60303ae22b998861 {"moment":{"epoch":7,…}}        a view: what changed in what it is made of
//! fd61a03af4f77d87 {"record":{"request":3,…}}      something that happened to a request
//! a4e624d686e03ed2 {"end":{"lines":3}}
//! ```
//!
//! Each line begins with 64 bits of the SHA-256 of the line before it, checksum and all, and of
//! what stands behind; so a change is found at its line, and a missing end as such. That finds
//! damage and accidents; whoever wants to forge a capsule can.

mod read;
mod write;

pub use read::{Broken, read};
pub use write::write;

use super::recording::event::Record;
use crate::base::digest::{hex, sha256};
use crate::service::stale::Freshness;
use crate::service::standing::Health;
use serde::{Deserialize, Serialize};

/// Of the format.
pub const VERSION: u64 = 1;

/// Digits of a checksum.
const DIGITS: usize = 16;

/// A capsule that is sound.
#[derive(Clone, PartialEq, Debug)]
pub struct Capsule {
    pub header: Header,
    /// The oldest first.
    pub moments: Vec<Moment>,
    /// The oldest first.
    pub records: Vec<Record>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Line {
    Header(Box<Header>),
    Moment(Moment),
    Record(Record),
    End(End),
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    pub capsule: u64,
    /// The version of Tieline that wrote it.
    pub tieline: String,
    /// Its name among the hops of a request.
    pub instance: String,
    pub workers: u64,
    /// Nanoseconds since 1970 at which the process started.
    pub started: u64,
    /// Nanoseconds since then.
    pub at: u64,
    /// Records before the first of the capsule.
    pub before: u64,
    /// What the machine is like, if somebody looked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<String>,
    /// The static configuration as a document.
    #[serde(rename = "static")]
    pub fixed: String,
}

/// A view, and what in its making differs from the one before.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Moment {
    pub epoch: u64,
    pub at: u64,
    /// The dynamic configuration: paths and documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<Vec<(String, String)>>,
    /// It is too large to be told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub too_large: bool,
    /// Children by number, each with what it answers to polls, as JSON.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adverts: Vec<(u16, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freshness: Vec<(u16, Freshness)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<Server>,
}

/// What checks say of a server.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Server {
    pub service: String,
    pub url: String,
    pub health: Health,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ejected: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    /// Before this one.
    lines: u64,
}

/// The checksum of a line behind one with the checksum `before`.
fn checksum(before: &str, text: &str) -> String {
    hex(&sha256(format!("{before} {text}").as_bytes()), DIGITS)
}

/// The capsule as text. One that was read becomes what it was read from.
pub fn text(capsule: &Capsule) -> String {
    let mut out = Lines::default();
    out.put(&Line::Header(Box::new(capsule.header.clone())));
    capsule.moments.iter().for_each(|moment| out.put(&Line::Moment(moment.clone())));
    capsule.records.iter().for_each(|record| out.put(&Line::Record(record.clone())));
    out.put(&Line::End(End { lines: out.count }));
    out.text
}

#[derive(Default)]
struct Lines {
    text: String,
    before: String,
    count: u64,
}

impl Lines {
    fn put(&mut self, line: &Line) {
        let json = serde_json::to_string(line).unwrap_or_default();
        self.before = checksum(&self.before, &json);
        self.text.extend([&self.before, " ", &json, "\n"]);
        self.count += 1;
    }
}

#[cfg(test)]
mod tests;
