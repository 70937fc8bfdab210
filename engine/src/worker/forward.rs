//! Bodies on their way through: what arrived on one side goes to the other as the pages it came
//! in, as far as the other side keeps up.

use super::Worker;
use super::body::Piece;
use super::exchange::{Exchange, Phase};
use super::key_of;
use crate::base::id::ConnId;
use crate::base::mark::Mark;
use crate::base::page::Chunk;
use crate::base::slab::Key;
use crate::base::time::Time;
use crate::boundary::{Close, Fault};
use crate::http::blame::{Misbehaved, What};
use crate::net::wire::{Due, Half, Link};

/// What one turn of a direction came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// Something moved; there may be more.
    Again,
    /// Nothing more can move, or the exchange is over.
    Enough,
}

impl Worker {
    /// Moves what can be moved, both ways.
    pub(super) fn forward(&mut self, key: Key) {
        while self.exchanges.get(key).is_some() && self.upload(key) == Turn::Again {}
        while self.exchanges.get(key).is_some() && self.download(key) == Turn::Again {}
    }

    fn upload(&mut self, key: Key) -> Turn {
        let exchange = self.exchanges.get(key).expect("checked by the caller");
        match exchange.phase {
            Phase::Held if exchange.collects => self.collect_request(key),
            Phase::Held | Phase::Consulting | Phase::Waiting => Turn::Enough,
            Phase::Gathering => self.gather(key),
            Phase::Discarding => self.discard(key),
            Phase::Tunnel => self.tunnel(key, exchange.client, exchange.upstream),
            Phase::Dialing | Phase::AwaitingHead | Phase::Collecting | Phase::Relaying => {
                self.upload_body(key)
            }
        }
    }

    fn upload_body(&mut self, key: Key) -> Turn {
        let limit = self.limits.outbox_bytes as usize;
        let exchange = self.exchanges.get_mut(key).expect("checked by the caller");
        let Some(to) = exchange.upstream else { return Turn::Enough };
        if exchange.ended || exchange.is_saved_up() {
            return Turn::Enough;
        }
        let full = self.conns.get(key_of(to)).is_none_or(|conn| {
            let shut = conn.wire.half != Half::Open;
            shut || conn.awaits_session() || conn.wire.outbox.bytes() >= limit
        });
        let from = exchange.client;
        if full {
            self.hold(from);
            return Turn::Enough;
        }
        if exchange.paging.is_some() {
            return self.ask_without_body(key, to);
        }
        if let Some(chunk) = exchange.next_replayed() {
            self.put_up(key, to, chunk);
            return Turn::Again;
        }
        if exchange.up.is_over() {
            exchange.ended = true;
            let conn = self.conns.get_mut(key_of(to)).expect("an exchange has its connection");
            let switches = exchange.asking.upgrade.is_some();
            if let Some(stream) = &mut conn.stream {
                // What may become a tunnel stays open.
                if !switches {
                    exchange.up.trailer_lines(&mut stream.trailers);
                    conn.wire.shut();
                }
            } else if exchange.up.write_end(&mut conn.wire.outbox, &self.pool).is_err() {
                self.on_no_page(to);
            }
            self.on_upload_over(key, to);
            return Turn::Enough;
        }
        let Some(client) = from.and_then(|id| self.conns.get_mut(key_of(id))) else {
            return Turn::Enough;
        };
        match exchange.up.next(&mut client.wire.inbox) {
            Ok(Piece::Content(_)) if exchange.is_too_long() => {
                self.mark(Mark::BodyOverLimit);
                self.refuse_upload(key, Misbehaved::client(What::BodyTooLarge));
                Turn::Enough
            }
            Ok(Piece::Content(chunk)) => {
                self.keep(key, &chunk);
                self.put_up(key, to, chunk);
                Turn::Again
            }
            Ok(Piece::Over) => Turn::Again,
            Ok(Piece::Starved) => {
                if client.wire.eof && exchange.up.on_close() {
                    if let Some(stream) = &mut client.stream {
                        exchange.up.came = std::mem::take(&mut stream.came);
                    }
                    return Turn::Again;
                }
                if client.wire.eof {
                    self.mark(Mark::ClientCutUpload);
                    self.abandon(key);
                }
                Turn::Enough
            }
            Err(misbehaved) => {
                self.refuse_upload(key, misbehaved);
                Turn::Enough
            }
        }
    }

