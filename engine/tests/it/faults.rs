//! Servers that refuse, die or stay silent, and clients that leave.

use crate::pair::{Dial, Pair};
use crate::plan::Plan;
use engine::base::id::ServerId;
use engine::base::mark::Mark;
use engine::base::time::{Span, Time};
use engine::boundary::Report;

const GET: &str = "GET / HTTP/1.1\r\nHost: s\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const BAD_GATEWAY: &str = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 11\r\n\r\nBad Gateway";
const TIMEOUT: &str = "HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 15\r\n\r\nGateway Timeout";

#[test]
fn a_server_that_refuses_is_a_bad_gateway() {
    let mut pair = Pair::new(&Plan::one_origin());
    pair.dial = Dial::Refuse;
    let client = pair.open();
    pair.send(client, GET);
    pair.dialed();
    assert_eq!(pair.own(client), BAD_GATEWAY);
    assert_eq!(pair.ended(client), "");
    pair.nothing_more();
}

#[test]
fn a_server_that_cannot_be_reached_in_time_is_a_gateway_timeout() {
    let mut pair = Pair::new(&Plan::one_origin());
    pair.dial = Dial::Hang;
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.pass(Span::secs(29));
    assert_eq!(pair.got(client), "");
    pair.pass(Span::secs(1));
    assert_eq!(pair.own(client), TIMEOUT);
    assert_eq!(pair.ended(origin), "aborted");
    assert_eq!(pair.count(Mark::DialTimedOut), 1);
    pair.nothing_more();
}

#[test]
fn further_addresses_are_tried() {
    let mut plan = Plan::bare();
    let service = plan.origin_at(3);
    plan.route("PathPrefix(`/`)", service, &[]);
    let mut pair = Pair::new(&plan);
    pair.refusing =
        vec!["10.0.0.1:8080".parse().expect("one"), "10.0.0.2:8080".parse().expect("two")];
    let client = pair.open();
    pair.send(client, "POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 2\r\n\r\nab");
    pair.dialed();
    pair.dialed();
    let third = pair.dialed();
    assert_eq!(pair.address(third).to_string(), "10.0.0.3:8080");
    assert!(pair.got(third).ends_with("\r\n\r\nab"));
    assert_eq!(pair.count(Mark::NextAddress), 2);
    pair.send(third, OK);
    assert_eq!(pair.got(client), OK);
    pair.nothing_more();
}

#[test]
fn a_server_without_an_address_is_a_bad_gateway() {
    let mut plan = Plan::bare();
    let service = plan.origin_at(0);
    plan.route("PathPrefix(`/`)", service, &[]);
    let mut pair = Pair::new(&plan);
    assert_eq!(pair.answer(GET), BAD_GATEWAY);
    assert_eq!(pair.count(Mark::NoAddress), 1);
    pair.nothing_more();
}

#[test]
fn a_server_that_closes_without_an_answer_is_a_bad_gateway() {
    for cut in ["", "HTTP/1.1 200 OK\r\nContent-"] {
        let mut pair = Pair::new(&Plan::one_origin());
        let client = pair.open();
        pair.send(client, GET);
        let origin = pair.dialed();
        pair.got(origin);
        pair.send(origin, cut);
        pair.fin(origin);
        assert_eq!(pair.own(client), BAD_GATEWAY);
        pair.nothing_more();
    }
}

#[test]
fn garbage_from_a_server_is_a_bad_gateway() {
    for garbage in [
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ] {
        let mut pair = Pair::new(&Plan::one_origin());
        let client = pair.open();
        pair.send(client, GET);
        let origin = pair.dialed();
        pair.got(origin);
        pair.send(origin, garbage);
        assert_eq!(pair.own(client), BAD_GATEWAY, "{garbage}");
        assert_eq!(pair.ended(origin), "aborted");
        assert_eq!(pair.count(Mark::OriginGarbage), 1);
        pair.nothing_more();
    }
}

#[test]
fn a_silent_server_is_a_gateway_timeout() {
    let mut plan = Plan::bare();
    plan.transport.response_header_timeout = Span::secs(3);
    let service = plan.origin();
    plan.route("PathPrefix(`/`)", service, &[]);
    let mut pair = Pair::new(&plan);
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.got(origin);
    pair.pass(Span::secs(3));
    assert_eq!(pair.own(client), TIMEOUT);
    assert_eq!(pair.count(Mark::OriginTimedOut), 1);
    pair.nothing_more();
}

#[test]
fn a_server_that_falls_silent_cuts_its_answer() {
    let mut plan = Plan::bare();
    plan.transport.read_timeout = Span::secs(3);
    let service = plan.origin();
    plan.route("PathPrefix(`/`)", service, &[]);
    let mut pair = Pair::new(&plan);
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.got(origin);
    pair.pass(Span::secs(2));
    pair.send(origin, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart");
    pair.pass(Span::secs(2));
    assert_eq!(pair.ended(client), "");
    pair.pass(Span::secs(2));
    assert_eq!(pair.ended(client), "shut");
    pair.got(client);
    pair.nothing_more();
}

#[test]
fn a_server_that_does_not_take_the_request_is_a_gateway_timeout() {
    let mut plan = Plan::bare();
    plan.transport.write_timeout = Span::secs(3);
    let service = plan.origin();
    plan.route("PathPrefix(`/`)", service, &[]);
    let mut pair = Pair::new(&plan);
    let client = pair.open();
    pair.send(client, "POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 9\r\n\r\n");
    let origin = pair.dialed();
    pair.got(origin);
    pair.deafen(origin, true);
    pair.send(client, "part");
    pair.pass(Span::secs(4));
    assert!(pair.got(client).starts_with("HTTP/1.1 504 Gateway Timeout\r\n"));
    pair.nothing_more();
}

#[test]
fn an_answer_cut_short_is_seen_to_be_cut() {
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\nzz\r\n",
    ] {
        let mut pair = Pair::new(&Plan::one_origin());
        let client = pair.open();
        pair.send(client, GET);
        let origin = pair.dialed();
        pair.got(origin);
        pair.send(origin, response);
        pair.fin(origin);
        let got = pair.got(client);
        assert!(!got.ends_with("0\r\n\r\n"), "{got}");
        assert_eq!(pair.ended(client), "shut");
        assert_eq!(pair.count(Mark::ResponseCut), 1);
        pair.nothing_more();
    }
}

