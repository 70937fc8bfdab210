//! Failover: by the side that the view prefers, and by what a server answers.

use crate::pair::{Dial, Pair};
use crate::plan::Plan;
use engine::base::mark::Mark;
use engine::base::time::Span;
use engine::config::fixed::{AccessFormat, AccessLog};
use engine::config::typed::FailoverErrors;
use engine::view::{NodeKind, Side};

const GET: &str = "GET /x HTTP/1.1\r\nHost: s\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const DOWN: &str = "HTTP/1.1 503 Down\r\nContent-Length: 4\r\n\r\ndown";

fn plan(side: Side, errors: Option<FailoverErrors>) -> Plan {
    let mut plan = Plan::bare();
    let main = plan.origin();
    let fallback = plan.origin();
    let service = plan.service(NodeKind::Failover { main, fallback, side, errors });
    plan.route("PathPrefix(`/`)", service, &[]);
    plan
}

fn errors() -> FailoverErrors {
    let status = vec![500..=599];
    FailoverErrors { status, body_bytes_max: None, replay_non_idempotent: false }
}

#[test]
fn the_side_that_the_view_prefers_serves() {
    for (side, address) in [(Side::Main, "10.0.0.1:8080"), (Side::Fallback, "10.0.1.1:8080")] {
        let mut pair = Pair::new(&plan(side, None));
        let client = pair.open();
        pair.send(client, GET);
        let origin = pair.dialed();
        assert_eq!(pair.address(origin).to_string(), address);
        pair.send(origin, DOWN);
        assert_eq!(pair.got(client), DOWN, "an answer is an answer");
        pair.got(origin);
        pair.nothing_more();
    }
}

#[test]
fn with_both_sides_down_there_is_nothing_to_send_to() {
    let mut pair = Pair::new(&plan(Side::Neither, None));
    assert!(pair.answer(GET).ends_with("\r\n\r\nService Unavailable\n"));
    pair.nothing_more();
}

#[test]
fn a_status_that_counts_as_failure_goes_to_the_other_side() {
    let mut pair = Pair::new(&plan(Side::Main, Some(errors())));
    let client = pair.open();
    pair.send(client, "PUT /x HTTP/1.1\r\nHost: s\r\nContent-Length: 4\r\n\r\nab");
    let main = pair.dialed();
    pair.send(client, "cd");
    assert!(pair.got(main).ends_with("abcd"));
    pair.send(main, DOWN);
    assert_eq!(pair.got(client), "");
    let fallback = pair.dialed();
    assert_eq!(pair.address(fallback).to_string(), "10.0.1.1:8080");
    let sent = pair.got(fallback);
    assert!(sent.starts_with("PUT /x HTTP/1.1\r\n") && sent.ends_with("\r\n\r\nabcd"), "{sent}");
    pair.send(fallback, OK);
    assert_eq!(pair.got(client), OK);
    assert_eq!(pair.count(Mark::SwitchedSide), 1);
    pair.nothing_more();
}

#[test]
fn the_log_counts_a_change_of_sides_as_a_retry() {
    let mut plan = plan(Side::Main, Some(errors()));
    plan.fixed.access_log = Some(AccessLog { format: AccessFormat::Json, ..AccessLog::default() });
    let mut pair = Pair::new(&plan);
    let client = pair.open();
    for answers in [[DOWN, OK].as_slice(), &[OK]] {
        pair.send(client, GET);
        for answer in answers {
            let origin = pair.dialed();
            pair.got(origin);
            pair.send(origin, answer);
        }
        assert_eq!(pair.got(client), OK);
        pair.pass(Span::secs(1));
    }
    let told = pair.log.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).expect("one line of JSON");
        line["RetryAttempts"].as_u64()
    });
    assert_eq!(told.collect::<Vec<_>>(), [Some(1), Some(0)]);
}

#[test]
fn the_answer_of_the_other_side_is_final() {
    let mut pair = Pair::new(&plan(Side::Main, Some(errors())));
    let client = pair.open();
    pair.send(client, GET);
    let main = pair.dialed();
    pair.got(main);
    pair.send(main, DOWN);
    let fallback = pair.dialed();
    pair.got(fallback);
    pair.send(fallback, DOWN);
    assert_eq!(pair.got(client), DOWN);
    pair.nothing_more();
}

#[test]
fn a_server_that_cannot_be_reached_counts_by_its_status() {
    let mut pair = Pair::new(&plan(Side::Main, Some(errors())));
    pair.dial = Dial::Refuse;
    let client = pair.open();
    pair.send(client, GET);
    pair.dialed();
    pair.dialed();
    assert!(pair.got(client).starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
    assert_eq!(pair.count(Mark::SwitchedSide), 1);
    pair.nothing_more();
}

#[test]
fn what_must_not_be_sent_twice_is_answered_as_it_is() {
    let post = "POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 2\r\n\r\nab";
    let put = "PUT / HTTP/1.1\r\nHost: s\r\nContent-Length: 2\r\n\r\nab";
    let small = FailoverErrors { body_bytes_max: Some(1), ..errors() };
    for (request, errors) in [(post, errors()), (put, small)] {
        let mut pair = Pair::new(&plan(Side::Main, Some(errors)));
        let client = pair.open();
        pair.send(client, request);
        let main = pair.dialed();
        pair.got(main);
        pair.send(main, DOWN);
        pair.no_dial();
        assert_eq!(pair.got(client), DOWN);
        assert_eq!(pair.count(Mark::ReplayImpossible), 1);
        pair.nothing_more();
    }
}

#[test]
fn a_service_may_ask_for_everything_to_be_sent_again() {
    let errors = FailoverErrors { replay_non_idempotent: true, ..errors() };
    let mut pair = Pair::new(&plan(Side::Main, Some(errors)));
    let client = pair.open();
    pair.send(
        client,
        "POST / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
    );
    let main = pair.dialed();
    pair.got(main);
    pair.send(main, DOWN);
    let fallback = pair.dialed();
    assert!(pair.got(fallback).ends_with("\r\n\r\n2\r\nab\r\n"));
    pair.send(client, "1\r\nc\r\n0\r\n\r\n");
    assert_eq!(pair.got(fallback), "1\r\nc\r\n0\r\n\r\n");
    pair.send(fallback, OK);
    assert_eq!(pair.got(client), OK);
    pair.nothing_more();
}
