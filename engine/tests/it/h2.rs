//! Clients that speak HTTP/2 on clear text, in front of servers that speak HTTP/1.1.

use crate::frames::{Ear, block, data, ended, frame, get, hello, request};
use crate::pair::{Dial, End, Pair};
use crate::plan::Plan;
use engine::base::limits::Limits;
use engine::base::mark::Mark;
use engine::base::time::Span;
use engine::h2::frame::{Code, END_HEADERS, END_STREAM, Kind, rst_stream, window_update};
use engine::worker::Census;

struct Client {
    end: End,
    ear: Ear,
}

impl Client {
    fn new(pair: &mut Pair) -> Self {
        let end = pair.open();
        pair.send(end, hello());
        Self { end, ear: Ear::default() }
    }

    #[track_caller]
    fn hears(&mut self, pair: &mut Pair, expected: &[&str]) {
        let bytes = pair.got_bytes(self.end);
        assert_eq!(self.ear.hear(&bytes), expected);
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn a_request_crosses_to_http_1_and_back() {
    let mut pair = Pair::new(&Plan::one_origin());
    let mut client = Client::new(&mut pair);
    pair.send(client.end, get(1, "/a?b=c"));
    let origin = pair.dialed();
    let sent = pair.got(origin);
    assert!(sent.starts_with("GET /a?b=c HTTP/1.1\r\nHost: s\r\n"), "{sent}");
    assert!(!sent.contains("onnection"), "{sent}");
    pair.send(origin, OK);
    client.hears(&mut pair, &["1 head :status=200 content-length=5", "1 data hello end"]);
    pair.send(client.end, get(3, "/again"));
    assert!(pair.got(origin).starts_with("GET /again "));
    pair.send(origin, "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\nX-A: b\r\n\r\n");
    client.hears(&mut pair, &["3 head :status=204 x-a=b end"]);
    assert_eq!(pair.count(Mark::SessionOpened), 1);
    pair.nothing_more();
    assert_eq!(pair.count(Mark::SessionEnded), 1);
}

#[test]
fn streams_do_not_wait_for_one_another() {
    let mut pair = Pair::new(&Plan::one_origin());
    let mut client = Client::new(&mut pair);
    pair.send(client.end, [get(1, "/1"), get(3, "/2"), get(5, "/3")].concat());
    let mut origins = [pair.dialed(), pair.dialed(), pair.dialed()].to_vec();
    origins.sort_by_cached_key(|origin| pair.got(*origin));
    pair.send(origins[2], OK);
    client.hears(&mut pair, &["5 head :status=200 content-length=5", "5 data hello end"]);
    pair.send(origins[0], OK);
    client.hears(&mut pair, &["1 head :status=200 content-length=5", "1 data hello end"]);
    pair.reset(origins[1]);
    client.hears(&mut pair, &["3 head :status=502 content-length=11", "3 data Bad Gateway end"]);
    pair.nothing_more();
}

#[test]
fn content_and_trailers_cross_both_ways() {
    let mut pair = Pair::new(&Plan::one_origin());
    let mut client = Client::new(&mut pair);
    pair.send(client.end, request(1, "POST", "/", &[("te", "trailers")]));
    let origin = pair.dialed();
    let head = pair.got(origin);
    assert!(head.contains("Transfer-Encoding: chunked\r\n"), "{head}");
    assert!(head.contains("Te: trailers\r\n"), "{head}");
    pair.send(client.end, data(1, "one"));
    assert_eq!(pair.got(origin), "3\r\none\r\n");
    let trailers = block(&[("x-sum", "1"), ("content-type", "no")]);
    let trailers = frame(Kind::Headers, END_HEADERS | END_STREAM, 1, &trailers);
    pair.send(client.end, [data(1, "twos"), trailers].concat());
    assert_eq!(pair.got(origin), "4\r\ntwos\r\n0\r\nx-sum: 1\r\n\r\n");
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nGrpc-Status: 0\r\n\r\n";
    pair.send(origin, answer);
    client.hears(&mut pair, &["1 head :status=200", "1 data ab", "1 head grpc-status=0 end"]);
    pair.nothing_more();
}

#[test]
fn an_announced_length_is_passed_on_and_kept() {
    let mut pair = Pair::new(&Plan::one_origin());
    let mut client = Client::new(&mut pair);
    pair.send(client.end, request(1, "PUT", "/", &[("content-length", "6")]));
    let origin = pair.dialed();
    assert!(pair.got(origin).contains("content-length: 6\r\n"));
    pair.send(client.end, data(1, "abc"));
    assert_eq!(pair.got(origin), "abc");
    pair.send(client.end, data(1, "defg"));
    client.hears(&mut pair, &["1 reset 1"]);
    assert_eq!((pair.got(origin).as_str(), pair.ended(origin)), ("", "aborted"));
    assert_eq!(pair.count(Mark::StreamReset), 1);
    pair.nothing_more();
}

#[test]
fn interim_responses_come_first() {
    let mut pair = Pair::new(&Plan::one_origin());
    let mut client = Client::new(&mut pair);
    pair.send(client.end, request(1, "PUT", "/", &[("expect", "100-continue")]));
    let origin = pair.dialed();
    pair.got(origin);
    pair.send(origin, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n");
    client.hears(&mut pair, &["1 head :status=100", "1 head :status=103 link=a"]);
    pair.send(client.end, ended(data(1, "x")));
    pair.got(origin);
    pair.send(origin, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    client.hears(&mut pair, &["1 head :status=200 content-length=0 end"]);
    pair.nothing_more();
}

#[test]
fn a_window_holds_the_server_back() {
    let limits = Limits { outbox_bytes: 10_000, ..Limits::default() };
    let mut pair = Pair::with(&Plan::one_origin(), limits);
    let mut client = Client::new(&mut pair);
    // An initial window of eight bytes.
    pair.send(client.end, frame(Kind::Settings, 0, 0, &[0, 4, 0, 0, 0, 8]));
    pair.send(client.end, get(1, "/"));
    let origin = pair.dialed();
    pair.got(origin);
    pair.send(
        origin,
        format!("HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n{}", "x".repeat(50_000)),
    );
    client.hears(&mut pair, &["1 head :status=200 content-length=50000", "1 data xxxxxxxx"]);
    assert_eq!(pair.count(Mark::HeldBack), 1);
    assert!(!pair.is_read(origin), "nobody reads what nobody takes");
    pair.send(client.end, window_update(1, 2));
    client.hears(&mut pair, &["1 data xx"]);
    pair.send(client.end, window_update(1, 49_990));
    let bytes = pair.got_bytes(client.end);
    let lines = client.ear.hear(&bytes);
    let count: usize = lines.iter().map(|line| line.matches('x').count()).sum();
    assert_eq!(count, 49_990);
    assert!(lines.last().is_some_and(|line| line.ends_with(" end")));
    pair.nothing_more();
}

#[test]
fn a_server_that_does_not_read_holds_the_client_back() {
    let limits = Limits { outbox_bytes: 1_000, ..Limits::default() };
    let mut pair = Pair::with(&Plan::one_origin(), limits);
    let client = Client::new(&mut pair);
    pair.send(client.end, request(1, "POST", "/", &[]));
    let origin = pair.dialed();
    pair.deafen(origin, true);
    pair.got_bytes(client.end);
    for _ in 0..6 {
        pair.send(client.end, data(1, &"y".repeat(10_000)));
    }
    assert_eq!(pair.got_bytes(client.end), b"", "nothing is granted while nothing is taken");
    pair.deafen(origin, false);
    assert!(!pair.got_bytes(client.end).is_empty(), "what was taken is granted again");
    assert_eq!(pair.got(origin).matches('y').count(), 60_000);
}

#[test]
fn uploads_that_nobody_reads_do_not_hold_back_one_that_somebody_does() {
    let limits = Limits { outbox_bytes: 1_000, ..Limits::default() };
    let mut pair = Pair::with(&Plan::one_origin(), limits);
    let client = Client::new(&mut pair);
    for stream in [1, 3, 5, 7, 9, 11, 13, 15] {
        pair.send(client.end, request(stream, "POST", "/", &[]));
        let origin = pair.dialed();
        pair.deafen(origin, true);
        for _ in 0..4 {
            pair.send(client.end, data(stream, &"y".repeat(16_000)));
        }
    }
    pair.send(client.end, request(17, "POST", "/", &[]));
    let origin = pair.dialed();
    let mut came = 0;
    for _ in 0..100 {
        pair.send(client.end, data(17, &"z".repeat(10_000)));
        came += pair.got(origin).matches('z').count();
    }
    assert_eq!((came, pair.is_open(client.end)), (1_000_000, true));
}

#[test]
fn a_stream_that_is_cancelled_ends_its_request_alone() {
    let mut pair = Pair::new(&Plan::one_origin());
    let mut client = Client::new(&mut pair);
    pair.send(client.end, [get(1, "/1"), get(3, "/2")].concat());
    let mut origins = [pair.dialed(), pair.dialed()].to_vec();
    origins.sort_by_cached_key(|origin| pair.got(*origin));
    pair.send(client.end, rst_stream(1, Code::Cancel));
    assert_eq!((pair.ended(origins[0]), pair.ended(origins[1])), ("aborted", ""));
    pair.send(origins[1], OK);
    client.hears(&mut pair, &["3 head :status=200 content-length=5", "3 data hello end"]);
    pair.nothing_more();
}

#[test]
fn an_answer_before_the_end_of_the_request_ends_it() {
    let mut pair = Pair::new(&Plan::one_origin());
    let mut client = Client::new(&mut pair);
    pair.send(client.end, request(1, "POST", "/", &[]));
    let origin = pair.dialed();
    pair.got(origin);
    pair.send(origin, "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
    client.hears(&mut pair, &["1 head :status=403 content-length=2", "1 data no end", "1 reset 0"]);
    // What was under way is not held against the client.
    pair.send(client.end, ended(data(1, "late")));
    client.hears(&mut pair, &[]);
    pair.nothing_more();
}

#[test]
fn a_response_that_breaks_off_resets_its_stream() {
    let mut pair = Pair::new(&Plan::one_origin());
    let mut client = Client::new(&mut pair);
    pair.send(client.end, get(1, "/"));
    let origin = pair.dialed();
    pair.got(origin);
    pair.send(origin, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    client.hears(&mut pair, &["1 head :status=200 content-length=10", "1 data half"]);
    pair.reset(origin);
    client.hears(&mut pair, &["1 reset 2"]);
    assert_eq!((pair.count(Mark::StreamCut), pair.count(Mark::ResponseCut)), (1, 1));
    pair.send(client.end, get(3, "/"));
    let origin = pair.dialed();
    pair.send(origin, OK);
    client.hears(&mut pair, &["3 head :status=200 content-length=5", "3 data hello end"]);
    pair.nothing_more();
}

#[test]
fn what_is_malformed_never_reaches_a_server() {
    for more in [
        &[("connection", "close")][..],
        &[("transfer-encoding", "chunked")],
        &[("Upper", "case")],
        &[("host", "other")],
        &[(":path", "/")],
    ] {
        let mut pair = Pair::new(&Plan::one_origin());
        let mut client = Client::new(&mut pair);
        pair.send(client.end, ended(request(1, "GET", "/", more)));
        client.hears(&mut pair, &["1 reset 1"]);
        pair.no_dial();
        pair.send(client.end, get(3, "/"));
        let origin = pair.dialed();
        pair.send(origin, OK);
        client.hears(&mut pair, &["3 head :status=200 content-length=5", "3 data hello end"]);
    }
}

#[test]
fn what_http_1_would_refuse_is_refused() {
    let mut pair = Pair::new(&Plan::one_origin());
    let mut client = Client::new(&mut pair);
    let bad = "content-type=text/plain; charset=utf-8 content-length=11";
    for (stream, request) in [
        (1, request(1, "GET", "/a%zz", &[])),
        (3, request(3, "GET", "/#", &[])),
        (5, request(5, "GET", "*", &[])),
    ] {
        pair.send(client.end, ended(request));
        let head = format!("{stream} head :status=400 {bad}");
        client.hears(&mut pair, &[&head, &format!("{stream} data Bad Request end")]);
    }
    let connect = block(&[(":method", "CONNECT"), (":authority", "a:1")]);
    pair.send(client.end, frame(Kind::Headers, END_HEADERS, 7, &connect));
    client.hears(
        &mut pair,
        &["7 head :status=501 content-length=15", "7 data Not Implemented end", "7 reset 0"],
    );
    assert_eq!(pair.count(Mark::ToldOff), 3);
    pair.nothing_more();
}

#[test]
fn a_list_of_fields_that_is_too_long_is_answered() {
    let mut pair = Pair::new(&Plan::one_origin());
    let mut client = Client::new(&mut pair);
    let long = "v".repeat(100);
    let more: Vec<_> = (0..200).map(|_| ("x-filler", long.as_str())).collect();
    let whole = request(1, "GET", "/", &more);
    let (first, rest) = whole[9..].split_at(16_000);
    pair.send(client.end, frame(Kind::Headers, END_STREAM, 1, first));
    pair.send(client.end, frame(Kind::Continuation, END_HEADERS, 1, rest));
    let text = "Request Header Fields Too Large";
    let head = "1 head :status=431 content-type=text/plain; charset=utf-8 content-length=31";
    client.hears(&mut pair, &[head, &format!("1 data {text} end")]);
    pair.nothing_more();
}

#[test]
fn a_head_holds_a_page_of_its_own_size() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = Client::new(&mut pair);
    let before = pair.census();
    for (stream, length) in [(1, 10), (3, 100), (5, 101), (7, 102), (9, 103)] {
        let long = "v".repeat(length);
        let fields = vec![("x-filler", long.as_str()); if stream == 9 { 30 } else { 4 }];
        pair.send(client.end, ended(request(stream, "GET", "/", &fields)));
        let origin = pair.dialed();
        pair.got(origin);
    }
    let held = pair.census();
    let more = |pick: fn(&Census) -> u32| pick(&held) - pick(&before);
    assert_eq!((more(|it| it.middle_pages), more(|it| it.large_pages)), (3, 1));
}

#[test]
fn a_preface_may_come_in_any_pieces() {
    let whole = [hello(), get(1, "/")].concat();
    for at in 1..whole.len() {
        let mut pair = Pair::new(&Plan::one_origin());
        let end = pair.open();
        pair.send(end, &whole[..at]);
        pair.send(end, &whole[at..]);
        let origin = pair.dialed();
        assert!(pair.got(origin).starts_with("GET / HTTP/1.1\r\n"), "split at {at}");
    }
    let mut pair = Pair::new(&Plan::one_origin());
    let end = pair.open();
    pair.trickle(end, &whole);
    let origin = pair.dialed();
    pair.send(origin, OK);
    let bytes = pair.got_bytes(end);
    assert_eq!(Ear::default().hear(&bytes).len(), 2);
    pair.nothing_more();
}

#[test]
fn what_is_not_quite_the_preface_is_told_so() {
    for wrong in ["PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", "PRI /x HTTP/1.1\r\nHost: s\r\n\r\n"] {
        let mut pair = Pair::new(&Plan::one_origin());
        let end = pair.open();
        pair.send(end, wrong);
        let bytes = pair.got_bytes(end);
        assert_eq!(Ear::default().hear(&bytes), ["goaway 0 1"]);
        assert_eq!(pair.ended(end), "shut");
        pair.no_dial();
        pair.pass(Span::secs(5));
        assert_eq!(pair.ended(end), "closed");
        assert_eq!((pair.count(Mark::SessionBroken), pair.count(Mark::LingeredLong)), (1, 1));
    }
}

#[test]
fn broken_rules_of_the_connection_end_all_of_it() {
    let mut pair = Pair::new(&Plan::one_origin());
    let mut client = Client::new(&mut pair);
    pair.send(client.end, get(1, "/"));
    let origin = pair.dialed();
    pair.got(origin);
    pair.send(client.end, data(5, "out of nowhere"));
    client.hears(&mut pair, &["goaway 1 1"]);
    assert_eq!((pair.ended(origin), pair.ended(client.end)), ("aborted", "shut"));
    pair.nothing_more();
}

type Attack = Box<dyn Fn(u32) -> Vec<u8>>;

#[test]
fn cheap_work_without_end_is_told_to_calm_down() {
    let open = |stream| [get(stream, "/ping"), rst_stream(stream, Code::Cancel).to_vec()].concat();
    let attacks: [(&str, Attack); 5] = [
        ("resets", Box::new(open)),
        ("pings", Box::new(|_| frame(Kind::Ping, 0, 0, &[0; 8]))),
        ("settings", Box::new(|_| frame(Kind::Settings, 0, 0, &[]))),
        ("priorities", Box::new(|_| frame(Kind::Priority, 0, 9, &[0, 0, 0, 7, 1]))),
        ("unknown", Box::new(|_| frame(Kind::Other(0x42), 0, 0, &[]))),
    ];
    for (name, attack) in attacks {
        let mut pair = Pair::new(&Plan::one_origin());
        let mut client = Client::new(&mut pair);
        for round in 0..3_000 {
            if pair.count(Mark::SessionAbused) > 0 {
                break;
            }
            pair.send(client.end, attack(round * 2 + 1));
        }
        assert_eq!(pair.count(Mark::SessionAbused), 1, "{name}");
        let bytes = pair.got_bytes(client.end);
        let lines = client.ear.hear(&bytes);
        assert!(lines.last().is_some_and(|it| it.starts_with("goaway") && it.ends_with(" 11")));
        pair.nothing_more();
    }
}

#[test]
fn a_block_in_endless_pieces_is_told_to_calm_down() {
    let mut pair = Pair::new(&Plan::one_origin());
    let mut client = Client::new(&mut pair);
    pair.send(client.end, frame(Kind::Headers, 0, 1, &[]));
    for _ in 0..20 {
        if !pair.is_open(client.end) || pair.ended(client.end) == "shut" {
            break;
        }
        pair.send(client.end, frame(Kind::Continuation, 0, 1, &[]));
    }
    client.hears(&mut pair, &["goaway 0 11"]);
}

#[test]
fn more_streams_than_there_is_room_for_are_refused() {
    let limits = Limits { streams_max: 1, streams_per_session: 2, ..Limits::default() };
    let mut pair = Pair::with(&Plan::one_origin(), limits);
    let mut client = Client::new(&mut pair);
    pair.send(client.end, [get(1, "/"), get(3, "/")].concat());
    client.hears(&mut pair, &["3 reset 7"]);
    assert_eq!(pair.count(Mark::StreamRefused), 1);
    let origin = pair.dialed();
    pair.got(origin);
    pair.send(origin, OK);
    client.hears(&mut pair, &["1 head :status=200 content-length=5", "1 data hello end"]);
    pair.nothing_more();
}

#[test]
fn a_drain_lets_streams_finish_and_takes_no_more() {
    let mut pair = Pair::new(&Plan::one_origin());
    let mut client = Client::new(&mut pair);
    let mut idle = Client::new(&mut pair);
    pair.send(client.end, get(1, "/"));
    let origin = pair.dialed();
    pair.got(origin);
    pair.drain(Span::secs(10));
    client.hears(&mut pair, &["goaway 1 0"]);
    idle.hears(&mut pair, &["goaway 0 0"]);
    pair.send(client.end, get(3, "/late"));
    pair.no_dial();
    pair.send(origin, OK);
    client.hears(&mut pair, &["1 head :status=200 content-length=5", "1 data hello end"]);
    assert_eq!((pair.ended(client.end), pair.ended(idle.end)), ("shut", "shut"));
    pair.fin(client.end);
    pair.fin(idle.end);
    assert_eq!((pair.ended(client.end), pair.finished), ("closed", 1));
}

#[test]
fn a_connection_that_served_enough_is_sent_away() {
    let mut plan = Plan::one_origin();
    plan.settings.keep_alive_requests_max = 2;
    let mut pair = Pair::new(&plan);
    let mut client = Client::new(&mut pair);
    pair.send(client.end, get(1, "/ping"));
    let origin = pair.dialed();
    pair.send(origin, OK);
    client.hears(&mut pair, &["1 head :status=200 content-length=5", "1 data hello end"]);
    pair.send(client.end, get(3, "/"));
    pair.got(origin);
    pair.send(origin, OK);
    client.hears(
        &mut pair,
        &["goaway 3 0", "3 head :status=200 content-length=5", "3 data hello end"],
    );
    assert_eq!(pair.ended(client.end), "shut");
    pair.nothing_more();
}

#[test]
fn an_idle_connection_is_closed_with_a_word() {
    let mut pair = Pair::new(&Plan::one_origin());
    let mut client = Client::new(&mut pair);
    pair.send(client.end, frame(Kind::Ping, 0, 0, &[1; 8]));
    client.hears(&mut pair, &["pong"]);
    pair.pass(Span::secs(181));
    client.hears(&mut pair, &["goaway 0 0"]);
    assert_eq!((pair.ended(client.end), pair.count(Mark::IdleClientClosed)), ("shut", 1));
    pair.nothing_more();
}

#[test]
fn a_client_that_goes_takes_its_streams_along() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = Client::new(&mut pair);
    pair.send(client.end, [get(1, "/1"), get(3, "/2")].concat());
    let origins = [pair.dialed(), pair.dialed()];
    pair.reset(client.end);
    for origin in origins {
        assert_eq!(pair.ended(origin), "aborted");
    }
    assert_eq!(pair.count(Mark::ClientLeft), 2);
    pair.got(client.end);
    pair.nothing_more();
}

#[test]
fn content_in_tiny_frames_holds_few_pages() {
    let mut pair = Pair::new(&Plan::one_origin());
    pair.dial = Dial::Hang;
    let client = Client::new(&mut pair);
    pair.send(client.end, request(1, "PUT", "/", &[("content-length", "100")]));
    let origin = pair.dialed();
    let content = "0123456789".repeat(10);
    for at in 0..100 {
        pair.send(client.end, data(1, &content[at..=at]));
        let held = pair.census();
        assert!(held.small_pages + held.middle_pages + held.large_pages < 24, "{held:?}");
    }
    pair.connect(origin);
    assert!(pair.got(origin).ends_with(&format!("\r\n\r\n{content}")));
    pair.reset(client.end);
}
