//! Asking another server whether a request may pass. The request is held; a question about it goes
//! out as an exchange of its own, without a client; the answer lets the request go on or becomes
//! its answer. Whatever goes wrong is a refusal.
//!
//! ```text
//! Held ─▶ (Gathering its body) ─▶ Consulting ─┬─ 2xx ─▶ behind the step
//!                                             └─ else ─▶ answered
//! ```

use super::Worker;
use super::answer::Answer;
use super::exchange::{Asking, Exchange, HeadBytes, Kept, Phase};
use crate::base::id::TargetId;
use crate::base::mark::Mark;
use crate::base::page::Chunk;
use crate::base::slab::Key;
use crate::base::time::{Span, Time};
use crate::config::address::Url;
use crate::config::fixed::Scheme;
use crate::h1::parse::{self, Bounds, Parsed, Progress, Scratch};
use crate::http::alias::Aliases;
use crate::http::fields::{Field, Known};
use crate::http::framing::{Asked, Framing};
use crate::http::head::{ResponseHead, Version};
use crate::http::method::Method;
use crate::http::reference;
use crate::net::wire::Due;
use crate::service::middleware::forward::Forward;
use std::rc::Rc;
use std::sync::Arc;

/// How long an answer may take.
const TIMEOUT: Span = Span::secs(30);

/// A question about a request, and what is known of the answer.
#[derive(Debug)]
pub(super) struct Errand {
    pub(super) target: TargetId,
    forward: Arc<Forward>,
    /// The request it is about.
    about: Key,
    /// The client's connection has a clock for it.
    timed: bool,
    asked: Asked,
    head: Option<HeadBytes>,
    body: Vec<u8>,
    /// The answer was read to its end.
    pub(super) complete: bool,
    overgrown: bool,
}

/// An errand that is over.
#[derive(Debug)]
pub(super) struct Concluded {
    pub(super) key: Key,
    pub(super) errand: Box<Errand>,
}

impl Worker {
    /// Asks about a request that came to such a step; the question's head is in the scratch.
    pub(super) fn consult(&mut self, key: Key, forward: &Arc<Forward>) {
        let now = self.now;
        let exchange = self.exchanges.get_mut(key).expect("a passing exchange exists");
        let kept = exchange.kept.clone().filter(|_| forward.auth.forward_body);
        let method =
            if forward.auth.preserve_method { exchange.asked_head() } else { Asked::Plain };
        let bytes = Rc::new(self.scratch.head.clone());
        let asking = Asking::of_errand(HeadBytes::Grown(Rc::clone(&bytes), bytes.len()), method);
        let mut question =
            Exchange::new(Rc::clone(&exchange.view), exchange.entry, exchange.peer, asking);
        question.framing = match &kept {
            Some(kept) if kept.bytes > 0 => Framing::Length(kept.bytes),
            _ => Framing::Empty,
        };
        question.kept = kept;
        question.continued = true;
        question.started = now;
        question.sent_at = now;
        question.whole_by = now + TIMEOUT;
        question.errand = Some(Box::new(Errand {
            target: forward.target,
            forward: Arc::clone(forward),
            about: key,
            timed: exchange.client.is_some(),
            asked: method,
            head: None,
            body: Vec::new(),
            complete: false,
            overgrown: false,
        }));
        let (client, by) = (exchange.client, question.whole_by);
        exchange.phase = Phase::Consulting;
        let errand = self.exchanges.insert(question);
        let exchange = self.exchanges.get_mut(key).expect("a passing exchange exists");
        exchange.consulting = Some(errand);
        if let Some(client) = client {
            self.set_due(client, Due::Dial, by);
        }
        self.mark(Mark::Consulted);
        self.connect(errand);
    }

    pub(super) fn is_consulting(&self, key: Key) -> bool {
        self.exchanges.get(key).is_some_and(|exchange| exchange.consulting.is_some())
    }

    /// The answer takes too long.
    pub(super) fn give_up_consulting(&mut self, key: Key) {
        let errand = self.exchanges.get(key).and_then(|exchange| exchange.consulting);
        if let Some(errand) = errand {
            self.mark(Mark::ConsultTimedOut);
            self.abandon(errand);
        }
    }

    /// Keeps a piece of an answer.
    pub(super) fn collect(&mut self, key: Key, chunk: &Chunk) {
        let room = self.limits.consult_bytes;
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let Some(errand) = &mut exchange.errand else { return };
        let own = errand.forward.auth.response_bytes_max.unwrap_or(u64::MAX);
        let whole = errand.body.len() as u64 + chunk.len() as u64;
        if whole <= own.min(u64::from(room)) {
            errand.body.extend_from_slice(chunk.bytes());
            return;
        }
        errand.overgrown = true;
        self.release_upstream(key);
        self.finish(key);
    }

