//! Bodies that are collected.

use super::{ENTRY, OK, Site, pair};
use crate::pair::{Dial, Pair};
use engine::base::limits::Limits;
use engine::base::mark::Mark;

const GET: &str = "GET / HTTP/1.1\r\nHost: s\r\n\r\n";
const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n";
const TOO_LARGE: &str = "HTTP/1.1 413 ";
const TOO_MUCH: &str =
    "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 21\r\n\r\nInternal Server Error";

fn post(length: usize, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: s\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[test]
fn a_request_goes_on_once_it_is_complete_and_then_has_a_length() {
    let mut pair = pair("a: {buffering: {}}");
    let client = pair.open();
    pair.send(client, CHUNKED);
    pair.send(client, "2\r\nab\r\n");
    pair.no_dial();
    pair.send(client, "1\r\nc\r\n0\r\n\r\n");
    let origin = pair.dialed();
    let sent = pair.got(origin);
    assert!(sent.contains("\r\nContent-Length: 3\r\n") && sent.ends_with("\r\n\r\nabc"), "{sent}");
    assert!(!sent.contains("chunked"));
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    // One without a body has nothing to wait for.
    pair.send(client, GET);
    assert!(pair.got(origin).starts_with("GET / "));
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.nothing_more();
}

#[test]
fn a_request_that_says_it_is_too_long_is_refused_at_once() {
    let mut pair = pair("a: {buffering: {maxRequestBodyBytes: 3}}");
    let client = pair.open();
    pair.send(client, post(4, ""));
    assert!(pair.own(client).starts_with(TOO_LARGE));
    pair.send(client, "body");
    pair.no_dial();
    pair.send(client, post(3, "abc"));
    let origin = pair.dialed();
    assert!(pair.got(origin).ends_with("abc"));
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    assert_eq!(pair.count(Mark::BodyOverLimit), 1);
    pair.nothing_more();
}

#[test]
fn a_request_that_turns_out_too_long_reaches_no_server() {
    let mut pair = pair("a: {buffering: {maxRequestBodyBytes: 3}}");
    let client = pair.open();
    pair.send(client, CHUNKED);
    pair.send(client, "2\r\nab\r\n2\r\ncd\r\n");
    assert!(pair.own(client).starts_with(TOO_LARGE));
    pair.no_dial();
    pair.send(client, "0\r\n\r\n");
    pair.nothing_more();
}

#[test]
fn a_request_that_is_too_long_to_collect_goes_on_and_is_still_measured() {
    let settings = "a: {buffering: {maxRequestBodyBytes: 6, memRequestBodyBytes: 2}}";
    let mut pair = pair(settings);
    let client = pair.open();
    pair.send(client, CHUNKED);
    pair.send(client, "3\r\nabc\r\n");
    let origin = pair.dialed();
    assert!(pair.got(origin).ends_with("\r\n3\r\nabc\r\n"));
    pair.send(client, "3\r\ndef\r\n");
    assert_eq!(pair.got(origin), "3\r\ndef\r\n");
    pair.send(client, "1\r\ng\r\n");
    assert!(pair.own(client).starts_with(TOO_LARGE));
    assert_eq!((pair.got(origin).as_str(), pair.ended(origin)), ("", "aborted"));
    assert_eq!(pair.count(Mark::CollectedNoMore), 1);
    pair.nothing_more();
}

#[test]
fn a_client_that_asks_first_is_told_to_go_on() {
    let mut pair = pair("a: {buffering: {}}");
    let client = pair.open();
    let head = post(4, "").replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    pair.send(client, head);
    assert_eq!(pair.got(client), "HTTP/1.1 100 Continue\r\n\r\n");
    pair.send(client, "body");
    let origin = pair.dialed();
    let sent = pair.got(origin);
    assert!(sent.ends_with("\r\n\r\nbody") && !sent.contains("Expect"), "{sent}");
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.nothing_more();
}

#[test]
fn a_client_that_leaves_early_reaches_nobody() {
    let mut pair = pair("a: {buffering: {}}");
    for cut in [true, false] {
        let client = pair.open();
        pair.send(client, post(4, "bo"));
        if cut { pair.reset(client) } else { pair.fin(client) }
    }
    pair.no_dial();
    assert_eq!(pair.count(Mark::ClientCutUpload), 1);
    pair.nothing_more();
}

#[test]
fn a_response_goes_on_once_it_is_complete() {
    let mut pair = pair("a: {buffering: {}}");
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.send(origin, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
    assert_eq!(pair.got(client), "");
    pair.send(origin, "1\r\nc\r\n0\r\nX-Sum: 9\r\n\r\n");
    let got = pair.got(client);
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n"), "{got}");
    assert!(got.ends_with("\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nX-Sum: 9\r\n\r\n"), "{got}");
    pair.nothing_more();
}

#[test]
fn a_response_that_is_too_long_becomes_an_error() {
    for (head, body) in [("Content-Length: 4", ""), ("Transfer-Encoding: chunked", "4\r\nbody\r\n")]
    {
        let mut pair = pair("a: {buffering: {maxResponseBodyBytes: 3}}");
        let client = pair.open();
        pair.send(client, GET);
        let origin = pair.dialed();
        pair.send(origin, format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}"));
        assert_eq!(pair.own(client), TOO_MUCH);
        assert_eq!(pair.count(Mark::BodyOverLimit), 1);
        pair.nothing_more();
    }
}

#[test]
fn a_response_too_long_to_collect_goes_on_and_is_cut_where_it_is_too_long() {
    let mut pair = pair("a: {buffering: {maxResponseBodyBytes: 5, memResponseBodyBytes: 2}}");
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.send(origin, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    assert!(pair.got(client).ends_with("\r\n\r\n3\r\nabc\r\n"));
    pair.send(origin, "3\r\ndef\r\n");
    assert_eq!((pair.got(client).as_str(), pair.ended(client)), ("", "shut"));
    pair.nothing_more();
}

#[test]
fn events_are_not_held_back() {
    let mut pair = pair("a: {buffering: {}}");
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.send(
        origin,
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: \
         chunked\r\n\r\n3\r\nabc\r\n",
    );
    assert!(pair.got(client).ends_with("3\r\nabc\r\n"));
    pair.send(origin, "0\r\n\r\n");
    assert_eq!(pair.got(client), "0\r\n\r\n");
    pair.nothing_more();
}

#[test]
fn a_response_that_is_cut_while_it_is_held_is_no_response() {
    let mut pair = pair("a: {buffering: {}}");
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.send(origin, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbo");
    pair.fin(origin);
    assert!(pair.own(client).starts_with("HTTP/1.1 502 "));
    pair.nothing_more();
}

#[test]
fn where_there_is_no_room_bodies_go_on_as_they_come() {
    let limits = Limits { kept_bytes: 100, ..Limits::default() };
    let mut pair = Pair::of(Site::new(ENTRY).view("a: {buffering: {}}"), limits);
    let client = pair.open();
    pair.send(client, post(4, "bo"));
    let origin = pair.dialed();
    assert!(pair.got(origin).ends_with("\r\n\r\nbo"));
    pair.send(client, "dy");
    pair.send(origin, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbo");
    assert!(pair.got(client).ends_with("\r\n\r\nbo"));
    pair.send(origin, "dy");
    assert_eq!(pair.got(client), "dy");
    assert_eq!(pair.count(Mark::CollectedNoMore), 2);
    pair.nothing_more();
}

#[test]
fn an_expression_says_what_is_sent_again() {
    let expression = "ResponseCode() == 503 && Attempts() < 3 || IsNetworkError()";
    let mut pair = pair(&format!("a: {{buffering: {{retryExpression: '{expression}'}}}}"));
    let client = pair.open();
    pair.send(client, post(4, "body").replace("POST", "PUT"));
    for _ in 0..3 {
        let origin = pair.dialed();
        assert!(pair.got(origin).ends_with("body"));
        assert_eq!(pair.got(client), "");
        pair.send(origin, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    }
    assert!(pair.got(client).starts_with("HTTP/1.1 503 No\r\n"));
    assert_eq!(pair.count(Mark::Retried), 2);
    // Not for ever, and not what cannot be repeated.
    let mut pair = super::pair(&format!("a: {{buffering: {{retryExpression: '{expression}'}}}}"));
    pair.dial = Dial::Refuse;
    let client = pair.open();
    pair.send(client, GET);
    assert!(pair.own(client).starts_with("HTTP/1.1 502 "));
    assert_eq!(pair.count(Mark::Retried), 10);
    while pair.try_dialed().is_some() {}
    pair.dial = Dial::Accept;
    let client = pair.open();
    pair.send(client, post(4, "body"));
    let origin = pair.dialed();
    pair.got(origin);
    pair.reset(origin);
    assert!(pair.own(client).starts_with("HTTP/1.1 502 "));
    pair.nothing_more();
}
