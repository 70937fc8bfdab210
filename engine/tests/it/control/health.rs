//! Active and passive checks.

use super::desk::{Desk, Host, ok, status};
use super::discovery::{child, parent, uplinks};
use super::files::started;
use engine::base::id::ServerId;
use engine::base::limits::ControlLimits;
use engine::base::mark::Mark;
use engine::base::time::{Span, Time};
use engine::boundary::{Input, Report};
use engine::view::NodeKind;
use engine::view::status::Health;
use std::collections::BTreeMap;

const ONE: &str = "10.1.0.1:80";
const TWO: &str = "10.1.0.2:80";

/// A balancer over two servers, with these lines in its definition.
fn shop(lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("        {line}\n")).collect();
    format!(
        "http:\n  services:\n    shop:\n      loadBalancer:\n{lines}        servers:\n        \
         - url: http://10.1.0.1\n        - url: http://10.1.0.2\n"
    )
}

fn checked(lines: &[&str]) -> String {
    let mut all = vec!["healthCheck:", "  path: /up", "  interval: 10s", "  timeout: 2s"];
    let lines: Vec<String> = lines.iter().map(|line| format!("  {line}")).collect();
    all.extend(lines.iter().map(String::as_str));
    shop(&all)
}

fn desk(one: Host, two: Host, text: &str) -> Desk {
    let mut desk = Desk::new(super::files::fixed());
    desk.host(ONE, one);
    desk.host(TWO, two);
    desk.file(text);
    desk
}

fn fine() -> Host {
    Host::Says(ok("", ""))
}

/// The servers of a service by number: `u`p, `d`own, `?` unknown, with `e` when ejected.
pub(super) fn seen(desk: &Desk, service: &str) -> String {
    let view = desk.view();
    let node = view.services.iter().find(|node| &*node.name == service).expect("the service");
    let NodeKind::Balancer { servers, .. } = &node.kind else { return "no balancer".into() };
    let one = |id: ServerId| match view.status.servers.get(id.0) {
        None => "-".to_owned(),
        Some(status) => {
            let health = match status.health {
                Health::Up => "u",
                Health::Down => "d",
                Health::Unknown => "?",
            };
            format!("{health}{}", if status.ejected { "e" } else { "" })
        }
    };
    servers.iter().map(|server| one(server.id)).collect::<Vec<_>>().join(" ")
}

fn server(desk: &Desk, service: &str, at: usize) -> ServerId {
    let view = desk.view();
    let node = view.services.iter().find(|node| &*node.name == service).expect("the service");
    let NodeKind::Balancer { servers, .. } = &node.kind else { panic!("no balancer") };
    servers[at].id
}

/// Which servers take requests.
fn serving(desk: &Desk) -> Vec<u16> {
    let node = desk.view().services.iter().find(|node| &*node.name == "shop@file").cloned();
    let NodeKind::Balancer { turns, .. } = &node.expect("shop").kind else { panic!() };
    let mut taken: Vec<u16> = (0..8).filter_map(|ticket| turns.rotation.turn(ticket)).collect();
    taken.sort_unstable();
    taken.dedup();
    taken
}

#[test]
fn the_first_probes_go_out_at_once_and_decide() {
    let mut desk = desk(fine(), Host::Refuse, &checked(&[]));
    desk.settle();
    assert_eq!(seen(&desk, "shop@file"), "? ?");
    assert_eq!(serving(&desk), [0, 1], "unknown servers serve while none is known to be up");
    desk.run_secs(2);
    assert_eq!(seen(&desk, "shop@file"), "u d");
    assert_eq!(serving(&desk), [0]);
    let (_, _, request) = &desk.requests[0];
    assert!(request.starts_with("GET /up HTTP/1.1\r\nHost: 10.1.0.1\r\n"), "{request}");
}

#[test]
fn a_verdict_flips_within_one_interval_and_one_timeout() {
    for dying in
        [Host::Refuse, Host::BlackHole, Host::Silent, Host::HangUp, Host::Says(status(500))]
    {
        let mut desk = desk(fine(), fine(), &checked(&[]));
        desk.run_secs(25);
        desk.host(TWO, dying.clone());
        desk.run_secs(12);
        assert_eq!(seen(&desk, "shop@file"), "u d", "{dying:?}");
        assert_eq!(desk.said("server is down"), 1);
        desk.host(TWO, fine());
        desk.run_secs(12);
        assert_eq!(seen(&desk, "shop@file"), "u u", "{dying:?}");
        desk.run_secs(60);
        assert_eq!(desk.said("server is"), 2, "one line per change of state");
    }
}

