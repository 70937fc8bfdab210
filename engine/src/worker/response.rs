//! The head of a response: interim ones are passed on, the final one decides what follows.

use super::Worker;
use super::body::Body;
use super::conn::Role;
use super::exchange::{HeadBytes, Phase};
use super::fields::{self, Persist, framing_for};
use super::key_of;
use super::log::AccessLines;
use super::retry::Cause;
use super::squeeze;
use super::sticky;
use crate::base::mark::Mark;
use crate::base::slab::Key;
use crate::base::time::Time;
use crate::boundary::Close;
use crate::config::typed::Coding;
use crate::h1::chunked::{Bounds, Decoder};
use crate::h1::parse::{self, Parsed, Scratch};
use crate::http::alias::Aliases;
use crate::http::blame::{What, Who};
use crate::http::framing::{Asked, Framing};
use crate::http::head::{Persistence, ResponseHead, Version};
use crate::http::options::switched_as_asked;
use crate::http::status::is_interim;
use crate::net::wire::Due;
use crate::service::middleware::Told;
use std::rc::Rc;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl Worker {
    /// Reads a response head if one is complete. False if more bytes are needed.
    pub(super) fn read_response(&mut self, key: Key) -> bool {
        let exchange = self.exchanges.get(key).expect("an awaiting exchange exists");
        let id = exchange.upstream.expect("an awaiting exchange has its connection");
        let tunnels = exchange.asking.upgrade.is_some() && self.is_on_stream(exchange);
        let asked = if tunnels { Asked::Connect } else { exchange.asking.asked };
        let bounds = parse::Bounds {
            bytes_max: self.limits.response_head_bytes as usize,
            fields_max: self.limits.fields_max as usize,
            aliases: Aliases::KEPT,
        };
        let conn = self.conns.get_mut(key_of(id)).expect("an exchange has its connection");
        let Some(front) = conn.wire.inbox.front().cloned() else { return false };
        let Role::Upstream(upstream) = &mut conn.role else { unreachable!("servers answer") };
        let partial = &mut upstream.partial;
        let mut scratch = Scratch::new();
        if partial.is_empty() {
            let progress = &mut partial.progress;
            match parse::response_head(front.bytes(), asked, progress, bounds, &mut scratch) {
                Ok(Parsed::Complete { head, bytes }) => {
                    partial.progress = parse::Progress::default();
                    conn.wire.inbox.skip(bytes);
                    self.on_response(key, &head, &HeadBytes::Page(front.part(0..bytes)));
                }
                Ok(Parsed::Partial) => {
                    partial.extend(front.bytes());
                    conn.wire.inbox.skip(front.len());
                }
                Err(misbehaved) => self.on_garbage(key, misbehaved.what),
            }
            return true;
        }
        self.accounts.mine().marks.hit(Mark::ResponseHeadInPieces);
        let (before, whole) = partial.extend(front.bytes());
        let progress = &mut partial.progress;
        match parse::response_head(&whole, asked, progress, bounds, &mut scratch) {
            Ok(Parsed::Complete { head, bytes }) => {
                partial.clear();
                conn.wire.inbox.skip(bytes - before);
                self.on_response(key, &head, &HeadBytes::Grown(Rc::clone(&whole), bytes));
            }
            Ok(Parsed::Partial) => conn.wire.inbox.skip(front.len()),
            Err(misbehaved) => self.on_garbage(key, misbehaved.what),
        }
        true
    }

    /// The server does not speak HTTP as we know it.
    pub(super) fn on_garbage(&mut self, key: Key, _what: What) {
        self.mark(Mark::OriginGarbage);
        self.release_upstream(key);
        self.fail(key, 502);
    }

    fn on_response(&mut self, key: Key, head: &ResponseHead<'_>, bytes: &HeadBytes) {
        if is_interim(head.status) {
            self.on_interim(key, head, bytes);
            return;
        }
        let now = self.now;
        let exchange = self.exchanges.get_mut(key).expect("an answered exchange exists");
        if exchange.paging.is_none() {
            exchange.origin_status = head.status;
        }
        if let Some(load) = &exchange.load {
            let after = now.since(exchange.sent_at);
            match head.status {
                500.. => load.load().failed(after, now),
                _ => load.load().answered(after, now),
            }
        }
        if self.access.as_ref().is_some_and(AccessLines::wants_fields) {
            exchange.response_head = Some(bytes.clone());
        }
        self.report(key, head.status < 500);
        if self.goes_elsewhere(key, Cause::Answered, head.status) {
            return;
        }
        if self.exchanges.get(key).is_some_and(|exchange| exchange.paging.is_some()) {
            self.on_page(key, head, bytes);
            return;
        }
        if self.turn_to_page(key, head.status) {
            return;
        }
        self.note_answer(key, bytes);
        if !self.hold_response(key, head, bytes) {
            self.relay_head(key, head, bytes);
        }
    }

    fn on_interim(&mut self, key: Key, head: &ResponseHead<'_>, bytes: &HeadBytes) {
        let interim_max = self.limits.interim_max;
        let exchange = self.exchanges.get_mut(key).expect("an answered exchange exists");
        exchange.interims += 1;
        if u32::from(exchange.interims) > interim_max {
            self.mark(Mark::InterimsExceeded);
            self.on_garbage(key, What::TooManyInterims);
            return;
        }
        if head.status == 100 {
            self.tell_to_continue(key);
            return;
        }
        let old = exchange.asking.version == Version::Http10 || exchange.paging.is_some();
        let Some(client) = exchange.client.filter(|_| !old) else { return };
        self.mark(Mark::InterimRelayed);
        let mut out = std::mem::take(&mut self.scratch.head);
        out.clear();
        fields::write_response(
            &mut out,
            bytes.bytes(),
            head,
            &[],
            Told::default(),
            Framing::Empty,
            Persist::Silently,
        );
        self.put_head(client, &out, false);
        self.scratch.head = out;
        self.touch(client);
    }

    /// Passes `100 Continue` on, once, to a client that waits for it.
    pub(super) fn tell_to_continue(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let waits = exchange.asking.expects_continue && !exchange.continued;
        exchange.continued = true;
        let client = exchange.client.filter(|_| waits);
        if let Some(id) = exchange.upstream {
            self.set_due(id, Due::Continue, Time::NEVER);
        }
        let Some(client) = client else { return };
        self.mark(Mark::ContinueRelayed);
        self.put_head(client, CONTINUE, false);
        self.touch(client);
    }

    /// Passes the final head on; from here on the client has its answer.
    pub(super) fn relay_head(&mut self, key: Key, head: &ResponseHead<'_>, bytes: &HeadBytes) {
        let (draining, now) = (self.is_draining(), self.now);
        let exchange = self.exchanges.get_mut(key).expect("an answered exchange exists");
        let upstream = exchange.upstream.expect("an answered exchange has its connection");
        self.set_due(upstream, Due::ResponseHead, Time::NEVER);
        self.set_due(upstream, Due::Continue, Time::NEVER);
        let tunnel = head.framing == Framing::Tunnel;
        if tunnel && !self.is_switch(key, head) {
            self.on_garbage(key, What::SwitchUnasked);
            return;
        }
        let on_stream = self.conn(upstream).is_some_and(|conn| conn.stream.is_some());
        let exchange = self.exchanges.get(key).expect("an answered exchange exists");
        let head = &if tunnel { exchange.switched(head, on_stream) } else { exchange.paged(head) };
        let (framing, bare) = self.expect_content(key, head);
        let came = *head;
        let (head, framing) = self.web_head(key, &came, framing);
        let (head, framing, coding) = self.recode(key, &head, framing);
        let exchange = self.exchanges.get_mut(key).expect("an answered exchange exists");
        let Some(id) = exchange.client else { return };
        let conn = self.conns.get_mut(key_of(id)).expect("an exchange has its client");
        let Role::Client(client) = &mut conn.role else { return };
        let early = !exchange.up.is_over();
        client.last |= draining || tunnel || early || framing == Framing::UntilClose;
        let persist = match exchange.asking.version {
            _ if tunnel => Persist::Silently,
            _ if client.last => Persist::Close,
            Version::Http10 => Persist::KeepAlive,
            Version::Http11 | Version::Http2 => Persist::Silently,
        };
        let steps = exchange.steps();
        let out = &mut self.scratch.head;
        out.clear();
        let told = exchange.told();
        let dated =
            fields::write_response(out, bytes.bytes(), &head, steps, told, framing, persist);
        // RFC 9110 §6.6.1: whoever forwards a response without a date gives it one.
        if !dated && !tunnel {
            fields::extend_head(out, |out| out.extend_from_slice(self.date.line(now)));
        }
        exchange.extend_response(out, &came, coding);
        if tunnel && on_stream && exchange.asking.version != Version::Http2 {
            exchange.insert_accept(out);
        }
        if self.access.as_ref().is_some_and(AccessLines::wants_fields) {
            exchange.sent_head = Some(out.as_slice().into());
        }
        let held = exchange.held.take();
        // What was collected may be over already, and its trailers are still to come.
        let more = exchange.squeezing.is_some() || exchange.down.has_trailers();
        let over = (exchange.down.is_over() || bare) && !more;
        let ends = over && !tunnel && held.as_ref().is_none_or(|held| held.bytes == 0);
        if conn.stream.is_some() {
            let out = std::mem::take(&mut self.scratch.head);
            self.put_stream_head(id, &out, ends);
            self.scratch.head = out;
        } else if conn.wire.outbox.write(out, &self.pool).is_err() {
            self.on_no_page(id);
        }
        if early && !tunnel {
            self.mark(Mark::EarlyResponse);
        }
        if tunnel {
            self.open_tunnel(key);
        }
        if let Some(held) = held {
            self.put_held(key, held);
        }
        self.let_kept_go(key);
        self.touch(id);
    }

    /// Settles how what follows the final head is read and written: its framing for the client,
    /// and whether it is known that nothing follows.
    fn expect_content(&mut self, key: Key, head: &ResponseHead<'_>) -> (Framing, bool) {
        let exchange = self.exchanges.get_mut(key).expect("an answered exchange exists");
        exchange.status = head.status;
        exchange.keep = head.persistence == Persistence::Keep;
        let tunnel = head.framing == Framing::Tunnel;
        let framing = framing_for(exchange.asking.version, head.framing);
        if exchange.phase != Phase::Collecting {
            self.prepare_down(key, head);
        }
        let exchange = self.exchanges.get_mut(key).expect("an answered exchange exists");
        let id = exchange.upstream.expect("an answered exchange has its connection");
        let from = self.conns.get_mut(key_of(id)).expect("an exchange has its connection");
        let streams = from.stream.is_some();
        // Trailers may have come in one read with the head, and are still to be passed on.
        let trailed = from.stream.as_ref().is_some_and(|stream| !stream.came.is_empty());
        let bare = streams && !trailed && from.wire.eof && from.wire.inbox.is_empty();
        exchange.phase = if tunnel { Phase::Tunnel } else { Phase::Relaying };
        if streams && !tunnel && exchange.asking.upgrade.is_some() {
            // The tunnel that was asked for will not be: nothing more is said on its stream.
            from.wire.shut();
            self.settle_stream(id);
        }
        (framing, bare)
    }

    /// Settles how the end of the response is found, and how its content is framed for the client.
    pub(super) fn prepare_down(&mut self, key: Key, head: &ResponseHead<'_>) {
        let bounds = Bounds {
            line_max: self.limits.chunk_line_bytes,
            trailer_max: self.limits.trailer_bytes,
        };
        let exchange = self.exchanges.get_mut(key).expect("an answered exchange exists");
        let from = exchange.upstream.and_then(|id| self.conns.get(key_of(id)));
        let streams = from.is_some_and(|conn| conn.stream.is_some());
        let comes = match streams && !head.framing.is_over() && head.framing != Framing::Tunnel {
            true => Framing::UntilClose,
            false => head.framing,
        };
        let framing = framing_for(exchange.asking.version, head.framing);
        exchange.down = Body::new(comes, framing, || Decoder::new(Who::Origin, bounds));
    }

    /// HTTP is over on both connections; the clocks of HTTP stop.
    fn open_tunnel(&mut self, key: Key) {
        self.mark(Mark::TunnelOpened);
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let bounds = Bounds { line_max: 0, trailer_max: 0 };
        let decoder = || Decoder::new(Who::Client, bounds);
        exchange.up = Body::new(Framing::Tunnel, Framing::Tunnel, decoder);
        let mut streams = false;
        for id in [exchange.client, exchange.upstream].into_iter().flatten() {
            if let Some(conn) = self.conns.get_mut(key_of(id)) {
                conn.wire.clear_deadlines();
                conn.wire.held = false;
                if let Some(stream) = &mut conn.stream {
                    stream.tunnel = true;
                    streams = true;
                }
            }
            self.touch(id);
        }
        if streams {
            self.mark(Mark::WebSocketBridged);
        }
    }

    /// Gives up a server's response that another side will replace.
    pub(super) fn drop_response(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let Some(id) = exchange.upstream.take() else { return };
        if let Some(upstream) = self.conn_mut(id).and_then(|conn| conn.upstream_mut()) {
            upstream.usage = super::conn::Usage::Over;
        }
        self.end(id, Close::Abort);
    }
}

impl super::exchange::Exchange {
    /// Adds what middlewares and services say of a response that came so.
    fn extend_response(&self, out: &mut Vec<u8>, came: &ResponseHead<'_>, coding: Option<Coding>) {
        if let Some(kind) = self.sniffed(came) {
            fields::extend_head(out, |out| fields::put_field(out, "Content-Type", kind.as_bytes()));
        }
        if self.web.is_some() {
            fields::extend_head(out, |out| self.put_web_fields(out, came));
        }
        if self.varies_by_coding(came) {
            fields::extend_head(out, |out| squeeze::put_fields(out, came, coding));
        }
        if self.sets_cookie {
            fields::extend_head(out, |out| sticky::put_cookies(out, self));
        }
    }

    pub(super) fn switches_as_asked(&self, head: &ResponseHead<'_>) -> bool {
        let asked = self.asking.upgrade.clone().and_then(|range| {
            let range = range.start as usize..range.end as usize;
            std::str::from_utf8(&self.asking.head.bytes()[range]).ok()
        });
        asked.zip(head.upgrade).is_some_and(|(asked, answered)| switched_as_asked(asked, answered))
    }
}
