//! The end of a worker.

use crate::pair::Pair;
use crate::plan::Plan;
use engine::base::mark::Mark;
use engine::base::time::Span;
use engine::view::Internal;

const GET: &str = "GET / HTTP/1.1\r\nHost: s\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn an_idle_worker_is_done_at_once() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.drain(Span::secs(10));
    assert_eq!((pair.ended(client), pair.finished), ("closed", 1));
    assert_eq!(pair.waiting_accepts(), 0);
    pair.pass(Span::secs(20));
    assert_eq!((pair.finished, pair.count(Mark::Drained)), (1, 1));
}

#[test]
fn a_request_in_flight_is_finished_and_its_client_let_go() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.drain(Span::secs(10));
    assert_eq!((pair.finished, pair.waiting_accepts()), (0, 0));
    pair.send(origin, OK);
    assert!(pair.got(client).contains("Connection: close\r\n"));
    assert_eq!((pair.ended(client), pair.ended(origin)), ("shut", "closed"));
    pair.fin(client);
    assert_eq!((pair.ended(client), pair.finished), ("closed", 1));
}

#[test]
fn what_does_not_end_in_time_is_cut() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.drain(Span::secs(10));
    pair.pass(Span::secs(9));
    assert_eq!(pair.finished, 0);
    pair.pass(Span::secs(1));
    assert_eq!((pair.ended(client), pair.ended(origin)), ("aborted", "aborted"));
    assert_eq!((pair.finished, pair.count(Mark::DrainCutRequest)), (1, 1));
}

#[test]
fn the_grace_period_still_accepts_and_ping_says_so() {
    let mut plan = Plan::bare();
    plan.settings.accept_grace = Span::secs(3);
    let ping = plan.internal(Internal::Ping);
    plan.route("Path(`/ping`)", ping, &[]);
    let mut pair = Pair::new(&plan);
    pair.drain(Span::secs(10));
    let client = pair.open();
    pair.send(client, "GET /ping HTTP/1.1\r\nHost: s\r\n\r\n");
    let got = pair.got(client);
    assert!(got.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{got}");
    assert!(got.contains("Connection: close\r\n"));
    pair.fin(client);
    assert_eq!((pair.ended(client), pair.finished), ("closed", 0));
    pair.pass(Span::secs(3));
    assert_eq!((pair.finished, pair.waiting_accepts()), (1, 0));
}

#[test]
fn a_client_accepted_in_the_grace_period_is_closed_at_its_end() {
    let mut plan = Plan::one_origin();
    plan.settings.accept_grace = Span::secs(3);
    let mut pair = Pair::new(&plan);
    pair.drain(Span::secs(10));
    let client = pair.open();
    pair.pass(Span::secs(3));
    assert_eq!((pair.ended(client), pair.finished), ("closed", 1));
}

#[test]
fn a_client_that_was_idle_may_still_ask_in_the_grace_period() {
    let mut plan = Plan::one_origin();
    plan.settings.accept_grace = Span::secs(3);
    let mut pair = Pair::new(&plan);
    let [asks, waits] = [pair.open(), pair.open()];
    pair.drain(Span::secs(10));
    pair.pass(Span::secs(2));
    assert_eq!([pair.ended(asks), pair.ended(waits)], ["", ""]);
    pair.send(asks, GET);
    let origin = pair.dialed();
    pair.send(origin, OK);
    let got = pair.got(asks);
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n"), "{got}");
    assert!(got.contains("Connection: close\r\n"));
    pair.fin(asks);
    pair.pass(Span::secs(1));
    assert_eq!((pair.ended(waits), pair.finished), ("closed", 1));
}

#[test]
fn an_entry_point_cuts_what_its_own_grace_does_not_suffice_for() {
    let mut plan = Plan::one_origin();
    plan.settings.accept_grace = Span::secs(1);
    plan.settings.drain_grace = Span::secs(3);
    let mut pair = Pair::new(&plan);
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.drain(Span::secs(60));
    pair.pass(Span::millis(3_900));
    assert_eq!(pair.finished, 0);
    pair.pass(Span::millis(100));
    assert_eq!((pair.ended(client), pair.ended(origin)), ("aborted", "aborted"));
    assert_eq!((pair.finished, pair.count(Mark::DrainCutRequest)), (1, 1));
}
