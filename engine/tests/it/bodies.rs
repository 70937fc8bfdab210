//! Bodies: framed anew, streamed without being stored, held back when the reader is slow.

use crate::pair::Pair;
use crate::plan::Plan;
use engine::base::limits::Limits;
use engine::base::mark::Mark;
use engine::base::time::Span;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// What follows the head of a message.
fn body(message: &str) -> &str {
    message.split_once("\r\n\r\n").expect("a whole head").1
}

#[test]
fn a_body_of_known_length_is_passed_on() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, "POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 5\r\n\r\nhel");
    let origin = pair.dialed();
    let sent = pair.got(origin);
    assert!(sent.contains("Content-Length: 5\r\n") && body(&sent) == "hel", "{sent}");
    pair.send(client, "loGET ");
    assert_eq!(pair.got(origin), "lo");
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.send(client, "/next HTTP/1.1\r\nHost: s\r\n\r\n");
    assert!(pair.got(origin).starts_with("GET /next HTTP/1.1\r\n"));
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.nothing_more();
}

#[test]
fn chunks_lose_their_extensions_and_keep_their_trailers() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, "POST / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n");
    let origin = pair.dialed();
    let sent = pair.got(origin);
    assert!(sent.contains("Transfer-Encoding: chunked\r\n") && body(&sent).is_empty(), "{sent}");
    pair.send(client, "3;x=y\r\nabc\r\n");
    assert_eq!(pair.got(origin), "3\r\nabc\r\n");
    pair.send(client, "0\r\nX-Sum: 7\r\nSet-Cookie: x\r\n\r\n");
    assert_eq!(pair.got(origin), "0\r\nX-Sum: 7\r\n\r\n");
    pair.send(
        origin,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-End: 1\r\n\r\n",
    );
    assert_eq!(
        pair.got(client),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-End: 1\r\n\r\n"
    );
    assert_eq!(pair.ended(client), "");
    pair.nothing_more();
}

#[test]
fn an_empty_chunked_body_is_ended_for_the_server() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    let head = "POST / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    pair.send(client, head);
    let origin = pair.dialed();
    assert_eq!(body(&pair.got(origin)), "0\r\n\r\n");
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.nothing_more();
}

#[test]
fn a_response_until_the_end_becomes_chunks() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, "GET / HTTP/1.1\r\nHost: s\r\n\r\n");
    let origin = pair.dialed();
    pair.send(origin, "HTTP/1.0 200 OK\r\n\r\nsome");
    pair.send(origin, "more");
    pair.fin(origin);
    assert_eq!(
        pair.got(client),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n4\r\nmore\r\n0\r\n\r\n"
    );
    assert_eq!(pair.ended(client), "");
    assert_eq!(pair.ended(origin), "closed");
    pair.nothing_more();
}

#[test]
fn responses_without_content_end_with_their_head() {
    for (request, response) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
    ] {
        let mut pair = Pair::new(&Plan::one_origin());
        let client = pair.open();
        pair.send(client, format!("{request} / HTTP/1.1\r\nHost: s\r\n\r\n"));
        let origin = pair.dialed();
        pair.send(origin, response);
        assert_eq!(pair.got(client), response);
        pair.send(client, "GET /again HTTP/1.1\r\nHost: s\r\n\r\n");
        pair.no_dial();
        assert!(pair.got(origin).contains("GET /again "), "{request} {response}");
    }
}

#[test]
fn a_large_body_arrives_whole_in_growing_reads() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, "GET / HTTP/1.1\r\nHost: s\r\n\r\n");
    let origin = pair.dialed();
    let large: String = ('a'..='z').cycle().take(400_000).collect();
    pair.send(origin, format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{large}", large.len()));
    assert_eq!(body(&pair.got(client)), large);
    pair.nothing_more();
}

