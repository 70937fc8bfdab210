//! A complete request head, and what is to become of it.

use super::Worker;
use super::answer::Answer;
use super::body::Body;
use super::choose::{self, Pick, Sight, Start};
use super::client::after;
use super::conn::{Role, Talk};
use super::exchange::{Asking, CLEAR, Exchange, HeadBytes, RouteRef, SECURE, route_of, table_of};
use super::fields::{self, Outgoing};
use super::internal;
use super::key_of;
use super::pass::{write_target, write_user};
use crate::base::id::{ConnId, EntryId, ServiceId};
use crate::base::limits::Limits;
use crate::base::mark::Mark;
use crate::base::page::Chunk;
use crate::base::slab::Key;
use crate::base::time::Time;
use crate::config::fixed::IdleConns;
use crate::h1::chunked::{Bounds, Decoder};
use crate::h1::parse::{self, Parsed};
use crate::http::blame::{Misbehaved, Who};
use crate::http::framing::Framing;
use crate::http::head::{Persistence, RequestHead, Version};
use crate::http::method::Method;
use crate::http::options::is_websocket;
use crate::http::request::RequestInfo;
use crate::http::target::{self, Reading, Rewritten, Target};
use crate::http::websocket;
use crate::net::wire::Due;
use crate::service::choosing::Asker;
use crate::service::load::InFlight;
use crate::service::middleware::{AUTHORIZATION, path};
use crate::view::stats::MirrorSkip;
use crate::view::{Advertised, Cover, Destination, Internal, NodeKind, Offer, View};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

/// Where a request leads.
pub(super) enum Routed {
    To(RouteRef),
    /// The list of uplinks was asked for.
    Advert(Arc<Advertised>),
    /// A parent names an uplink that this worker's view does not have, or no longer.
    Undiscovered,
    Nowhere,
}

impl Worker {
    /// Begins to serve a request.
    pub(super) fn begin(&mut self, id: ConnId, head: &RequestHead<'_>, bytes: HeadBytes) {
        self.serial += 1;
        self.counts().requests.add(1);
        let mut rewritten = std::mem::take(&mut self.scratch.rewritten);
        match target::read_as(head, &mut rewritten, self.reading_of(id)) {
            Ok(target) => {
                let key = self.open_exchange(id, head, &target, bytes);
                self.record_asked(key, head);
                self.direct(key, head, &target);
            }
            Err(what) => {
                self.grown_bytes -= bytes.grown();
                self.tell_off(id, Misbehaved::client(what));
            }
        }
        self.scratch.rewritten = rewritten;
    }

    /// How the entry point of a client reads targets.
    fn reading_of(&self, id: ConnId) -> Reading {
        let client = self.conn(id).and_then(|conn| conn.client());
        let entry = client.expect("a client that asks has its slot").entry;
        self.view.entries[usize::from(entry.0)].settings.reading
    }

    fn open_exchange(
        &mut self,
        id: ConnId,
        head: &RequestHead<'_>,
        target: &Target<'_>,
        bytes: HeadBytes,
    ) -> Key {
        let draining = self.is_draining();
        let now = self.now;
        let secure = self.secure_of(id);
        let over_tls = secure.is_some();
        let caller = secure.and_then(|secure| secure.session.caller().map(Arc::clone));
        let chain = secure.and_then(|secure| secure.session.chain().map(Arc::clone));
        let conn = self.conns.get_mut(key_of(id)).expect("a client that asks has its slot");
        let Role::Client(client) = &mut conn.role else { unreachable!("only clients ask") };
        let settings = &self.view.entries[usize::from(client.entry.0)].settings;
        client.requests += 1;
        let spent = settings.keep_alive_requests_max > 0
            && client.requests >= settings.keep_alive_requests_max;
        let aged = !settings.keep_alive_time_max.is_zero()
            && now.since(client.opened) >= settings.keep_alive_time_max;
        client.said_last |= head.persistence == Persistence::Close;
        client.last |= draining || spent || aged || client.said_last;
        let streams = conn.stream.is_some();
        let up = incoming(head.framing, streams, &self.limits);
        if up.is_over() {
            conn.wire.set(Due::Request, Time::NEVER);
        }
        conn.wire.set(Due::Response, after(now, settings.write_timeout));
        let mut asking = asking(head, target, bytes, over_tls);
        let offer = &self.view.entries[usize::from(client.entry.0)].offer;
        asking.from_parent = caller.is_some() && matches!(offer, Offer::Uplinks { .. });
        asking.caller = caller;
        asking.chain = chain;
        if streams {
            asking.version = Version::Http2;
        }
        if self.access.is_some() {
            let claim = fields::forwarded_for(head.fields, settings, client.peer.ip());
            asking.forwarded_for = claim.map_or(0..0, |claim| range_in(asking.head.bytes(), claim));
            let callers = asking.from_parent.then(|| fields::callers(head.fields)).flatten();
            asking.callers = callers.map_or(0..0, |list| range_in(asking.head.bytes(), list));
        }
        let view = Rc::clone(&self.view);
        let mut exchange = Exchange::new(view, client.entry, client.peer, asking);
        exchange.client = Some(id);
        exchange.up = up;
        exchange.framing = head.framing;
        exchange.serial = self.serial;
        exchange.started = now;
        exchange.sent_at = now;
        let key = self.exchanges.insert(exchange);
        client.talk = Talk::Busy(key);
        key
    }

