//! Connections to servers: kept, reused, given up, waited for.

use crate::pair::{Dial, End, Pair};
use crate::plan::Plan;
use engine::base::limits::Limits;
use engine::base::mark::Mark;
use engine::base::time::Span;
use engine::config::fixed::IdleConns;

const GET: &str = "GET / HTTP/1.1\r\nHost: s\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// One answered request; the server's end, kept.
fn warmed(pair: &mut Pair) -> (End, End) {
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.got(origin);
    (client, origin)
}

#[test]
fn a_reused_connection_that_dies_is_retried_once() {
    let mut pair = Pair::new(&Plan::one_origin());
    let (client, origin) = warmed(&mut pair);
    pair.send(client, GET);
    pair.no_dial();
    pair.got(origin);
    pair.reset(origin);
    let fresh = pair.dialed();
    assert!(pair.got(fresh).starts_with("GET / HTTP/1.1\r\n"));
    assert_eq!(pair.got(client), "");
    pair.send(fresh, OK);
    assert_eq!(pair.got(client), OK);
    assert_eq!(pair.count(Mark::RetryOnReused), 1);
    pair.nothing_more();
}

#[test]
fn a_second_death_is_a_bad_gateway() {
    let mut pair = Pair::new(&Plan::one_origin());
    let (client, origin) = warmed(&mut pair);
    pair.send(client, GET);
    pair.got(origin);
    pair.fin(origin);
    let fresh = pair.dialed();
    pair.got(fresh);
    pair.fin(fresh);
    pair.no_dial();
    assert!(pair.got(client).starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
    pair.nothing_more();
}

#[test]
fn what_may_have_had_an_effect_is_not_sent_twice() {
    for request in [
        "POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 0\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: s\r\nContent-Length: 2\r\n\r\nab",
    ] {
        let mut pair = Pair::new(&Plan::one_origin());
        let (client, origin) = warmed(&mut pair);
        pair.send(client, request);
        pair.got(origin);
        pair.reset(origin);
        pair.no_dial();
        assert!(pair.got(client).starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{request}");
        pair.nothing_more();
    }
}

#[test]
fn a_fresh_connection_that_dies_is_not_retried() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.got(origin);
    pair.reset(origin);
    pair.no_dial();
    assert!(pair.got(client).starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
    pair.nothing_more();
}

#[test]
fn an_answer_that_began_is_not_retried() {
    let mut pair = Pair::new(&Plan::one_origin());
    let (client, origin) = warmed(&mut pair);
    pair.send(client, GET);
    pair.got(origin);
    pair.send(origin, "HTTP/1.1 ");
    pair.reset(origin);
    pair.no_dial();
    assert!(pair.got(client).starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
    pair.nothing_more();
}

#[test]
fn a_kept_connection_that_speaks_unasked_is_closed() {
    let mut pair = Pair::new(&Plan::one_origin());
    let (client, origin) = warmed(&mut pair);
    pair.send(origin, "HTTP/1.1 408 Slow\r\nContent-Length: 0\r\n\r\n");
    assert_eq!((pair.ended(origin), pair.count(Mark::AnswerUnasked)), ("closed", 1));
    assert_eq!(pair.got(client), "");
    pair.send(client, GET);
    let fresh = pair.dialed();
    pair.send(fresh, OK);
    assert_eq!(pair.got(client), OK);
    pair.got(fresh);
    pair.nothing_more();
}

#[test]
fn bytes_after_an_answer_spoil_the_connection() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.got(origin);
    pair.send(origin, format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"));
    assert_eq!(pair.got(client), OK);
    assert_eq!(pair.ended(origin), "closed");
    pair.nothing_more();
}

#[test]
fn a_server_that_closes_is_not_reused() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.got(origin);
    pair.send(origin, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(pair.got(client), OK);
    assert_eq!(pair.ended(origin), "closed");
    pair.nothing_more();
}

#[test]
fn a_kept_connection_grows_too_old() {
    let mut pair = Pair::new(&Plan::one_origin());
    let (_, origin) = warmed(&mut pair);
    pair.pass(Span::secs(89));
    assert_eq!(pair.ended(origin), "");
    pair.pass(Span::secs(1));
    assert_eq!((pair.ended(origin), pair.count(Mark::IdleUpstreamClosed)), ("closed", 1));
    pair.nothing_more();
}

#[test]
fn the_most_recently_used_connection_goes_first_and_the_oldest_makes_room() {
    let mut pair = Pair::new(&Plan::one_origin());
    let clients = [pair.open(), pair.open(), pair.open()];
    let origins = clients.map(|client| {
        pair.send(client, GET);
        pair.dialed()
    });
    for origin in origins {
        pair.got(origin);
        pair.send(origin, OK);
    }
    assert_eq!(origins.map(|origin| pair.ended(origin)), ["closed", "", ""]);
    assert_eq!(pair.count(Mark::IdleUpstreamsFull), 1);
    for client in clients {
        pair.got(client);
    }
    pair.send(clients[0], GET);
    assert!(pair.got(origins[2]).starts_with("GET "));
    pair.no_dial();
    pair.send(origins[2], OK);
    pair.got(clients[0]);
    pair.nothing_more();
}

#[test]
fn without_reuse_every_request_has_its_connection() {
    let mut plan = Plan::bare();
    plan.transport.idle = IdleConns::NoReuse;
    let service = plan.origin();
    plan.route("PathPrefix(`/`)", service, &[]);
    let mut pair = Pair::new(&plan);
    let client = pair.open();
    for _ in 0..2 {
        pair.send(client, GET);
        let origin = pair.dialed();
        assert!(pair.got(origin).contains("Connection: close\r\n"));
        pair.send(origin, OK);
        assert_eq!(pair.got(client), OK);
        assert_eq!(pair.ended(origin), "closed");
    }
    pair.nothing_more();
}

#[test]
fn requests_wait_for_a_connection_and_too_many_are_turned_away() {
    let limits = Limits { conns_per_target: 1, waiters_per_target: 1, ..Limits::default() };
    let mut pair = Pair::with(&Plan::one_origin(), limits);
    let [first, second, third] = [pair.open(), pair.open(), pair.open()];
    pair.send(first, GET);
    let origin = pair.dialed();
    pair.got(origin);
    pair.send(second, GET);
    pair.send(third, GET);
    pair.no_dial();
    assert!(pair.got(third).starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
    assert_eq!((pair.count(Mark::WaitedForConnection), pair.count(Mark::WaitersFull)), (1, 1));
    pair.send(origin, OK);
    assert_eq!(pair.got(first), OK);
    assert!(pair.got(origin).starts_with("GET / HTTP/1.1\r\n"));
    pair.send(origin, OK);
    assert_eq!(pair.got(second), OK);
    pair.nothing_more();
}

#[test]
fn a_wait_for_a_connection_ends_like_a_dial() {
    let limits = Limits { conns_per_target: 1, ..Limits::default() };
    let mut pair = Pair::with(&Plan::one_origin(), limits);
    let [first, second] = [pair.open(), pair.open()];
    pair.send(first, GET);
    let origin = pair.dialed();
    pair.got(origin);
    pair.send(second, GET);
    pair.pass(Span::secs(30));
    assert!(pair.got(second).starts_with("HTTP/1.1 504 Gateway Timeout\r\n"));
    assert_eq!(pair.count(Mark::WaitedTooLong), 1);
    pair.send(origin, OK);
    assert_eq!(pair.got(first), OK);
    pair.nothing_more();
}

#[test]
fn a_body_that_waits_for_a_dial_is_not_lost() {
    let mut pair = Pair::new(&Plan::one_origin());
    pair.dial = Dial::Hang;
    let client = pair.open();
    pair.send(client, "POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 4\r\n\r\nab");
    let origin = pair.dialed();
    pair.send(client, "cd");
    assert_eq!(pair.got(origin), "");
    pair.connect(origin);
    assert!(pair.got(origin).ends_with("\r\n\r\nabcd"));
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.nothing_more();
}

#[test]
fn what_a_server_says_after_its_answer_is_for_nobody() {
    let limits = Limits { conns_per_target: 1, ..Limits::default() };
    let mut pair = Pair::with(&Plan::one_origin(), limits);
    let [first, second] = [pair.open(), pair.open()];
    pair.send(first, GET);
    let origin = pair.dialed();
    pair.got(origin);
    pair.send(second, GET);
    pair.send(origin, format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"));
    assert_eq!(pair.got(first), OK);
    assert_eq!((pair.got(origin).as_str(), pair.ended(origin)), ("", "closed"));
    assert_eq!(pair.got(second), "");
    let fresh = pair.dialed();
    pair.got(fresh);
    pair.send(fresh, OK);
    assert_eq!(pair.got(second), OK);
    pair.nothing_more();
}
