//! Requests are kept from a service that fails.

use super::{ENTRY, OK, Site, document, pair};
use crate::pair::Pair;
use engine::base::limits::Limits;
use engine::base::mark::Mark;
use engine::base::time::Span;

const GET: &str = "GET / HTTP/1.1\r\nHost: s\r\n\r\n";
const BAD: &str = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n";
const KEPT_OFF: &str =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 19\r\n\r\nService Unavailable";

fn guard(more: &str) -> String {
    format!("a: {{circuitBreaker: {{expression: 'NetworkErrorRatio() > 0.5'{more}}}}}")
}

/// A request that passes and is answered so.
#[track_caller]
fn pass_one(pair: &mut Pair, answer: &str) {
    pass_one_at(pair, 0, answer);
}

#[track_caller]
fn pass_one_at(pair: &mut Pair, entry: u16, answer: &str) {
    let client = pair.open_at(entry);
    pair.send(client, GET);
    let origin = pair.try_dialed().unwrap_or_else(|| pair.last_dialed());
    pair.send(origin, answer);
    assert!(pair.got(client).starts_with(&answer[..12]));
    pair.reset(client);
}

#[test]
fn a_breaker_opens_rests_and_closes_again() {
    let mut pair = pair(&guard(", fallbackDuration: 5s, recoveryDuration: 1s, responseCode: 503"));
    pass_one(&mut pair, OK);
    pair.pass(Span::millis(150));
    pass_one(&mut pair, BAD);
    pair.pass(Span::millis(150));
    pass_one(&mut pair, BAD);
    assert_eq!(pair.count(Mark::BreakerOpened), 1);
    assert_eq!(pair.answer(GET), KEPT_OFF);
    pair.pass(Span::millis(4_900));
    assert_eq!(pair.answer(GET), KEPT_OFF);
    pair.pass(Span::millis(100));
    // It begins to recover with the first that asks, and that is too early for it.
    assert_eq!(pair.answer(GET), KEPT_OFF);
    assert_eq!(pair.count(Mark::BreakerRefused), 3);
    pair.pass(Span::millis(900));
    // Less than a half of those that ask pass: the third is the first.
    assert_eq!(pair.answer(GET), KEPT_OFF);
    pass_one(&mut pair, OK);
    pair.pass(Span::millis(101));
    pass_one(&mut pair, OK);
    pass_one(&mut pair, OK);
    assert_eq!(pair.count(Mark::BreakerRefused), 4);
    pair.nothing_more();
}

#[test]
fn a_tunnel_that_a_server_breaks_off_does_not_count_either() {
    let mut pair = pair(&guard(", responseCode: 503"));
    let upgrade = "Connection: upgrade\r\nUpgrade: echo\r\n\r\n";
    let client = pair.open();
    pair.send(client, format!("GET / HTTP/1.1\r\nHost: s\r\n{upgrade}"));
    let origin = pair.dialed();
    pair.send(origin, format!("HTTP/1.1 101 Switching Protocols\r\n{upgrade}"));
    assert!(pair.got(client).starts_with("HTTP/1.1 101 "));
    pair.reset(origin);
    assert_eq!(pair.ended(client), "aborted");
    pair.pass(Span::millis(150));
    // The only answer so far is a bad one.
    pass_one(&mut pair, BAD);
    assert_eq!(pair.count(Mark::BreakerOpened), 1);
    assert_eq!(pair.answer(GET), KEPT_OFF);
    pair.nothing_more();
}

#[test]
fn slow_answers_open_it_too_and_the_answer_is_as_configured() {
    let expression = "circuitBreaker: {expression: LatencyAtQuantileMS(50.0) > 100";
    let mut pair = pair(&format!("a: {{{expression}, responseCode: 429}}}}"));
    let client = pair.open();
    pair.send(client, GET);
    pair.pass(Span::millis(101));
    let origin = pair.dialed();
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    assert!(pair.answer(GET).starts_with("HTTP/1.1 429 Too Many Requests\r\n"));
    pair.nothing_more();
}

#[test]
fn a_breaker_stays_open_through_a_reload_that_does_not_change_it() {
    let mut site = Site::new(ENTRY);
    let mut pair = Pair::of(site.view(&guard("")), Limits::default());
    pass_one(&mut pair, BAD);
    assert_eq!(pair.answer(GET), KEPT_OFF);
    let other = document(&guard("")).replace("http://10.0.0.1:80", "http://10.0.0.2:80");
    pair.publish_view(site.view_of(&other));
    assert_eq!(pair.answer(GET), KEPT_OFF);
    pair.publish_view(site.view(&guard(", fallbackDuration: 1s")));
    assert_eq!(
        site.all_reports(),
        [
            "dropped: state of server http://10.0.0.2:80 of s@file: it is gone",
            "reset: circuit breaker a@file of r@file: its definition changed",
        ]
    );
    pass_one(&mut pair, OK);
    pair.publish_view(site.view("b: {addPrefix: {prefix: /}}"));
    assert_eq!(site.all_reports(), ["dropped: circuit breaker a@file of r@file: it is gone"]);
    pair.nothing_more();
}

#[test]
fn people_see_how_a_breaker_stands() {
    let fixed =
        "entryPoints: {web: {address: ':80'}}\napi: {insecure: true}\nmetrics: {prometheus: {}}";
    let mut pair = Pair::of(Site::new(fixed).view(&guard("")), Limits::default());
    pass_one_at(&mut pair, 1, BAD);
    let ask = |pair: &mut Pair, path: &str| {
        let client = pair.open_at(0);
        pair.send(client, format!("GET {path} HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n"));
        pair.got(client)
    };
    let shown = ask(&mut pair, "/api/http/middlewares/a@file");
    assert!(shown.contains("\"expression\":\"NetworkErrorRatio() > 0.5\""), "{shown}");
    assert!(
        shown.contains("\"breakers\":{\"r@file\":{\"opened\":1,\"state\":\"open\"}}"),
        "{shown}"
    );
    let shown = ask(&mut pair, "/metrics");
    for line in [
        "tieline_circuit_breaker_state{middleware=\"a@file\",router=\"r@file\",state=\"open\"} 1\n",
        "tieline_circuit_breaker_state{middleware=\"a@file\",router=\"r@file\",state=\"closed\"} 0\n",
        "tieline_circuit_breaker_opened_total{middleware=\"a@file\",router=\"r@file\"} 1\n",
    ] {
        assert!(shown.contains(line), "{line} is not in {shown}");
    }
}

#[test]
fn every_router_has_a_breaker_of_its_own() {
    let other =
        "    q: {rule: 'Path(`/q`)', priority: 99, service: s, middlewares: [a]}\n  services:";
    let document = document(&guard("")).replace("  services:", other);
    let mut pair = Pair::of(Site::new(ENTRY).view_of(&document), Limits::default());
    pass_one(&mut pair, BAD);
    assert_eq!(pair.answer(GET), KEPT_OFF);
    let client = pair.open();
    pair.send(client, "GET /q HTTP/1.1\r\nHost: s\r\n\r\n");
    let origin = pair.last_dialed();
    assert!(pair.got(origin).ends_with("\r\n\r\n"), "it passes");
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.nothing_more();
}
