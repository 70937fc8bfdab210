//! One JSON object per request, with Traefik's keys.

use super::{AccessLines, FIELDS, Field, Named, REDACTED, split};
use crate::base::text::{json_inside, json_string, number, rfc3339};
use crate::config::fixed::HeaderMode;
use crate::worker::record::AccessRecord;
use std::io::Write as _;
use std::net::SocketAddr;

/// One JSON object under way.
struct Json<'a> {
    lines: &'a AccessLines,
    out: &'a mut Vec<u8>,
    comma: bool,
}

/// Appends the line of `record`.
pub(super) fn write(lines: &AccessLines, record: &AccessRecord<'_>, out: &mut Vec<u8>) {
    Json { lines, out, comma: false }.write(record);
}

impl Json<'_> {
    fn write(mut self, record: &AccessRecord<'_>) {
        self.out.push(b'{');
        self.callers(record);
        self.choices(record);
        self.client(record);
        self.downstream(record);
        self.origin(record);
        self.request(record);
        self.service(record);
        self.start(record);
        self.secure(record);
        let entry = record.view.entries.get(usize::from(record.entry.0));
        self.text(Field::EntryPointName, entry.map_or(b"", |e| e.settings.name.as_bytes()));
        for (prefix, lines) in [
            ("downstream_", record.response_fields),
            ("origin_", record.origin_fields),
            ("request_", record.request_fields),
        ] {
            self.fields(prefix, lines);
        }
        if self.comma {
            self.out.push(b',');
        }
        self.out.extend_from_slice(b"\"level\":\"info\",\"msg\":\"\",\"time\":\"");
        rfc3339(self.lines.wall.at(record.ended), self.out);
        self.out.extend_from_slice(b"\"}\n");
    }

    /// The chain as far as it is verified, this request's client last.
    fn callers(&mut self, record: &AccessRecord<'_>) {
        if record.caller.is_empty() || !self.begin(Field::Callers) {
            return;
        }
        self.out.push(b'"');
        json_inside(record.callers, self.out);
        if !record.callers.is_empty() {
            self.out.extend_from_slice(b", ");
        }
        json_inside(record.caller.as_bytes(), self.out);
        self.out.push(b'"');
    }

    fn choices(&mut self, record: &AccessRecord<'_>) {
        if record.choices.is_empty() || !self.begin(Field::Choices) {
            return;
        }
        self.out.push(b'[');
        for (at, choice) in record.choices.iter().enumerate() {
            let named = Named::of(choice, record.view);
            self.out.extend_from_slice(if at > 0 { b",{\"Service\":" } else { b"{\"Service\":" });
            json_string(named.service.as_bytes(), self.out);
            if choice.session.follows_cookie() {
                self.out.extend_from_slice(b",\"Session\":");
                json_string(choice.session.name().as_bytes(), self.out);
            } else {
                self.out.extend_from_slice(b",\"Ticket\":");
                number(choice.ticket, self.out);
            }
            if choice.instead {
                self.out.extend_from_slice(b",\"Instead\":true");
            }
            self.out.extend_from_slice(b",\"Turn\":");
            number(choice.turn.into(), self.out);
            self.out.extend_from_slice(b",\"Member\":");
            json_string(named.member.as_bytes(), self.out);
            if let Some(child) = named.child {
                self.out.extend_from_slice(b",\"Child\":");
                json_string(child.as_bytes(), self.out);
            }
            self.out.push(b'}');
        }
        self.out.push(b']');
    }

    fn client(&mut self, record: &AccessRecord<'_>) {
        self.address(Field::ClientAddr, Some(record.client));
        if !record.forwarded_for.is_empty() {
            self.text(Field::ClientHost, record.forwarded_for);
        } else if self.begin(Field::ClientHost) {
            let _ = write!(self.out, "\"{}\"", record.client.ip());
        }
        if self.begin(Field::ClientPort) {
            self.out.push(b'"');
            number(record.client.port().into(), self.out);
            self.out.push(b'"');
        }
        self.text(
            Field::ClientUsername,
            if record.user.is_empty() { b"-" } else { record.user.as_bytes() },
        );
    }

    fn downstream(&mut self, record: &AccessRecord<'_>) {
        self.number(Field::DownstreamContentSize, record.response_bytes);
        self.number(Field::DownstreamStatus, record.status.into());
        self.number(Field::Duration, record.took().nanos());
        self.number(Field::Epoch, record.view.epoch);
    }

    fn origin(&mut self, record: &AccessRecord<'_>) {
        if record.origin_status != 0 {
            self.number(Field::OriginContentSize, record.origin_bytes);
            self.number(Field::OriginDuration, record.origin_took.nanos());
            self.number(Field::OriginStatus, record.origin_status.into());
        }
        let overhead = record.took().nanos().saturating_sub(record.origin_took.nanos());
        self.number(Field::Overhead, overhead);
    }

    fn request(&mut self, record: &AccessRecord<'_>) {
        let (host, port) = split_port(record.authority);
        self.text(Field::RequestAddr, record.authority);
        self.number(Field::RequestContentSize, record.request_bytes);
        self.number(Field::RequestCount, record.serial);
        self.text(Field::RequestHost, host);
        self.text(Field::RequestMethod, record.method);
        self.text(Field::RequestPath, record.target);
        self.text(Field::RequestPort, port.unwrap_or(b"-"));
        self.text(Field::RequestProtocol, record.version.name().as_bytes());
        let scheme: &[u8] = if record.suite.is_some() { b"https" } else { b"http" };
        self.text(Field::RequestScheme, scheme);
        self.number(Field::RetryAttempts, record.retries.into());
    }

    fn service(&mut self, record: &AccessRecord<'_>) {
        if let Some(route) = record.route {
            self.text(Field::RouterName, route.name.as_bytes());
        }
        self.address(Field::ServiceAddr, record.server_addr);
        if let Some(node) = record.service.and_then(|id| record.view.services.get(id.0)) {
            self.text(Field::ServiceName, node.name.as_bytes());
        }
        if let Some(server) = record.server {
            self.text(Field::ServiceURL, server.url.as_bytes());
        }
    }

    fn secure(&mut self, record: &AccessRecord<'_>) {
        let Some(suite) = record.suite else { return };
        self.text(Field::TlsCipher, suite.name().as_bytes());
        self.text(Field::TlsVersion, suite.version().name().as_bytes());
    }

    fn start(&mut self, record: &AccessRecord<'_>) {
        for field in [Field::StartLocal, Field::StartUtc] {
            if self.begin(field) {
                self.out.push(b'"');
                rfc3339(self.lines.wall.at(record.started), self.out);
                self.out.push(b'"');
            }
        }
    }

    /// Kept fields of a head as `request_User-Agent`; lines of one name are joined.
    fn fields(&mut self, prefix: &str, lines: &[u8]) {
        for (at, (name, value)) in split(lines).enumerate() {
            let mode = self.lines.header(name);
            let same = |(other, _): &(&[u8], &[u8])| other.eq_ignore_ascii_case(name);
            if mode == HeaderMode::Drop || split(lines).take(at).any(|line| same(&line)) {
                continue;
            }
            self.comma();
            self.out.push(b'"');
            self.out.extend_from_slice(prefix.as_bytes());
            canonical(name, self.out);
            self.out.extend_from_slice(b"\":\"");
            if mode == HeaderMode::Redact {
                self.out.extend_from_slice(REDACTED);
            } else {
                json_inside(value, self.out);
                for (_, more) in split(lines).skip(at + 1).filter(same) {
                    self.out.push(b',');
                    json_inside(more, self.out);
                }
            }
            self.out.push(b'"');
        }
    }

    fn address(&mut self, field: Field, addr: Option<SocketAddr>) {
        if let Some(addr) = addr
            && self.begin(field)
        {
            let _ = write!(self.out, "\"{addr}\"");
        }
    }

    fn text(&mut self, field: Field, value: &[u8]) {
        if self.begin(field) {
            json_string(value, self.out);
        }
    }

    fn number(&mut self, field: Field, value: u64) {
        if self.begin(field) {
            number(value, self.out);
        }
    }

    /// Writes the key of a field that is kept.
    fn begin(&mut self, field: Field) -> bool {
        let keeps = self.lines.keeps(field);
        if keeps {
            self.comma();
            self.out.push(b'"');
            self.out.extend_from_slice(FIELDS[field as usize].as_bytes());
            self.out.extend_from_slice(b"\":");
        }
        keeps
    }

    fn comma(&mut self) {
        if std::mem::replace(&mut self.comma, true) {
            self.out.push(b',');
        }
    }
}

/// Appends a field name as `User-Agent`.
fn canonical(name: &[u8], out: &mut Vec<u8>) {
    let mut start = true;
    for byte in name {
        let byte = if start { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() };
        start = byte == b'-';
        json_inside(&[byte], out);
    }
}

/// Host and port of an authority; brackets stay with the host.
pub(super) fn split_port(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    let after = authority.iter().rposition(|byte| *byte == b']').map_or(0, |at| at + 1);
    match authority[after..].iter().position(|byte| *byte == b':') {
        Some(at) => (&authority[..after + at], Some(&authority[after + at + 1..])),
        None => (authority, None),
    }
}