    /// Finds out who answers, and gets it going.
    fn direct(&mut self, key: Key, head: &RequestHead<'_>, target: &Target<'_>) {
        let exchange = self.exchanges.get(key).expect("just opened");
        let (view, entry, peer) = (Rc::clone(&exchange.view), exchange.entry, exchange.peer);
        if head.method == Method::Connect {
            self.answer(key, &Answer::bare(501));
            return;
        }
        let instance = &view.fixed.tieline.instance;
        if fields::is_loop(head.fields, instance, self.limits.hops_max) {
            self.mark(Mark::LoopRefused);
            self.answer(key, &Answer::text(508, "Loop Detected\n"));
            return;
        }
        let info = RequestInfo::new(head, target, peer.ip());
        let secure = exchange.asking.over_tls;
        match route(&view, entry, secure, &info, head) {
            Routed::To(route) if self.is_misdirected(key, &view, entry, route) => {
                self.mark(Mark::Misdirected);
                self.answer(key, &Answer::text(421, "Misdirected Request\n"));
            }
            Routed::Advert(_) if self.is_misplaced(key, &view, entry) => {
                self.mark(Mark::Misdirected);
                self.answer(key, &Answer::text(421, "Misdirected Request\n"));
            }
            Routed::To(route) => {
                let exchange = self.exchanges.get_mut(key).expect("just opened");
                exchange.route = Some(route);
                let found = route_of(&view, entry, route).expect("the table has what it found");
                match &found.to {
                    Destination::Service(_) | Destination::Layer(_) => {
                        self.pass(key, head, target);
                    }
                    Destination::Broken(_) => self.answer_broken(key, &found.name),
                }
            }
            Routed::Advert(advert) => self.answer_advert(key, head, &advert),
            Routed::Undiscovered => {
                self.mark(Mark::UplinkUnknown);
                self.answer(key, &Answer::text(503, "no such uplink\n"));
            }
            Routed::Nowhere => self.answer(key, &Answer::text(404, "404 page not found\n")),
        }
    }

    /// Whether the client came in by other options than the route wants.
    fn is_misdirected(&self, key: Key, view: &View, entry: EntryId, route: RouteRef) -> bool {
        let wanted = route_of(view, entry, route).map_or("", |route| &route.options);
        !wanted.is_empty() && self.options_of(key) != Some(wanted)
    }

    /// Whether the client came in by other options than those of the entry point.
    fn is_misplaced(&self, key: Key, view: &View, entry: EntryId) -> bool {
        let wanted = view.entries[usize::from(entry.0)].settings.tls.as_deref();
        wanted.is_some() && self.options_of(key) != wanted
    }

    pub(super) fn options_of(&self, key: Key) -> Option<&str> {
        let client = self.exchanges.get(key)?.client?;
        let policy = self.secure_of(client)?.session.policy()?;
        Some(&policy.name)
    }

    pub(super) fn answer_broken(&mut self, key: Key, name: &str) {
        let text = format!("router {name} is broken\n");
        let body = Chunk::shared(text.into_bytes().into());
        self.answer(key, &Answer { body, ..Answer::text(503, "") });
    }

    fn answer_advert(&mut self, key: Key, head: &RequestHead<'_>, advert: &Advertised) {
        let same = crate::http::fields::all(head.fields, "if-none-match")
            .flat_map(crate::http::fields::list)
            .any(|tag| tag == b"*" || tag == advert.etag.as_bytes());
        let etag = [("ETag", advert.etag.as_str())];
        let whole = Answer {
            status: 200,
            content_type: "application/json",
            fields: &etag,
            body: Chunk::shared(Arc::clone(&advert.body)),
        };
        let unchanged = Answer { fields: &etag, ..Answer::empty(304) };
        self.answer(key, if same { &unchanged } else { &whole });
    }

