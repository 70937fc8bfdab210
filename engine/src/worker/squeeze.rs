//! Responses that are compressed on their way to the client, piece by piece as they come.

use super::Worker;
use super::collect::is_event_stream;
use super::conn::Conn;
use super::exchange::{Exchange, Squeezing};
use super::fields::{framing_for, put_field};
use crate::base::id::ConnId;
use crate::base::mark::Mark;
use crate::base::mutant::{Mutant, planted};
use crate::base::page::Chunk;
use crate::base::slab::Key;
use crate::base::time::Span;
use crate::boundary::Deadline;
use crate::config::typed::Coding;
use crate::http::fields;
use crate::http::framing::{Asked, Framing};
use crate::http::head::ResponseHead;
use crate::service::middleware::compress::may_compress;
use crate::service::middleware::squeeze::Squeezer;

/// How long others have their turn once enough was compressed.
const REST: Span = Span::millis(1);

impl Worker {
    /// Begins to compress a response if it should be.
    fn begin_to_squeeze(&mut self, key: Key, head: &ResponseHead<'_>) -> Option<Coding> {
        let exchange = self.exchanges.get_mut(key)?;
        let coding = exchange.coding?;
        if !exchange.has_to_compress(head) {
            return None;
        }
        if self.compressors >= self.limits.compressors_max {
            self.mark(Mark::CompressorsFull);
            return None;
        }
        let squeezer = Squeezer::new(coding)?;
        let prompt = head.length.is_none();
        let squeezing =
            Squeezing { squeezer: Some(squeezer), bytes: 0, prompt, pending: false, rests: false };
        exchange.squeezing = Some(Box::new(squeezing));
        self.compressors += 1;
        self.mark(Mark::Compressed);
        Some(coding)
    }

    /// The head and framing of a response for the client, and its coding if it gets one here.
    pub(super) fn recode<'a>(
        &mut self,
        key: Key,
        head: &ResponseHead<'a>,
        framing: Framing,
    ) -> (ResponseHead<'a>, Framing, Option<Coding>) {
        let Some(coding) = self.begin_to_squeeze(key, head) else { return (*head, framing, None) };
        let exchange = self.exchanges.get_mut(key).expect("an answered exchange exists");
        let before = planted(Mutant::LengthKept);
        let coded = framing_for(exchange.asking.version, Framing::Chunked);
        let framing = if before { framing } else { coded };
        exchange.down.frame(framing == Framing::Chunked);
        (recoded(head), framing, Some(coding))
    }

    /// Whether what comes on a connection is compressed: then it is read a page at a time, so that
    /// no step takes long.
    pub(super) fn is_squeezed(&self, id: ConnId) -> bool {
        let exchange = self.conn(id).and_then(Conn::exchange);
        let exchange = exchange.and_then(|key| self.exchanges.get(key));
        exchange
            .is_some_and(|exchange| exchange.upstream == Some(id) && exchange.squeezing.is_some())
    }

    /// Whether enough was compressed for now. Then the exchange goes on when its turn comes.
    pub(super) fn rests(&mut self, key: Key) -> bool {
        let exchange = self.exchanges.get_mut(key).expect("checked by the caller");
        let Some(squeezing) = &mut exchange.squeezing else { return false };
        if squeezing.squeezer.is_none() || squeezing.rests {
            return squeezing.rests;
        }
        if self.squeezed < self.limits.squeezed_bytes.max(1) {
            return false;
        }
        squeezing.rests = true;
        if self.resting.is_empty() {
            self.rested = self.now + REST;
        }
        self.resting.push_back(key);
        self.mark(Mark::CompressorRested);
        true
    }

    /// When those that rest go on.
    pub(super) fn rest_deadline(&self) -> Option<Deadline> {
        let rests = !self.resting.is_empty();
        rests.then_some(Deadline { at: self.rested, who: "compressor" })
    }

    /// Others had their turn: those that rest go on, first come, first served.
    pub(super) fn end_rest(&mut self) {
        self.squeezed = 0;
        while self.squeezed < self.limits.squeezed_bytes.max(1) && self.rested <= self.now {
            let Some(key) = self.resting.pop_front() else { return };
            let Some(exchange) = self.exchanges.get_mut(key) else { continue };
            let Some(squeezing) = &mut exchange.squeezing else { continue };
            squeezing.rests = false;
            let conns = [exchange.client, exchange.upstream];
            self.forward(key);
            conns.into_iter().flatten().for_each(|id| self.touch(id));
        }
        self.rested = self.rested.max(self.now + REST);
    }

    /// What the client gets for a piece of content, if anything yet.
    pub(super) fn squeezed(&mut self, key: Key, chunk: Chunk) -> Option<Chunk> {
        let exchange = self.exchanges.get_mut(key)?;
        let Some(squeezing) = &mut exchange.squeezing else { return Some(chunk) };
        let squeezer = squeezing.squeezer.as_mut()?;
        let bytes = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
        self.squeezed = self.squeezed.saturating_add(bytes);
        squeezing.pending = true;
        let out = squeezer.push(chunk.bytes());
        squeezing.counted(out)
    }

    /// Nothing more is here: the client gets what waits in the compressor, unless it knows how
    /// much it may wait for.
    pub(super) fn squeeze_out(&mut self, key: Key) {
        let exchange = self.exchanges.get_mut(key).expect("checked by the caller");
        let Some(squeezing) = &mut exchange.squeezing else { return };
        let Some(squeezer) = &mut squeezing.squeezer else { return };
        if !squeezing.prompt || !std::mem::take(&mut squeezing.pending) {
            return;
        }
        let out = squeezer.flush();
        if let Some(chunk) = squeezing.counted(out) {
            self.put_plain(key, chunk);
        }
    }

    /// The content is over.
    pub(super) fn end_squeezing(&mut self, key: Key) {
        let exchange = self.exchanges.get_mut(key).expect("checked by the caller");
        let Some(squeezing) = &mut exchange.squeezing else { return };
        let Some(squeezer) = squeezing.squeezer.take() else { return };
        self.compressors -= 1;
        if let Some(chunk) = squeezing.counted(squeezer.finish()) {
            self.put_plain(key, chunk);
        }
    }

    /// An exchange ends, whatever was still to be compressed.
    pub(super) fn forget_squeezing(&mut self, exchange: &mut Exchange) {
        let left = exchange.squeezing.as_mut().and_then(|squeezing| squeezing.squeezer.take());
        self.compressors -= u32::from(left.is_some());
    }
}

