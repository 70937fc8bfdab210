//! Requests on their way to a server, and responses on their way back.

use crate::pair::Pair;
use crate::plan::{Plan, strip};
use engine::base::cidr::Cidr;
use engine::base::limits::Limits;
use engine::base::mark::Mark;
use engine::base::time::Span;
use engine::config::fixed::{AccessFormat, AccessLog, HeaderMode};
use engine::service::middleware::{Headers, Step};
use std::sync::Arc;

const GET: &str = "GET /a?b HTTP/1.1\r\nHost: shop\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn a_request_goes_to_the_server_and_its_answer_comes_back() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    assert_eq!(
        pair.got(origin),
        "GET /a?b HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: 192.0.2.7\r\n\
         X-Forwarded-Host: shop\r\nX-Forwarded-Port: 80\r\nX-Forwarded-Proto: http\r\n\
         X-Real-Ip: 192.0.2.7\r\n\r\n"
    );
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    assert_eq!(pair.ended(client), "");
    pair.nothing_more();
}

#[test]
fn an_answer_leaves_with_one_date_whoever_gave_it() {
    let set = |value: &str| vec![("date".to_owned(), value.to_owned())];
    let check = |edits: Vec<(String, String)>, came: &str, dates: &[&str]| {
        let mut plan = Plan::bare();
        let service = plan.origin();
        let step = Step::Headers(Arc::new(Headers::custom(Vec::new(), edits)));
        plan.route("PathPrefix(`/`)", service, &[step]);
        let mut pair = Pair::new(&plan);
        let client = pair.open();
        pair.send(client, GET);
        let origin = pair.dialed();
        pair.send(origin, "HTTP/1.1 103 Early\r\n\r\n");
        pair.send(origin, format!("HTTP/1.1 200 OK\r\n{came}Content-Length: 0\r\n\r\n"));
        let got = pair.whole(client);
        let found: Vec<_> =
            got.lines().filter(|line| line.to_ascii_lowercase().starts_with("date:")).collect();
        assert_eq!(found, dates, "{got}");
    };
    check(Vec::new(), "", &["Date: Thu, 01 Jan 1970 00:00:00 GMT"]);
    check(Vec::new(), "date: long ago\r\n", &["date: long ago"]);
    check(set("never"), "", &["date: never"]);
    check(set("never"), "Date: long ago\r\n", &["date: never"]);
    check(set(""), "Date: long ago\r\n", &[]);
}

#[test]
fn the_second_request_reuses_both_connections() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.send(origin, OK);
    pair.got(client);
    pair.got(origin);
    pair.send(client, GET);
    pair.no_dial();
    assert!(pair.got(origin).starts_with("GET /a?b HTTP/1.1\r\n"));
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.nothing_more();
}

#[test]
fn pipelined_requests_are_served_one_after_another() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, "GET /1 HTTP/1.1\r\nHost: s\r\n\r\nGET /2 HTTP/1.1\r\nHost: s\r\n\r\n");
    let origin = pair.dialed();
    assert!(pair.got(origin).starts_with("GET /1 "));
    pair.no_dial();
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    assert!(pair.got(origin).starts_with("GET /2 "));
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.nothing_more();
}

#[test]
fn a_head_may_come_byte_by_byte() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.trickle(client, GET);
    let origin = pair.dialed();
    assert!(pair.got(origin).starts_with("GET /a?b HTTP/1.1\r\n"));
    pair.trickle(origin, OK);
    assert_eq!(pair.got(client), OK);
    assert!(pair.count(Mark::HeadInPieces) > 0 && pair.count(Mark::ResponseHeadInPieces) > 0);
    pair.nothing_more();
}

#[test]
fn writes_of_one_byte_deliver_everything() {
    let mut pair = Pair::new(&Plan::one_origin());
    pair.write_max = 1;
    assert_eq!(pair.exchange(GET, OK), OK);
    assert!(pair.count(Mark::ShortWriteResumed) > 0);
    pair.nothing_more();
}

#[test]
fn fields_of_one_hop_stop_here() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(
        client,
        "GET / HTTP/1.1\r\nHost: s\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\n\
         Keep-Alive: 5\r\nTE: trailers\r\nProxy-Authorization: x\r\nX-Kept: 2\r\n\r\n",
    );
    let origin = pair.dialed();
    let sent = pair.got(origin);
    assert!(sent.contains("X-Kept: 2\r\n") && sent.contains("Te: trailers\r\n"), "{sent}");
    for gone in ["X-Mine", "Keep-Alive", "Proxy-Authorization", "Connection"] {
        assert!(!sent.contains(gone), "{gone} in {sent}");
    }
    pair.send(
        origin,
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: X-Own\r\nX-Own: 1\r\n\
         Proxy-Authenticate: x\r\nX-Kept: 3\r\n\r\n",
    );
    assert_eq!(pair.got(client), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Kept: 3\r\n\r\n");
    pair.nothing_more();
}