#[test]
fn running_out_of_descriptors_is_not_held_against_servers() {
    let mut desk = desk(fine(), fine(), &checked(&[]));
    desk.run_secs(5);
    desk.descriptors = 0;
    desk.run_secs(30);
    assert_eq!(seen(&desk, "shop@file"), "u u");
    assert!(desk.hits(Mark::ProbeInconclusive) > 0);
    desk.descriptors = usize::MAX;
    desk.host(TWO, Host::Refuse);
    desk.run_secs(12);
    assert_eq!(seen(&desk, "shop@file"), "u d");
}

#[test]
fn unhealthy_servers_are_probed_at_their_own_interval() {
    let text = checked(&["unhealthyInterval: 1s"]);
    let mut desk = desk(fine(), Host::Says(status(503)), &text);
    desk.run_secs(60);
    let (up, down) = (desk.requests_to(ONE), desk.requests_to(TWO));
    assert!((6..=7).contains(&up), "{up}");
    assert!((58..=61).contains(&down), "{down}");
}

#[test]
fn a_black_holed_server_delays_no_other() {
    let mut desk = desk(Host::BlackHole, fine(), &checked(&[]));
    desk.run(Span::millis(200));
    assert_eq!(seen(&desk, "shop@file"), "? u");
}

#[test]
fn every_option_of_a_check_is_carried_out() {
    let text = checked(&[
        "method: POST",
        "status: 204",
        "port: 8081",
        "hostname: shop.example",
        "headers:",
        "  X-Probe: \"1\"",
        "  Content-Length: \"7\"",
    ]);
    let mut desk = desk(Host::Refuse, Host::Refuse, &text);
    desk.host("10.1.0.1:8081", Host::Says(status(204)));
    desk.host("10.1.0.2:8081", fine());
    desk.run_secs(2);
    let (_, _, request) = &desk.requests[0];
    assert_eq!(
        request,
        "POST /up HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: tieline\r\nX-Probe: 1\r\n\
         Connection: close\r\n\r\n"
    );
    assert_eq!(seen(&desk, "shop@file"), "u d", "exactly 204, and 200 is not");
    assert_eq!((desk.requests_to(ONE), desk.requests_to(TWO)), (0, 0));
}

#[test]
fn redirects_are_followed_on_the_same_server_only() {
    let to = |location: &str| {
        let head = format!("Location: {location}\r\n");
        format!("HTTP/1.1 302 Found\r\n{head}Content-Length: 0\r\n\r\n")
    };
    for (location, up) in [
        ("/fine", "u"),
        ("fine", "u"),
        ("http://10.1.0.1/fine", "u"),
        ("http://10.1.0.1:80/fine", "u"),
        ("/missing", "d"),
        ("/up", "d"),
        ("http://10.1.0.2/fine", "d"),
        ("//10.1.0.2/fine", "d"),
        ("https://10.1.0.1/fine", "d"),
        ("http://10.1.0.1:8080/fine", "d"),
        ("http://10.1.0.1@10.1.0.2/fine", "d"),
    ] {
        let pages: BTreeMap<String, String> =
            [("/up".into(), to(location)), ("/fine".into(), ok("", ""))].into();
        let mut desk = desk(Host::Site(pages), Host::Refuse, &checked(&[]));
        desk.run_secs(2);
        assert_eq!(seen(&desk, "shop@file"), format!("{up} d"), "{location}");
        let elsewhere = |(_, to): &&(Time, std::net::SocketAddr)| {
            to.to_string() != ONE && to.to_string() != TWO
        };
        assert_eq!(desk.dials.iter().find(elsewhere), None, "{location}");
        assert!(desk.requests_to(ONE) <= 11, "at most ten redirects");
    }
    let pages: BTreeMap<String, String> =
        [("/up".into(), to("/fine")), ("/fine".into(), ok("", ""))].into();
    let mut followed = desk(Host::Site(pages), Host::Refuse, &checked(&[]));
    followed.run_secs(2);
    assert_eq!(followed.hits(Mark::ProbeRedirected), 1);
    let pages: BTreeMap<String, String> = [("/up".into(), to("http://10.9.9.9/"))].into();
    let mut desk = desk(Host::Site(pages), Host::Refuse, &checked(&["followRedirects: false"]));
    desk.run_secs(2);
    assert_eq!(seen(&desk, "shop@file"), "u d", "the redirect itself is judged");
}

