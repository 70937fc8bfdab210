//! The access log: one line per request, in Traefik's formats and with its field names. What a
//! line holds is decided once; writing one allocates nothing once the buffer has grown.

mod clf;
mod json;
#[cfg(test)]
mod tests;

use super::record::{AccessRecord, Choice};
use crate::base::time::{Span, Wall};
use crate::config::fixed::{AccessFormat, AccessLog, HeaderMode};
use crate::view::{NodeKind, View};
use std::ops::RangeInclusive;

macro_rules! fields {
    ($($name:ident $key:literal,)*) => {
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        enum Field { $($name,)* }

        /// Names that `accessLog.fields.names` may keep or drop.
        pub const FIELDS: &[&str] = &[$($key,)*];
    };
}

// In the order in which they are written.
fields! {
    Callers "Callers",
    Choices "Choices",
    ClientAddr "ClientAddr",
    ClientHost "ClientHost",
    ClientPort "ClientPort",
    ClientUsername "ClientUsername",
    DownstreamContentSize "DownstreamContentSize",
    DownstreamStatus "DownstreamStatus",
    Duration "Duration",
    Epoch "Epoch",
    OriginContentSize "OriginContentSize",
    OriginDuration "OriginDuration",
    OriginStatus "OriginStatus",
    Overhead "Overhead",
    RequestAddr "RequestAddr",
    RequestContentSize "RequestContentSize",
    RequestCount "RequestCount",
    RequestHost "RequestHost",
    RequestMethod "RequestMethod",
    RequestPath "RequestPath",
    RequestPort "RequestPort",
    RequestProtocol "RequestProtocol",
    RequestScheme "RequestScheme",
    RetryAttempts "RetryAttempts",
    RouterName "RouterName",
    ServiceAddr "ServiceAddr",
    ServiceName "ServiceName",
    ServiceURL "ServiceURL",
    StartLocal "StartLocal",
    StartUtc "StartUTC",
    TlsCipher "TLSCipher",
    TlsVersion "TLSVersion",
    EntryPointName "entryPointName",
}

/// An access log's settings, ready to write lines.
#[derive(Debug)]
pub struct AccessLines {
    wall: Wall,
    format: AccessFormat,
    keep: [bool; FIELDS.len()],
    header_default: HeaderMode,
    /// Lower-case names.
    headers: Box<[(Box<str>, HeaderMode)]>,
    filters: Filters,
    add_internals: bool,
}

#[derive(Debug)]
struct Filters {
    status: Box<[RangeInclusive<u16>]>,
    retry_attempts: bool,
    min_duration: Span,
}

impl AccessLines {
    pub fn new(settings: &AccessLog, wall: Wall) -> Self {
        let keep = |name: &str| settings.names.get(name).copied().unwrap_or(settings.default_keep);
        let mut kept = [false; FIELDS.len()];
        for (slot, name) in kept.iter_mut().zip(FIELDS) {
            *slot = keep(name);
        }
        Self {
            wall,
            format: settings.format,
            keep: kept,
            header_default: settings.header_default,
            headers: settings.headers.iter().map(|(k, v)| (k.as_str().into(), *v)).collect(),
            filters: Filters {
                status: settings.status.clone().into(),
                retry_attempts: settings.retry_attempts,
                min_duration: settings.min_duration,
            },
            add_internals: settings.add_internals,
        }
    }

    /// Whether some request or response field may be shown, so that heads must be kept until the
    /// request ends.
    pub fn wants_fields(&self) -> bool {
        self.header_default != HeaderMode::Drop
            || self.headers.iter().any(|(_, mode)| *mode != HeaderMode::Drop)
    }

    /// Appends the line of `record`, with its line feed, unless a filter leaves it out.
    pub fn write(&self, record: &AccessRecord<'_>, out: &mut Vec<u8>) {
        let internal = record.route.is_some_and(|route| route.internal);
        let seen = record.observed().log;
        if !seen || (internal && !self.add_internals) || !self.filters.pass(record) {
            return;
        }
        match self.format {
            AccessFormat::Json => json::write(self, record, out),
            AccessFormat::Common => {
                self.clf(record, out);
                self.clf_rest(record, out);
                out.push(b'\n');
            }
            AccessFormat::GenericClf => {
                self.clf(record, out);
                out.push(b'\n');
            }
        }
    }

    fn keeps(&self, field: Field) -> bool {
        self.keep[field as usize]
    }

    fn header(&self, name: &[u8]) -> HeaderMode {
        let named = self.headers.iter().find(|(n, _)| n.as_bytes().eq_ignore_ascii_case(name));
        named.map_or(self.header_default, |(_, mode)| *mode)
    }
}

const REDACTED: &[u8] = b"REDACTED";

impl Filters {
    /// No filter lets everything pass; otherwise one reason is enough.
    fn pass(&self, record: &AccessRecord<'_>) -> bool {
        let none = self.status.is_empty() && !self.retry_attempts && self.min_duration.is_zero();
        none || self.status.iter().any(|range| range.contains(&record.status))
            || (self.retry_attempts && record.retries > 0)
            || (!self.min_duration.is_zero() && record.took() > self.min_duration)
    }
}

/// The names behind a choice.
struct Named<'a> {
    service: &'a str,
    member: &'a str,
    child: Option<&'a str>,
}

impl<'a> Named<'a> {
    fn of(choice: &Choice, view: &'a View) -> Self {
        let turn = usize::from(choice.turn);
        let Some(node) = view.services.get(choice.service.0) else {
            return Self { service: "", member: "", child: None };
        };
        let (member, child) = match &node.kind {
            NodeKind::Balancer { servers, .. } => {
                let server = servers.get(turn);
                let child = server.and_then(|server| server.uplink.as_ref());
                (server.map_or("", |server| &*server.url), child)
            }
            NodeKind::Weighted { services, .. } => {
                let node = services.get(turn).and_then(|id| view.services.get(id.0));
                let child = node.and_then(|node| match &node.kind {
                    NodeKind::Balancer { servers, .. } => servers.first()?.uplink.as_ref(),
                    NodeKind::Weighted { .. }
                    | NodeKind::Failover { .. }
                    | NodeKind::Mirroring(_)
                    | NodeKind::Internal(_)
                    | NodeKind::Unavailable(_) => None,
                });
                (node.map_or("", |node| &*node.name), child)
            }
            NodeKind::Failover { .. }
            | NodeKind::Mirroring(_)
            | NodeKind::Internal(_)
            | NodeKind::Unavailable(_) => ("", None),
        };
        let child = child.and_then(|uplink| view.children.get(usize::from(uplink.child.0)));
        Self { service: &node.name, member, child: child.map(|child| &*child.name) }
    }
}

/// Name and value of each field line.
fn split(lines: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    lines.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((line[..colon].trim_ascii(), line[colon + 1..].trim_ascii()))
    })
}

pub(super) fn first<'a>(lines: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    split(lines).find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}