#[test]
fn a_large_upload_arrives_whole_in_chunks() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    let large = "x".repeat(300_000);
    let head = "POST / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n";
    pair.send(client, format!("{head}{:x}\r\n{large}\r\n0\r\n\r\n", large.len()));
    let origin = pair.dialed();
    let sent = pair.got(origin);
    assert_eq!(body(&sent).matches('x').count(), large.len());
    assert!(sent.ends_with("\r\n0\r\n\r\n"));
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.nothing_more();
}

#[test]
fn a_client_that_does_not_read_holds_its_server_back() {
    let limits = Limits { outbox_bytes: 4_096, ..Limits::default() };
    let mut pair = Pair::with(&Plan::one_origin(), limits);
    let client = pair.open();
    pair.send(client, "GET / HTTP/1.1\r\nHost: s\r\n\r\n");
    let origin = pair.dialed();
    pair.deafen(client, true);
    let large = "z".repeat(200_000);
    pair.send(origin, format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{large}", large.len()));
    assert!(!pair.is_read(origin), "the server is not read");
    assert!(pair.count(Mark::HeldBack) > 0);
    pair.deafen(client, false);
    assert_eq!(body(&pair.got(client)), large);
    pair.nothing_more();
}

#[test]
fn a_server_that_does_not_read_holds_its_client_back() {
    let limits = Limits { outbox_bytes: 4_096, ..Limits::default() };
    let mut pair = Pair::with(&Plan::one_origin(), limits);
    let client = pair.open();
    pair.send(client, "POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 200000\r\n\r\n");
    let origin = pair.dialed();
    pair.got(origin);
    pair.deafen(origin, true);
    let large = "u".repeat(200_000);
    pair.send(client, &large);
    assert!(!pair.is_read(client), "the client is not read");
    pair.deafen(origin, false);
    assert_eq!(pair.got(origin), large);
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.nothing_more();
}

#[test]
fn a_client_that_expects_to_go_on_is_told_by_the_server() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    let head = "PUT / HTTP/1.1\r\nHost: s\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    pair.send(client, head);
    let origin = pair.dialed();
    assert!(pair.got(origin).contains("Expect: 100-continue\r\n"));
    assert_eq!(pair.got(client), "");
    pair.send(origin, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(pair.got(client), "HTTP/1.1 100 Continue\r\n\r\n");
    pair.send(client, "ab");
    assert_eq!(pair.got(origin), "ab");
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    assert_eq!(pair.ended(client), "");
    pair.nothing_more();
}

#[test]
fn a_client_that_expects_to_go_on_is_told_by_us_after_a_second() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    let head = "PUT / HTTP/1.1\r\nHost: s\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    pair.send(client, head);
    let origin = pair.dialed();
    pair.pass(Span::millis(999));
    assert_eq!(pair.got(client), "");
    pair.pass(Span::millis(1));
    assert_eq!(pair.got(client), "HTTP/1.1 100 Continue\r\n\r\n");
    pair.send(origin, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(pair.got(client), "", "once is enough");
    assert_eq!(pair.count(Mark::ContinueRelayed), 1);
    pair.got(origin);
    pair.send(client, "ab");
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    assert_eq!(pair.got(origin), "ab");
    pair.nothing_more();
}

#[test]
fn a_server_may_refuse_what_was_expected() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    let head = "PUT / HTTP/1.1\r\nHost: s\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    pair.send(client, head);
    let origin = pair.dialed();
    pair.got(origin);
    pair.send(origin, "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n");
    let got = pair.got(client);
    assert_eq!(got, "HTTP/1.1 417 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!(pair.ended(client), "shut");
    assert_eq!(pair.ended(origin), "aborted");
    pair.nothing_more();
}

#[test]
fn interim_responses_are_passed_on_up_to_a_limit() {
    let mut pair = Pair::with(&Plan::one_origin(), Limits { interim_max: 2, ..Limits::default() });
    let client = pair.open();
    pair.send(client, "GET / HTTP/1.1\r\nHost: s\r\n\r\n");
    let origin = pair.dialed();
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    pair.send(origin, hints);
    assert_eq!(pair.got(client), hints);
    pair.send(origin, hints);
    assert_eq!(pair.got(client), hints);
    pair.got(origin);
    pair.send(origin, hints);
    assert!(pair.got(client).starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
    assert_eq!((pair.count(Mark::InterimsExceeded), pair.count(Mark::InterimRelayed)), (1, 2));
    pair.nothing_more();
}

#[test]
fn interim_responses_do_not_reach_a_client_of_the_old_version() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let origin = pair.dialed();
    pair.send(origin, "HTTP/1.1 103 Early Hints\r\n\r\n");
    assert_eq!(pair.got(client), "");
}

#[test]
fn an_answer_before_the_end_of_the_upload_is_delivered() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, "POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 100000\r\n\r\nstart");
    let origin = pair.dialed();
    pair.got(origin);
    pair.send(origin, "HTTP/1.1 413 No\r\nContent-Length: 4\r\n\r\nmuch");
    let got = pair.got(client);
    assert_eq!(got, "HTTP/1.1 413 No\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmuch");
    assert_eq!((pair.ended(client), pair.ended(origin)), ("shut", "aborted"));
    pair.send(client, "more that nobody wants");
    pair.no_dial();
    pair.pass(Span::secs(2));
    assert_eq!(pair.ended(client), "closed");
    assert_eq!(pair.count(Mark::EarlyResponse), 1);
    pair.nothing_more();
}