    pub(super) fn note_answer(&mut self, key: Key, bytes: &HeadBytes) {
        let exchange = self.exchanges.get_mut(key).expect("an answered exchange exists");
        if let Some(errand) = &mut exchange.errand {
            errand.head = Some(bytes.clone());
        }
    }

    /// Acts on answers that came, or will not come.
    pub(super) fn run_concluded(&mut self) {
        while let Some(Concluded { key, errand }) = self.concluded.pop() {
            let about = errand.about;
            let Some(exchange) = self.exchanges.get_mut(about) else { continue };
            if exchange.consulting != Some(key) {
                continue;
            }
            exchange.consulting = None;
            exchange.phase = Phase::Held;
            if let Some(client) = exchange.client {
                self.set_due(client, Due::Dial, Time::NEVER);
            }
            self.conclude_errand(about, &errand);
        }
    }

    fn conclude_errand(&mut self, key: Key, errand: &Errand) {
        if errand.overgrown {
            self.mark(Mark::ConsultRefused);
            self.answer(key, &Answer::empty(401));
            return;
        }
        let head = errand.head.as_ref().filter(|_| errand.complete);
        let mut scratch = Scratch::new();
        let bounds = Bounds::again(Aliases::KEPT);
        let parsed = head.map(|head| {
            let mut progress = Progress::default();
            parse::response_head(head.bytes(), errand.asked, &mut progress, bounds, &mut scratch)
        });
        let Some(Ok(Parsed::Complete { head, .. })) = parsed else {
            self.mark(Mark::ConsultFailed);
            self.answer(key, &Answer::empty(500));
            return;
        };
        if (200..300).contains(&head.status) {
            let exchange = self.exchanges.get_mut(key).expect("a consulting exchange exists");
            exchange.grants.push(errand.forward.grant(exchange.passed, head.fields));
            exchange.passed += 1;
            self.pass_on(key);
            return;
        }
        self.mark(Mark::ConsultRefused);
        self.relay_refusal(key, errand, &head);
    }

    /// Answers as the other server has.
    fn relay_refusal(&mut self, key: Key, errand: &Errand, head: &ResponseHead<'_>) {
        let auth = &errand.forward.auth;
        let exchange = self.exchanges.get(key).expect("a consulting exchange exists");
        let target = exchange.view.targets.get(errand.target.0);
        let host = target.map(|target| target.host_field.clone()).unwrap_or_default();
        if head.status == 401 && !auth.signin_url.is_empty() {
            let fields = [("Location", auth.signin_url.as_str())];
            self.answer(key, &Answer { fields: &fields, ..Answer::bare(302) });
            return;
        }
        let own = |field: &&Field<'_>| {
            Known::of(field.name).is_none() && !field.name.eq_ignore_ascii_case("date")
        };
        let mut told = Vec::new();
        for field in head.end_to_end().filter(own) {
            let Ok(value) = std::str::from_utf8(field.value) else { continue };
            let resolves = field.name.eq_ignore_ascii_case("location") && !auth.preserve_location;
            let value =
                if resolves { whole_url(&auth.url, &host, value) } else { value.to_owned() };
            told.push((field.name, value));
        }
        let fields: Vec<(&str, &str)> =
            told.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let body = Chunk::shared(errand.body.clone().into());
        self.answer(key, &Answer { fields: &fields, body, ..Answer::empty(head.status) });
    }
}

/// A whole body before anybody is asked about it.
impl Worker {
    /// Begins to read the body of a request whole, or refuses it. False if it is here already, or
    /// not wanted.
    pub(super) fn gathers(&mut self, key: Key, forward: &Forward) -> bool {
        let budget = u64::from(self.limits.kept_bytes);
        let exchange = self.exchanges.get_mut(key).expect("a passing exchange exists");
        if !forward.auth.forward_body {
            return false;
        }
        let own = forward.auth.body_bytes_max.unwrap_or(u64::MAX);
        if exchange.up.is_over() {
            // A step before has read it, by a limit of its own.
            let over = exchange.up.bytes > own;
            if over {
                self.refuse_gathered(key, false);
            }
            return over;
        }
        exchange.kept_max = own.min(budget);
        exchange.kept.get_or_insert_default();
        exchange.phase = Phase::Gathering;
        let announced = exchange.up.left().unwrap_or(0);
        if announced > exchange.kept_max {
            self.refuse_gathered(key, announced <= own);
            return true;
        }
        self.tell_to_continue(key);
        let client = self.exchanges.get(key).and_then(|exchange| exchange.client);
        if let Some(client) = client {
            self.touch(client);
        }
        true
    }

