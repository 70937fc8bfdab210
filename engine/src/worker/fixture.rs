//! A small gateway for tests: one router, one weighted service over two children.

use super::record::{AccessRecord, Choice, Version};
use crate::base::id::{ChildId, EntryId, ServerId, ServiceId, TargetId};
use crate::base::prng::Prng;
use crate::base::sip::SipKey;
use crate::base::time::{Span, Time, Wall};
use crate::config::fixed::EntryPoint;
use crate::config::fixed::Observed;
use crate::service::rotation::Rotation;
use crate::view::series::Protocol;
use crate::view::{
    Before, ChildView, Destination, EntryView, NodeKind, Offer, Route, ServerNode, ServiceNode,
    Turns, UplinkRef, View,
};
use std::sync::Arc;

fn entry() -> EntryView {
    let settings = EntryPoint::new("web", "127.0.0.1:80".parse().expect("an address"));
    let offer = Offer::Routes(Arc::default());
    let settings = Arc::new(settings);
    EntryView { id: EntryId(0), settings, stats: Arc::default(), offer, secure: None }
}

fn service(id: u32, name: &str, kind: NodeKind) -> Arc<ServiceNode> {
    let id = ServiceId(id);
    Arc::new(ServiceNode {
        id,
        name: name.into(),
        up: true,
        kind,
        choosing: None,
        guard: None,
        before: Before::default(),
        leash: None,
        rest: None,
        stats: Arc::default(),
    })
}

fn turns() -> Turns {
    let rotation = Arc::new(Rotation::of_turns(Box::new([0, 1])));
    Turns { rotation, ticket: Arc::default() }
}

pub(super) fn server(child: u16) -> Arc<ServerNode> {
    Arc::new(ServerNode {
        id: ServerId(child.into()),
        target: TargetId(child.into()),
        url: format!("http://127.0.0.1:910{child}").into(),
        prefix: String::new(),
        passive: false,
        uplink: Some(UplinkRef { child: ChildId(child), name: "shop".into() }),
    })
}

pub(super) fn view() -> View {
    let mut view = View {
        epoch: 7,
        fixed: Arc::default(),
        entries: vec![Arc::new(entry())],
        services: crate::view::table::Table::default(),
        targets: crate::view::table::Table::default(),
        children: Vec::new(),
        model: crate::view::model::Model::default(),
        status: Arc::default(),
        certificates: Arc::default(),
        clock: Arc::default(),
        key: SipKey::new(&mut Prng::new(1)),
        layers: Arc::default(),
        past: crate::view::past::Past::default(),
    };
    let children = Box::new([ServiceId(1), ServiceId(2)]);
    let weighted = NodeKind::Weighted { turns: turns(), services: children };
    view.services.set(0, Some(service(0, "shop@multicluster", weighted)));
    for (at, name) in ["east", "west"].into_iter().enumerate() {
        let number = u16::try_from(at).expect("two children");
        let servers = Box::new([server(number)]);
        let kind = NodeKind::Balancer { turns: turns(), servers, pass_host: true };
        let id = u32::from(number) + 1;
        let qualified = format!("shop-{name}@multicluster");
        view.services.set(id, Some(service(id, &qualified, kind)));
        view.children.push(Arc::new(ChildView {
            id: ChildId(number),
            name: name.into(),
            address: String::new(),
            stats: Arc::default(),
            uplinks: Vec::new(),
        }));
    }
    view
}

pub(super) fn route(internal: bool) -> Route {
    Route {
        name: "shop@file".into(),
        priority: 1,
        rank: 0,
        to: Destination::Service(ServiceId(0)),
        steps: Arc::new([]),
        internal,
        stats: Arc::default(),
        options: Arc::default(),
        observed: Observed::default(),
    }
}

pub(super) const CHOICES: [Choice; 1] = [Choice {
    service: ServiceId(0),
    ticket: 41,
    turn: 1,
    session: crate::service::choosing::Session::None,
    instead: false,
}];
pub(super) const WALL: Wall = Wall(1_700_000_000_000_000_000);

pub(super) fn record<'a>(
    view: &'a View,
    route: &'a Route,
    server: &'a ServerNode,
) -> AccessRecord<'a> {
    AccessRecord {
        view,
        entry: EntryId(0),
        route: Some(route),
        service: Some(ServiceId(2)),
        server: Some(server),
        server_addr: Some("127.0.0.1:9101".parse().expect("an address")),
        choices: &CHOICES,
        client: "192.0.2.7:5000".parse().expect("an address"),
        user: "",
        forwarded_for: b"",
        callers: b"",
        caller: "",
        version: Version::Http11,
        suite: None,
        protocol: Protocol::Http,
        method: b"GET",
        target: b"/a?b=\"c\"",
        authority: b"shop.example:8080",
        request_fields: b"user-agent: te\"st\r\naccept: a\r\ncookie: secret\r\nACCEPT: b\r\n",
        origin_fields: b"Server: tiny\r\n",
        response_fields: b"Server: tiny\r\n",
        started: Time::from_nanos(5_000_000),
        ended: Time::from_nanos(17_000_001),
        origin_took: Span::millis(10),
        request_bytes: 3,
        response_bytes: 1_000,
        origin_bytes: 1_000,
        status: 200,
        origin_status: 200,
        retries: 0,
        serial: 9,
    }
}