    fn put_up(&mut self, key: Key, to: ConnId, chunk: Chunk) {
        let exchange = self.exchanges.get(key).expect("checked by the caller");
        let conn = self.conns.get_mut(key_of(to)).expect("an exchange has its connection");
        if exchange.up.write(chunk, &mut conn.wire.outbox, &self.pool).is_err() {
            self.on_no_page(to);
        }
        self.touch(to);
    }

    /// The client is not read while what it sent before waits.
    fn hold(&mut self, id: Option<ConnId>) {
        if let Some(conn) = id.and_then(|id| self.conns.get_mut(key_of(id)))
            && !conn.wire.held
        {
            conn.wire.held = true;
            self.mark(Mark::HeldBack);
        }
    }

    fn on_upload_over(&mut self, key: Key, to: ConnId) {
        let exchange = self.exchanges.get(key).expect("checked by the caller");
        let client = exchange.client;
        let awaits = exchange.phase == Phase::AwaitingHead;
        if let Some(id) = client {
            self.set_due(id, Due::Request, Time::NEVER);
            self.resume_client(key);
        }
        if awaits {
            self.expect_response(key);
        }
        self.touch(to);
    }

    /// The body breaks the rules: nothing more of it reaches the server, and what did is void.
    pub(super) fn refuse_upload(&mut self, key: Key, misbehaved: Misbehaved) {
        self.mark(Mark::BodyRefused);
        self.release_upstream(key);
        let exchange = self.exchanges.get_mut(key).expect("checked by the caller");
        let Some(id) = exchange.client else { return };
        if exchange.has_answered() {
            self.cut(key);
            return;
        }
        exchange.status = misbehaved.status();
        self.drop_exchange(key);
        self.tell_off(id, misbehaved);
    }

    /// The request as a whole took too long.
    pub(super) fn on_slow_body(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get(key) else { return };
        if exchange.phase == Phase::Tunnel {
            return;
        }
        self.refuse_upload(key, Misbehaved::client(What::BodyTimeout));
    }

    /// Reads the rest of a request that was answered without it.
    fn discard(&mut self, key: Key) -> Turn {
        let exchange = self.exchanges.get_mut(key).expect("checked by the caller");
        if !exchange.has_answered() {
            return Turn::Enough;
        }
        let id = exchange.client.expect("only a client's request is discarded");
        let conn = self.conns.get_mut(key_of(id)).expect("an exchange has its client");
        match exchange.up.next(&mut conn.wire.inbox) {
            Ok(Piece::Content(chunk)) => {
                // Mirrors get the request as the client sent it, whatever became of it.
                self.keep(key, &chunk);
                Turn::Again
            }
            Ok(Piece::Over) => {
                self.finish(key);
                Turn::Enough
            }
            Ok(Piece::Starved) if !conn.wire.eof => Turn::Enough,
            Ok(Piece::Starved) | Err(_) => {
                let client = conn.client_mut().expect("a client");
                client.last = true;
                self.mark(Mark::DiscardCut);
                self.finish(key);
                Turn::Enough
            }
        }
    }

    /// Reads the body of a request that waits until it is whole.
    fn gather(&mut self, key: Key) -> Turn {
        let exchange = self.exchanges.get_mut(key).expect("checked by the caller");
        let id = exchange.client.expect("only a client's request has a body to come");
        let client = self.conns.get_mut(key_of(id)).expect("an exchange has its client");
        match exchange.up.next(&mut client.wire.inbox) {
            Ok(Piece::Content(chunk)) => {
                self.keep(key, &chunk);
                if self.on_gathered(key) { Turn::Again } else { Turn::Enough }
            }
            Ok(Piece::Over) => {
                self.on_gathered_whole(key);
                Turn::Again
            }
            Ok(Piece::Starved) if client.wire.eof && exchange.up.on_close() => {
                if let Some(stream) = &mut client.stream {
                    exchange.up.came = std::mem::take(&mut stream.came);
                }
                self.on_gathered_whole(key);
                Turn::Again
            }
            Ok(Piece::Starved) => {
                if client.wire.eof {
                    self.mark(Mark::ClientCutUpload);
                    self.abandon(key);
                }
                Turn::Enough
            }
            Err(misbehaved) => {
                self.refuse_upload(key, misbehaved);
                Turn::Enough
            }
        }
    }

