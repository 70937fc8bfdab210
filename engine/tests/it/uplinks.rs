//! Entry points that carry uplinks, and servers that are uplinks of children.

use crate::pair::Pair;
use crate::plan::Plan;
use engine::base::mark::Mark;
use engine::view::Destination;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

fn child(names: &[&'static str]) -> Plan {
    let mut plan = Plan::bare();
    for name in names {
        let service = plan.origin();
        let route = plan.made_route("PathPrefix(`/`)", Destination::Service(service), &[]);
        plan.uplinks.push((name, vec![route]));
    }
    plan
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: s\r\n{fields}\r\n")
}

#[test]
fn the_name_chooses_the_uplink_and_stays_here() {
    let mut pair = Pair::new(&child(&["shop", "my.cart"]));
    let client = pair.open();
    pair.send(client, get("/x", "X-Uplink-Name: my-cart\r\nX-Tieline-Hops: p\r\n"));
    let origin = pair.dialed();
    assert_eq!(pair.address(origin).to_string(), "10.0.1.1:8080");
    let sent = pair.got(origin);
    assert!(!sent.contains("Uplink") && !sent.contains("Hops"), "{sent}");
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.nothing_more();
}

#[test]
fn an_unknown_name_is_unavailable_and_none_where_there_are_several_is_not_found() {
    let mut pair = Pair::new(&child(&["shop", "cart"]));
    for fields in ["X-Uplink-Name: shopping\r\n", "X-Uplink-Name: \r\n"] {
        let got = pair.answer(&get("/x", fields));
        assert!(got.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{fields}: {got}");
        assert!(got.ends_with("\r\n\r\nno such uplink\n"), "{got}");
    }
    assert!(pair.answer(&get("/x", "")).starts_with("HTTP/1.1 404 Not Found\r\n"));
    assert_eq!(pair.count(Mark::UplinkUnknown), 2);
    pair.nothing_more();
}

#[test]
fn a_worker_that_has_not_heard_of_an_uplink_is_only_unavailable() {
    let mut pair = Pair::new(&child(&["bank"]));
    let asked = get("/", "X-Uplink-Name: shop\r\n");
    assert!(pair.answer(&asked).starts_with("HTTP/1.1 503 "));
    let mut newer = child(&["bank", "shop"]);
    newer.epoch = 2;
    pair.publish(&newer);
    let client = pair.open();
    pair.send(client, &asked);
    let origin = pair.dialed();
    assert_eq!(pair.address(origin).to_string(), "10.0.1.1:8080");
}

#[test]
fn the_only_uplink_needs_no_name() {
    let mut pair = Pair::new(&child(&["shop"]));
    let client = pair.open();
    pair.send(client, get("/x", ""));
    let origin = pair.dialed();
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.got(origin);
    pair.nothing_more();
}

#[test]
fn discovery_is_answered_and_tagged() {
    let mut pair = Pair::new(&child(&["shop"]));
    let got = pair.answer(&get("/api/uplinks", ""));
    assert_eq!(
        got,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: \"e1\"\r\n\
         Content-Length: 2\r\n\r\n[]"
    );
    let got = pair.answer(&get("/api/uplinks", "If-None-Match: \"e0\", \"e1\"\r\n"));
    assert_eq!(got, "HTTP/1.1 304 Not Modified\r\nETag: \"e1\"\r\n\r\n");
    pair.nothing_more();
}

#[test]
fn discovery_leaves_the_path_to_a_workload_that_is_named() {
    let mut pair = Pair::new(&child(&["shop"]));
    let client = pair.open();
    pair.send(client, get("/api/uplinks", "X-Uplink-Name: shop\r\n"));
    let origin = pair.dialed();
    assert!(pair.got(origin).starts_with("GET /api/uplinks "));
    pair.send(client, "POST /api/uplinks HTTP/1.1\r\nHost: s\r\n\r\n");
}

#[test]
fn a_parent_names_the_uplink_and_itself() {
    let mut plan = Plan::bare();
    plan.uplink = Some("shop");
    plan.fixed.tieline.instance = "parent-1".into();
    let service = plan.origin();
    plan.route("PathPrefix(`/`)", service, &[]);
    let mut pair = Pair::new(&plan);
    let client = pair.open();
    pair.send(client, get("/", "X-Uplink-Name: forged\r\nX-Tieline-Hops: a, b\r\n"));
    let origin = pair.dialed();
    let sent = pair.got(origin);
    assert!(sent.contains("X-Uplink-Name: shop\r\nX-Tieline-Hops: a, b, parent-1\r\n"), "{sent}");
    assert!(!sent.contains("forged"), "{sent}");
}

#[test]
fn a_request_that_was_here_before_or_came_too_far_is_a_loop() {
    let mut plan = Plan::one_origin();
    plan.fixed.tieline.instance = "me".into();
    let mut pair = Pair::new(&plan);
    for hops in ["a, me, b", "1,2,3,4,5,6,7,8,9"] {
        let got = pair.answer(&get("/", &format!("X-Tieline-Hops: {hops}\r\n")));
        assert!(got.starts_with("HTTP/1.1 508 Loop Detected\r\n"), "{hops}");
    }
    assert_eq!(pair.count(Mark::LoopRefused), 2);
    let client = pair.open();
    pair.send(client, get("/", "X-Tieline-Hops: 1,2,3,4,5,6,7,8\r\n"));
    pair.dialed();
}
