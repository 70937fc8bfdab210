//! Polling children.

use super::desk::{Desk, Host, ok, status};
use crate::secure::Ca;
use crate::secure_servers::door;
use engine::base::id::JobId;
use engine::base::limits::ControlLimits;
use engine::base::mark::Mark;
use engine::base::time::Span;
use engine::boundary::{Answer, Input};
use engine::config::fixed::{
    Authority, Child, Fixed, IdleConns, Multicluster, OnStale, Scheme, Transport,
};
use engine::config::tls::{ClientTls, Trust};
use engine::view::status::ChildPhase;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

const EAST: &str = "10.0.0.1:9443";
const WEST: &str = "10.0.0.2:9443";
const SHOP: &str = r#"[{"name":"shop","entryPoints":["multicluster"],"weight":3}]"#;

pub(super) fn child(name: &str, address: &str) -> Child {
    let (host, port) = address.rsplit_once(':').expect("host and port");
    let (host, port) = (host.to_owned(), port.parse().expect("a port"));
    Child {
        name: name.into(),
        address: Authority { scheme: Scheme::Http, host, port },
        transport: Transport::default(),
        on_stale: OnStale::Keep,
    }
}

pub(super) fn parent(children: Vec<Child>) -> Fixed {
    Fixed {
        multicluster: Some(Multicluster {
            poll_interval: Span::secs(5),
            poll_timeout: Span::secs(2),
            children,
        }),
        ..Fixed::default()
    }
}

fn east() -> Fixed {
    parent(vec![child("east", EAST)])
}

pub(super) fn uplinks(etag: &str, body: &str) -> Host {
    Host::Uplinks { etag: format!("\"{etag}\""), body: body.into() }
}

pub(super) fn phase(desk: &Desk, child: u32) -> ChildPhase {
    desk.view().status.children.get(child).expect("every child has a status").phase
}

pub(super) fn error(desk: &Desk, child: u32) -> String {
    desk.view().status.children.get(child).expect("every child has a status").error.clone()
}

/// The names a request can be routed by, and whether they serve.
pub(super) fn services(desk: &Desk) -> Vec<String> {
    let mut names: Vec<String> = desk
        .view()
        .services
        .iter()
        .filter(|node| node.name.ends_with("@multicluster"))
        .map(|node| format!("{} {}", node.name, if node.up { "up" } else { "down" }))
        .collect();
    names.sort();
    names
}

#[test]
fn a_child_is_polled_at_once_and_its_uplinks_become_services() {
    let mut desk = Desk::new(east());
    desk.host(EAST, uplinks("a", SHOP));
    desk.run(Span::millis(100));
    assert_eq!(desk.requests.len(), 1);
    let (_, _, request) = &desk.requests[0];
    assert!(request.starts_with("GET /api/uplinks HTTP/1.1\r\nHost: 10.0.0.1:9443\r\n"));
    assert_eq!(phase(&desk, 0), ChildPhase::Fresh);
    assert_eq!(services(&desk), ["shop-east@multicluster up", "shop@multicluster up"]);
    assert_eq!(desk.said("child answers"), 1);
}

#[test]
fn unchanged_answers_cost_one_connection_and_no_view() {
    let mut desk = Desk::new(east());
    desk.host(EAST, uplinks("a", SHOP));
    desk.run_secs(1);
    let views = desk.views.len();
    desk.run_secs(60);
    let polls = desk.requests.len();
    assert!((11..=13).contains(&polls), "{polls} polls in a minute");
    assert!(desk.requests[1..].iter().all(|(_, _, it)| it.contains("If-None-Match: \"a\"\r\n")));
    assert_eq!(desk.dials.len(), 1, "the connection is kept");
    assert_eq!(desk.views.len(), views);
    assert_eq!(desk.view().children[0].stats.polls_unchanged.load(Relaxed) + 1, polls as u64);
    assert_eq!(desk.said("child"), 1, "nothing changed, nothing is said");
}

