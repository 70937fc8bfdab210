//! Routers under routers: they see the request as the middlewares above left it, so its head is
//! written out as it is by now and read like any other.

use super::Worker;
use super::answer::Answer;
use super::exchange::{LAYERS, RouteRef};
use super::fields::{put_field, write_client_cert};
use crate::base::mark::Mark;
use crate::base::slab::Key;
use crate::h1::parse::{self, Parsed};
use crate::http::alias::Aliases;
use crate::http::fields::{Known, is_value};
use crate::http::head::RequestHead;
use crate::http::request::RequestInfo;
use crate::http::target::{self, Rewritten, Target};
use crate::service::middleware::forward::{Grant, granted};
use crate::service::middleware::{self, Step};
use crate::tls::chain::Chain;
use std::rc::Rc;

impl Worker {
    /// Finds the router of a layer that takes a request, and goes on through its middlewares.
    pub(super) fn descend(
        &mut self,
        key: Key,
        layer: u32,
        head: &RequestHead<'_>,
        target: &Target<'_>,
    ) {
        if !self.note_changes(key, head, target) {
            return;
        }
        let exchange = self.exchanges.get(key).expect("a passing exchange exists");
        let view = Rc::clone(&exchange.view);
        let Some(table) = view.layers.get(layer as usize) else { return };
        let steps = exchange.steps();
        let out = &mut self.scratch;
        let way = Way {
            steps,
            grants: &exchange.grants,
            path: &out.target,
            noted: &out.noted,
            chain: exchange.asking.chain.as_deref(),
        };
        write_changed(&mut out.head, head, target, &way);
        let bounds = parse::Bounds::again(Aliases::KEPT);
        let mut fields = parse::Scratch::new();
        let mut progress = parse::Progress::default();
        let parsed = parse::request_head(&out.head, &mut progress, bounds, &mut fields);
        let reading = view.entries[usize::from(exchange.entry.0)].settings.reading;
        let mut rewritten = Rewritten::default();
        let found = match &parsed {
            Ok(Parsed::Complete { head, .. }) => target::read_as(head, &mut rewritten, reading)
                .map(|target| table.find_at(&RequestInfo::new(head, &target, exchange.peer.ip())))
                .ok(),
            Ok(_) | Err(_) => None,
        };
        let exchange = self.exchanges.get_mut(key).expect("a passing exchange exists");
        match found {
            Some(Some(position)) => {
                exchange.route = Some(RouteRef { table: LAYERS + layer, position });
                self.mark(Mark::LayerPassed);
                self.pass(key, head, target);
            }
            Some(None) => self.answer(key, &Answer::text(404, "404 page not found\n")),
            // What middlewares made of it is no request any more.
            None => {
                self.mark(Mark::UncleanPath);
                self.answer(key, &Answer::empty(400));
            }
        }
    }
}

/// What a request went through.
pub(super) struct Way<'a> {
    pub(super) steps: &'a [Step],
    /// What servers that were asked gave.
    pub(super) grants: &'a [Grant],
    /// Path and query by now.
    pub(super) path: &'a str,
    /// Fields that steps add, as finished lines.
    pub(super) noted: &'a [u8],
    /// The certificates that the client showed.
    pub(super) chain: Option<&'a Chain>,
}

/// The head as the steps leave it, without what is said to a server alone.
pub(super) fn write_changed(
    out: &mut Vec<u8>,
    head: &RequestHead<'_>,
    target: &Target<'_>,
    way: &Way<'_>,
) {
    let steps = way.steps;
    out.clear();
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(way.path.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let host = middleware::request_host(steps).unwrap_or(target.authority);
    put_field(out, "Host", host.as_bytes());
    for field in head.fields {
        let is_host = Known::of(field.name) == Some(Known::Host);
        if !is_host && !middleware::decides_request(steps, field.name.as_bytes()) {
            put_field(out, field.name, field.value);
        }
    }
    out.extend_from_slice(way.noted);
    write_client_cert(out, steps, way.chain);
    for (name, value) in granted(steps, way.grants) {
        if is_value(value) {
            put_field(out, name, value);
        }
    }
    for (name, value) in middleware::request_fields(steps) {
        if is_value(value.as_bytes()) {
            put_field(out, name, value.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}