#[test]
fn an_answer_cut_short_takes_none_back_that_came_before_it() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.deafen(client, true);
    pair.send(client, format!("{GET}{GET}"));
    let origin = pair.dialed();
    pair.send(origin, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nold!");
    pair.send(origin, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart");
    pair.reset(origin);
    assert_eq!(pair.got(client), "");
    pair.deafen(client, false);
    let got = pair.got(client);
    assert!(got.contains("\r\n\r\nold!HTTP/1.1 200 OK\r\n") && got.ends_with("part"), "{got}");
    assert_eq!(pair.ended(client), "shut");
    pair.nothing_more();
}

#[test]
fn a_cut_is_a_reset_where_the_end_would_frame_what_came() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, "GET / HTTP/1.0\r\nHost: s\r\n\r\n");
    let origin = pair.dialed();
    pair.send(origin, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n");
    pair.reset(origin);
    assert!(pair.got(client).ends_with("part"));
    assert_eq!(pair.ended(client), "aborted");
    pair.nothing_more();
}

#[test]
fn a_reset_cuts_an_answer_that_only_the_end_would_frame() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.got(origin);
    pair.send(origin, "HTTP/1.0 200 OK\r\n\r\npart");
    pair.reset(origin);
    assert!(!pair.got(client).ends_with("0\r\n\r\n"));
    assert_eq!(pair.ended(client), "shut");
    pair.nothing_more();
}

#[test]
fn a_client_that_leaves_takes_its_request_along() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.got(origin);
    pair.reset(client);
    assert_eq!(pair.ended(origin), "aborted");
    assert_eq!(pair.count(Mark::ClientLeft), 1);
    pair.nothing_more();
}

#[test]
fn an_upload_cut_short_never_looks_complete() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(
        client,
        "POST / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    );
    let origin = pair.dialed();
    pair.fin(client);
    assert!(pair.got(origin).ends_with("\r\n\r\n3\r\nabc\r\n"));
    assert_eq!((pair.ended(origin), pair.ended(client)), ("aborted", "aborted"));
    assert_eq!(pair.count(Mark::ClientCutUpload), 1);
    pair.nothing_more();
}

#[test]
fn an_upload_that_is_refused_while_it_runs_still_gets_its_answer() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, "POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 9\r\n\r\npart");
    let origin = pair.dialed();
    pair.got(origin);
    pair.send(origin, "HTTP/1.1 401 Who\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert!(pair.got(client).starts_with("HTTP/1.1 401 Who\r\n"));
    assert_eq!(pair.ended(client), "shut");
    pair.nothing_more();
}

#[test]
fn a_slow_upload_is_told_off() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, "POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 9\r\n\r\npart");
    let origin = pair.dialed();
    pair.got(origin);
    pair.pass(Span::secs(60));
    assert!(pair.got(client).starts_with("HTTP/1.1 408 Request Timeout\r\n"));
    assert_eq!((pair.ended(client), pair.ended(origin)), ("shut", "aborted"));
    assert_eq!(pair.count(Mark::SlowBody), 1);
    pair.nothing_more();
}

#[test]
fn a_client_that_reads_too_slowly_is_cut_off() {
    let mut plan = Plan::one_origin();
    plan.settings.write_timeout = Span::secs(5);
    let mut pair = Pair::new(&plan);
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.got(origin);
    pair.send(origin, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart");
    pair.got(client);
    pair.pass(Span::secs(5));
    assert_eq!((pair.ended(client), pair.ended(origin)), ("aborted", "aborted"));
    assert_eq!(pair.count(Mark::SlowReader), 1);
    pair.nothing_more();
}

#[test]
fn failures_and_the_first_success_after_them_are_reported() {
    let mut plan = Plan::bare();
    plan.passive = true;
    let service = plan.origin();
    plan.route("PathPrefix(`/`)", service, &[]);
    let mut pair = Pair::new(&plan);
    let (server, at) = (ServerId(0), Time::ZERO);
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.send(origin, OK);
    assert_eq!(pair.reports, []);
    pair.send(client, GET);
    pair.got(origin);
    pair.send(origin, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(pair.reports, [Report::Failed { server, at }]);
    pair.got(client);
    pair.send(client, GET);
    pair.send(origin, OK);
    pair.send(client, GET);
    pair.send(origin, OK);
    assert_eq!(pair.reports, [Report::Failed { server, at }, Report::Recovered { server, at }]);
    assert_eq!((pair.count(Mark::ServerFailed), pair.count(Mark::ServerRecovered)), (1, 1));
}
