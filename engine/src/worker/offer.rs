//! `rest@internal`: a document that a client puts in the place of the last one. It is read whole
//! and goes to the control machine; whether that takes it is in the next view, and so is what it
//! changes: a client that is told of its success finds its routes here.

use super::Worker;
use super::answer::Answer;
use super::exchange::Phase;
use crate::base::mark::Mark;
use crate::base::page::Chunk;
use crate::base::slab::Key;
use crate::base::time::{Span, Time};
use crate::boundary::{Effect, Offer};
use crate::net::wire::Due;
use crate::view::status::Judged;
use serde_json::json;

/// The control machine has so long to judge a document.
const JUDGED_WITHIN: Span = Span::secs(30);

/// Documents on their way to the control machine: one at a time.
#[derive(Debug)]
pub(super) struct Offers {
    worker: u16,
    serial: u64,
    /// The request that waits for what becomes of the last one.
    asking: Option<Key>,
    text: Option<String>,
}

impl Offers {
    pub(super) fn new(worker: u16) -> Self {
        Self { worker, serial: 0, asking: None, text: None }
    }
}

impl Worker {
    /// Begins to read a document.
    pub(super) fn begin_offer(&mut self, key: Key) {
        let most = self.limits.document_bytes.min(self.limits.kept_bytes);
        let exchange = self.exchanges.get_mut(key).expect("a directed exchange exists");
        let Some(client) = exchange.client else {
            self.answer(key, &Answer::bare(503));
            return;
        };
        exchange.offers = true;
        exchange.kept_max = u64::from(most);
        if exchange.up.is_over() {
            // A middleware has collected it, or there is none.
            self.offer(key);
            return;
        }
        exchange.kept.get_or_insert_default();
        exchange.phase = Phase::Gathering;
        if exchange.up.left().unwrap_or(0) > exchange.kept_max {
            self.refuse_offer(key, 413, "the document is too large");
            return;
        }
        self.tell_to_continue(key);
        self.touch(client);
    }

    /// Hands a whole document over.
    pub(super) fn offer(&mut self, key: Key) {
        let waits = self.offers.asking.is_some_and(|other| self.is_held(other));
        let exchange = self.exchanges.get(key).expect("an offering exchange exists");
        let kept = exchange.kept.as_deref();
        if kept.is_some_and(|kept| kept.overgrown || kept.bytes > exchange.kept_max) {
            self.refuse_offer(key, 413, "the document is too large");
            return;
        }
        let chunks = kept.into_iter().flat_map(|kept| &kept.chunks);
        let bytes: Vec<u8> = chunks.flat_map(Chunk::bytes).copied().collect();
        let Ok(text) = String::from_utf8(bytes) else {
            self.refuse_offer(key, 400, "the document is no text in UTF-8");
            return;
        };
        if waits {
            self.refuse_offer(key, 503, "another document is being judged");
            return;
        }
        let client = exchange.client;
        self.exchanges.get_mut(key).expect("just seen").phase = Phase::Held;
        self.offers.serial += 1;
        self.offers.asking = Some(key);
        self.offers.text = Some(text);
        self.mark(Mark::Offered);
        self.effects.push(Effect::Offer);
        if let Some(client) = client {
            self.set_due(client, Due::Dial, self.now + JUDGED_WITHIN);
        }
    }

    pub(super) fn take_offer(&mut self) -> Option<Offer> {
        let Offers { worker, serial, .. } = self.offers;
        self.offers.text.take().map(|text| Offer { worker, serial, text })
    }

    /// A newer view may say what became of a document.
    pub(super) fn conclude_offer(&mut self) {
        let Some(key) = self.offers.asking else { return };
        let judged = self.view.status.offers.get(usize::from(self.offers.worker));
        let Some(judged) = judged.filter(|judged| judged.serial == self.offers.serial) else {
            return;
        };
        let Judged { accepted, problems, .. } = judged.clone();
        self.offers.asking = None;
        if self.is_held(key) {
            self.answer_offer(key, if accepted { 200 } else { 400 }, &problems);
        }
    }

    pub(super) fn is_offering(&self, key: Key) -> bool {
        self.offers.asking == Some(key)
    }

    pub(super) fn give_up_offer(&mut self, key: Key) {
        self.offers.asking = None;
        self.refuse_offer(key, 503, "the document was not judged in time");
    }

    /// A piece of a document came: whether it may be more.
    pub(super) fn on_offered_piece(&mut self, key: Key) -> bool {
        let exchange = self.exchanges.get(key).expect("a gathering exchange exists");
        let Some(kept) = exchange.kept.as_deref().filter(|kept| kept.overgrown) else {
            return true;
        };
        if kept.starved {
            self.refuse_offer(key, 503, "there is no memory for the document");
        } else {
            self.refuse_offer(key, 413, "the document is too large");
        }
        false
    }

    fn refuse_offer(&mut self, key: Key, status: u16, why: &str) {
        self.exchanges.get_mut(key).expect("an offering exchange exists").phase = Phase::Held;
        self.answer_offer(key, status, &[why.to_owned()]);
    }

    fn answer_offer(&mut self, key: Key, status: u16, problems: &[String]) {
        if status != 200 {
            self.mark(Mark::OfferRefused);
        }
        if let Some(client) = self.exchanges.get(key).and_then(|exchange| exchange.client) {
            self.set_due(client, Due::Dial, Time::NEVER);
        }
        let fields: &[(&str, &str)] = if status == 503 { &[("Retry-After", "1")] } else { &[] };
        let body = Chunk::shared(json!({ "problems": problems }).to_string().into_bytes().into());
        self.answer(key, &Answer { status, content_type: "application/json", fields, body });
    }
}
