//! Too little of something.

use crate::pair::{Dial, Pair};
use crate::plan::Plan;
use engine::base::limits::Limits;
use engine::base::mark::Mark;
use engine::base::time::Span;
use engine::boundary::Fault;

const GET: &str = "GET / HTTP/1.1\r\nHost: s\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn the_oldest_idle_client_makes_room_for_a_new_one() {
    let limits = Limits { clients_max: 2, ..Limits::default() };
    let mut pair = Pair::with(&Plan::one_origin(), limits);
    let [first, second] = [pair.open(), pair.open()];
    let third = pair.open();
    assert_eq!([first, second, third].map(|end| pair.ended(end)), ["closed", "", ""]);
    assert_eq!(pair.count(Mark::ShedIdleClient), 1);
    pair.nothing_more();
}

#[test]
fn with_only_busy_clients_a_new_one_is_turned_away() {
    let limits = Limits { clients_max: 1, ..Limits::default() };
    let mut pair = Pair::with(&Plan::one_origin(), limits);
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    let other = pair.open();
    assert_eq!((pair.ended(other), pair.count(Mark::ClientRefusedForRoom)), ("aborted", 1));
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.got(origin);
    pair.nothing_more();
}

#[test]
fn a_listener_without_descriptors_closes_an_idle_client() {
    let mut pair = Pair::new(&Plan::one_origin());
    let idle = pair.open();
    pair.fail_accept(Fault::NoDescriptors);
    assert_eq!((pair.ended(idle), pair.count(Mark::ShedIdleClient)), ("closed", 1));
    pair.nothing_more();
}

#[test]
fn a_failing_listener_pauses() {
    let limits = Limits { accepts_per_listener: 1, ..Limits::default() };
    let mut pair = Pair::with(&Plan::one_origin(), limits);
    pair.fail_accept(Fault::NoDescriptors);
    assert_eq!((pair.waiting_accepts(), pair.count(Mark::AcceptPaused)), (0, 1));
    pair.pass(Span::millis(5));
    assert_eq!(pair.waiting_accepts(), 1);
    pair.fail_accept(Fault::NoDescriptors);
    pair.pass(Span::millis(9));
    assert_eq!(pair.waiting_accepts(), 0);
    pair.pass(Span::millis(1));
    assert_eq!(pair.waiting_accepts(), 1);
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.got(origin);
    pair.nothing_more();
}