    fn refuse_gathered(&mut self, key: Key, for_room: bool) {
        let exchange = self.exchanges.get_mut(key).expect("a gathering exchange exists");
        exchange.phase = Phase::Held;
        self.mark(Mark::ConsultRefused);
        let answer = if for_room { Answer::bare(503) } else { Answer::empty(401) };
        self.answer(key, &answer);
    }

    /// A piece of the body came: whether it may be more.
    pub(super) fn on_gathered(&mut self, key: Key) -> bool {
        let exchange = self.exchanges.get(key).expect("a gathering exchange exists");
        if exchange.offers {
            return self.on_offered_piece(key);
        }
        let Some(Kept { overgrown: true, starved, .. }) = exchange.kept.as_deref() else {
            return true;
        };
        let for_room = *starved || exchange.kept_max == u64::from(self.limits.kept_bytes);
        self.refuse_gathered(key, for_room);
        false
    }

    /// The body is whole.
    pub(super) fn on_gathered_whole(&mut self, key: Key) {
        let exchange = self.exchanges.get(key).expect("a gathering exchange exists");
        if let Some(client) = exchange.client {
            self.set_due(client, Due::Request, Time::NEVER);
        }
        if self.exchanges.get(key).is_some_and(|exchange| exchange.offers) {
            self.offer(key);
            return;
        }
        self.pass_on(key);
    }
}

impl Exchange {
    fn asked_head(&self) -> Asked {
        if self.asking.asked == Asked::Head { Asked::Head } else { Asked::Plain }
    }

    /// Whether it is a copy of a request, sent on without a client.
    pub(super) fn is_mirror(&self) -> bool {
        self.client.is_none() && self.errand.is_none()
    }

    /// Whether a clock ends its waiting for a connection: its client's.
    pub(super) fn is_timed(&self) -> bool {
        self.client.is_some() || self.errand.as_ref().is_some_and(|errand| errand.timed)
    }

    /// Where its server is.
    pub(super) fn target_id(&self) -> Option<TargetId> {
        match &self.errand {
            Some(errand) => Some(errand.target),
            None => self.server().map(|server| server.target),
        }
    }
}

impl Asking {
    /// A question of our own.
    fn of_errand(head: HeadBytes, asked: Asked) -> Self {
        let bytes = head.bytes();
        let method = bytes.iter().position(|b| *b == b' ').unwrap_or(0);
        let idempotent =
            std::str::from_utf8(&bytes[..method]).is_ok_and(|it| Method::of(it).idempotent());
        Self {
            version: Version::Http11,
            asked,
            method: 0..0,
            target: 0..0,
            host: 0..0,
            forwarded_for: 0..0,
            origin: 0..0,
            secure: false,
            upgrade: None,
            key: 0..0,
            idempotent,
            expects_continue: false,
            websocket: false,
            over_tls: false,
            caller: None,
            chain: None,
            from_parent: false,
            callers: 0..0,
            head,
        }
    }
}

/// A redirect as the client must see it, which knows nothing of who was asked.
fn whole_url(base: &Url, host: &str, location: &str) -> String {
    let Some(found) = reference::resolve(&base.path, location) else { return location.to_owned() };
    let (_, fragment) = location.split_once('#').unwrap_or(("", ""));
    let fragment = if fragment.is_empty() { String::new() } else { format!("#{fragment}") };
    let scheme = found.scheme.as_deref().unwrap_or(match base.authority.scheme {
        Scheme::Https => "https",
        Scheme::Http | Scheme::H2c => "http",
    });
    let authority = found.authority.as_deref().unwrap_or(host);
    format!("{scheme}://{authority}{}{fragment}", found.target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_resolved_against_the_address() {
        let base = Url::parse("http://judge:81/a/verify?x").expect("a URL");
        for (location, expected) in [
            ("/login", "http://judge:81/login"),
            ("login?next=/", "http://judge:81/a/login?next=/"),
            ("https://sso.example/in#top", "https://sso.example/in#top"),
            ("//other/x", "http://other/x"),
            ("/x#y", "http://judge:81/x#y"),
        ] {
            assert_eq!(whole_url(&base, "judge:81", location), expected, "{location}");
        }
    }
}
