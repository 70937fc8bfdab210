//! Requests that are sent again.

use super::{ENTRY, OK, Site, pair};
use crate::pair::{Dial, End, Pair};
use engine::base::limits::Limits;
use engine::base::mark::Mark;
use engine::base::time::Span;

const GET: &str = "GET / HTTP/1.1\r\nHost: s\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 4\r\n\r\nbody";
const DOWN: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\ndown";
const BAD_GATEWAY: &str = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 11\r\n\r\nBad Gateway";

/// Three servers behind `retry` with these settings.
fn site(settings: &str) -> String {
    let servers =
        ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|ip| format!("{{url: 'http://{ip}:80'}}"));
    format!(
        "http:\n  routers:\n    r: {{rule: 'PathPrefix(`/`)', service: s, middlewares: [m]}}\n  \
         services:\n    s: {{loadBalancer: {{servers: [{}]}}}}\n  \
         middlewares:\n    m: {{retry: {{{settings}}}}}\n",
        servers.join(", ")
    )
}

fn three(settings: &str) -> Pair {
    three_with(settings, Limits::default())
}

fn three_with(settings: &str, limits: Limits) -> Pair {
    Pair::of(Site::new(ENTRY).view_of(&site(settings)), limits)
}

fn address(pair: &Pair, end: End) -> String {
    pair.address(end).ip().to_string()
}

