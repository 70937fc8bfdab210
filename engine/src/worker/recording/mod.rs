//! What a worker decides, and by what: each decision is written to the tape of the worker when it
//! is taken, with secrets hidden. From the tape come capsules.

mod bytes;
pub mod event;

use super::Worker;
use super::choose::{Pick, Walk};
use super::exchange::{Exchange, route_of, server_of, service_of};
use super::retry::Cause;
use crate::base::id::ServiceId;
use crate::base::slab::Key;
use crate::http::discreet::{Veil, is_shown};
use crate::http::fields::Known;
use crate::http::head::RequestHead;
use crate::service::choosing::Session;
use crate::service::middleware::Verdict;
use crate::view::stats::Stats;
use crate::view::{NodeKind, View};
use bytes::{Eye, Kind, Pen};
use event::{Record, Why};
use std::rc::Rc;

/// Members whose load is recorded with a choice.
const LOADS_MAX: usize = 64;

/// Memory for a record that is being made.
#[derive(Debug, Default)]
pub(super) struct Draft {
    record: Vec<u8>,
    decoded: Vec<u8>,
}

impl Draft {
    /// Room for records, so that writing one allocates nothing.
    pub(super) fn new(bytes: u32) -> Self {
        Self {
            record: Vec::with_capacity(2 * bytes as usize),
            decoded: Vec::with_capacity(bytes as usize),
        }
    }
}

impl Worker {
    /// Whether what becomes of this exchange is recorded: those of clients are.
    fn records(&self, key: Key) -> Option<&Exchange> {
        if !self.counts().tape.is_on() {
            return None;
        }
        self.exchanges.get(key).filter(|exchange| exchange.client.is_some())
    }

    /// A request came.
    pub(super) fn record_asked(&mut self, key: Key, head: &RequestHead<'_>) {
        if self.records(key).is_none() {
            return;
        }
        let mut draft = std::mem::take(&mut self.scratch.draft);
        let exchange = self.exchanges.get(key).expect("just seen");
        let veil = Veil::new(exchange.view.key);
        let options = self.options_of(key).unwrap_or_default();
        let mut pen = Pen(&mut draft.record);
        pen.begin(Kind::Asked, exchange.serial, self.now.nanos());
        let cut_at = pen.0.len();
        pen.flag(false).u64(exchange.view.epoch).u16(exchange.entry.0);
        pen.flag(exchange.asking.over_tls).text(options.as_bytes()).ip(exchange.peer.ip());
        pen.text(head.method.as_str().as_bytes());
        pen.text(head.host.unwrap_or_default().as_bytes());
        let target = head.target;
        pen.written(|out| veil.put_target(out, target, &mut draft.decoded));
        let most = self.limits.record_bytes as usize;
        for field in head.fields {
            if Known::of(field.name) == Some(Known::Host) {
                continue;
            }
            let before = pen.0.len();
            pen.text(field.name.as_bytes());
            match is_shown(field.name) || field.value.is_empty() {
                true => pen.text(field.value),
                false => pen.hidden(veil.hash(field.value)),
            };
            if pen.0.len() > most {
                pen.0.truncate(before);
                pen.0[cut_at] = 1;
            }
        }
        self.counts().tape.write(&draft.record);
        self.scratch.draft = draft;
    }

    /// A middleware does more than let a request pass.
    pub(super) fn record_judged(&mut self, key: Key, verdict: Verdict) {
        let Some(exchange) = self.records(key) else { return };
        let (what, status) = match verdict {
            Verdict::Pass | Verdict::Entered(_) => return,
            Verdict::Refuse(status) | Verdict::Bare(status) | Verdict::Redirect(status) => {
                (event::What::Answered, status)
            }
            Verdict::Preflight => (event::What::Answered, 200),
            Verdict::TooMany(_) | Verdict::Full => (event::What::Refused, 429),
            Verdict::Unauthorized | Verdict::Stale => (event::What::Refused, 401),
            Verdict::Open(status) => (event::What::Refused, status),
            Verdict::Collect
            | Verdict::Hold(_)
            | Verdict::Verify
            | Verdict::Consult
            | Verdict::Count => (event::What::Held, 0),
        };
        let (serial, step) = (exchange.serial, exchange.passed);
        let mut pen = Pen(&mut self.scratch.draft.record);
        pen.begin(Kind::Judged, serial, self.now.nanos());
        pen.u16(step).u8(what as u8).u16(status);
        self.counts().tape.write(&self.scratch.draft.record);
    }

