//! Bad answers that a middleware replaces by pages: the page is fetched from its service in the
//! place of the answer, and the client gets it under the status of that answer.

use super::Worker;
use super::answer::Answer;
use super::dispatch::passes_host;
use super::exchange::{Exchange, HeadBytes, Paging, Phase};
use super::fields::{self, Outgoing};
use super::forward::Turn;
use super::key_of;
use crate::base::id::ConnId;
use crate::base::mark::Mark;
use crate::base::slab::Key;
use crate::config::fixed::IdleConns;
use crate::http::framing::{Asked, Framing};
use crate::http::head::{RequestHead, ResponseHead};
use crate::http::status::reason;
use crate::http::target::Target;
use crate::service::middleware::{Pages, Step};
use crate::view::Cover;
use std::sync::Arc;

impl Worker {
    /// Fetches a page instead of an answer with this status, if the innermost middleware that has
    /// one for it says so.
    pub(super) fn turn_to_page(&mut self, key: Key, status: u16) -> bool {
        let Some(exchange) = self.exchanges.get_mut(key) else { return false };
        if exchange.client.is_none() || exchange.has_answered() || exchange.paging.is_some() {
            return false;
        }
        let Some((at, pages, told)) = exchange.page_for(status) else { return false };
        self.mark(Mark::ErrorPageAsked);
        self.drop_response(key);
        let exchange = self.exchanges.get_mut(key).expect("just seen");
        let service = pages.service;
        exchange.paging = Some(Box::new(Paging {
            pages,
            at,
            status: told,
            original: status,
            choices: exchange.choices,
            service: exchange.service,
            server: exchange.server,
            server_addr: exchange.server_addr,
            asked: exchange.asking.asked,
            framing: exchange.framing,
        }));
        exchange.choices.truncate(0);
        exchange.again = None;
        exchange.load = None;
        exchange.server = None;
        exchange.collects = false;
        exchange.continued = true;
        exchange.retried = false;
        exchange.interims = 0;
        exchange.framing = Framing::Empty;
        if exchange.asking.asked != Asked::Head {
            exchange.asking.asked = Asked::Plain;
        }
        exchange.phase = Phase::Waiting;
        self.switching.push((key, service));
        true
    }

    /// Composes the request for a page. False if there can be none.
    pub(super) fn compose_page(
        &mut self,
        key: Key,
        head: &RequestHead<'_>,
        target: &Target<'_>,
        pages: &Pages,
        at: u16,
    ) -> bool {
        let exchange = self.exchanges.get(key).expect("a directed exchange exists");
        let paging = exchange.paging.as_ref().expect("a page is asked for");
        let asked = pages.target(paging.status, paging.original, head.target);
        let method = if exchange.asking.asked == Asked::Head { "HEAD" } else { "GET" };
        let passed: Vec<_> =
            head.fields.iter().filter(|field| pages.passes(field.name)).copied().collect();
        let Ok(head) = RequestHead::new(method, &asked, head.version, &passed) else {
            self.answer(key, &Answer::bare(500));
            return false;
        };
        let steps = exchange.steps();
        let aim = exchange.target();
        let view = &exchange.view;
        self.scratch.head.clear();
        let outgoing = Outgoing {
            head: &head,
            bytes: exchange.asking.head.bytes(),
            target: &asked,
            authority: target.authority,
            peer: exchange.peer.ip(),
            entry: &view.entries[usize::from(exchange.entry.0)].settings,
            secure: exchange.asking.over_tls,
            instance: &view.fixed.tieline.instance,
            steps: &steps[..usize::from(at).min(steps.len())],
            noted: &[],
            grants: &exchange.grants,
            caller: exchange.asking.caller.as_deref(),
            from_parent: exchange.asking.from_parent,
            chain: exchange.asking.chain.as_deref(),
            web: None,
            covered: aim.is_some_and(|aim| matches!(aim.cover, Cover::Tls(_))),
            key: None,
            server: exchange.server().expect("a server was chosen"),
            host: aim.filter(|_| !passes_host(view, exchange)).map(|aim| aim.host_field.as_str()),
            framing: Framing::Empty,
            expects_continue: false,
            close: aim.is_some_and(|aim| aim.transport.idle == IdleConns::NoReuse),
        };
        fields::write_request(&mut self.scratch.head, &outgoing);
        true
    }

    /// Ends a request that has no body, whatever the client's has.
    pub(super) fn ask_without_body(&mut self, key: Key, to: ConnId) -> Turn {
        let exchange = self.exchanges.get_mut(key).expect("checked by the caller");
        exchange.ended = true;
        let conn = self.conns.get_mut(key_of(to)).expect("an exchange has its connection");
        if conn.stream.is_some() {
            conn.wire.shut();
        }
        self.touch(to);
        Turn::Enough
    }

    /// A page came, or what its service has instead.
    pub(super) fn on_page(&mut self, key: Key, head: &ResponseHead<'_>, bytes: &HeadBytes) {
        let exchange = self.exchanges.get(key).expect("an answered exchange exists");
        let status = exchange.paging.as_ref().map_or(head.status, |paging| paging.status);
        if matches!(head.status, 101 | 204 | 304) {
            self.answer(key, &Answer::bare(status));
            return;
        }
        if !self.hold_response(key, head, bytes) {
            self.relay_head(key, head, bytes);
        }
    }
}

impl Exchange {
    /// The innermost middleware on the way here that replaces this status, where it stands, and
    /// what it has the client told.
    fn page_for(&self, status: u16) -> Option<(u16, Arc<Pages>, u16)> {
        let steps = self.steps();
        let passed = usize::from(self.passed).min(steps.len());
        (0..self.passed).zip(&steps[..passed]).rev().find_map(|(at, step)| {
            let Step::Errors(pages) = step else { return None };
            Some((at, Arc::clone(pages), pages.status_for(status)?))
        })
    }

    /// The head as the client gets it.
    pub(super) fn paged<'h>(&self, head: &ResponseHead<'h>) -> ResponseHead<'h> {
        let status = self.paging.as_ref().map_or(head.status, |paging| paging.status);
        let mut head = *head;
        if status != head.status {
            (head.status, head.reason) = (status, reason(status));
        }
        head
    }

    /// What is said about the request is about the answer that was replaced.
    pub(super) fn forget_page(&mut self) {
        let Some(paging) = self.paging.take() else { return };
        self.choices = paging.choices;
        self.service = paging.service;
        self.server = paging.server;
        self.server_addr = paging.server_addr;
        self.asking.asked = paging.asked;
        self.framing = paging.framing;
    }
}