#[test]
fn an_answer_without_a_tag_that_says_the_same_makes_no_view() {
    let mut desk = Desk::new(east());
    desk.host(EAST, Host::Says(ok("", SHOP)));
    desk.run_secs(1);
    let views = desk.views.len();
    desk.run_secs(20);
    assert!(desk.hits(Mark::PollSameWithoutTag) >= 3);
    assert_eq!(desk.views.len(), views);
}

#[test]
fn every_kind_of_failure_is_told_apart_and_keeps_the_last_good_answer() {
    let huge = "x".repeat(2 * 1024 * 1024);
    for (host, code, text) in [
        (Host::Refuse, "refused", "10.0.0.1:9443 refused the connection"),
        (Host::BlackHole, "timeout", "10.0.0.1:9443 did not accept the connection in time"),
        (Host::Silent, "timeout", "no complete answer in time"),
        (Host::HangUp, "connection-cut", "the connection ended before a response began"),
        (Host::Says(status(401)), "unauthorized", "the answer is status 401"),
        (Host::Says(status(403)), "forbidden", "the answer is status 403"),
        (Host::Says(status(404)), "not-found", "the answer is status 404"),
        (Host::Says(status(302)), "bad-status", "the answer is status 302"),
        (Host::Says(status(304)), "bad-status", "the answer is status 304"),
        (
            Host::Says("\x15\x03\x01\r\n\r\n".into()),
            "not-http",
            "the answer is not valid HTTP/1.1: the start line is malformed",
        ),
        (Host::Says(ok("", &huge)), "too-large", "the answer exceeds 1048576 bytes"),
        (
            Host::SaysAndEnds("HTTP/1.1 200 OK\r\n".into()),
            "connection-cut",
            "the connection ended inside the head",
        ),
        (Host::Says(ok("", "{}")), "bad-answer", "expected an array, found an object"),
    ] {
        let mut desk = Desk::new(east());
        desk.host(EAST, Host::Says(ok("", SHOP)));
        desk.run_secs(1);
        let good = services(&desk);
        desk.host(EAST, host.clone());
        desk.end_conns(EAST);
        desk.run_secs(60);
        assert_eq!((phase(&desk, 0), error(&desk, 0).as_str()), (ChildPhase::Stale, text));
        assert_eq!(desk.codes(), [code], "{host:?}");
        assert_eq!(services(&desk), good, "the last good answer stays in use");
        assert_eq!(desk.said("poll failed"), 1, "one line for one change of state");
        desk.host(EAST, Host::Says(ok("", SHOP)));
        desk.run_secs(10);
        assert_eq!(phase(&desk, 0), ChildPhase::Fresh);
        assert_eq!(desk.codes(), Vec::<&str>::new());
        assert_eq!(desk.said("child answers"), 2);
    }
}

#[test]
fn a_child_that_never_answered_is_an_error_and_not_a_warning() {
    let mut desk = Desk::new(east());
    desk.run_secs(1);
    assert_eq!(phase(&desk, 0), ChildPhase::Unseen);
    assert!(desk.view().status.diagnostics[0].is_error());
    assert_eq!(desk.said("nothing is known of this child"), 1);
}

#[test]
fn redirects_of_polls_are_not_followed() {
    let mut desk = Desk::new(east());
    let head = "HTTP/1.1 302 Found\r\nLocation: http://10.0.0.2:9443/\r\nContent-Length: 0\r\n\r\n";
    desk.host(EAST, Host::Says(head.into()));
    desk.host(WEST, uplinks("a", SHOP));
    desk.run_secs(60);
    assert_eq!(desk.requests_to(WEST), 0);
    assert!(desk.view().status.diagnostics[0].help.contains("redirects are not followed"));
}

#[test]
fn a_shorter_list_takes_services_away_at_once() {
    let mut desk = Desk::new(east());
    desk.host(EAST, uplinks("a", SHOP));
    desk.run_secs(1);
    desk.host(EAST, uplinks("b", "[]"));
    desk.run_secs(6);
    assert!(!services(&desk).iter().any(|name| name.ends_with("up")), "{:?}", services(&desk));
    assert_eq!(phase(&desk, 0), ChildPhase::Fresh);
}