    /// Walks down from `service` and sends the request to what it finds.
    pub(super) fn send_to(
        &mut self,
        key: Key,
        service: ServiceId,
        head: &RequestHead<'_>,
        target: &Target<'_>,
    ) {
        let depth_max = self.limits.service_depth;
        let now = self.now;
        let exchange = self.exchanges.get_mut(key).expect("a directed exchange exists");
        let asker = Asker { fields: head.fields, ip: exchange.peer.ip(), now, peeks: false };
        let start = Start {
            from: service,
            behind: exchange.guards.last().is_some_and(|met| met.service == service),
            anew: exchange.anew.take(),
            again: exchange.again.as_deref(),
            depth_max,
        };
        let sight = Sight { view: &exchange.view, now, shut: &exchange.shut };
        let walk = choose::walk(&sight, &start, &mut exchange.choices, &asker);
        exchange.service = Some(walk.service);
        let paged = exchange.paging.is_some();
        exchange.mirrored |= walk.mirrored && !paged;
        exchange.judged |= walk.judged;
        exchange.sets_cookie |= walk.sets_cookie;
        if walk.claims.is_some() {
            exchange.claims = walk.claims.map(Box::new);
        }
        if walk.passed_by {
            self.accounts.mine().marks.hit(Mark::BreakerPassedBy);
        }
        self.record_sent(key, service, &walk);
        let exchange = self.exchanges.get_mut(key).expect("as just now");
        if let Pick::Server(server) = walk.pick {
            exchange.server = Some(server);
            exchange.load = choose::load_of(&exchange.view, server).map(InFlight::at);
        }
        // Also if nobody serves: the mirrors may have somebody.
        self.prepare_to_keep(key);
        match walk.pick {
            Pick::Server(_) => {
                if self.compose(key, head, target) {
                    self.connect(key);
                }
            }
            // A page is not fetched past what stands before its service.
            Pick::Internal(_) | Pick::Guarded(_) if paged => {
                self.answer(key, &Answer::bare(503));
            }
            Pick::Guarded(service) => self.meet(key, service),
            Pick::Internal(internal) => self.answer_internal(key, internal, head, target),
            Pick::Nobody(text) => {
                self.mark(Mark::NobodyServes);
                if self.exchanges.get(key).is_some_and(|exchange| exchange.client.is_none()) {
                    self.skip_mirror(MirrorSkip::NoServer);
                }
                self.answer(key, &Answer::text(503, text));
            }
        }
    }

    fn answer_internal(
        &mut self,
        key: Key,
        service: Internal,
        head: &RequestHead<'_>,
        target: &Target<'_>,
    ) {
        let exchange = self.exchanges.get(key).expect("a directed exchange exists");
        let view = Rc::clone(&exchange.view);
        let steps = exchange.steps();
        let mut path = target.path.to_owned();
        if path::rewrite(steps, &mut path, &mut self.scratch.memory, |_, _| {}).is_err() {
            self.mark(Mark::UncleanPath);
            self.answer(key, &Answer::empty(400));
            return;
        }
        let ask = internal::Ask {
            method: head.method.as_str().as_bytes(),
            path: path.as_bytes(),
            query: target.query.unwrap_or("").as_bytes(),
        };
        if service == Internal::Rest && internal::is_offer(&ask) {
            self.begin_offer(key);
            return;
        }
        let sight = internal::Sight {
            view: &view,
            stats: self.accounts.stats(),
            now: self.now,
            draining: self.is_draining(),
        };
        let told = internal::answer(service, &ask, &sight);
        let fields: Vec<(&str, &str)> =
            told.fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let body = Chunk::shared(told.body.into());
        let content_type = told.content_type;
        self.answer(key, &Answer { status: told.status, content_type, fields: &fields, body });
    }

    /// Writes what the middlewares make of path and query, and the fields that they add, into the
    /// scratch. False if the request was answered instead.
    pub(super) fn note_changes(
        &mut self,
        key: Key,
        head: &RequestHead<'_>,
        target: &Target<'_>,
    ) -> bool {
        let exchange = self.exchanges.get(key).expect("a directed exchange exists");
        let out = &mut self.scratch;
        let steps = exchange.steps();
        write_target(&mut out.target, target);
        out.noted.clear();
        let noted = &mut out.noted;
        let note =
            |name: &'static str, value: &str| fields::put_field(noted, name, value.as_bytes());
        if path::rewrite(steps, &mut out.target, &mut out.memory, note).is_err() {
            self.mark(Mark::UncleanPath);
            self.answer(key, &Answer::empty(400));
            return false;
        }
        for (step, field) in steps.iter().filter_map(|step| Some((step, step.user_field()?))) {
            let authorization = crate::http::fields::first(head.fields, AUTHORIZATION);
            write_user(step, &mut out.user, authorization, &mut out.judging.decoded);
            if crate::http::fields::is_value(out.user.as_bytes()) && !out.user.is_empty() {
                fields::put_field(&mut out.noted, field, out.user.as_bytes());
            }
        }
        true
    }

