//! Bodies that a middleware wants complete before they go on: collected as the pages they came in,
//! up to what it allows and the worker has room for. What is longer goes on as it comes.

use super::Worker;
use super::answer::Answer;
use super::body::Piece;
use super::exchange::{Exchange, HeadBytes, HeldBack, Phase};
use super::forward::Turn;
use super::key_of;
use crate::base::mark::Mark;
use crate::base::page::Chunk;
use crate::base::slab::Key;
use crate::config::typed::Buffering;
use crate::h1::parse::{self, Parsed};
use crate::http::alias::Aliases;
use crate::http::fields;
use crate::http::framing::Framing;
use crate::http::head::ResponseHead;
use crate::net::wire::Due;
use crate::service::middleware::Verdict;
use std::rc::Rc;

impl Worker {
    /// What a step that collects says to a request; nothing if it may pass as it is.
    pub(super) fn wants_whole(&self, key: Key, limits: &Buffering) -> Option<Verdict> {
        let exchange = self.exchanges.get(key)?;
        let announced = match exchange.framing {
            Framing::Length(length) => length,
            Framing::Empty | Framing::Chunked | Framing::UntilClose | Framing::Tunnel => 0,
        };
        let length = announced.max(exchange.up.bytes);
        if limits.request_bytes_max.is_some_and(|max| length > max) {
            self.mark(Mark::BodyOverLimit);
            return Some(Verdict::Refuse(413));
        }
        let goes = exchange.up.is_over() || exchange.kept.is_some() || limits.request_memory == 0;
        (!goes).then_some(Verdict::Collect)
    }

    /// Begins to collect a request.
    pub(super) fn await_whole(&mut self, key: Key, limits: &Buffering) {
        let exchange = self.exchanges.get_mut(key).expect("a passing exchange exists");
        exchange.phase = Phase::Held;
        exchange.collects = true;
        exchange.kept = Some(Rc::default());
        exchange.kept_max = limits.request_memory;
        let client = exchange.client.expect("a mirrored request is whole");
        self.tell_to_continue(key);
        self.touch(client);
    }