const FORGED: &str = "GET / HTTP/1.1\r\nHost: s:81\r\nX-Forwarded-For: 1.1.1.1\r\n\
    X-Forwarded-Proto: https\r\nX_Forwarded_Host: evil\r\nX-Real-Ip: 2.2.2.2\r\n\
    X-Forwarded-Prefix: /p\r\nX-Uplink-Name: u\r\n\r\n";

#[test]
fn a_stranger_cannot_say_where_a_request_comes_from() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, FORGED);
    let origin = pair.dialed();
    assert_eq!(
        pair.got(origin),
        "GET / HTTP/1.1\r\nHost: s:81\r\nX-Forwarded-For: 192.0.2.7\r\n\
         X-Forwarded-Host: s:81\r\nX-Forwarded-Port: 81\r\nX-Forwarded-Proto: http\r\n\
         X-Real-Ip: 192.0.2.7\r\n\r\n"
    );
}

#[test]
fn a_peer_on_a_socket_of_both_families_has_its_own_address() {
    let mut pair = Pair::new(&Plan::one_origin());
    let mapped: std::net::Ipv6Addr = "::ffff:192.0.2.7".parse().expect("an address");
    let client = pair.open_from(mapped);
    pair.send(client, GET);
    let origin = pair.dialed();
    let got = pair.got(origin);
    assert!(got.contains("\r\nX-Forwarded-For: 192.0.2.7\r\n"), "{got}");
    assert!(got.contains("\r\nX-Real-Ip: 192.0.2.7\r\n"), "{got}");
}

#[test]
fn a_trusted_peer_is_believed_and_added() {
    let mut plan = Plan::one_origin();
    plan.settings.forwarded.trusted = vec![Cidr::parse("192.0.2.0/24").expect("a range")];
    let mut pair = Pair::new(&plan);
    let client = pair.open();
    pair.send(client, FORGED);
    let origin = pair.dialed();
    assert_eq!(
        pair.got(origin),
        "GET / HTTP/1.1\r\nHost: s:81\r\nX-Forwarded-Proto: https\r\nX_Forwarded_Host: evil\r\n\
         X-Real-Ip: 2.2.2.2\r\nX-Forwarded-Prefix: /p\r\n\
         X-Forwarded-For: 1.1.1.1, 192.0.2.7\r\nX-Forwarded-Port: 81\r\n\r\n"
    );
}

#[test]
fn middlewares_change_path_and_fields() {
    let mut plan = Plan::bare();
    let service = plan.origin();
    let pairs = |list: &[(&str, &str)]| {
        list.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    };
    let edit = Headers::custom(
        pairs(&[("X-Set", "1"), ("X-Drop", ""), ("Host", "inner")]),
        pairs(&[("X-Told", "2"), ("Server", "")]),
    );
    let steps = [strip("/api"), Step::AddPrefix("/v1".into()), Step::Headers(Arc::new(edit))];
    plan.route("PathPrefix(`/api`)", service, &steps);
    let mut pair = Pair::new(&plan);
    let client = pair.open();
    pair.send(client, "GET /api/x?y HTTP/1.1\r\nHost: s\r\nX-Drop: 1\r\nX-Set: 0\r\n\r\n");
    let origin = pair.dialed();
    let sent = pair.got(origin);
    assert!(sent.starts_with("GET /v1/x?y HTTP/1.1\r\nHost: inner\r\n"), "{sent}");
    assert!(sent.contains("X-Set: 1\r\n") && sent.contains("X-Forwarded-Prefix: /api\r\n"));
    assert!(!sent.contains("X-Drop") && !sent.contains("X-Set: 0"), "{sent}");
    pair.send(origin, "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(pair.got(client), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Told: 2\r\n\r\n");
    pair.nothing_more();
}

