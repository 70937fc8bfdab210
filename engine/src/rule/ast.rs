//! A parsed rule as a tree, and how it prints.

use super::pattern::Pattern;
use crate::base::cidr::Cidr;
use std::fmt;

/// A rule or a part of one.
#[derive(Clone, PartialEq, Debug)]
pub enum Node {
    Match(Matcher),
    Not(Box<Self>),
    /// Two or more, all of which must match.
    And(Vec<Self>),
    /// Two or more, one of which must match.
    Or(Vec<Self>),
}

/// One call. Arguments are checked and normalised.
#[derive(Clone, PartialEq, Debug)]
pub enum Matcher {
    Host(HostPattern),
    HostRegexp(Pattern),
    Path(String),
    PathPrefix(String),
    PathRegexp(Pattern),
    Header {
        name: String,
        value: String,
    },
    HeaderRegexp {
        name: String,
        pattern: Pattern,
    },
    /// Without a value: the key is there and its value is empty.
    Query {
        key: String,
        value: Option<String>,
    },
    QueryRegexp {
        key: String,
        pattern: Pattern,
    },
    /// Upper case.
    Method(String),
    ClientIp(Cidr),
}

/// Lower-case, without a trailing dot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HostPattern {
    /// `*`: every host, and none.
    Any,
    /// `*.example.com` is kept as `example.com`: exactly one more label.
    OneLabelUnder(String),
    Exactly(String),
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Match(matcher) => fmt::Display::fmt(matcher, f),
            Self::Not(inner) => {
                f.write_str("!")?;
                inner.grouped(f, |inner| matches!(inner, Self::And(_) | Self::Or(_)))
            }
            Self::And(parts) => {
                list(f, parts, " && ", |part| matches!(part, Self::And(_) | Self::Or(_)))
            }
            Self::Or(parts) => list(f, parts, " || ", |part| matches!(part, Self::Or(_))),
        }
    }
}

impl Node {
    pub(super) fn collect_hosts(&self, out: &mut Vec<String>) {
        match self {
            Self::Match(Matcher::Host(host)) if *host != HostPattern::Any => {
                out.push(host.to_string());
            }
            Self::Match(_) | Self::Not(_) => {}
            Self::And(parts) | Self::Or(parts) => {
                parts.iter().for_each(|part| part.collect_hosts(out));
            }
        }
    }

    fn grouped(&self, f: &mut fmt::Formatter<'_>, group: fn(&Self) -> bool) -> fmt::Result {
        if group(self) { write!(f, "({self})") } else { fmt::Display::fmt(self, f) }
    }
}

fn list(
    f: &mut fmt::Formatter<'_>,
    parts: &[Node],
    between: &str,
    group: fn(&Node) -> bool,
) -> fmt::Result {
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            f.write_str(between)?;
        }
        part.grouped(f, group)?;
    }
    Ok(())
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => call(f, "Host", &[&host.to_string()]),
            Self::HostRegexp(pattern) => call(f, "HostRegexp", &[pattern.source()]),
            Self::Path(path) => call(f, "Path", &[path]),
            Self::PathPrefix(prefix) => call(f, "PathPrefix", &[prefix]),
            Self::PathRegexp(pattern) => call(f, "PathRegexp", &[pattern.source()]),
            Self::Header { name, value } => call(f, "Header", &[name, value]),
            Self::HeaderRegexp { name, pattern } => {
                call(f, "HeaderRegexp", &[name, pattern.source()])
            }
            Self::Query { key, value: Some(value) } => call(f, "Query", &[key, value]),
            Self::Query { key, value: None } => call(f, "Query", &[key]),
            Self::QueryRegexp { key, pattern } => call(f, "QueryRegexp", &[key, pattern.source()]),
            Self::Method(method) => call(f, "Method", &[method]),
            Self::ClientIp(range) => call(f, "ClientIP", &[&range.to_string()]),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::OneLabelUnder(host) => write!(f, "*.{host}"),
            Self::Exactly(host) => f.write_str(host),
        }
    }
}

fn call(f: &mut fmt::Formatter<'_>, name: &str, arguments: &[&str]) -> fmt::Result {
    write!(f, "{name}(")?;
    for (i, argument) in arguments.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        literal(f, argument)?;
    }
    f.write_str(")")
}

/// A Go string literal: raw where that is possible.
fn literal(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    if !text.contains(['`', '\r']) {
        return write!(f, "`{text}`");
    }
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}