#[test]
fn a_stale_child_is_withdrawn_when_its_policy_says_so_and_returns_with_its_next_answer() {
    let mut fixed = east();
    let multicluster = fixed.multicluster.as_mut().expect("a parent");
    multicluster.children[0].on_stale = OnStale::Withdraw { after: Span::secs(30) };
    let mut desk = Desk::new(fixed);
    desk.host(EAST, uplinks("a", SHOP));
    desk.run_secs(1);
    desk.host(EAST, Host::Refuse);
    desk.end_conns(EAST);
    desk.run_secs(25);
    assert_eq!(phase(&desk, 0), ChildPhase::Stale);
    assert!(services(&desk).contains(&"shop@multicluster up".to_owned()));
    desk.run_secs(6);
    assert_eq!(phase(&desk, 0), ChildPhase::Overdue);
    assert!(!services(&desk).contains(&"shop@multicluster up".to_owned()));
    assert_eq!(desk.hits(Mark::ChildOverdue), 1);
    desk.host(EAST, uplinks("a", SHOP));
    desk.run_secs(10);
    assert_eq!(phase(&desk, 0), ChildPhase::Fresh);
    assert!(services(&desk).contains(&"shop@multicluster up".to_owned()));
}

#[test]
fn a_silent_child_delays_no_other() {
    let children = vec![child("east", EAST), child("west", WEST)];
    let mut desk = Desk::new(parent(children));
    desk.host(EAST, Host::BlackHole);
    desk.host(WEST, uplinks("a", SHOP));
    desk.run_secs(60);
    assert_eq!(phase(&desk, 1), ChildPhase::Fresh);
    assert!(desk.requests_to(WEST) >= 11);
    let dials = desk.dials.iter().filter(|(_, to)| to.to_string() == EAST).count();
    assert!((8..=9).contains(&dials), "{dials}: the next poll starts after the last has ended");
}

#[test]
fn polls_beyond_the_limit_wait_their_turn() {
    let children: Vec<Child> =
        (0..50).map(|n| child(&format!("c{n:02}"), &format!("10.0.1.{n}:80"))).collect();
    let limits = ControlLimits { polls_max: 2, ..ControlLimits::default() };
    let mut desk = Desk::with_limits(parent(children), limits);
    for n in 0..50 {
        desk.host(&format!("10.0.1.{n}:80"), uplinks("a", SHOP));
    }
    desk.run_secs(1);
    assert!(desk.hits(Mark::PollWaited) > 0);
    assert_eq!(desk.requests.len(), 50);
    assert!((0..50).all(|n| phase(&desk, n) == ChildPhase::Fresh));
}

#[test]
fn many_changes_make_few_views() {
    let children: Vec<Child> =
        (0..200).map(|n| child(&format!("c{n:03}"), &format!("10.0.2.{n}:80"))).collect();
    let mut desk = Desk::new(parent(children));
    for n in 0..200 {
        desk.host(&format!("10.0.2.{n}:80"), uplinks("a", SHOP));
    }
    desk.run_secs(1);
    assert!(desk.views.len() <= 4, "{} views", desk.views.len());
    assert_eq!(services(&desk).len(), 201);
}

#[test]
fn a_kept_connection_that_died_is_replaced_within_the_same_poll() {
    let mut desk = Desk::new(east());
    desk.host(EAST, uplinks("a", SHOP));
    desk.run_secs(1);
    desk.end_conns(EAST);
    desk.settle();
    assert_eq!(desk.hits(Mark::KeptConnEnded), 1);
    desk.run_secs(6);
    assert_eq!((desk.dials.len(), phase(&desk, 0)), (2, ChildPhase::Fresh));
    // Now it dies when the request is already on its way.
    desk.host(EAST, Host::HangUp);
    desk.run_secs(6);
    assert_eq!(desk.hits(Mark::KeptConnWasDead), 1);
    assert_eq!(desk.dials.len(), 3);
    assert_eq!(phase(&desk, 0), ChildPhase::Stale, "the fresh connection hung up too");
}

