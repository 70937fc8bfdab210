//! What arrives on the connections of Control, in whichever version of HTTP is spoken.

use super::{Conn, Conns, Exchange, Link};
use crate::base::mark::Mark;
use crate::base::page::{Page, Slice};
use crate::base::slab::{Key, Slab};
use crate::base::time::Time;
use crate::boundary::{Lent, OpKind};
use crate::control::failure::Failure;
use crate::h2::call::Unheard;
use crate::http::blame::What;
use crate::net::fetch::{Garbled, Reply};
use crate::net::inbox::Inbox;
use crate::tls::{H2, Refusal, Trouble};

impl Conns {
    pub(super) fn received(&mut self, key: Key, lent: Lent, now: Time) {
        let conn = self.conns.get(key).expect("its operation just ended");
        if conn.secure.is_some() {
            return self.received_secure(key, &lent, now);
        }
        if conn.calls.is_some() {
            let ended = lent.bytes() == 0;
            let mut inbox = Inbox::default();
            inbox.push(lent, &mut Vec::new());
            return self.hear(key, inbox, ended, now);
        }
        let Some(exchange_key) = conn.exchange else {
            // Whatever a server says unasked, the next answer must not begin with it.
            self.stats.control.marks.hit(Mark::KeptConnEnded);
            self.drop_kept(key);
            return;
        };
        let pages: &[Page] = match &lent {
            Lent::One(page) => std::slice::from_ref(page),
            Lent::Many(pages) => pages,
        };
        if lent.bytes() == 0 {
            return self.end_of_stream(key, exchange_key, now);
        }
        self.collect(key, exchange_key, pages.iter().map(Page::bytes));
    }

    /// Opens what arrived under TLS.
    fn received_secure(&mut self, key: Key, lent: &Lent, now: Time) {
        let conn = self.conns.get_mut(key).expect("its operation just ended");
        let Some(secure) = &mut conn.secure else { return };
        let to = conn.to;
        let pages: &[Page] = match lent {
            Lent::One(page) => std::slice::from_ref(page),
            Lent::Many(pages) => pages,
        };
        let mut inbox = Inbox::default();
        let was_agreed = secure.session.is_ready();
        let opened = secure.open(pages, &mut inbox, &self.pool);
        let ended = lent.bytes() == 0 || secure.session.is_closed_by_peer();
        let agreed = secure.session.is_ready();
        if conn.calls.is_some() && opened.is_ok() {
            return self.hear(key, inbox, ended, now);
        }
        let Some(exchange) = conn.exchange else {
            // Tickets may come at any time; anything else must not be taken for the next answer.
            if ended || opened.is_err() || !inbox.is_empty() {
                self.stats.control.marks.hit(Mark::KeptConnEnded);
                return self.drop_kept(key);
            }
            return self.ask(key, OpKind::Recv);
        };
        match opened {
            Err(Trouble::NoRoom) => return self.fail(exchange, Failure::Overloaded),
            Err(Trouble::Refused(refusal)) if was_agreed => {
                let failure = Failure::Handshake { to, refusal };
                return self.break_off(key, exchange, inbox, failure, now);
            }
            Err(Trouble::Refused(refusal)) => {
                self.stats.control.marks.hit(Mark::ControlHandshakeRefused);
                return self.next_address(exchange, Failure::Handshake { to, refusal }, now);
            }
            Ok(()) => {}
        }
        if agreed && !was_agreed {
            let http2 = secure.session.alpn() == Some(H2);
            if !http2 && self.exchanges.get(exchange).is_some_and(Exchange::needs_http2) {
                return self.fail(exchange, Failure::NoHttp2);
            }
            self.begin(key, http2, now);
            if http2 {
                return self.hear(key, inbox, ended, now);
            }
        }
        let mut slices = Vec::new();
        while let Some(slice) = inbox.take(usize::MAX) {
            slices.push(slice);
        }
        if !slices.is_empty() {
            self.collect(key, exchange, slices.iter().map(Slice::bytes));
        }
        let waits = |conns: &Slab<Conn>| {
            conns.get(key).is_some_and(|conn| conn.link == Link::Open && conn.exchange.is_some())
        };
        if ended && waits(&self.conns) {
            if !agreed {
                let failure = Failure::Handshake { to, refusal: Refusal::Cut };
                return self.next_address(exchange, failure, now);
            }
            return self.end_of_stream(key, exchange, now);
        }
        if waits(&self.conns) {
            self.send(key);
        }
        if waits(&self.conns) {
            self.ask(key, OpKind::Recv);
        }
    }