#[test]
fn a_check_that_cannot_be_carried_out_is_never_up_and_is_explained() {
    let advert = r#"[{"name":"shop","healthCheck":{"mode":"grpc","scheme":"https"}}]"#;
    let mut east = child("east", "10.0.0.1:80");
    east.transport.multiplexes = false;
    let mut desk = Desk::new(parent(vec![east]));
    desk.host("10.0.0.1:80", uplinks("a", advert));
    desk.run_secs(60);
    assert!(desk.requests.iter().all(|(_, _, it)| !it.contains("Health")));
    assert_eq!(seen(&desk, "shop-east@multicluster"), "?");
    assert_eq!(desk.codes(), ["unusable-check"]);
}

#[test]
fn probes_of_removed_servers_end() {
    let mut desk = desk(fine(), Host::Silent, &checked(&[]));
    desk.run(Span::millis(200));
    desk.run_secs(10);
    desk.file("# nothing\n");
    desk.run_secs(3);
    assert!(desk.hits(Mark::ProbeDropped) <= 1);
    let sent = desk.requests.len();
    desk.run_secs(60);
    assert_eq!(desk.requests.len(), sent);
    assert_eq!((desk.open_conns(), desk.deadline()), (0, None));
    assert_eq!(desk.view().status.servers.iter().count(), 0);
}

#[test]
fn a_changed_check_starts_anew_and_the_report_says_so() {
    let mut desk = desk(fine(), fine(), &checked(&[]));
    desk.run_secs(5);
    desk.file(&checked(&["status: 204"]));
    desk.run_secs(1);
    assert_eq!(seen(&desk, "shop@file"), "d d");
    let report = &desk.view().status.reloads.report;
    assert_eq!(report.iter().filter(|line| line.contains("health")).count(), 2, "{report:?}");
}

#[test]
fn probes_beyond_the_limit_wait_their_turn() {
    let limits = ControlLimits { probes_max: 1, ..ControlLimits::default() };
    let mut desk = Desk::with_limits(super::files::fixed(), limits);
    desk.host(ONE, Host::Silent);
    desk.host(TWO, Host::Silent);
    desk.file(&checked(&[]));
    desk.run_secs(3);
    assert!(["d ?", "? d"].contains(&seen(&desk, "shop@file").as_str()));
    desk.run_secs(2);
    assert_eq!(seen(&desk, "shop@file"), "d d");
    assert!(desk.hits(Mark::ProbeWaited) > 0);
}

#[test]
fn a_server_that_fails_often_enough_is_ejected_for_one_window() {
    let text = shop(&["passiveHealthCheck:", "  failureWindow: 10s", "  maxFailedAttempts: 3"]);
    let mut desk = started(&text);
    let failing = server(&desk, "shop@file", 0);
    for _ in 0..2 {
        let at = desk.now;
        desk.report(Report::Failed { server: failing, at });
        desk.run_secs(1);
    }
    assert_eq!(seen(&desk, "shop@file"), "u u");
    desk.report(Report::Failed { server: failing, at: desk.now });
    desk.run(Span::millis(50));
    assert_eq!((seen(&desk, "shop@file").as_str(), serving(&desk)), ("ue u", vec![1]));
    assert_eq!(desk.said("server ejected"), 1);
    desk.run_secs(9);
    assert_eq!(serving(&desk), [1]);
    desk.run_secs(2);
    assert_eq!((seen(&desk, "shop@file").as_str(), serving(&desk)), ("u u", vec![0, 1]));
    assert_eq!(desk.hits(Mark::EjectedReturned), 1);
}