    pub(super) fn collect_request(&mut self, key: Key) -> Turn {
        let room = self.room_to_keep();
        let exchange = self.exchanges.get_mut(key).expect("checked by the caller");
        let (most, max) = exchange
            .buffering()
            .map_or((0, None), |limits| (limits.request_memory, limits.request_bytes_max));
        let id = exchange.client.expect("only a client's request is collected");
        let conn = self.conns.get_mut(key_of(id)).expect("an exchange has its client");
        if !room || exchange.up.bytes >= most {
            self.mark(Mark::CollectedNoMore);
            self.on_collected(key);
            return Turn::Enough;
        }
        match exchange.up.next(&mut conn.wire.inbox) {
            Ok(Piece::Content(chunk)) => {
                if max.is_some_and(|max| exchange.up.bytes > max) {
                    exchange.collects = false;
                    self.mark(Mark::BodyOverLimit);
                    self.answer(key, &Answer::bare(413));
                    return Turn::Enough;
                }
                let kept = exchange.kept.as_mut().and_then(Rc::get_mut);
                let kept = kept.expect("a request that is collected is nobody else's");
                kept.bytes += chunk.len() as u64;
                self.kept_bytes += chunk.len() as u64;
                exchange.kept_max = exchange.kept_max.max(kept.bytes);
                kept.chunks.push(chunk);
                Turn::Again
            }
            Ok(Piece::Over) => {
                self.on_collected(key);
                Turn::Enough
            }
            Ok(Piece::Starved) if conn.wire.eof && exchange.up.on_close() => {
                if let Some(stream) = &mut conn.stream {
                    exchange.up.came = std::mem::take(&mut stream.came);
                }
                self.on_collected(key);
                Turn::Enough
            }
            Ok(Piece::Starved) => {
                if conn.wire.eof {
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

    /// Enough of a request is here: it passes.
    fn on_collected(&mut self, key: Key) {
        let exchange = self.exchanges.get_mut(key).expect("checked by the caller");
        exchange.collects = false;
        exchange.passed += 1;
        let whole = exchange.up.is_over() && !exchange.up.has_trailers();
        if whole && exchange.framing == Framing::Chunked {
            exchange.framing = Framing::Length(exchange.up.bytes);
        }
        if exchange.up.is_over() {
            let client = exchange.client.expect("only a client's request is collected");
            self.set_due(client, Due::Request, crate::base::time::Time::NEVER);
        }
        self.pass_on(key);
    }

    /// Keeps a response back until there is enough of it. False if it goes on at once.
    pub(super) fn hold_response(
        &mut self,
        key: Key,
        head: &ResponseHead<'_>,
        bytes: &HeadBytes,
    ) -> bool {
        let exchange = self.exchanges.get_mut(key).expect("an answered exchange exists");
        if exchange.client.is_none() {
            return false;
        }
        let limits = exchange.buffering();
        let most = limits.map_or(0, |limits| limits.response_memory);
        let most = most.max(exchange.enough_to_compress(head));
        let prompt = most == 0;
        let most = most.max(exchange.enough_to_sniff(head));
        let max = limits.and_then(|limits| limits.response_bytes_max);
        if head.framing.is_over() || head.framing == Framing::Tunnel {
            return false;
        }
        if max.is_some_and(|max| head.length.is_some_and(|length| length > max)) {
            self.mark(Mark::BodyOverLimit);
            self.drop_response(key);
            self.answer(key, &Answer::bare(500));
            return true;
        }
        if most == 0 || is_event_stream(head) {
            return false;
        }
        let held =
            HeldBack { head: bytes.clone(), chunks: Vec::new(), bytes: 0, enough: most, prompt };
        exchange.held = Some(Box::new(held));
        exchange.phase = Phase::Collecting;
        let id = exchange.upstream.expect("an answered exchange has its connection");
        self.set_due(id, Due::ResponseHead, crate::base::time::Time::NEVER);
        self.prepare_down(key, head);
        true
    }

    pub(super) fn collect_response(&mut self, key: Key) -> Turn {
        let room = self.room_to_keep();
        let exchange = self.exchanges.get_mut(key).expect("checked by the caller");
        let most = exchange.held.as_ref().map_or(0, |held| held.enough);
        let id = exchange.upstream.expect("a collecting exchange has its connection");
        let conn = self.conns.get_mut(key_of(id)).expect("an exchange has its connection");
        if !room || exchange.down.bytes >= most {
            self.mark(Mark::CollectedNoMore);
            self.let_pass(key);
            return Turn::Again;
        }
        let piece = exchange.down.next(&mut conn.wire.inbox);
        let (eof, cut) = (conn.wire.eof, conn.wire.cut);
        match piece {
            Ok(Piece::Content(_)) if exchange.answers_too_much() => {
                self.mark(Mark::BodyOverLimit);
                self.drop_response(key);
                self.answer(key, &Answer::bare(500));
                Turn::Enough
            }
            Ok(Piece::Content(chunk)) => {
                let held = exchange.held.as_mut().expect("a collecting exchange holds something");
                held.bytes += chunk.len() as u64;
                self.kept_bytes += chunk.len() as u64;
                held.chunks.push(chunk);
                Turn::Again
            }
            Ok(Piece::Over) => {
                self.let_pass(key);
                Turn::Again
            }
            Ok(Piece::Starved) if eof && !cut && exchange.down.on_close() => {
                if let Some(stream) = &mut conn.stream {
                    exchange.down.came = std::mem::take(&mut stream.came);
                }
                self.let_pass(key);
                Turn::Again
            }
            Ok(Piece::Starved) if !eof => {
                if !exchange.held.as_ref().is_some_and(|held| held.prompt && held.bytes > 0) {
                    return Turn::Enough;
                }
                self.let_pass(key);
                Turn::Again
            }
            Ok(Piece::Starved) | Err(_) => {
                self.mark(Mark::OriginGarbage);
                self.release_upstream(key);
                self.fail(key, 502);
                Turn::Enough
            }
        }
    }

    /// Enough of a response is here: the client gets it.
    fn let_pass(&mut self, key: Key) {
        let exchange = self.exchanges.get(key).expect("checked by the caller");
        let kept = exchange.held.as_ref().expect("a collecting exchange holds something");
        let (kept, asked) = (kept.head.clone(), exchange.asking.asked);
        let bounds = parse::Bounds::again(Aliases::KEPT);
        let mut progress = parse::Progress::default();
        let mut scratch = parse::Scratch::new();
        let parsed = parse::response_head(kept.bytes(), asked, &mut progress, bounds, &mut scratch);
        let Ok(Parsed::Complete { head, .. }) = parsed else {
            unreachable!("a head that was read once can be read again")
        };
        self.relay_head(key, &head, &kept);
    }

    /// Sends what was held behind its head. What is to be compressed follows bit by bit.
    pub(super) fn put_held(&mut self, key: Key, mut held: Box<HeldBack>) {
        let exchange = self.exchanges.get_mut(key).expect("an answered exchange exists");
        if exchange.is_squeezing() {
            held.chunks.reverse();
            exchange.held = Some(held);
            return;
        }
        self.kept_bytes -= held.bytes;
        for chunk in held.chunks {
            self.put_down(key, chunk);
        }
    }

    /// The next piece of what was held and is still to be compressed.
    pub(super) fn next_held(&mut self, key: Key) -> Option<Chunk> {
        let exchange = self.exchanges.get_mut(key)?;
        let held = exchange.held.as_mut()?;
        let chunk = held.chunks.pop();
        let bytes = chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        held.bytes -= bytes;
        self.kept_bytes -= bytes;
        if held.chunks.is_empty() {
            exchange.held = None;
        }
        chunk
    }

    pub(super) fn forget_held(&mut self, exchange: &mut Exchange) {
        self.kept_bytes -= exchange.drop_held();
    }

    /// Whether one more page may be kept.
    fn room_to_keep(&self) -> bool {
        let page = u64::from(self.limits.large_page_bytes);
        self.kept_bytes + page <= u64::from(self.limits.kept_bytes)
    }
}

impl Exchange {
    /// Forgets what was held back of a response; so many bytes of it are kept no more.
    pub(super) fn drop_held(&mut self) -> u64 {
        self.held.take().map_or(0, |held| held.bytes)
    }

    /// Whether the request is longer than a middleware lets through.
    pub(super) fn is_too_long(&self) -> bool {
        let max = self.buffering().and_then(|limits| limits.request_bytes_max);
        max.is_some_and(|max| self.up.bytes > max)
    }

    /// Whether the response is longer than a middleware lets through.
    pub(super) fn answers_too_much(&self) -> bool {
        let max = self.buffering().and_then(|limits| limits.response_bytes_max);
        max.is_some_and(|max| self.down.bytes > max)
    }
}

/// Whether the content is meant to be seen as it comes.
pub(super) fn is_event_stream(head: &ResponseHead<'_>) -> bool {
    let kind = fields::first(head.fields, "content-type").unwrap_or_default();
    [&b"text/event-stream"[..], b"application/grpc"].iter().any(|streamed| {
        kind.get(..streamed.len()).is_some_and(|start| start.eq_ignore_ascii_case(streamed))
    })
}