#[test]
fn the_rest_of_a_small_request_is_read_after_our_own_answer() {
    let mut pair = Pair::new(&Plan::bare());
    let client = pair.open();
    pair.send(client, "POST /nowhere HTTP/1.1\r\nHost: s\r\nContent-Length: 6\r\n\r\nabc");
    assert!(pair.got(client).starts_with("HTTP/1.1 404 Not Found\r\n"));
    assert_eq!(pair.ended(client), "");
    pair.send(client, "defGET / HTTP/1.1\r\nHost: s\r\n\r\n");
    assert!(pair.got(client).starts_with("HTTP/1.1 404 Not Found\r\n"));
    pair.nothing_more();
}

#[test]
fn the_rest_of_a_large_request_is_not_waited_for() {
    let mut pair = Pair::new(&Plan::bare());
    let client = pair.open();
    pair.send(client, "POST /nowhere HTTP/1.1\r\nHost: s\r\nContent-Length: 999999999\r\n\r\n");
    assert!(pair.got(client).contains("Connection: close\r\n"));
    assert_eq!(pair.ended(client), "shut");
    pair.nothing_more();
}

#[test]
fn a_server_that_stops_reading_may_still_answer() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, "POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 9\r\n\r\npart");
    let origin = pair.dialed();
    pair.plug(origin);
    pair.send(client, "more");
    assert_eq!((pair.got(client).as_str(), pair.count(Mark::UploadRefused)), ("", 1));
    pair.send(origin, "HTTP/1.1 413 No\r\nContent-Length: 4\r\n\r\nmuch");
    assert!(pair.got(client).ends_with("Connection: close\r\n\r\nmuch"));
    assert_eq!((pair.ended(client), pair.ended(origin)), ("shut", "aborted"));
    pair.nothing_more();
}

#[test]
fn a_client_may_leave_while_the_rest_of_its_request_is_thrown_away() {
    let mut pair = Pair::new(&Plan::bare());
    let client = pair.open();
    pair.send(client, "POST /nowhere HTTP/1.1\r\nHost: s\r\nContent-Length: 6\r\n\r\nabc");
    assert!(pair.got(client).starts_with("HTTP/1.1 404 Not Found\r\n"));
    pair.fin(client);
    assert_eq!((pair.ended(client), pair.count(Mark::DiscardCut)), ("closed", 1));
    pair.nothing_more();
}