    /// Writes the head for the chosen server into the scratch. False if the request was answered
    /// instead.
    fn compose(&mut self, key: Key, head: &RequestHead<'_>, target: &Target<'_>) -> bool {
        let exchange = self.exchanges.get(key).expect("a directed exchange exists");
        if let Some(paging) = &exchange.paging {
            let (pages, at) = (Arc::clone(&paging.pages), paging.at);
            return self.compose_page(key, head, target, &pages, at);
        }
        if !self.note_changes(key, head, target) {
            return false;
        }
        let exchange = self.exchanges.get(key).expect("a directed exchange exists");
        let out = &mut self.scratch;
        let steps = exchange.steps();
        let server = exchange.server().expect("a server was chosen");
        let aim = exchange.target();
        let view = &exchange.view;
        let mirror = exchange.client.is_none();
        let key = exchange.key_of_ours();
        out.head.clear();
        let outgoing = Outgoing {
            head,
            bytes: exchange.asking.head.bytes(),
            target: &out.target,
            authority: target.authority,
            peer: exchange.peer.ip(),
            entry: &view.entries[usize::from(exchange.entry.0)].settings,
            secure: exchange.asking.over_tls,
            instance: &view.fixed.tieline.instance,
            caller: exchange.asking.caller.as_deref(),
            chain: exchange.asking.chain.as_deref(),
            from_parent: exchange.asking.from_parent,
            covered: aim.is_some_and(|aim| matches!(aim.cover, Cover::Tls(_))),
            steps,
            web: exchange.web,
            noted: &out.noted,
            grants: &exchange.grants,
            server,
            host: aim.filter(|_| !passes_host(view, exchange)).map(|aim| aim.host_field.as_str()),
            framing: exchange.framing,
            key: key.as_deref(),
            expects_continue: exchange.asking.expects_continue && !mirror && !exchange.continued,
            close: aim.is_some_and(|aim| aim.transport.idle == IdleConns::NoReuse),
        };
        fields::write_request(&mut out.head, &outgoing);
        true
    }

    /// Sends a request once more: its head is read again from the bytes that were kept.
    pub(super) fn send_again(&mut self, key: Key) {
        if self.recompose(key) {
            self.connect(key);
        }
    }

    /// Composes the head for the chosen server once more. False if the request was answered.
    pub(super) fn recompose(&mut self, key: Key) -> bool {
        let exchange = self.exchanges.get(key).expect("an exchange to send exists");
        if exchange.errand.is_some() {
            self.scratch.head.clear();
            self.scratch.head.extend_from_slice(exchange.asking.head.bytes());
            return true;
        }
        self.with_head(key, |worker, head, target| worker.compose(key, head, target))
    }

    /// Reads the head again from the bytes that were kept.
    pub(super) fn with_head<T>(
        &mut self,
        key: Key,
        then: impl FnOnce(&mut Self, &RequestHead<'_>, &Target<'_>) -> T,
    ) -> T {
        let exchange = self.exchanges.get(key).expect("an exchange to send again exists");
        let kept = exchange.asking.head.clone();
        let settings = &exchange.view.entries[usize::from(exchange.entry.0)].settings;
        let (reading, bounds) = (settings.reading, parse::Bounds::again(settings.aliases));
        let mut fields = parse::Scratch::new();
        let mut progress = parse::Progress::default();
        let mut rewritten = Rewritten::default();
        let parsed = parse::request_head(kept.bytes(), &mut progress, bounds, &mut fields);
        let Ok(Parsed::Complete { head, .. }) = parsed else {
            unreachable!("a head that was read once can be read again")
        };
        let target = target::read_as(&head, &mut rewritten, reading);
        let target = target.expect("as the first time");
        then(self, &head, &target)
    }
}

/// The end of a stream ends its content, whatever its head announces.
fn incoming(framing: Framing, streams: bool, limits: &Limits) -> Body {
    let bounds = Bounds { line_max: limits.chunk_line_bytes, trailer_max: limits.trailer_bytes };
    let comes = if streams && !framing.is_over() { Framing::UntilClose } else { framing };
    Body::new(comes, framing, || Decoder::new(Who::Client, bounds))
}