#[test]
fn a_prefix_that_leaves_no_clean_path_is_refused() {
    let mut plan = Plan::bare();
    let service = plan.origin();
    plan.route("PathPrefix(`/`)", service, &[strip("/a")]);
    let mut pair = Pair::new(&plan);
    let answer = pair.answer("GET /a../b HTTP/1.1\r\nHost: s\r\n\r\n");
    assert_eq!(answer, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(pair.count(Mark::UncleanPath), 1);
    pair.nothing_more();
}

#[test]
fn the_server_may_be_called_by_its_own_name_and_path() {
    let mut plan = Plan::bare();
    plan.pass_host = false;
    plan.prefix = "/base/".into();
    let service = plan.origin();
    plan.route("PathPrefix(`/`)", service, &[]);
    let mut pair = Pair::new(&plan);
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    let sent = pair.got(origin);
    assert!(sent.starts_with("GET /base/a?b HTTP/1.1\r\nHost: origin-0:8080\r\n"), "{sent}");
}

#[test]
fn a_client_of_the_old_version_is_answered_until_the_connection_ends() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, "GET / HTTP/1.0\r\n\r\n");
    let origin = pair.dialed();
    assert!(pair.got(origin).starts_with("GET / HTTP/1.1\r\nHost: "));
    pair.send(origin, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
    assert_eq!(pair.got(client), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi");
    assert_eq!(pair.ended(client), "closed");
    pair.nothing_more();
}

#[test]
fn a_client_of_the_old_version_may_ask_to_stay() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let origin = pair.dialed();
    pair.send(origin, OK);
    let got = pair.got(client);
    assert!(got.contains("Connection: keep-alive\r\n"), "{got}");
    assert_eq!(pair.ended(client), "");
    pair.nothing_more();
}

#[test]
fn a_client_that_wants_to_close_is_let_go() {
    let mut pair = Pair::new(&Plan::one_origin());
    let got = pair.exchange("GET / HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n", OK);
    assert_eq!(got, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
    pair.nothing_more();
}

#[test]
fn a_client_that_ended_its_half_is_still_answered() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, GET);
    pair.fin(client);
    let origin = pair.dialed();
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    assert_eq!(pair.ended(client), "closed");
    pair.nothing_more();
}

#[test]
fn requests_per_connection_are_limited() {
    let mut plan = Plan::one_origin();
    plan.settings.keep_alive_requests_max = 2;
    let mut pair = Pair::new(&plan);
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.send(client, GET);
    pair.send(origin, OK);
    assert!(pair.got(client).contains("Connection: close\r\n"));
    assert_eq!(pair.ended(client), "shut");
    pair.fin(client);
    assert_eq!(pair.ended(client), "closed");
    pair.nothing_more();
}

#[test]
fn what_is_pipelined_behind_a_last_answer_does_not_take_it_back() {
    let mut plan = Plan::one_origin();
    plan.settings.keep_alive_requests_max = 1;
    let mut pair = Pair::new(&plan);
    let client = pair.open();
    pair.send(client, GET.repeat(2));
    let origin = pair.dialed();
    pair.send(origin, OK);
    assert!(pair.got(client).contains("Connection: close\r\n"));
    pair.send(client, GET);
    assert_eq!((pair.ended(client), pair.is_read(client)), ("shut", true));
    pair.pass(Span::secs(2));
    assert_eq!((pair.ended(client), pair.count(Mark::LingeredLong)), ("closed", 1));
    pair.nothing_more();
}

#[test]
fn an_idle_client_is_closed_after_its_time() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.pass(Span::secs(179));
    assert_eq!(pair.ended(client), "");
    pair.pass(Span::secs(1));
    assert_eq!(pair.ended(client), "closed");
    assert_eq!(pair.count(Mark::IdleClientClosed), 1);
    pair.nothing_more();
}

#[test]
fn every_request_leaves_a_record() {
    let mut plan = Plan::one_origin();
    plan.fixed.access_log = Some(common_log());
    let mut pair = Pair::new(&plan);
    pair.exchange(GET, OK);
    pair.pass(Span::secs(1));
    assert!(pair.log.contains("\"GET /a?b HTTP/1.1\" 200 2"), "{}", pair.log);
    assert!(pair.log.contains("\"route@file\" \"http://origin-0:8080\""), "{}", pair.log);
    assert_eq!(pair.log.lines().count(), 1);
    pair.nothing_more();
}

#[test]
fn many_lines_are_handed_over_at_once() {
    let mut plan = Plan::one_origin();
    plan.fixed.access_log = Some(common_log());
    let mut pair = Pair::with(&plan, Limits { log_bytes: 10, ..Limits::default() });
    pair.exchange(GET, OK);
    assert_eq!(pair.log.lines().count(), 1);
    assert_eq!(pair.count(Mark::LinesFull), 1);
}