#[test]
fn the_last_server_of_a_service_is_never_ejected() {
    let text = shop(&["passiveHealthCheck:", "  failureWindow: 10s"]);
    let mut desk = started(&text);
    let (one, two) = (server(&desk, "shop@file", 0), server(&desk, "shop@file", 1));
    desk.report(Report::Failed { server: one, at: desk.now });
    desk.report(Report::Failed { server: two, at: desk.now });
    desk.run(Span::millis(50));
    assert_eq!(serving(&desk), [1]);
    assert_eq!(desk.hits(Mark::EjectionCapped), 1);
}

#[test]
fn beside_an_active_check_only_a_probe_brings_a_server_back() {
    let mut lines = vec!["passiveHealthCheck:", "  failureWindow: 1s"];
    lines.extend(["healthCheck:", "  path: /up", "  interval: 10s", "  unhealthyInterval: 5s"]);
    let mut desk = desk(fine(), fine(), &shop(&lines));
    desk.run_secs(1);
    desk.report(Report::Failed { server: server(&desk, "shop@file", 0), at: desk.now });
    desk.run(Span::millis(50));
    assert_eq!(seen(&desk, "shop@file"), "ue u");
    desk.run_secs(3);
    assert_eq!(seen(&desk, "shop@file"), "ue u", "the window alone brings nobody back");
    desk.run_secs(4);
    assert_eq!(seen(&desk, "shop@file"), "u u", "the next probe does");
}

#[test]
fn a_child_is_probed_through_its_uplink_and_ejected_from_the_aggregate_only() {
    let advert = r#"[{"name":"shop","healthCheck":{"path":"/health","interval":"1ms"},
        "passiveHealthCheck":{"failureWindow":"10s"}}]"#;
    let children = vec![child("east", "10.0.0.1:80"), child("west", "10.0.0.2:80")];
    let mut desk = Desk::new(parent(children));
    let pages: BTreeMap<String, String> =
        [("/api/uplinks".into(), ok("", advert)), ("/health".into(), ok("", ""))].into();
    desk.host("10.0.0.1:80", Host::Site(pages.clone()));
    desk.host("10.0.0.2:80", Host::Site(pages));
    desk.run_secs(2);
    let probe = desk.requests.iter().find(|(_, _, it)| it.contains("/health")).expect("a probe");
    assert!(probe.2.contains("\r\nX-Uplink-Name: shop\r\n"));
    desk.run_secs(10);
    let probes = desk.requests.iter().filter(|(_, _, it)| it.contains("/health")).count();
    assert!(probes <= 2 * 13, "{probes}: a child cannot ask for more than one probe a second");
    let east = server(&desk, "shop-east@multicluster", 0);
    let west = server(&desk, "shop-west@multicluster", 0);
    desk.report(Report::Failed { server: east, at: desk.now });
    desk.report(Report::Failed { server: west, at: desk.now });
    assert_eq!((desk.hits(Mark::Ejected), desk.hits(Mark::EjectionCapped)), (1, 1));
}

#[test]
fn a_child_cannot_send_probes_elsewhere() {
    for path in ["http://10.9.9.9/", "//10.9.9.9/", "/a\\r\\nHost: x"] {
        let advert = format!(r#"[{{"name":"shop","healthCheck":{{"path":"{path}"}}}}]"#);
        let mut desk = Desk::new(parent(vec![child("east", "10.0.0.1:80")]));
        desk.host("10.0.0.1:80", uplinks("a", &advert));
        desk.host("10.9.9.9:80", fine());
        desk.run_secs(60);
        assert!(desk.dials.iter().all(|(_, to)| to.to_string() == "10.0.0.1:80"), "{path}");
        assert!(desk.requests.iter().all(|(_, _, it)| !it.contains("Host: x")), "{path}");
        assert!(!desk.codes().is_empty(), "{path} is explained");
    }
}

#[test]
fn draining_ends_probes_too() {
    let mut desk = desk(Host::Silent, Host::BlackHole, &checked(&[]));
    desk.run(Span::millis(200));
    assert_eq!(desk.open_conns(), 2);
    let by = desk.now + Span::secs(10);
    desk.input(Input::Drain { by });
    assert!(desk.finished);
    assert_eq!(desk.open_conns(), 0);
}
