//! Upgraded connections.

use crate::pair::Pair;
use crate::plan::Plan;
use engine::base::limits::Limits;
use engine::base::mark::Mark;
use engine::base::time::Span;

const ASK: &str = "GET /ws HTTP/1.1\r\nHost: s\r\nConnection: keep-alive, Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: a\r\n\
    Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[test]
fn a_websocket_flows_both_ways_and_ends_by_halves() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, ASK);
    let origin = pair.dialed();
    let sent = pair.got(origin);
    assert!(sent.contains("Connection: Upgrade\r\nUpgrade: websocket\r\n"), "{sent}");
    assert!(sent.contains("X-Forwarded-Proto: ws\r\n"), "{sent}");
    pair.send(origin, format!("{SWITCH}first"));
    assert_eq!(pair.got(client), format!("{SWITCH}first"));
    pair.send(client, "ping\r\n\r\n");
    assert_eq!(pair.got(origin), "ping\r\n\r\n");
    pair.send(origin, "pong");
    assert_eq!(pair.got(client), "pong");
    pair.pass(Span::secs(600));
    pair.fin(client);
    assert_eq!((pair.ended(origin), pair.ended(client)), ("shut", ""));
    pair.send(origin, "last words");
    assert_eq!(pair.got(client), "last words");
    pair.fin(origin);
    assert_eq!((pair.ended(origin), pair.ended(client)), ("closed", "closed"));
    assert_eq!((pair.count(Mark::TunnelOpened), pair.count(Mark::TunnelHalfClosed)), (1, 2));
    pair.nothing_more();
}

#[test]
fn a_refused_upgrade_is_an_ordinary_answer() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, ASK);
    let origin = pair.dialed();
    pair.got(origin);
    pair.send(origin, "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(pair.got(client), "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
    pair.send(client, "GET / HTTP/1.1\r\nHost: s\r\n\r\n");
    assert!(pair.got(origin).starts_with("GET / "));
}

#[test]
fn a_switch_to_something_else_is_a_bad_gateway() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, ASK);
    let origin = pair.dialed();
    pair.got(origin);
    pair.send(origin, SWITCH.replace("websocket", "other"));
    assert!(pair.got(client).starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
    pair.nothing_more();
}

#[test]
fn a_tunnel_is_held_back_by_its_slow_end() {
    let limits = Limits { outbox_bytes: 1_000, ..Limits::default() };
    let mut pair = Pair::with(&Plan::one_origin(), limits);
    let client = pair.open();
    pair.send(client, ASK);
    let origin = pair.dialed();
    pair.got(origin);
    pair.send(origin, SWITCH);
    pair.got(client);
    pair.deafen(origin, true);
    let large = "t".repeat(100_000);
    pair.send(client, &large);
    assert!(!pair.is_read(client));
    pair.deafen(origin, false);
    assert_eq!(pair.got(origin), large);
    pair.nothing_more();
}

#[test]
fn a_tunnel_that_breaks_is_over_on_both_sides() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, ASK);
    let origin = pair.dialed();
    pair.got(origin);
    pair.send(origin, SWITCH);
    pair.got(client);
    pair.reset(origin);
    assert_eq!(pair.ended(client), "aborted");
    pair.nothing_more();
}