impl Squeezing {
    fn counted(&mut self, out: Vec<u8>) -> Option<Chunk> {
        self.bytes += out.len() as u64;
        (!out.is_empty()).then(|| Chunk::shared(out.into()))
    }
}

impl Exchange {
    pub(super) fn is_squeezing(&self) -> bool {
        self.squeezing.as_ref().is_some_and(|squeezing| squeezing.squeezer.is_some())
    }

    fn may_be_coded(&self, head: &ResponseHead<'_>) -> bool {
        let whole = self.client.is_some() && self.asking.asked != Asked::Head;
        let content = !head.framing.is_over() && head.framing != Framing::Tunnel;
        let settings = self.compress().filter(|_| whole && content && self.coding.is_some());
        settings.is_some_and(|settings| may_compress(settings, head.status, head.fields))
    }

    /// How much of a response has to be here before it is known whether it is compressed.
    pub(super) fn enough_to_compress(&self, head: &ResponseHead<'_>) -> u64 {
        if head.length.is_some() || is_event_stream(head) || !self.may_be_coded(head) {
            return 0;
        }
        self.compress().map_or(0, |settings| settings.bytes_min)
    }

    fn has_to_compress(&self, head: &ResponseHead<'_>) -> bool {
        let least = self.compress().map_or(0, |settings| settings.bytes_min);
        let long = match (head.length, &self.held) {
            (Some(length), _) => length >= least,
            (None, Some(held)) => held.bytes >= least || !self.down.is_over(),
            (None, None) => true,
        };
        long && self.may_be_coded(head)
    }

    /// Whether another client might have got this response in another form. A 304 says what the 200
    /// in its place would have said (RFC 9110 §15.4.5).
    pub(super) fn varies_by_coding(&self, head: &ResponseHead<'_>) -> bool {
        let settings = self.compress().filter(|_| head.framing != Framing::Tunnel);
        let status = if head.status == 304 { 200 } else { head.status };
        settings.is_some_and(|settings| may_compress(settings, status, head.fields))
    }

    /// Bytes of content that the client was sent.
    pub(super) fn sent_bytes(&self) -> u64 {
        self.squeezing.as_ref().map_or(self.down.bytes, |squeezing| squeezing.bytes)
    }
}

/// The head of a response whose content changes its form.
fn recoded<'a>(head: &ResponseHead<'a>) -> ResponseHead<'a> {
    let bound = ["content-length", "accept-ranges", "etag", "content-md5", "content-digest"];
    bound.into_iter().fold(*head, ResponseHead::without)
}

/// What a response says that is compressed, or might have been.
pub(super) fn put_fields(out: &mut Vec<u8>, came: &ResponseHead<'_>, coding: Option<Coding>) {
    if let Some(coding) = coding {
        put_field(out, "Content-Encoding", coding.name().as_bytes());
        if let Some(tag) = fields::first(came.fields, "etag") {
            // RFC 9110 §8.8.3: the bytes are others now, the meaning is not.
            let weak = if tag.starts_with(b"W/") { tag.to_vec() } else { [b"W/", tag].concat() };
            put_field(out, "ETag", &weak);
        }
    }
    let told = fields::all(came.fields, "vary")
        .flat_map(fields::list)
        .any(|name| name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding"));
    if !told && !planted(Mutant::VaryForgotten) {
        put_field(out, "Vary", b"Accept-Encoding");
    }
}