    fn download(&mut self, key: Key) -> Turn {
        let exchange = self.exchanges.get(key).expect("checked by the caller");
        let (client, upstream) = (exchange.client, exchange.upstream);
        if matches!(
            exchange.phase,
            Phase::Held
                | Phase::Gathering
                | Phase::Consulting
                | Phase::Waiting
                | Phase::Dialing
                | Phase::Discarding
        ) {
            return Turn::Enough;
        }
        let full = client
            .and_then(|id| self.conn(id))
            .is_some_and(|conn| conn.wire.outbox.bytes() >= conn.outbox_max(&self.limits));
        if full {
            self.hold(upstream);
            return Turn::Enough;
        }
        let phase = exchange.phase;
        if phase == Phase::Relaying && self.rests(key) {
            return Turn::Enough;
        }
        match phase {
            Phase::AwaitingHead if self.read_response(key) => Turn::Again,
            Phase::AwaitingHead => self.on_no_more_head(key),
            Phase::Tunnel => self.tunnel(key, upstream, client),
            Phase::Collecting => self.collect_response(key),
            Phase::Relaying => self.download_body(key),
            Phase::Held
            | Phase::Gathering
            | Phase::Consulting
            | Phase::Waiting
            | Phase::Dialing
            | Phase::Discarding => Turn::Enough,
        }
    }

    fn on_no_more_head(&mut self, key: Key) -> Turn {
        let exchange = self.exchanges.get(key).expect("checked by the caller");
        let ended = exchange.upstream.and_then(|id| self.conn(id)).is_some_and(|it| it.wire.eof);
        if ended {
            self.on_origin_lost(key, Fault::Reset);
        }
        Turn::Enough
    }

    fn download_body(&mut self, key: Key) -> Turn {
        if let Some(chunk) = self.next_held(key) {
            self.put_down(key, chunk);
            return Turn::Again;
        }
        let exchange = self.exchanges.get_mut(key).expect("checked by the caller");
        let id = exchange.upstream.expect("a relaying exchange has its connection");
        let conn = self.conns.get_mut(key_of(id)).expect("an exchange has its connection");
        let piece = exchange.down.next(&mut conn.wire.inbox);
        let (eof, cut) = (conn.wire.eof, conn.wire.cut);
        match piece {
            Ok(Piece::Content(_)) if exchange.answers_too_much() => {
                self.mark(Mark::BodyOverLimit);
                self.release_upstream(key);
                self.fail(key, 500);
                Turn::Enough
            }
            Ok(Piece::Content(chunk)) => {
                self.put_down(key, chunk);
                Turn::Again
            }
            Ok(Piece::Over) => self.on_response_over(key),
            Ok(Piece::Starved) if eof && !cut && exchange.down.on_close() => {
                if let Some(stream) = &mut conn.stream {
                    exchange.down.came = std::mem::take(&mut stream.came);
                }
                self.on_response_over(key)
            }
            Ok(Piece::Starved) => {
                if eof {
                    self.release_upstream(key);
                    self.fail(key, 502);
                } else {
                    self.squeeze_out(key);
                }
                Turn::Enough
            }
            Err(_) => {
                self.mark(Mark::OriginGarbage);
                self.release_upstream(key);
                self.fail(key, 502);
                Turn::Enough
            }
        }
    }

    pub(super) fn put_down(&mut self, key: Key, chunk: Chunk) {
        let exchange = self.exchanges.get(key).expect("checked by the caller");
        if exchange.errand.is_some() {
            self.collect(key, &chunk);
            return;
        }
        let chunk = exchange.as_web(chunk);
        if let Some(chunk) = self.squeezed(key, chunk) {
            self.put_plain(key, chunk);
        }
    }