#[test]
fn a_transport_without_reuse_closes_after_every_poll() {
    let mut fixed = east();
    let multicluster = fixed.multicluster.as_mut().expect("a parent");
    multicluster.children[0].transport.idle = IdleConns::NoReuse;
    let mut desk = Desk::new(fixed);
    desk.host(EAST, uplinks("a", SHOP));
    desk.run_secs(11);
    assert_eq!((desk.dials.len(), desk.open_conns()), (3, 0));
}

#[test]
fn answers_may_come_in_any_pieces() {
    let mut desk = Desk::new(east());
    (desk.write_max, desk.read_max) = (7, 3);
    desk.host(EAST, uplinks("a", SHOP));
    desk.run_secs(6);
    assert_eq!(phase(&desk, 0), ChildPhase::Fresh);
    assert!(desk.hits(Mark::ControlShortWrite) > 0);
}

#[test]
fn answers_that_fill_the_memory_are_given_up() {
    let limits = ControlLimits { collected_bytes: 30, ..ControlLimits::default() };
    let mut desk = Desk::with_limits(east(), limits);
    desk.read_max = 20;
    desk.host(EAST, uplinks("a", SHOP));
    desk.run_secs(1);
    assert_eq!(desk.hits(Mark::CollectedTooMuch), 1);
    assert_eq!(desk.codes(), ["overloaded"]);
}

#[test]
fn a_decaying_child_is_said_to_be_overdue_once() {
    let mut fixed = east();
    let multicluster = fixed.multicluster.as_mut().expect("a parent");
    multicluster.children[0].on_stale =
        OnStale::Decay { after: Span::secs(10), over: Span::secs(100) };
    let mut desk = Desk::new(fixed);
    desk.host(EAST, uplinks("a", SHOP));
    desk.run_secs(1);
    desk.host(EAST, Host::Refuse);
    desk.end_conns(EAST);
    desk.run_secs(200);
    assert_eq!(desk.said("child is overdue"), 1);
    assert!(!services(&desk).contains(&"shop@multicluster up".to_owned()));
}

#[test]
fn a_child_that_is_overdue_when_a_poll_fails_as_before_is_shown_as_overdue() {
    let mut fixed = east();
    let multicluster = fixed.multicluster.as_mut().expect("a parent");
    multicluster.children[0].on_stale =
        OnStale::Decay { after: Span::secs(60), over: Span::secs(1) };
    let mut desk = Desk::new(fixed);
    desk.host(EAST, uplinks("a", SHOP));
    desk.run_secs(1);
    desk.host(EAST, Host::Silent);
    desk.run_secs(20);
    assert_eq!(phase(&desk, 0), ChildPhase::Stale);
    while desk.open_conns() == 0 {
        desk.run(Span::millis(200));
    }
    desk.now = desk.now + Span::secs(1_000);
    desk.run(Span::ZERO);
    desk.run(Span::millis(100));
    assert_eq!((phase(&desk, 0), desk.hits(Mark::ChildOverdue)), (ChildPhase::Overdue, 1));
}

#[test]
fn a_poll_without_a_page_to_read_into_fails_and_the_next_one_works() {
    let mut desk = Desk::new(east());
    desk.host(EAST, uplinks("a", SHOP));
    desk.starved = true;
    desk.run_secs(1);
    assert_eq!((desk.codes(), desk.hits(Mark::ControlOutOfPages)), (vec!["overloaded"], 1));
    desk.starved = false;
    desk.run_secs(6);
    assert_eq!(phase(&desk, 0), ChildPhase::Fresh);
}

#[test]
fn more_children_than_connections_share_them() {
    for conns_max in [0, 2, 3, 7] {
        let limits = ControlLimits { conns_max, ..ControlLimits::default() };
        share(limits);
    }
}