fn asking(head: &RequestHead<'_>, target: &Target<'_>, bytes: HeadBytes, over_tls: bool) -> Asking {
    let all = bytes.bytes();
    let lead = all.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    Asking {
        version: head.version,
        asked: head.asks(),
        method: narrow(lead)..narrow(lead + head.method.as_str().len()),
        target: range_in(all, head.target),
        host: range_in(all, target.authority),
        forwarded_for: 0..0,
        origin: 0..0,
        secure: false,
        upgrade: head.upgrade.map(|upgrade| range_in(all, upgrade)),
        idempotent: head.method.idempotent(),
        expects_continue: head.expects_continue && !head.framing.is_over(),
        websocket: head.upgrade.is_some_and(is_websocket),
        key: match head.upgrade {
            Some(upgrade) if is_websocket(upgrade) && head.method == Method::Get => {
                websocket::key(head.fields).map_or(0..0, |key| range_in(all, key))
            }
            _ => 0..0,
        },
        over_tls,
        caller: None,
        chain: None,
        from_parent: false,
        callers: 0..0,
        head: bytes,
    }
}

/// Where `part` lies in `whole`; nowhere if it is not a part of it.
pub(super) fn range_in(whole: &[u8], part: impl AsRef<[u8]>) -> Range<u32> {
    let part = part.as_ref();
    let (start, begin) = (part.as_ptr() as usize, whole.as_ptr() as usize);
    let range = start.checked_sub(begin).map(|at| at..at + part.len());
    match range.filter(|range| range.end <= whole.len()) {
        Some(range) => narrow(range.start)..narrow(range.end),
        None => 0..0,
    }
}

fn narrow(offset: usize) -> u32 {
    u32::try_from(offset).expect("a head is below 4 GiB")
}

pub(super) fn passes_host(view: &View, exchange: &Exchange) -> bool {
    let service = exchange.server.and_then(|server| view.services.get(server.service.0));
    match service.map(|service| &service.kind) {
        Some(NodeKind::Balancer { pass_host, .. }) => *pass_host,
        _ => true,
    }
}

pub(super) fn route(
    view: &View,
    entry: EntryId,
    secure: bool,
    info: &RequestInfo<'_>,
    head: &RequestHead<'_>,
) -> Routed {
    let at = &view.entries[usize::from(entry.0)];
    let table = match &at.offer {
        Offer::Routes(_) if secure => SECURE,
        Offer::Routes(_) => CLEAR,
        // What is meant for TLS is not there in clear text.
        Offer::Uplinks { .. } if secure != at.settings.tls.is_some() => return Routed::Nowhere,
        Offer::Uplinks { uplinks, advert } => {
            let named = fields::uplink_name(head.fields);
            let asks = matches!(head.method, Method::Get | Method::Head);
            let found = match named {
                None if asks && info.path == "/api/uplinks" => {
                    return Routed::Advert(Arc::clone(advert));
                }
                None => (uplinks.len() == 1).then_some(0),
                Some(name) => uplinks.iter().position(|it| same_name(it.name.as_bytes(), name)),
            };
            match found.and_then(|at| u16::try_from(at).ok()).map(u32::from) {
                Some(found) => found,
                None if named.is_some() => return Routed::Undiscovered,
                None => return Routed::Nowhere,
            }
        }
    };
    let position = table_of(view, entry, table).and_then(|table| table.find_at(info));
    position.map_or(Routed::Nowhere, |position| Routed::To(RouteRef { table, position }))
}

/// Names compare with every run of other characters as one hyphen.
fn same_name(one: &[u8], two: &[u8]) -> bool {
    normal(one).eq(normal(two))
}

fn normal(name: &[u8]) -> impl Iterator<Item = u8> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    name.iter().enumerate().filter_map(move |(at, b)| match plain(*b) {
        true => Some(*b),
        false if at > 0 && !plain(name[at - 1]) => None,
        false => Some(b'-'),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_whatever_stands_between_their_words() {
        for (one, other, same) in [
            ("shop-a", "shop.a", true),
            ("shop--a", "shop/a", true),
            ("-shop", "./shop", true),
            ("shop-", "shop..", true),
            ("shop-a-b", "shop.a.b", true),
            ("shop-a", "shopa", false),
            ("shop", "-shop", false),
            ("shop", "shop-", false),
            ("shop_a", "shop-a", false),
            ("shop-a", "shop-b", false),
            ("", "-", false),
        ] {
            assert_eq!(same_name(one.as_bytes(), other.as_bytes()), same, "{one} {other}");
            assert_eq!(same_name(other.as_bytes(), one.as_bytes()), same, "{other} {one}");
        }
    }
}