    /// The rules of TLS were broken: an answer that was whole before counts, and nothing else.
    fn break_off(
        &mut self,
        key: Key,
        exchange_key: Key,
        mut inbox: Inbox,
        failure: Failure,
        now: Time,
    ) {
        let conn = self.conns.get_mut(key).expect("its operation just ended");
        let exchange = self.exchanges.get_mut(exchange_key).expect("its connection has it");
        let collector = &mut exchange.collector;
        let before = collector.bytes();
        let mut whole = None;
        if let Some(calls) = &mut conn.calls {
            let heard = calls.hear(&mut inbox, Some(collector), &mut conn.outbox, &self.pool, now);
            whole = heard.ok().flatten();
        }
        while conn.calls.is_none()
            && whole.is_none()
            && let Some(slice) = inbox.take(usize::MAX)
        {
            let Ok(fed) = collector.feed(slice.bytes()) else { break };
            whole = fed;
        }
        self.collected = self.collected + collector.bytes() - before;
        match whole {
            Some(reply) => {
                self.stats.control.marks.hit(Mark::ControlHeardBeforeBreak);
                self.answered(exchange_key, Reply { reusable: false, ..reply });
            }
            None => self.fail(exchange_key, failure),
        }
    }

    /// Feeds an exchange.
    fn collect<'a>(&mut self, key: Key, exchange_key: Key, pieces: impl Iterator<Item = &'a [u8]>) {
        let exchange = self.exchanges.get_mut(exchange_key).expect("its connection has it");
        let before = exchange.collector.bytes();
        let mut fed = Ok(None);
        for bytes in pieces.filter(|bytes| !bytes.is_empty()) {
            match fed {
                Ok(None) => fed = exchange.collector.feed(bytes),
                // More than the answer came; the connection is of no further use.
                Ok(Some(Reply { ref mut reusable, .. })) => *reusable = false,
                Err(_) => break,
            }
        }
        self.collected = self.collected + exchange.collector.bytes() - before;
        match fed {
            Ok(None) if self.collected > self.limits.collected_bytes as usize => {
                self.stats.control.marks.hit(Mark::CollectedTooMuch);
                self.fail(exchange_key, Failure::Overloaded);
            }
            Ok(None) => self.ask(key, OpKind::Recv),
            Ok(Some(reply)) => self.answered(exchange_key, reply),
            Err(garbled) => self.fail(exchange_key, Failure::Garbled(garbled)),
        }
    }

    /// Reads HTTP/2; `ended` says that nothing comes after this.
    fn hear(&mut self, key: Key, mut inbox: Inbox, ended: bool, now: Time) {
        let conn = self.conns.get_mut(key).expect("its operation just ended");
        if conn.link != Link::Open {
            return;
        }
        let calls = conn.calls.as_mut().expect("HTTP/2 is spoken");
        let exchange_key = conn.exchange;
        let mut collector = exchange_key
            .and_then(|key| self.exchanges.get_mut(key))
            .map(|exchange| &mut exchange.collector);
        let before = collector.as_ref().map_or(0, |it| it.bytes());
        let heard =
            calls.hear(&mut inbox, collector.as_deref_mut(), &mut conn.outbox, &self.pool, now);
        let takes_more = calls.takes_more();
        let after = collector.as_ref().map_or(0, |it| it.bytes());
        self.collected = self.collected + after - before;
        let Some(exchange) = exchange_key else {
            if ended || heard.is_err() || !takes_more {
                self.stats.control.marks.hit(Mark::KeptConnEnded);
                return self.drop_kept(key);
            }
            return self.go_on(key);
        };
        match heard {
            Ok(Some(reply)) => {
                self.send(key);
                let reusable = reply.reusable && !ended;
                self.answered(exchange, Reply { reusable, ..reply });
            }
            Ok(None) if self.collected > self.limits.collected_bytes as usize => {
                self.stats.control.marks.hit(Mark::CollectedTooMuch);
                self.fail(exchange, Failure::Overloaded);
            }
            Ok(None) if ended => self.ended_early(key, exchange, now),
            Ok(None) => self.go_on(key),
            Err(unheard) => self.unheard(key, exchange, unheard, now),
        }
    }

    fn ended_early(&mut self, key: Key, exchange: Key, now: Time) {
        let begun = self.exchanges.get(exchange).is_some_and(|it| it.collector.begun());
        let what = if begun { What::BodyCut } else { What::NoAnswer };
        self.cut(key, exchange, Failure::Garbled(Garbled::Broke(what)), now);
    }

    fn unheard(&mut self, key: Key, exchange: Key, unheard: Unheard, now: Time) {
        match unheard {
            Unheard::NoPage => self.out_of_pages(key),
            Unheard::Garbled(garbled) => self.fail(exchange, Failure::Garbled(garbled)),
            Unheard::Broken => self.fail(exchange, Failure::NotHttp2),
            Unheard::Away => {
                let what = What::NoAnswer;
                self.cut(key, exchange, Failure::Garbled(Garbled::Broke(what)), now);
            }
            Unheard::Reset(code) => self.cut(key, exchange, Failure::StreamReset(code), now),
        }
    }

    fn end_of_stream(&mut self, conn: Key, exchange: Key, now: Time) {
        let entry = self.exchanges.get_mut(exchange).expect("its connection has it");
        let before = entry.collector.bytes();
        let ended = entry.collector.end();
        self.collected = self.collected + entry.collector.bytes() - before;
        match ended {
            Ok(reply) => self.answered(exchange, reply),
            Err(silent @ Garbled::Broke(What::NoAnswer)) => {
                self.cut(conn, exchange, Failure::Garbled(silent), now);
            }
            Err(garbled) => self.fail(exchange, Failure::Garbled(garbled)),
        }
    }
}
