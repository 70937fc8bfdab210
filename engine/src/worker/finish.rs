//! The end of an exchange: its record, and what its connections do next.

use super::Worker;
use super::conn::{Talk, Usage};
use super::consult::Concluded;
use super::exchange::{Exchange, HeadBytes, Phase};
use super::key_of;
use super::record::AccessRecord;
use crate::base::id::ConnId;
use crate::base::mark::Mark;
use crate::base::mutant::{Mutant, planted};
use crate::base::slab::Key;
use crate::boundary::{Close, Effect};
use crate::http::head::Version;
use crate::net::wire::Half;
use crate::view::Step;
use crate::view::series::Protocol;
use crate::view::stats::MirrorSkip;
use std::ops::Range;

/// What the client is said to have got when it left before anything came.
const CLIENT_CLOSED: u16 = 499;

impl Worker {
    /// The exchange is complete: its connections are free for others.
    pub(super) fn finish(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if let Some(id) = exchange.upstream.take() {
            let complete = exchange.phase == Phase::Relaying && exchange.ended;
            let keep = exchange.keep;
            self.let_go(id, complete, keep);
        }
        let Some(exchange) = self.close_exchange(key) else { return };
        if let Some(id) = exchange.client {
            self.next_request(id, &exchange);
        }
        if exchange.mirrored && exchange.client.is_some() {
            self.start_mirrors(&exchange);
        }
        if planted(Mutant::LeaksPage)
            && exchange.serial.is_multiple_of(8)
            && let HeadBytes::Page(page) = &exchange.asking.head
        {
            std::mem::forget(page.clone());
        }
        let mut exchange = exchange;
        self.forget_kept(&mut exchange);
    }

    /// The exchange's connection to the server is kept if both halves are exactly done.
    fn let_go(&mut self, id: ConnId, complete: bool, keep: bool) {
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        let own = conn.stream.is_none();
        let clean =
            own && conn.wire.half == Half::Open && conn.wire.inbox.is_empty() && !conn.wire.eof;
        let Some(upstream) = conn.upstream_mut() else { return };
        upstream.usage = Usage::Over;
        if complete && keep && clean {
            self.keep_upstream(id);
        } else {
            self.end(id, if complete { Close::Gentle } else { Close::Abort });
        }
    }

    pub(super) fn release_upstream_gently(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let Some(id) = exchange.upstream.take() else { return };
        if let Some(upstream) = self.conn_mut(id).and_then(|conn| conn.upstream_mut()) {
            upstream.usage = Usage::Over;
        }
        self.end(id, Close::Gentle);
    }

    fn next_request(&mut self, id: ConnId, exchange: &Exchange) {
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        conn.wire.held = false;
        let eof = conn.wire.eof && conn.wire.inbox.is_empty();
        let Some(client) = conn.client_mut() else { return };
        client.talk = Talk::Leaving;
        // Who did not know that this was the last request may have sent another behind it.
        match client.last || eof {
            true if !exchange.up.is_over() || !client.said_last => self.linger(id),
            true => self.leave(id),
            false => self.listen(id),
        }
    }

    /// Removes the exchange after recording it. Its connection to the server is gone already; its
    /// client waits to be told what comes next.
    fn close_exchange(&mut self, key: Key) -> Option<Exchange> {
        let mut exchange = self.exchanges.remove(key)?;
        debug_assert!(exchange.upstream.is_none(), "{key:?} holds a connection to its end");
        if exchange.origin_status != 0 {
            exchange.origin_took = self.now.since(exchange.sent_at);
        }
        if let Some(errand) = exchange.errand.take() {
            self.concluded.push(Concluded { key, errand });
            return Some(exchange);
        }
        if let Some(errand) = exchange.consulting.take() {
            self.abandon(errand);
        }
        if exchange.client.is_none() {
            self.mirrors -= 1;
        } else {
            self.grown_bytes -= exchange.asking.head.grown();
        }
        self.leave_gauges(&mut exchange);
        exchange.forget_page();
        self.forget_held(&mut exchange);
        self.forget_squeezing(&mut exchange);
        self.count_answer(&exchange);
        self.record_done(&exchange);
        self.record(&exchange);
        Some(exchange)
    }

    /// Removes an exchange that came to nothing, with its record and its keep.
    pub(super) fn drop_exchange(&mut self, key: Key) {
        let Some(mut exchange) = self.close_exchange(key) else { return };
        if let Some(client) = exchange.client.and_then(|id| self.conns.get_mut(key_of(id)))
            && let Some(client) = client.client_mut()
        {
            client.talk = Talk::Leaving;
        }
        if exchange.mirrored {
            self.skip_mirrors(&exchange, MirrorSkip::ClientGone);
        }
        self.forget_kept(&mut exchange);
    }