#[test]
fn a_dial_without_a_descriptor_gives_up_an_idle_connection() {
    let mut pair = Pair::new(&Plan::one_origin());
    let idle = pair.open();
    let client = pair.open();
    pair.dial = Dial::NoDescriptors;
    pair.send(client, GET);
    pair.dialed();
    assert!(pair.got(client).starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
    assert_eq!(pair.ended(idle), "closed");
    pair.nothing_more();
}

#[test]
fn too_many_connections_to_servers_make_an_idle_one_go() {
    let mut plan = Plan::bare();
    let [one, two] = [plan.origin(), plan.origin()];
    plan.route("PathPrefix(`/1`)", one, &[]);
    plan.route("PathPrefix(`/2`)", two, &[]);
    let limits = Limits { upstreams_max: 1, ..Limits::default() };
    let mut pair = Pair::with(&plan, limits);
    let client = pair.open();
    pair.send(client, "GET /1 HTTP/1.1\r\nHost: s\r\n\r\n");
    let first = pair.dialed();
    pair.send(first, OK);
    pair.got(client);
    pair.got(first);
    pair.send(client, "GET /2 HTTP/1.1\r\nHost: s\r\n\r\n");
    assert_eq!((pair.ended(first), pair.count(Mark::ShedIdleUpstream)), ("closed", 1));
    let second = pair.dialed();
    pair.send(second, OK);
    assert_eq!(pair.got(client), OK);
    pair.got(second);
    pair.nothing_more();
}

#[test]
fn few_pages_slow_a_worker_down_and_break_nothing() {
    let limits = Limits {
        large_pages_max: 6,
        large_page_bytes: 64,
        small_page_bytes: 16,
        idle_large_pages: 1,
        outbox_bytes: 64,
        ..Limits::default()
    };
    let mut pair = Pair::with(&Plan::one_origin(), limits);
    let idle = [pair.open(), pair.open(), pair.open()];
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.send(
        origin,
        format!("HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n{}", "p".repeat(2_000)),
    );
    pair.pass(Span::secs(1));
    assert_eq!(pair.got(client).matches('p').count(), 2_000);
    pair.got(origin);
    let _ = idle;
    pair.nothing_more();
}

#[test]
fn without_pages_idle_connections_go_first() {
    let limits = Limits {
        clients_max: 1,
        upstreams_max: 1,
        streams_max: 0,
        small_page_bytes: 64,
        large_page_bytes: 1_024,
        large_pages_max: 2,
        idle_large_pages: 2,
        ..Limits::default()
    };
    let mut pair = Pair::with(&Plan::one_origin(), limits);
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.deafen(client, true);
    let large = "q".repeat(20_000);
    pair.send(origin, format!("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n{large}"));
    pair.pass(Span::secs(1));
    assert!(pair.count(Mark::PagesExhausted) > 0 && pair.count(Mark::NothingToShed) > 0);
    pair.deafen(client, false);
    pair.got(client);
    pair.got(origin);
    pair.nothing_more();
}

#[test]
fn heads_that_grow_too_much_together_are_refused() {
    let limits = Limits { grown_head_bytes: 40, ..Limits::default() };
    let mut pair = Pair::with(&Plan::one_origin(), limits);
    let [first, second] = [pair.open(), pair.open()];
    pair.send(first, "GET / HTTP/1.1\r\nHost: first");
    pair.send(second, "GET / HTTP/1.1\r\nHost: second");
    assert!(pair.got(second).starts_with("HTTP/1.1 431 "));
    assert_eq!(pair.count(Mark::HeadsOvergrown), 1);
    pair.fin(second);
    pair.send(first, "\r\n\r\n");
    let origin = pair.dialed();
    pair.send(origin, OK);
    assert_eq!(pair.got(first), OK);
    pair.nothing_more();
}

/// What a refused client has sent makes room for others at once, and no piece is kept that is
/// beyond the bound, not even the last one of a head.
#[test]
fn no_piece_of_a_head_is_kept_beyond_the_bound() {
    let limits = Limits { grown_head_bytes: 40, ..Limits::default() };
    let mut pair = Pair::with(&Plan::one_origin(), limits);
    let [first, second, third] = [pair.open(), pair.open(), pair.open()];
    pair.send(first, "GET /first HTTP/1.1\r\n");
    pair.send(first, "Host: name\r\nA: 1\r\n\r\n");
    assert!(pair.got(first).starts_with("HTTP/1.1 431 "));
    pair.send(second, "GET /a-target-that-is-long-enough HTTP/1.1");
    assert!(pair.got(second).starts_with("HTTP/1.1 431 "));
    assert_eq!(pair.count(Mark::HeadsOvergrown), 2);
    assert_eq!(pair.grown_heads(), 0);
    pair.send(third, "GET / HTTP/1.1\r\n");
    pair.send(third, "Host: a\r\n\r\n");
    assert_eq!(pair.grown_heads(), 27);
    let origin = pair.dialed();
    pair.send(origin, OK);
    assert_eq!(pair.got(third), OK);
    assert_eq!(pair.grown_heads(), 0);
    for client in [first, second] {
        pair.fin(client);
    }
    pair.nothing_more();
}

#[test]
fn an_accept_that_was_cancelled_for_no_reason_is_asked_for_again() {
    let limits = Limits { accepts_per_listener: 1, ..Limits::default() };
    let mut pair = Pair::with(&Plan::one_origin(), limits);
    pair.fail_accept(Fault::Cancelled);
    assert_eq!((pair.waiting_accepts(), pair.count(Mark::AcceptPaused)), (0, 1));
    pair.pass(Span::millis(5));
    assert_eq!(pair.waiting_accepts(), 1);
    pair.nothing_more();
}