fn share(limits: ControlLimits) {
    let children: Vec<Child> =
        (0..20).map(|n| child(&format!("c{n:02}"), &format!("10.0.1.{n}:80"))).collect();
    let mut desk = Desk::with_limits(parent(children), limits);
    for n in 0..20 {
        desk.host(&format!("10.0.1.{n}:80"), uplinks("a", SHOP));
    }
    desk.run_secs(30);
    assert!((0..20).all(|n| phase(&desk, n) == ChildPhase::Fresh), "{limits:?}");
    assert!(desk.requests.len() >= 100, "{limits:?}");
}

#[test]
fn draining_closes_everything_and_finishes() {
    let children = vec![child("east", EAST), child("west", WEST)];
    let mut desk = Desk::new(parent(children));
    desk.host(EAST, uplinks("a", SHOP));
    desk.host(WEST, Host::Silent);
    desk.run_secs(1);
    assert_eq!(desk.open_conns(), 2);
    let by = desk.now + Span::secs(10);
    desk.input(Input::Drain { by });
    assert!(desk.finished);
    assert_eq!(desk.open_conns(), 0);
    assert_eq!(desk.deadline(), None);
}

#[test]
fn a_resolver_that_never_answers_does_not_hold_up_the_end() {
    let mut desk = Desk::new(parent(vec![child("east", "east.example:80")]));
    desk.mute_resolver = true;
    desk.run_secs(1);
    let by = desk.now + Span::secs(10);
    desk.input(Input::Drain { by });
    assert!(!desk.finished);
    desk.run_secs(10);
    assert!(desk.finished);
}

#[test]
fn an_address_that_is_learned_while_draining_begins_nothing() {
    for secs in [0, 10] {
        let mut desk = Desk::new(parent(vec![child("east", "east.example:80")]));
        desk.host("10.0.0.1:80", Host::Silent);
        desk.mute_resolver = true;
        desk.run_secs(1);
        let by = desk.now + Span::secs(10);
        desk.input(Input::Drain { by });
        desk.run_secs(secs);
        let answer = Answer::Resolved(Ok(vec![[10, 0, 0, 1].into()]));
        desk.input(Input::Job { job: JobId(0), answer });
        assert!(desk.finished && desk.dials.is_empty(), "{:?}", desk.dials);
        assert_eq!(desk.open_conns(), 0);
    }
}

#[test]
fn a_child_is_heard_that_breaks_the_rules_of_tls_behind_its_answer() {
    let mut secure = child("east", EAST);
    secure.address.scheme = Scheme::Https;
    let tls = ClientTls { trust: Trust::DangerAnybody, ..ClientTls::default() };
    secure.transport.tls = Some(Arc::new(tls));
    secure.transport.multiplexes = false;
    let fixed = parent(vec![secure]);
    let door = door(&Ca::new("ca").named("10.0.0.1"), "");
    let whole = ok("", SHOP);
    let (half, _) = whole.split_at(whole.len() - 3);
    for (answer, heard) in [(&*whole, true), (half, false), ("", false)] {
        let mut desk = Desk::new(fixed.clone());
        desk.host(EAST, Host::SaysAndBreaks(Arc::clone(&door), answer.to_owned()));
        desk.run_secs(1);
        let fresh = phase(&desk, 0) == ChildPhase::Fresh;
        assert_eq!((fresh, services(&desk).is_empty()), (heard, !heard), "{answer:?}");
        assert_eq!(desk.hits(Mark::ControlHeardBeforeBreak), u64::from(heard), "{answer:?}");
        assert_eq!(error(&desk, 0).is_empty(), heard, "{}", error(&desk, 0));
        assert_eq!(desk.open_conns(), 0, "nothing goes over it any more");
        desk.run_secs(6);
        assert_eq!((desk.requests_to(EAST), desk.dials.len()), (2, 2), "{answer:?}");
    }
}
