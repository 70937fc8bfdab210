//! Whether a request is meant. Borrows everything; allocates only to decode an escaped query
//! value that is too long for the stack.

use super::ast::{HostPattern, Matcher, Node};
use super::pattern::Pattern;
use crate::base::cidr::Cidr;
use crate::http::fields;
use crate::http::request::RequestInfo;

/// Decoded query values up to this long need no allocation.
const QUERY_ON_STACK: usize = 512;

impl Node {
    pub fn matches(&self, request: &RequestInfo<'_>) -> bool {
        match self {
            Self::Match(matcher) => matcher.matches(request),
            Self::Not(inner) => !inner.matches(request),
            Self::And(parts) => parts.iter().all(|part| part.matches(request)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(request)),
        }
    }
}

impl Matcher {
    pub fn matches(&self, request: &RequestInfo<'_>) -> bool {
        match self {
            Self::Host(pattern) => pattern.matches(request.host),
            Self::HostRegexp(pattern) => pattern.is_match(request.host.as_bytes()),
            Self::Path(path) => request.path == path,
            Self::PathPrefix(prefix) => request.path.starts_with(prefix.as_str()),
            Self::PathRegexp(pattern) => pattern.is_match(request.path.as_bytes()),
            Self::Header { name, value } => {
                fields(request, name).any(|found| found == value.as_bytes())
            }
            Self::HeaderRegexp { name, pattern } => {
                fields(request, name).any(|found| pattern.is_match(found))
            }
            Self::Query { key, value } => {
                let wanted = value.as_deref().unwrap_or_default();
                query(request, key).any(|found| decodes_to(found, wanted))
            }
            Self::QueryRegexp { key, pattern } => {
                query(request, key).any(|found| decoded_matches(found, pattern))
            }
            Self::Method(method) => request.method == method,
            Self::ClientIp(range) => is_from(range, request),
        }
    }
}

impl HostPattern {
    /// `host` is lower-case, without port.
    pub fn matches(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        match self {
            Self::Any => true,
            Self::Exactly(wanted) => !host.is_empty() && host == wanted,
            Self::OneLabelUnder(parent) => host
                .strip_suffix(parent.as_str())
                .and_then(|rest| rest.strip_suffix('.'))
                .is_some_and(|label| !label.is_empty() && !label.contains('.')),
        }
    }
}

fn is_from(range: &Cidr, request: &RequestInfo<'_>) -> bool {
    range.contains(request.peer)
}

fn fields<'a>(request: &RequestInfo<'a>, name: &str) -> impl Iterator<Item = &'a [u8]> {
    fields::all(request.fields, name)
}

/// The undecoded values of `key`. As in Go, a pair with a semicolon or a bad escape is not there.
fn query<'a>(request: &RequestInfo<'a>, key: &str) -> impl Iterator<Item = &'a str> {
    request
        .query
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.contains(';'))
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(move |(name, value)| decodes_to(name, key) && Decoded::of(value).all(|b| b.is_ok()))
        .map(|(_, value)| value)
}

fn decodes_to(raw: &str, wanted: &str) -> bool {
    Decoded::of(raw).eq(wanted.bytes().map(Ok))
}

fn decoded_matches(raw: &str, pattern: &Pattern) -> bool {
    if !raw.contains(['%', '+']) {
        return pattern.is_match(raw.as_bytes());
    }
    let bytes = Decoded::of(raw).flatten();
    if raw.len() > QUERY_ON_STACK {
        return pattern.is_match(&bytes.collect::<Vec<u8>>());
    }
    let mut buffer = [0; QUERY_ON_STACK];
    let mut length = 0;
    for byte in bytes {
        buffer[length] = byte;
        length += 1;
    }
    pattern.is_match(&buffer[..length])
}

struct BadEscape;

impl PartialEq for BadEscape {
    fn eq(&self, _: &Self) -> bool {
        false
    }
}

/// The bytes of a query component: `+` is a space, `%41` is `A`.
struct Decoded<'a> {
    rest: &'a [u8],
}

impl<'a> Decoded<'a> {
    fn of(raw: &'a str) -> Self {
        Self { rest: raw.as_bytes() }
    }
}

impl Iterator for Decoded<'_> {
    type Item = Result<u8, BadEscape>;

    fn next(&mut self) -> Option<Self::Item> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        match (first, rest) {
            (b'+', _) => Some(Ok(b' ')),
            (b'%', [high, low, rest @ ..]) => {
                let digit = |b: &u8| char::from(*b).to_digit(16).and_then(|d| u8::try_from(d).ok());
                self.rest = rest;
                let (high, low) = (digit(high), digit(low));
                Some(high.zip(low).map(|(high, low)| high << 4 | low).ok_or(BadEscape))
            }
            (b'%', _) => Some(Err(BadEscape)),
            (byte, _) => Some(Ok(*byte)),
        }
    }
}
