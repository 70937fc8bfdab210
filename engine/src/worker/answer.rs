//! Answers of our own.

use super::Worker;
use super::conn::Role;
use super::exchange::Phase;
use super::fields::{Persist, put_field, write_edits, write_persist, write_status_line};
use super::key_of;
use super::log::AccessLines;
use super::sticky;
use crate::base::id::ConnId;
use crate::base::page::Chunk;
use crate::base::slab::Key;
use crate::base::text::number;
use crate::http::framing::Asked;
use crate::http::head::Version;
use crate::http::status::reason;
use crate::service::middleware::varies;

/// What is said, and how it is labelled.
#[derive(Clone, Debug)]
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    /// Empty for none.
    pub(super) content_type: &'a str,
    pub(super) fields: &'a [(&'a str, &'a str)],
    pub(super) body: Chunk,
}

const PLAIN: &str = "text/plain; charset=utf-8";
const NOSNIFF: &[(&str, &str)] = &[("X-Content-Type-Options", "nosniff")];

impl<'a> Answer<'a> {
    /// A text for a person.
    pub(super) fn text(status: u16, text: &'static str) -> Self {
        let body = Chunk::Static(text.as_bytes());
        Self { status, content_type: PLAIN, fields: NOSNIFF, body }
    }

    /// A bare phrase, as for everything that goes wrong on the way to a server.
    pub(super) fn bare(status: u16) -> Self {
        let body = Chunk::Static(reason(status).as_bytes());
        Self { status, content_type: "", fields: &[], body }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self { status, content_type: "", fields: &[], body: Chunk::Static(b"") }
    }
}

impl Worker {
    /// Answers a request that no server has answered.
    pub(super) fn answer(&mut self, key: Key, answer: &Answer<'_>) {
        self.release_upstream(key);
        if self.is_guards_answer(key, answer.status) {
            return;
        }
        if self.turn_to_page(key, answer.status) {
            return;
        }
        let exchange = self.exchanges.get_mut(key).expect("an answered exchange exists");
        // A page that cannot be had does not hide what it was to replace.
        let instead = exchange.paging.as_ref().map(|paging| Answer::bare(paging.status));
        let answer = instead.as_ref().unwrap_or(answer);
        debug_assert!(!exchange.has_answered(), "one answer to a request");
        exchange.status = answer.status;
        self.scratch.edits.clear();
        let steps = exchange.steps();
        let steps = &steps[..usize::from(exchange.passed).min(steps.len())];
        write_edits(&mut self.scratch.edits, steps, exchange.told());
        if varies(steps) {
            put_field(&mut self.scratch.edits, "Vary", b"Origin");
        }
        if exchange.sets_cookie {
            sticky::put_cookies(&mut self.scratch.edits, exchange);
        }
        let Some(id) = exchange.client else {
            self.finish(key);
            return;
        };
        let rest = exchange.up.left().unwrap_or(u64::MAX);
        let readable =
            rest <= u64::from(self.limits.linger_bytes) && !exchange.asking.expects_continue;
        exchange.phase = Phase::Discarding;
        let whole = exchange.up.is_over();
        let version = exchange.asking.version;
        let head_only = exchange.asking.asked == Asked::Head;
        exchange.down.bytes = if head_only { 0 } else { answer.body.len() as u64 };
        let draining = self.is_draining();
        let conn = self.conns.get_mut(key_of(id)).expect("an exchange has its client");
        conn.wire.held = false;
        let Role::Client(client) = &mut conn.role else { return };
        client.last |= draining || !(whole || readable);
        let persist = match version {
            _ if client.last => Persist::Close,
            Version::Http10 => Persist::KeepAlive,
            Version::Http11 | Version::Http2 => Persist::Silently,
        };
        let close = client.last && !whole;
        self.write_answer(id, answer, persist, head_only);
        if self.access.as_ref().is_some_and(AccessLines::wants_fields)
            && let Some(exchange) = self.exchanges.get_mut(key)
        {
            exchange.sent_head = Some(self.scratch.head.as_slice().into());
        }
        if whole || close {
            self.finish(key);
        } else {
            self.touch(id);
        }
    }

    /// The last words on a connection that broke the protocol.
    pub(super) fn write_last_answer(&mut self, id: ConnId, status: u16) {
        let answer = Answer { content_type: PLAIN, ..Answer::bare(status) };
        self.scratch.edits.clear();
        self.write_answer(id, &answer, Persist::Close, false);
    }

    fn write_answer(&mut self, id: ConnId, answer: &Answer<'_>, persist: Persist, head_only: bool) {
        let mut head = std::mem::take(&mut self.scratch.head);
        head.clear();
        write_status_line(&mut head, answer.status, reason(answer.status));
        if !names_date(&self.scratch.edits) {
            head.extend_from_slice(self.date.line(self.now));
        }
        if !answer.content_type.is_empty() {
            put_field(&mut head, "Content-Type", answer.content_type.as_bytes());
        }
        for (name, value) in answer.fields {
            put_field(&mut head, name, value.as_bytes());
        }
        head.extend_from_slice(&self.scratch.edits);
        if answer.status != 304 && answer.status != 204 {
            head.extend_from_slice(b"Content-Length: ");
            number(answer.body.len() as u64, &mut head);
            head.extend_from_slice(b"\r\n");
        }
        write_persist(&mut head, persist);
        head.extend_from_slice(b"\r\n");
        let body = if head_only { Chunk::Static(b"") } else { answer.body.clone() };
        self.put_head(id, &head, body.is_empty());
        if let Some(conn) = self.conn_mut(id) {
            conn.wire.outbox.push(body);
        }
        self.scratch.head = head;
        self.touch(id);
    }

    /// Appends a head to what is to be written; `ends` says that nothing follows it. False if
    /// there was no page for it.
    pub(super) fn put_head(&mut self, id: ConnId, head: &[u8], ends: bool) -> bool {
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return false };
        if conn.stream.is_some() {
            self.put_stream_head(id, head, ends);
            return true;
        }
        if conn.wire.outbox.write(head, &self.pool).is_ok() {
            return true;
        }
        self.on_no_page(id);
        false
    }
}

/// Whether a middleware sets the date, among field lines.
fn names_date(lines: &[u8]) -> bool {
    let name = |line: &[u8]| line.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"date:"));
    !lines.is_empty() && lines.split(|byte| *byte == b'\n').any(name)
}