    /// Puts content down as it is.
    pub(super) fn put_plain(&mut self, key: Key, chunk: Chunk) {
        let exchange = self.exchanges.get(key).expect("checked by the caller");
        let Some(id) = exchange.client else { return };
        let conn = self.conns.get_mut(key_of(id)).expect("an exchange has its client");
        if exchange.down.write(chunk, &mut conn.wire.outbox, &self.pool).is_err() {
            self.on_no_page(id);
        }
        self.touch(id);
    }

    fn on_response_over(&mut self, key: Key) -> Turn {
        self.end_squeezing(key);
        self.put_web_trailers(key);
        let exchange = self.exchanges.get_mut(key).expect("checked by the caller");
        if let Some(errand) = &mut exchange.errand {
            errand.complete = true;
        }
        if let Some(id) = exchange.client {
            let conn = self.conns.get_mut(key_of(id)).expect("an exchange has its client");
            if let Some(stream) = &mut conn.stream {
                if exchange.web_answer.is_none() {
                    exchange.down.trailer_lines(&mut stream.trailers);
                }
            } else if exchange.down.write_end(&mut conn.wire.outbox, &self.pool).is_err() {
                self.on_no_page(id);
            }
            self.touch(id);
        }
        self.finish(key);
        Turn::Enough
    }

    /// Moves bytes of a tunnel from one side to the other, ends included.
    fn tunnel(&mut self, key: Key, from: Option<ConnId>, to: Option<ConnId>) -> Turn {
        let (Some(from), Some(to)) = (from, to) else { return Turn::Enough };
        let Some(room) =
            self.conn(to).map(|conn| conn.wire.outbox.bytes() < conn.outbox_max(&self.limits))
        else {
            return Turn::Enough;
        };
        if !room {
            self.hold(Some(from));
            return Turn::Enough;
        }
        let Some(source) = self.conns.get_mut(key_of(from)) else { return Turn::Enough };
        if let Some(slice) = source.wire.inbox.take(usize::MAX) {
            let bytes = slice.len() as u64;
            let exchange = self.exchanges.get_mut(key).expect("checked by the caller");
            let body =
                if exchange.client == Some(from) { &mut exchange.up } else { &mut exchange.down };
            body.bytes += bytes;
            self.conns.get_mut(key_of(to)).expect("just seen").wire.outbox.push(Chunk::Page(slice));
            self.touch(to);
            return Turn::Again;
        }
        if source.wire.eof {
            let sink = self.conns.get_mut(key_of(to)).expect("just seen");
            if sink.wire.half == Half::Open {
                sink.wire.shut();
                self.mark(Mark::TunnelHalfClosed);
                self.touch(to);
            }
            self.end_tunnel(key);
        }
        Turn::Enough
    }

    /// Ends a tunnel once both directions are over and delivered.
    fn end_tunnel(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get(key) else { return };
        let over = [exchange.client, exchange.upstream].into_iter().flatten().all(|id| {
            self.conn(id).is_none_or(|conn| {
                conn.wire.eof && matches!(conn.wire.half, Half::Shut | Half::Broken)
            })
        });
        if over {
            let client = exchange.client;
            self.release_upstream_gently(key);
            self.finish(key);
            if let Some(id) = client {
                self.end(id, Close::Gentle);
            }
        }
    }

    /// A page was missing for what had to be written: the connection cannot go on.
    pub(super) fn on_no_page(&mut self, id: ConnId) {
        self.mark(Mark::PagesExhausted);
        if let Some(conn) = self.conns.get_mut(key_of(id)) {
            conn.wire.half = Half::Broken;
            conn.wire.failed = true;
            debug_assert!(
                conn.wire.link != Link::Gone,
                "nothing is written to a closed connection"
            );
        }
        let _ = self.shed_for(id);
        self.touch(id);
    }
}

impl Exchange {
    /// A request that may be sent elsewhere is not spent on somebody who is not there.
    fn is_saved_up(&self) -> bool {
        self.phase == Phase::Dialing && self.retry().is_some()
    }

    /// The next kept chunk that the present server has not been sent.
    fn next_replayed(&mut self) -> Option<Chunk> {
        let chunk = self.kept.as_ref()?.chunks.get(self.replayed)?.clone();
        self.replayed += 1;
        Some(chunk)
    }
}
