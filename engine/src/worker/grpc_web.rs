//! Requests and responses of gRPC-Web, translated to gRPC and back as they pass.

use super::Worker;
use super::answer::Answer;
use super::exchange::Exchange;
use super::fields::{framing_for, put_field, put_line};
use crate::base::mark::Mark;
use crate::base::page::Chunk;
use crate::base::slab::Key;
use crate::http::fields;
use crate::http::framing::Framing;
use crate::http::head::{RequestHead, ResponseHead};
use crate::service::middleware::grpc_web::Form;
use crate::service::middleware::{Step, decides_response};
use crate::worker::dispatch::range_in;

const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";
const ALLOW_CREDENTIALS: &str = "Access-Control-Allow-Credentials";
const EXPOSE_HEADERS: &str = "Access-Control-Expose-Headers";
/// What a script may want to read, though it may be in no head.
const OF_GRPC: [&str; 2] = ["grpc-status", "grpc-message"];
/// Ten minutes, as Traefik says.
const MAX_AGE: &str = "600";

impl Worker {
    /// Settles whether a request is one of gRPC-Web that its route translates. False if it cannot
    /// be translated any more: some of its text was read already, for a router above.
    pub(super) fn begin_web(&mut self, key: Key, head: &RequestHead<'_>) -> bool {
        let exchange = self.exchanges.get_mut(key).expect("a directed exchange exists");
        // What is mirrored is the request as it went on.
        let settled = exchange.web.is_some() || exchange.client.is_none();
        if settled || !exchange.is_for_browsers() {
            return true;
        }
        let origin = fields::first(head.fields, "origin").unwrap_or_default();
        exchange.asking.origin = range_in(exchange.asking.head.bytes(), origin);
        let kind = fields::first(head.fields, "content-type").unwrap_or_default();
        let Some(form) = Form::of(kind) else { return true };
        exchange.web = Some(form);
        if form == Form::Text {
            if exchange.up.bytes > 0 {
                return false;
            }
            exchange.up.read_base64();
            if !matches!(exchange.framing, Framing::Empty) {
                exchange.framing = Framing::Chunked;
            }
        }
        self.mark(Mark::WebTranslated);
        true
    }

    /// Answers a script that asks whether it may send these fields.
    pub(super) fn answer_web_preflight(&mut self, key: Key) {
        let exchange = self.exchanges.get(key).expect("a passing exchange exists");
        let asking = exchange.asking.head.clone();
        let range = exchange.asking.origin.start as usize..exchange.asking.origin.end as usize;
        let origin = &asking.bytes()[range];
        let allowed = exchange.lets_in(origin);
        let origin = std::str::from_utf8(origin).ok().filter(|_| allowed);
        let wanted = std::mem::take(&mut self.scratch.judging.location);
        let vary =
            ("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
        let told = [
            (ALLOW_CREDENTIALS, "true"),
            ("Access-Control-Allow-Headers", wanted.as_str()),
            ("Access-Control-Allow-Methods", "POST"),
            (ALLOW_ORIGIN, origin.unwrap_or_default()),
            ("Access-Control-Max-Age", MAX_AGE),
            vary,
        ];
        let fields = if origin.is_some() { &told[..] } else { &told[5..] };
        self.answer(key, &Answer { fields, ..Answer::empty(200) });
        self.scratch.judging.location = wanted;
    }

    /// The trailers of gRPC as the last frame of the content.
    pub(super) fn put_web_trailers(&mut self, key: Key) {
        let exchange = self.exchanges.get_mut(key).expect("checked by the caller");
        let Some(form) = exchange.web_answer else { return };
        let mut lines = Vec::new();
        exchange.down.trailer_lines(&mut lines);
        exchange.down.mute_trailers();
        if !lines.is_empty() {
            let mut frame = Vec::new();
            form.write_trailers(&lines, &mut frame);
            self.put_plain(key, Chunk::shared(frame.into()));
        }
    }

    /// The head and framing of a response of gRPC for a client that speaks gRPC-Web.
    pub(super) fn web_head<'a>(
        &mut self,
        key: Key,
        head: &ResponseHead<'a>,
        framing: Framing,
    ) -> (ResponseHead<'a>, Framing) {
        let exchange = self.exchanges.get_mut(key).expect("an answered exchange exists");
        let Some(form) = exchange.web else { return (*head, framing) };
        let cors = [ALLOW_ORIGIN, ALLOW_CREDENTIALS, EXPOSE_HEADERS];
        let head = cors.into_iter().fold(*head, ResponseHead::without);
        let kind = fields::first(head.fields, "content-type").unwrap_or_default();
        if !form.write_answered(kind, &mut Vec::new()) {
            return (head, framing);
        }
        exchange.web_answer = Some(form);
        let bound = ["content-type", "content-length", "trailer"];
        let head = bound.into_iter().fold(head, ResponseHead::without);
        if head.framing.is_over() {
            return (head, framing);
        }
        let framing = framing_for(exchange.asking.version, Framing::Chunked);
        exchange.down.frame(framing == Framing::Chunked);
        (head, framing)
    }
}

impl Exchange {
    fn browsers(&self) -> impl Iterator<Item = &Step> {
        self.steps().iter().filter(|step| matches!(step, Step::GrpcWeb(_)))
    }

    fn is_for_browsers(&self) -> bool {
        self.browsers().next().is_some()
    }

    /// Whether scripts of this origin may ask here.
    fn lets_in(&self, origin: &[u8]) -> bool {
        self.browsers().any(|step| matches!(step, Step::GrpcWeb(web) if web.allows(origin)))
    }

    /// Content of the response as the client reads it.
    pub(super) fn as_web(&self, chunk: Chunk) -> Chunk {
        let Some(Form::Text) = self.web_answer else { return chunk };
        let mut text = Vec::with_capacity(chunk.len().div_ceil(3) * 4);
        Form::Text.write(chunk.bytes(), &mut text);
        Chunk::shared(text.into())
    }

    /// What the head of a response says to a client of gRPC-Web, and to the script behind it.
    pub(super) fn put_web_fields(&self, out: &mut Vec<u8>, came: &ResponseHead<'_>) {
        if let Some(form) = self.web_answer {
            let kind = fields::first(came.fields, "content-type").unwrap_or_default();
            put_line(out, "Content-Type", |out| {
                form.write_answered(kind, out);
            });
        }
        let range = self.asking.origin.start as usize..self.asking.origin.end as usize;
        let origin = &self.asking.head.bytes()[range];
        let steps = self.steps();
        let decided = decides_response(steps, self.told(), ALLOW_ORIGIN.as_bytes());
        if decided || !self.lets_in(origin) {
            return;
        }
        put_field(out, ALLOW_ORIGIN, origin);
        put_field(out, ALLOW_CREDENTIALS, b"true");
        let of_cors = |name: &str| {
            name.get(..15).is_some_and(|it| it.eq_ignore_ascii_case("access-control-"))
        };
        let named = came.end_to_end().map(|field| field.name).filter(|name| !of_cors(name));
        let more = OF_GRPC.into_iter().filter(|name| fields::first(came.fields, name).is_none());
        let names: Vec<&str> = named.chain(more).collect();
        put_field(out, EXPOSE_HEADERS, names.join(", ").as_bytes());
        put_field(out, "Vary", b"Origin");
    }
}
