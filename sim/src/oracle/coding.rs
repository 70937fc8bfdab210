//! Compressed answers: H2. Only who asked for a coding gets one, it is the one that was asked for
//! most, and what it means is what the server said. What a server has coded stays as it is, and
//! what others may get in another form says so.

use crate::actors::codec::Head;
use crate::book::Book;
use crate::ledger::{Frame, Probe};
use crate::model::Fate;
use std::io::{self, Read};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coding {
    Gzip,
    Brotli,
    Zstandard,
}

/// What clients say that they take, and what they get then.
pub const ASKED: [(&str, Option<Coding>); 8] = [
    ("gzip", Some(Coding::Gzip)),
    ("br", Some(Coding::Brotli)),
    ("zstd", Some(Coding::Zstandard)),
    ("zstd, br", Some(Coding::Brotli)),
    ("gzip;q=0.5, zstd", Some(Coding::Zstandard)),
    ("gzip;q=0, br;q=0.1", Some(Coding::Brotli)),
    ("identity", None),
    ("gzip;q=0", None),
];

pub const FIELD: &str = "accept-encoding";
/// What servers say of answers that they have coded themselves, in a way that nobody here knows.
pub const OWN: &str = "own";
pub const OWN_LINE: &str = "content-encoding: own\r\n";

/// Shorter answers stay as they are.
const LEAST: u64 = 1_024;

impl Coding {
    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstandard => "zstd",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Gzip, Self::Brotli, Self::Zstandard].into_iter().find(|it| it.name() == name)
    }

    fn decoded(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        match self {
            Self::Gzip => flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut out)?,
            Self::Brotli => brotli::Decompressor::new(bytes, 4_096).read_to_end(&mut out)?,
            Self::Zstandard => zstd::Decoder::new(bytes)?.read_to_end(&mut out)?,
        };
        Ok(out)
    }
}

/// A body as it comes.
#[derive(Debug)]
pub struct Coded {
    coding: Coding,
    bytes: Vec<u8>,
}

impl Coded {
    /// Of an answer that is coded, in a way that clients here know.
    pub fn of(head: &Head) -> Option<Self> {
        let coding = Coding::named(head.get("content-encoding")?)?;
        Some(Self { coding, bytes: Vec::new() })
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// What it means, now that it is whole; nothing was said with a head only.
    pub fn meaning(&self) -> Result<Vec<u8>, String> {
        if self.bytes.is_empty() {
            return Ok(Vec::new());
        }
        let decoded = self.coding.decoded(&self.bytes);
        decoded.map_err(|why| format!("{} bytes of {:?}: {why}", self.bytes.len(), self.coding))
    }
}

/// What is wrong with how the answer of a server is coded.
pub fn problem(book: &Book, probe: &Probe, head: &Head) -> Option<String> {
    let found = head.get("content-encoding");
    if probe.want.is_coded() {
        let right = found == Some(OWN) && head.count("content-encoding") == 1;
        return (!right).then(|| format!("in coding {found:?} instead of its own"));
    }
    let asked = probe.meant.fields.iter().find(|(name, _)| name == FIELD);
    let wanted = asked.and_then(|(_, text)| ASKED.iter().find(|(known, _)| known == text));
    let wanted = wanted.and_then(|(_, coding)| *coding).map(Coding::name);
    if found.is_none() && wanted.is_none() && !book.compresses {
        return None;
    }
    let fates = book.fates(probe);
    let squeezes = |fate: &Fate| matches!(fate, Fate::Routed(routed) if routed.squeezes);
    let varies = !matches!(probe.want.status, 101 | 204);
    let told = head.get("vary").is_some_and(|text| text.eq_ignore_ascii_case(FIELD));
    if varies && !told && fates.iter().all(squeezes) {
        return Some(format!("with vary {:?} though it may be compressed", head.get("vary")));
    }
    let bodiless = matches!(probe.want.status, 101 | 204 | 304) || probe.meant.method == "HEAD";
    let long = probe.want.bytes >= LEAST;
    let asks = wanted.is_some();
    // Whoever cannot wait for the length of an answer does not learn in time that it is short.
    let unknown = probe.want.framing != Frame::Length && !book.roomy;
    // Nobody can tell an answer that its server breaks off there from a short one.
    let broken_off = probe.want.framing == Frame::UntilClose
        && probe.arrivals.iter().any(|arrival| arrival.fault.is_some());
    let may = (long || unknown) && !bodiless;
    let must = long && asks && !bodiless && !broken_off;
    let right = match found {
        Some(_) => found == wanted && may && fates.iter().any(squeezes),
        None => !must || !book.may_compress || !fates.iter().all(squeezes),
    };
    (!right).then(|| format!("in coding {found:?} instead of {wanted:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_coding_is_noticed() {
        for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstandard] {
            let coded = Coded { coding, bytes: b"surely none of them".to_vec() };
            assert!(coded.meaning().is_err(), "{coding:?}");
            assert_eq!(Coding::named(coding.name()), Some(coding));
        }
    }
}