    /// A walk from `service` ended.
    pub(super) fn record_sent(&mut self, key: Key, service: ServiceId, walk: &Walk) {
        if self.records(key).is_none_or(|exchange| exchange.paging.is_some()) {
            return;
        }
        let mut draft = std::mem::take(&mut self.scratch.draft);
        let exchange = self.exchanges.get(key).expect("just seen");
        let view = Rc::clone(&exchange.view);
        let route = exchange.route.and_then(|route| route_of(&view, exchange.entry, route));
        let mut pen = Pen(&mut draft.record);
        pen.begin(Kind::Sent, exchange.serial, self.now.nanos());
        pen.text(route.map_or("", |route| &route.name).as_bytes());
        pen.text(name_of(&view, service).as_bytes()).flag(walk.mirrored).flag(walk.passed_by);
        match walk.pick {
            Pick::Server(to) => {
                let server = server_of(&view, to.service, to.position);
                pen.u8(0).text(server.map_or("", |server| &server.url).as_bytes());
            }
            Pick::Internal(internal) => {
                pen.u8(1).text(internal.name().as_bytes());
            }
            Pick::Nobody(_) => {
                pen.u8(2);
            }
            Pick::Guarded(service) => {
                pen.u8(3).text(name_of(&view, service).as_bytes());
            }
        }
        for choice in exchange.choices.as_slice() {
            pen.text(name_of(&view, choice.service).as_bytes()).u64(choice.ticket);
            let session = match choice.session {
                Session::None => 0,
                Session::Kept => 1,
                Session::Renewed => 2,
                Session::Begun => 3,
            };
            pen.u16(choice.turn).u8(session).flag(choice.instead);
            put_loads(&mut pen, &view, choice.service);
        }
        self.counts().tape.write(&draft.record);
        self.scratch.draft = draft;
    }

    /// A request is sent once more.
    pub(super) fn record_again(&mut self, key: Key, cause: Option<Cause>, status: u16) {
        let Some(exchange) = self.records(key) else { return };
        let why = match cause {
            Some(Cause::Unreached) => Why::Unreached,
            Some(Cause::Lost) => Why::Lost,
            Some(Cause::Answered) => Why::Answered,
            Some(Cause::Barred) => Why::Barred,
            None => Why::OtherSide,
        };
        let serial = exchange.serial;
        let mut pen = Pen(&mut self.scratch.draft.record);
        pen.begin(Kind::Again, serial, self.now.nanos()).u8(why as u8).u16(status);
        self.counts().tape.write(&self.scratch.draft.record);
    }

    /// A request has ended.
    pub(super) fn record_done(&mut self, exchange: &Exchange) {
        if !self.counts().tape.is_on() || exchange.client.is_none() {
            return;
        }
        let mut pen = Pen(&mut self.scratch.draft.record);
        pen.begin(Kind::Done, exchange.serial, self.now.nanos());
        pen.text(exchange.route().map_or("", |route| &route.name).as_bytes());
        pen.u16(exchange.passed).u16(exchange.status).u16(exchange.origin_status);
        pen.u32(u32::from(exchange.retries));
        self.counts().tape.write(&self.scratch.draft.record);
    }
}

fn name_of(view: &View, service: ServiceId) -> &str {
    service_of(view, service).map_or("", |node| &node.name)
}

/// What a service knew of the load of its members, if it chooses by that.
fn put_loads(pen: &mut Pen<'_>, view: &View, service: ServiceId) {
    let node = service_of(view, service);
    let balances = node.filter(|node| matches!(node.kind, NodeKind::Balancer { .. }));
    let loads = balances.and_then(|node| node.choosing.as_ref()).map(|it| &*it.loads);
    let loads = loads.unwrap_or_default();
    let loads = &loads[..loads.len().min(LOADS_MAX)];
    pen.u16(u16::try_from(loads.len()).unwrap_or(u16::MAX));
    for load in loads {
        let (in_flight, pace) = load.words();
        pen.u32(in_flight).u64(pace);
    }
}

/// What all workers recorded, the oldest first, at most the newest `bytes`; and how many records
/// there were before.
pub(super) fn tail(stats: &Stats, entries: &[&str], bytes: u32) -> (Vec<Record>, u64) {
    let each = bytes as usize / stats.workers.len().max(1);
    let (mut records, mut lost) = (Vec::new(), 0);
    for (index, worker) in (0..).zip(&stats.workers) {
        let reel = worker.tape.read(each);
        lost += reel.lost;
        let all = reel.records.iter().filter_map(|record| Eye(record).record(index, entries));
        records.extend(all);
    }
    records.sort_by_key(|record| (record.at, record.worker, record.request));
    (records, lost)
}