    /// Nobody waits for the exchange any more: both its connections end.
    pub(super) fn abandon(&mut self, key: Key) {
        self.release_upstream(key);
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if exchange.status == 0 {
            exchange.status = CLIENT_CLOSED;
        }
        let client = exchange.client;
        self.drop_exchange(key);
        if let Some(id) = client {
            self.end(id, Close::Abort);
        }
    }

    fn record(&mut self, exchange: &Exchange) {
        let asking = &exchange.asking;
        let bytes = asking.head.bytes();
        let logged = self.access.is_some();
        let mut decoded = std::mem::take(&mut self.scratch.judging.decoded);
        let part = |range: &Range<u32>| &bytes[range.start as usize..range.end as usize];
        let tunnel = exchange.phase == Phase::Tunnel;
        let protocol =
            if tunnel && asking.websocket { Protocol::Websocket } else { Protocol::Http };
        let record = AccessRecord {
            view: &exchange.view,
            entry: exchange.entry,
            route: exchange.route(),
            service: exchange.service,
            server: exchange.server(),
            server_addr: exchange.server_addr,
            choices: exchange.choices.as_slice(),
            client: exchange.peer,
            user: if logged { user_of(exchange, &mut decoded) } else { "" },
            forwarded_for: part(&asking.forwarded_for),
            callers: part(&asking.callers),
            caller: asking.caller.as_deref().unwrap_or(""),
            version: match asking.version {
                Version::Http10 => super::record::Version::Http10,
                Version::Http11 => super::record::Version::Http11,
                Version::Http2 => super::record::Version::Http2,
            },
            protocol,
            suite: if asking.over_tls { self.suite_of(exchange.client) } else { None },
            method: part(&asking.method),
            target: part(&asking.target),
            authority: part(&asking.host),
            request_fields: if logged { after_first_line(bytes) } else { b"" },
            origin_fields: exchange
                .response_head
                .as_ref()
                .map_or(b"", |it| after_first_line(it.bytes())),
            response_fields: exchange.sent_head.as_deref().map_or(b"", after_first_line),
            started: exchange.started,
            ended: self.now,
            origin_took: exchange.origin_took,
            request_bytes: exchange.up.bytes,
            response_bytes: exchange.sent_bytes(),
            origin_bytes: if exchange.origin_status == 0 { 0 } else { exchange.down.bytes },
            status: exchange.status,
            origin_status: exchange.origin_status,
            retries: u32::from(exchange.retries),
            serial: exchange.serial,
        };
        if exchange.client.is_none() {
            self.accounts.mirrored(&record);
            return;
        }
        self.accounts.finished(&record);
        let lost = planted(Mutant::LogLineLost) && exchange.serial % 8 == 3;
        if let Some(access) = self.access.as_ref().filter(|_| !lost) {
            access.write(&record, &mut self.lines.bytes);
        }
        self.scratch.judging.decoded = decoded;
        self.announce_lines();
    }

    /// Hands lines over once there are enough of them, or they are old enough.
    pub(super) fn announce_lines(&mut self) {
        if self.lines.bytes.is_empty() || self.lines.announced {
            return;
        }
        let since = *self.lines.since.get_or_insert(self.now);
        let full = self.lines.bytes.len() >= self.limits.log_bytes as usize;
        if full || self.now.since(since) >= self.limits.log_age {
            if full {
                self.mark(Mark::LinesFull);
            }
            self.lines.announced = true;
            self.effects.push(Effect::Log);
        }
    }

    pub(super) fn take_lines(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.lines.bytes);
        self.lines.since = None;
        self.lines.announced = false;
    }
}

/// Who asked, by the innermost step that knows.
fn user_of<'a>(exchange: &'a Exchange, decoded: &'a mut Vec<u8>) -> &'a str {
    if let Some(grant) = exchange.grants.iter().rev().find(|grant| !grant.user.is_empty()) {
        return &grant.user;
    }
    let steps = exchange.steps();
    let passed = steps.get(..usize::from(exchange.passed)).unwrap_or_default();
    let asks = |step: &&Step| matches!(step, Step::BasicAuth(_) | Step::DigestAuth(_));
    let Some(step) = passed.iter().rev().find(asks) else { return "" };
    let fields = after_first_line(exchange.asking.head.bytes());
    let authorization = super::log::first(fields, b"authorization");
    authorization.and_then(|value| step.user(value, decoded)).unwrap_or_default()
}

/// Field lines without the line before them.
fn after_first_line(head: &[u8]) -> &[u8] {
    let lead = head.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    let end = head[lead..].iter().position(|b| *b == b'\n').map_or(head.len(), |at| lead + at + 1);
    &head[end..]
}
