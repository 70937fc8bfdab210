//! The common log format, and Traefik's longer form of it.

use super::{AccessLines, Field, Named, REDACTED, first};
use crate::base::text::{clf_date, clf_quoted, clf_word, number};
use crate::config::fixed::HeaderMode;
use crate::worker::record::AccessRecord;
use std::io::Write as _;

impl AccessLines {
    /// `host - user [date] "request line" status size "referer" "user agent"`
    pub(super) fn clf(&self, record: &AccessRecord<'_>, out: &mut Vec<u8>) {
        if self.keeps(Field::ClientHost) && record.forwarded_for.is_empty() {
            let _ = write!(out, "{}", record.client.ip());
        } else if self.keeps(Field::ClientHost) {
            clf_word(record.forwarded_for, out);
        } else {
            out.push(b'-');
        }
        out.extend_from_slice(b" - ");
        if self.keeps(Field::ClientUsername) && !record.user.is_empty() {
            clf_word(record.user.as_bytes(), out);
        } else {
            out.push(b'-');
        }
        out.extend_from_slice(b" [");
        if self.keeps(Field::StartUtc) || self.keeps(Field::StartLocal) {
            clf_date(self.wall.at(record.started), out);
        } else {
            out.push(b'-');
        }
        out.extend_from_slice(b"] \"");
        for (field, value) in [
            (Field::RequestMethod, record.method),
            (Field::RequestPath, record.target),
            (Field::RequestProtocol, record.version.name().as_bytes()),
        ] {
            if field != Field::RequestMethod {
                out.push(b' ');
            }
            let shown = self.keeps(field) && !value.is_empty();
            clf_quoted(if shown { value } else { b"-" }, out);
        }
        out.extend_from_slice(b"\" ");
        self.clf_number(Field::DownstreamStatus, record.status.into(), out);
        out.push(b' ');
        self.clf_number(Field::DownstreamContentSize, record.response_bytes, out);
        for name in [&b"referer"[..], b"user-agent"] {
            let value = match self.header(name) {
                HeaderMode::Drop => None,
                HeaderMode::Redact => first(record.request_fields, name).map(|_| REDACTED),
                HeaderMode::Keep => first(record.request_fields, name),
            };
            out.push(b' ');
            clf_string(value.unwrap_or_default(), out);
        }
    }

    /// ` count "router" "url" duration`, then what only we know: ` epoch "choices"`.
    pub(super) fn clf_rest(&self, record: &AccessRecord<'_>, out: &mut Vec<u8>) {
        out.push(b' ');
        self.clf_number(Field::RequestCount, record.serial, out);
        let router = record.route.map_or("", |route| &*route.name);
        let url = record.server.map_or("", |server| &*server.url);
        for (field, value) in [(Field::RouterName, router), (Field::ServiceURL, url)] {
            out.push(b' ');
            clf_string(if self.keeps(field) { value.as_bytes() } else { b"" }, out);
        }
        out.push(b' ');
        self.clf_number(Field::Duration, record.took().as_millis(), out);
        out.extend_from_slice(b"ms");
        if self.keeps(Field::Epoch) {
            out.push(b' ');
            number(record.view.epoch, out);
        }
        if self.keeps(Field::Choices) {
            out.extend_from_slice(b" \"");
            for (at, choice) in record.choices.iter().enumerate() {
                if at > 0 {
                    out.push(b' ');
                }
                let named = Named::of(choice, record.view);
                clf_quoted(named.service.as_bytes(), out);
                out.push(b'#');
                number(choice.ticket, out);
                out.push(b'=');
                clf_quoted(named.child.unwrap_or(named.member).as_bytes(), out);
            }
            if record.choices.is_empty() {
                out.push(b'-');
            }
            out.push(b'"');
        }
    }

    fn clf_number(&self, field: Field, value: u64, out: &mut Vec<u8>) {
        if self.keeps(field) { number(value, out) } else { out.push(b'-') }
    }
}

fn clf_string(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    clf_quoted(if value.is_empty() { b"-" } else { value }, out);
    out.push(b'"');
}