#[test]
fn a_server_that_cannot_be_reached_is_passed_over_whatever_the_method() {
    let mut pair = three("attempts: 3");
    pair.refusing = vec!["10.0.0.1:80".parse().expect("an address")];
    for request in [GET, POST] {
        for _ in 0..3 {
            let client = pair.open();
            pair.send(client, request);
            let mut server = pair.dialed();
            if address(&pair, server) == "10.0.0.1" {
                server = pair.dialed();
            }
            let sent = pair.got(server);
            assert!(sent.ends_with(if request == POST { "\r\n\r\nbody" } else { "\r\n\r\n" }));
            pair.send(server, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            assert_eq!(pair.got(client), OK);
        }
    }
    assert_eq!(pair.count(Mark::Retried), 3);
    assert_eq!(pair.stats().workers[0].retries.get(), 3);
    pair.nothing_more();
}

#[test]
fn every_server_is_tried_before_one_is_tried_again() {
    let mut pair = three("attempts: 4");
    pair.dial = Dial::Refuse;
    let client = pair.open();
    pair.send(client, GET);
    let ends: Vec<End> = (0..4).map(|_| pair.dialed()).collect();
    let mut tried: Vec<String> = ends.into_iter().map(|end| address(&pair, end)).collect();
    assert_eq!(pair.own(client), BAD_GATEWAY);
    tried[..3].sort_unstable();
    assert_eq!(tried[..3], ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    assert_eq!(pair.count(Mark::Retried), 3);
    pair.nothing_more();
}

#[test]
fn a_server_that_goes_away_is_replaced_if_the_method_can_be_repeated() {
    for (request, again) in [(GET, true), (POST, false)] {
        let mut pair = three("attempts: 2");
        let client = pair.open();
        pair.send(client, request);
        let first = pair.dialed();
        assert_ne!(pair.got(first), "");
        pair.fin(first);
        if again {
            let second = pair.dialed();
            assert_ne!(address(&pair, first), address(&pair, second));
            pair.send(second, OK);
            assert_eq!(pair.got(client), OK);
        } else {
            assert_eq!(pair.own(client), BAD_GATEWAY);
            assert_eq!(pair.count(Mark::ReplayImpossible), 1);
        }
        pair.nothing_more();
    }
}

#[test]
fn a_listed_status_is_no_answer_until_the_last_attempt() {
    let mut pair = three("attempts: 3, status: ['500-599']");
    let client = pair.open();
    pair.send(client, "PUT / HTTP/1.1\r\nHost: s\r\nContent-Length: 4\r\n\r\nbo");
    let first = pair.dialed();
    pair.send(client, "dy");
    for left in [2, 1, 0] {
        let server = if left == 2 { first } else { pair.dialed() };
        assert!(pair.got(server).ends_with("\r\n\r\nbody"), "{left}");
        assert_eq!(pair.got(client), "");
        pair.send(server, DOWN);
    }
    assert_eq!(pair.got(client), DOWN);
    pair.nothing_more();
}

#[test]
fn network_errors_are_answers_if_they_are_told_to_be() {
    let mut pair = three("attempts: 3, status: [503], disableRetryOnNetworkError: true");
    pair.dial = Dial::Refuse;
    let client = pair.open();
    pair.send(client, GET);
    pair.dialed();
    pair.no_dial();
    assert_eq!(pair.own(client), BAD_GATEWAY);
    pair.nothing_more();
}

#[test]
fn a_post_is_repeated_for_a_status_only_if_asked() {
    for (more, again) in [("", false), (", retryNonIdempotentMethod: true", true)] {
        let mut pair = three(&format!("attempts: 2, status: [503]{more}"));
        let client = pair.open();
        pair.send(client, POST);
        let first = pair.dialed();
        pair.got(first);
        pair.send(first, DOWN);
        if again {
            let second = pair.dialed();
            assert!(pair.got(second).ends_with("body"));
            pair.send(second, OK);
            assert_eq!(pair.got(client), OK);
        } else {
            assert_eq!(pair.got(client), DOWN);
        }
        pair.nothing_more();
    }
}

#[test]
fn a_body_that_is_too_long_to_keep_is_not_repeated() {
    let mut pair = three("attempts: 2, status: [503], maxRequestBodyBytes: 3");
    let client = pair.open();
    pair.send(client, POST.replace("POST", "PUT"));
    let first = pair.dialed();
    assert!(pair.got(first).ends_with("body"));
    pair.send(first, DOWN);
    assert_eq!(pair.got(client), DOWN);
    pair.fin(first);
    assert_eq!(pair.count(Mark::KeptOvergrown), 1);
    // Where nothing was sent, nothing has to be repeated.
    pair.refusing = vec!["10.0.0.1:80".parse().expect("an address")];
    for _ in 0..3 {
        let client = pair.open();
        pair.send(client, POST);
        let server = pair.dialed();
        let server = pair.try_dialed().unwrap_or(server);
        assert!(pair.got(server).ends_with("body"));
        pair.send(server, OK.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
        assert_eq!(pair.got(client), OK);
    }
    assert_eq!(pair.count(Mark::Retried), 1);
    pair.nothing_more();
}

#[test]
fn attempts_pause_longer_and_longer_within_half_of_what_was_asked() {
    let mut pair = three("attempts: 3, initialInterval: 100ms");
    pair.dial = Dial::Refuse;
    let client = pair.open();
    pair.send(client, GET);
    pair.dialed();
    pair.pass(Span::millis(49));
    pair.no_dial();
    pair.pass(Span::millis(101));
    pair.dialed();
    pair.pass(Span::millis(70));
    pair.no_dial();
    pair.pass(Span::millis(142));
    pair.dialed();
    assert_eq!(pair.own(client), BAD_GATEWAY);
    pair.nothing_more();
}

#[test]
fn no_attempt_begins_after_the_time_for_all_of_them() {
    let mut pair = three("attempts: 9, initialInterval: 100ms, timeout: 300ms");
    pair.dial = Dial::Refuse;
    let client = pair.open();
    pair.send(client, GET);
    pair.pass(Span::millis(301));
    assert_eq!(pair.own(client), BAD_GATEWAY);
    let mut dialed = 0;
    while pair.try_dialed().is_some() {
        dialed += 1;
    }
    assert!((2..6).contains(&dialed), "{dialed}");
    pair.nothing_more();
}

#[test]
fn nothing_is_put_off_beyond_the_end_of_a_drain() {
    let mut pair = three("attempts: 2, initialInterval: 10s");
    pair.dial = Dial::Hang;
    let client = pair.open();
    pair.send(client, GET);
    let first = pair.dialed();
    pair.drain(Span::secs(3));
    pair.connect(first);
    pair.reset(first);
    assert!(pair.own(client).starts_with("HTTP/1.1 502 "));
    assert_eq!(pair.count(Mark::Retried), 0);
    pair.nothing_more();
}

#[test]
fn a_client_that_leaves_during_the_pause_reaches_nobody() {
    let mut pair = three("attempts: 2, initialInterval: 1s");
    pair.dial = Dial::Refuse;
    let client = pair.open();
    pair.send(client, GET);
    pair.dialed();
    pair.reset(client);
    pair.pass(Span::secs(3));
    pair.no_dial();
    pair.nothing_more();
}

#[test]
fn a_service_that_only_fails_is_not_asked_many_times_as_much() {
    let limits = Limits { retries_stock: 3, retries_per_second: 1, ..Limits::default() };
    let mut pair = three_with("attempts: 2", limits);
    let dials = |pair: &mut Pair| {
        let client = pair.open();
        pair.send(client, GET);
        let mut count = 0;
        while pair.try_dialed().is_some() {
            count += 1;
        }
        assert!(pair.own(client).starts_with("HTTP/1.1 502 "));
        count
    };
    pair.dial = Dial::Refuse;
    let counts: Vec<u32> = (0..5).map(|_| dials(&mut pair)).collect();
    assert_eq!(counts, [2, 2, 2, 1, 1]);
    assert_eq!(pair.count(Mark::RetriesExhausted), 2);
    pair.pass(Span::secs(1));
    assert_eq!([dials(&mut pair), dials(&mut pair)], [2, 1]);
    // An answer is worth one more.
    pair.dial = Dial::Accept;
    assert_eq!(pair.exchange(GET, &OK.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")), OK);
    pair.dial = Dial::Refuse;
    assert_eq!([dials(&mut pair), dials(&mut pair)], [2, 1]);
    pair.nothing_more();
}

#[test]
fn a_session_moves_to_who_answers() {
    let sticky = site("attempts: 2")
        .replace("loadBalancer: {", "loadBalancer: {sticky: {cookie: {name: c}}, ");
    let mut pair = Pair::of(Site::new(ENTRY).view_of(&sticky), Limits::default());
    let client = pair.open();
    pair.send(client, GET);
    let first = pair.dialed();
    pair.send(first, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let told = pair.got(client);
    let cookie = told.split("Set-Cookie: ").nth(1).and_then(|it| it.split(';').next());
    let cookie = cookie.expect("a cookie").to_owned();
    pair.refusing = vec![pair.address(first)];
    pair.send(client, format!("GET / HTTP/1.1\r\nHost: s\r\nCookie: {cookie}\r\n\r\n"));
    assert_ne!(address(&pair, pair.last_dialed()), address(&pair, first));
    pair.dialed();
    let second = pair.dialed();
    pair.send(second, OK);
    let told = pair.got(client);
    assert!(told.contains("Set-Cookie: c=") && !told.contains(&cookie), "{told}");
    pair.nothing_more();
}

#[test]
fn one_of_one_server_is_tried_again() {
    let mut pair = pair("a: {retry: {attempts: 2}}");
    let client = pair.open();
    pair.send(client, GET);
    let first = pair.dialed();
    pair.reset(first);
    let second = pair.dialed();
    pair.send(second, OK);
    assert_eq!(pair.got(client), OK);
    pair.nothing_more();
}