#[test]
fn a_newer_view_takes_the_next_request_and_leaves_the_present_one_alone() {
    let mut plan = Plan::one_origin();
    let mut pair = Pair::new(&plan);
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    plan.routes.clear();
    plan.epoch = 2;
    pair.publish(&plan);
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.send(client, GET);
    assert!(pair.got(client).starts_with("HTTP/1.1 404 Not Found\r\n"));
    let mut older = Plan::one_origin();
    older.epoch = 1;
    pair.publish(&older);
    pair.send(client, GET);
    assert!(pair.got(client).starts_with("HTTP/1.1 404 Not Found\r\n"));
    pair.nothing_more();
}

fn common_log() -> AccessLog {
    AccessLog {
        file: None,
        format: AccessFormat::Common,
        status: Vec::new(),
        retry_attempts: false,
        min_duration: Span::ZERO,
        default_keep: true,
        names: std::collections::BTreeMap::new(),
        header_default: HeaderMode::Drop,
        headers: std::collections::BTreeMap::new(),
        add_internals: false,
    }
}

#[test]
fn what_a_peer_says_of_the_way_here_stands_once_or_gives_way_to_us() {
    const USUAL: [(&str, &str); 4] = [
        ("X-Forwarded-Host", "s"),
        ("X-Forwarded-Port", "80"),
        ("X-Forwarded-Proto", "http"),
        ("X-Real-Ip", "192.0.2.7"),
    ];
    let check = |name: &str, came: &[&str], trusted: bool, set: Option<&str>, expected: &[&str]| {
        let mut plan = Plan::bare();
        let service = plan.origin();
        let edits = set.map(|value| (name.to_owned(), value.to_owned()));
        let step = Step::Headers(Arc::new(Headers::custom(edits.into_iter().collect(), vec![])));
        plan.route("PathPrefix(`/`)", service, &[step]);
        let range = Cidr::parse("192.0.2.0/24").expect("a range");
        plan.settings.forwarded.trusted = trusted.then_some(range).into_iter().collect();
        let mut pair = Pair::new(&plan);
        let client = pair.open();
        let lines: String = came.iter().map(|value| format!("{name}: {value}\r\n")).collect();
        pair.send(client, format!("GET / HTTP/1.1\r\nHost: s\r\n{lines}\r\n"));
        let origin = pair.dialed();
        let sent = pair.got(origin);
        for (known, ours) in USUAL {
            let values = sent.lines().filter_map(|line| line.split_once(": "));
            let values = values.filter(|it| it.0.eq_ignore_ascii_case(known)).map(|it| it.1);
            let expected = if known == name { expected } else { &[ours] };
            assert_eq!(values.collect::<Vec<_>>(), expected, "{name} {came:?}: {sent}");
        }
    };
    for (name, ours) in USUAL {
        check(name, &[], true, None, &[ours]);
        check(name, &["theirs"], false, None, &[ours]);
        check(name, &["theirs"], true, None, &["theirs"]);
        check(name, &["theirs", "again"], true, None, &["theirs"]);
        check(name, &["", "theirs"], true, None, &["theirs"]);
        check(name, &[""], true, None, &[ours]);
        for came in [&[][..], &["theirs"]] {
            for trusted in [false, true] {
                check(name, came, trusted, Some("set"), &["set"]);
                check(name, came, trusted, Some(""), &[]);
            }
        }
    }
}

#[test]
fn the_name_of_the_instance_comes_from_nobody_else() {
    let check = |set: Option<&str>, trusted: bool, expected: &[&str]| {
        let mut plan = Plan::bare();
        let service = plan.origin();
        let edits = set.map(|value| ("X-Forwarded-Server".to_owned(), value.to_owned()));
        let step = Step::Headers(Arc::new(Headers::custom(edits.into_iter().collect(), vec![])));
        plan.route("PathPrefix(`/`)", service, &[step]);
        plan.settings.forwarded.insecure = trusted;
        plan.fixed.tieline.instance = "edge-1".into();
        let mut pair = Pair::new(&plan);
        let client = pair.open();
        pair.send(client, "GET / HTTP/1.1\r\nHost: s\r\nX-Forwarded-Server: forged\r\n\r\n");
        let origin = pair.dialed();
        let sent = pair.got(origin);
        let found = sent.lines().filter_map(|line| line.strip_prefix("X-Forwarded-Server: "));
        assert_eq!(found.collect::<Vec<_>>(), expected, "{sent}");
    };
    for trusted in [false, true] {
        check(None, trusted, &["edge-1"]);
        check(Some("mine"), trusted, &["mine"]);
        check(Some(""), trusted, &[]);
    }
}
