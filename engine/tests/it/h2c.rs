//! Servers that speak HTTP/2 on clear text, behind clients of either version.

use crate::frames::{Ear, block, data, ended, frame, get, hello, request};
use crate::pair::{Dial, End, Pair, few_pages};
use crate::plan::Plan;
use engine::base::limits::Limits;
use engine::base::mark::Mark;
use engine::base::time::Span;
use engine::config::fixed::{Scheme, Transport};
use engine::h2::frame::{Code, END_HEADERS, Kind, PREFACE, goaway, rst_stream, window_update};

/// A server's end of an HTTP/2 connection.
struct Server {
    end: End,
    ear: Ear,
}

impl Server {
    /// Answers the dial.
    #[track_caller]
    fn new(pair: &mut Pair) -> Self {
        let (server, lines) = Self::greet(pair);
        assert_eq!(lines.len(), 1, "one request goes with it");
        server
    }

    /// The same for a [`POST`].
    #[track_caller]
    fn of_post(pair: &mut Pair) -> Self {
        let (server, lines) = Self::greet(pair);
        assert_eq!((lines.len(), lines[1].as_str()), (2, "1 data body end"));
        server
    }

    #[track_caller]
    fn greet(pair: &mut Pair) -> (Self, Vec<String>) {
        let end = pair.dialed();
        let mut server = Self { end, ear: Ear::default() };
        let bytes = pair.got_bytes(end);
        let rest = bytes.strip_prefix(PREFACE).expect("the preface comes first");
        let lines = server.ear.hear(rest);
        pair.send(end, frame(Kind::Settings, 0, 0, &[]));
        (server, lines)
    }

    #[track_caller]
    fn hears(&mut self, pair: &mut Pair, expected: &[&str]) {
        let bytes = pair.got_bytes(self.end);
        let lines = self.ear.hear(&bytes);
        let short = lines.iter().map(|line| line.split(" x-forwarded-for").next().unwrap_or(""));
        assert_eq!(short.collect::<Vec<_>>(), expected);
    }

    fn answer(&self, pair: &mut Pair, stream: u32, fields: &[(&str, &str)], content: &str) {
        pair.send(self.end, head(stream, fields));
        pair.send(self.end, ended(data(stream, content)));
    }
}

fn head(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(Kind::Headers, END_HEADERS, stream, &block(fields))
}

fn plan() -> Plan {
    plan_with(|_| {})
}

fn plan_with(change: impl FnOnce(&mut Transport)) -> Plan {
    let mut plan = Plan::bare();
    plan.scheme = Scheme::H2c;
    change(&mut plan.transport);
    let service = plan.origin();
    plan.route("PathPrefix(`/`)", service, &[]);
    plan
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: s\r\n\r\n";
const OK: &[(&str, &str)] = &[(":status", "200"), ("content-length", "2")];

#[test]
fn requests_of_many_clients_share_one_connection() {
    let mut pair = Pair::new(&plan());
    let (one, two) = (pair.open(), pair.open());
    pair.send(one, GET);
    let mut server = Server::new(&mut pair);
    pair.send(two, "GET /b HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n");
    pair.no_dial();
    server.hears(&mut pair, &["3 head :method=GET :scheme=http :authority=s :path=/b"]);
    server.answer(&mut pair, 3, OK, "22");
    server.answer(&mut pair, 1, OK, "11");
    assert_eq!(pair.got(one), "HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\n11");
    assert!(pair.got(two).ends_with("\r\n\r\n22"));
    pair.send(one, GET);
    server.hears(&mut pair, &["5 head :method=GET :scheme=http :authority=s :path=/a"]);
    server.answer(&mut pair, 5, &[(":status", "204")], "");
    assert_eq!(pair.got(one), "HTTP/1.1 204 \r\n\r\n");
    assert_eq!(pair.count(Mark::UpstreamSessionOpened), 1);
    pair.nothing_more();
}

#[test]
fn whoever_comes_while_the_connection_is_dialed_waits_for_it() {
    let mut pair = Pair::new(&plan());
    pair.dial = Dial::Hang;
    let clients = [pair.open(), pair.open(), pair.open()];
    for client in clients {
        pair.send(client, GET);
    }
    let end = pair.dialed();
    pair.no_dial();
    pair.connect(end);
    let mut ear = Ear::default();
    let bytes = pair.got_bytes(end);
    assert_eq!(ear.hear(&bytes[PREFACE.len()..]).len(), 3);
    pair.send(end, frame(Kind::Settings, 0, 0, &[]));
    for stream in [1, 3, 5] {
        pair.send(end, ended(head(stream, &[(":status", "200"), ("content-length", "0")])));
    }
    for client in clients {
        assert_eq!(pair.got(client), "HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n");
    }
    pair.nothing_more();
}

#[test]
fn a_connection_that_cannot_be_made_is_a_bad_gateway_for_all() {
    let mut pair = Pair::new(&plan());
    pair.dial = Dial::Refuse;
    for _ in 0..2 {
        let client = pair.open();
        pair.send(client, GET);
        pair.dialed();
        assert!(pair.got(client).starts_with("HTTP/1.1 502 "));
    }
    pair.nothing_more();
}

#[test]
fn content_and_trailers_cross_from_http_1_and_back() {
    let mut pair = Pair::new(&plan());
    let client = pair.open();
    pair.send(
        client,
        "POST / HTTP/1.1\r\nHost: s\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    let mut server = Server::new(&mut pair);
    pair.send(client, "3\r\none\r\n");
    server.hears(&mut pair, &["1 data one"]);
    pair.send(client, "2\r\ntw\r\n0\r\nX-Sum: 1\r\n\r\n");
    server.hears(&mut pair, &["1 data tw", "1 head x-sum=1 end"]);
    pair.send(server.end, head(1, &[(":status", "200")]));
    pair.send(server.end, data(1, "ab"));
    assert!(pair.got(client).ends_with("Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"));
    pair.send(server.end, ended(head(1, &[("grpc-status", "0")])));
    assert_eq!(pair.got(client), "0\r\ngrpc-status: 0\r\n\r\n");
    pair.nothing_more();
}

#[test]
fn a_call_of_grpc_crosses_unchanged() {
    let mut pair = Pair::new(&plan());
    let client = pair.open();
    let mut ear = Ear::default();
    let more = [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "1S")];
    pair.send(client, [hello(), request(1, "POST", "/p.S/M", &more)].concat());
    let mut server = Server::new(&mut pair);
    pair.send(client, data(1, "ask"));
    server.hears(&mut pair, &["1 data ask"]);
    pair.send(server.end, head(1, &[(":status", "200"), ("content-type", "application/grpc")]));
    pair.send(server.end, data(1, "first"));
    let bytes = pair.got_bytes(client);
    let first = ["1 head :status=200 content-type=application/grpc", "1 data first"];
    assert_eq!(ear.hear(&bytes), first);
    pair.send(client, ended(data(1, "more")));
    server.hears(&mut pair, &["1 data more end"]);
    pair.send(server.end, ended(head(1, &[("grpc-status", "0")])));
    let bytes = pair.got_bytes(client);
    assert_eq!(ear.hear(&bytes), ["1 head grpc-status=0 end"]);
    pair.nothing_more();
}

#[test]
fn an_error_that_is_all_trailers_stays_so() {
    let mut pair = Pair::new(&plan());
    let client = pair.open();
    pair.send(client, [hello(), get(1, "/")].concat());
    let server = Server::new(&mut pair);
    pair.send(server.end, ended(head(1, &[(":status", "200"), ("grpc-status", "12")])));
    let bytes = pair.got_bytes(client);
    assert_eq!(Ear::default().hear(&bytes), ["1 head :status=200 grpc-status=12 end"]);
    pair.nothing_more();
}

#[test]
fn trailers_that_come_with_the_head_of_an_empty_answer_are_passed_on() {
    let mut pair = Pair::new(&plan());
    let client = pair.open();
    pair.send(client, [hello(), get(1, "/")].concat());
    let server = Server::new(&mut pair);
    let answer = [head(1, &[(":status", "200")]), ended(head(1, &[("grpc-status", "5")]))];
    pair.send(server.end, answer.concat());
    let bytes = pair.got_bytes(client);
    assert_eq!(Ear::default().hear(&bytes), ["1 head :status=200", "1 head grpc-status=5 end"]);
    pair.nothing_more();
}

#[test]
fn a_client_that_cancels_cancels_the_call() {
    let mut pair = Pair::new(&plan());
    let client = pair.open();
    pair.send(client, [hello(), get(1, "/")].concat());
    let mut server = Server::new(&mut pair);
    pair.send(client, rst_stream(1, Code::Cancel));
    server.hears(&mut pair, &["1 reset 8"]);
    pair.send(client, get(3, "/"));
    server.hears(&mut pair, &["3 head :method=GET :scheme=http :authority=s :path=/"]);
    server.answer(&mut pair, 3, OK, "ok");
    pair.got_bytes(client);
    pair.nothing_more();
}

#[test]
fn a_window_of_the_server_holds_the_client_back() {
    let limits = Limits { outbox_bytes: 1_000, ..Limits::default() };
    let mut pair = Pair::with(&plan(), limits);
    let client = pair.open();
    pair.send(client, "PUT / HTTP/1.1\r\nHost: s\r\nContent-Length: 100000\r\n\r\n");
    let mut server = Server::new(&mut pair);
    server.hears(&mut pair, &[]);
    pair.send(client, "z".repeat(100_000));
    let heard = |server: &mut Server, pair: &mut Pair| {
        let bytes = pair.got_bytes(server.end);
        let lines = server.ear.hear(&bytes);
        lines.iter().map(|line| line.matches('z').count()).sum::<usize>()
    };
    assert_eq!(heard(&mut server, &mut pair), 65_535);
    assert!(!pair.is_read(client), "nobody reads what nobody takes");
    pair.send(server.end, [window_update(0, 50_000), window_update(1, 50_000)].concat());
    assert_eq!(heard(&mut server, &mut pair), 100_000 - 65_535);
    server.answer(&mut pair, 1, OK, "ok");
    assert!(pair.got(client).ends_with("ok"));
    pair.nothing_more();
}

/// Little room made frames of a byte each, and the other side of them took it for an attack.
#[test]
fn however_little_room_is_left_frames_are_not_small() {
    let limits = Limits { outbox_bytes: 1, stream_outbox_bytes: 1, ..Limits::default() };
    let mut pair = Pair::with(&plan(), limits);
    let client = pair.open();
    pair.send(client, "PUT / HTTP/1.1\r\nHost: s\r\nContent-Length: 50000\r\n\r\n");
    let mut server = Server::new(&mut pair);
    pair.send(client, "z".repeat(50_000));
    let bytes = pair.got_bytes(server.end);
    let lines = server.ear.hear(&bytes);
    let lengths: Vec<_> = lines.iter().map(|line| line.matches('z').count()).collect();
    assert_eq!(lengths.iter().sum::<usize>(), 50_000);
    let small = lengths.iter().filter(|length| **length < 1_024).count();
    assert!(small <= 1 + 50_000 / 17_000, "the rest of a page may be small: {lengths:?}");
    server.answer(&mut pair, 1, OK, "ok");
    assert!(pair.got(client).ends_with("ok"));
    pair.nothing_more();
}

/// The messages of many clients share the connection: they would all be cut.
#[test]
fn a_server_may_stream_messages_as_small_as_it_likes() {
    let mut pair = Pair::new(&plan());
    let client = pair.open();
    pair.send(client, GET);
    let server = Server::new(&mut pair);
    pair.send(server.end, head(1, &[(":status", "200")]));
    pair.got(client);
    for _ in 0..250 {
        pair.send(server.end, data(1, "m").repeat(100));
        assert!(pair.got(client).contains('m'), "it is passed on at once");
    }
    pair.send(server.end, ended(data(1, "")));
    assert!(pair.got(client).ends_with("0\r\n\r\n"));
    assert_eq!(pair.count(Mark::SessionAbused), 0);
    pair.nothing_more();
}

/// A connection that rests is taken up again, and there is no page for the head: the one that is
/// given up to make room was the very same, and with it a stream that nobody had yet.
#[test]
fn a_connection_without_a_page_is_not_given_up_for_itself() {
    let mut starved = 0;
    for large_pages_max in 1..16 {
        let few = few_pages(large_pages_max);
        starved += ask_twice(Limits { clients_max: 4, upstreams_max: 1, streams_max: 4, ..few });
    }
    assert!(starved > 0, "some of these worlds have too few pages");
}

/// A request, and a longer one to a server that has stopped reading. How often there was no page.
fn ask_twice(limits: Limits) -> u64 {
    let mut pair = Pair::with(&plan(), limits);
    let client = pair.open();
    pair.send(client, GET);
    let server = pair.dialed();
    pair.deafen(server, true);
    pair.send(server, frame(Kind::Settings, 0, 0, &[]));
    pair.send(server, [head(1, OK), ended(data(1, "ok"))].concat());
    pair.send(client, format!("GET /{} HTTP/1.1\r\nHost: s\r\n\r\n", "x".repeat(600)));
    pair.pass(Span::secs(1));
    pair.count(Mark::PagesExhausted)
}

/// RFC 9113 §6.9.2: settings widen the windows of streams without a word about any of them. What
/// waited for one of them and for the connection stood still until it timed out.
#[test]
fn settings_that_widen_windows_let_content_go_on() {
    let wider = frame(Kind::Settings, 0, 0, &[0, 4, 0, 16, 0, 0]);
    let whole = window_update(0, 50_000).to_vec();
    for updates in [[wider.clone(), whole.clone()], [whole, wider]] {
        let mut pair = Pair::new(&plan());
        let client = pair.open();
        pair.send(client, "PUT / HTTP/1.1\r\nHost: s\r\nContent-Length: 100000\r\n\r\n");
        let mut server = Server::new(&mut pair);
        pair.send(client, "z".repeat(100_000));
        let mut heard = |pair: &mut Pair| {
            let bytes = pair.got_bytes(server.end);
            let lines = server.ear.hear(&bytes);
            lines.iter().map(|line| line.matches('z').count()).sum::<usize>()
        };
        assert_eq!(heard(&mut pair), 65_535);
        let [first, second] = updates;
        pair.send(server.end, first);
        assert_eq!(heard(&mut pair), 0);
        pair.send(server.end, second);
        assert_eq!(heard(&mut pair), 100_000 - 65_535);
        server.answer(&mut pair, 1, OK, "ok");
        assert!(pair.got(client).ends_with("ok"));
        pair.nothing_more();
    }
}

#[test]
fn a_server_that_goes_away_is_left_for_another_connection() {
    let mut pair = Pair::new(&plan());
    let clients = [pair.open(), pair.open()];
    pair.send(clients[0], GET);
    let server = Server::new(&mut pair);
    pair.send(clients[1], GET);
    // The second request was not seen and may be sent again.
    pair.send(server.end, goaway(1, Code::NoError));
    assert_eq!(pair.count(Mark::UpstreamGoingAway), 1);
    let second = Server::new(&mut pair);
    second.answer(&mut pair, 1, OK, "22");
    server.answer(&mut pair, 1, OK, "11");
    assert!(pair.got(clients[0]).ends_with("11"));
    assert!(pair.got(clients[1]).ends_with("22"));
    assert_eq!((pair.ended(server.end), pair.ended(second.end)), ("closed", ""));
    pair.got(server.end);
    pair.nothing_more();
}

const POST: &str = "POST /p HTTP/1.1\r\nHost: s\r\nContent-Length: 4\r\n\r\nbody";

#[test]
fn what_a_server_did_not_serve_is_sent_again_elsewhere_whatever_it_asks() {
    let mut pair = Pair::new(&plan());
    let clients = [pair.open(), pair.open()];
    pair.send(clients[0], POST);
    let mut first = Server::of_post(&mut pair);
    pair.send(first.end, rst_stream(1, Code::RefusedStream));
    let second = Server::of_post(&mut pair);
    second.answer(&mut pair, 1, OK, "22");
    assert!(pair.got(clients[0]).ends_with("22"));
    assert_eq!(pair.count(Mark::RetryOnRefused), 1);
    // The connection that refused one stream serves others.
    pair.send(clients[1], GET);
    pair.no_dial();
    first.hears(&mut pair, &["3 head :method=GET :scheme=http :authority=s :path=/a"]);
    first.answer(&mut pair, 3, OK, "11");
    assert!(pair.got(clients[1]).ends_with("11"));
    pair.nothing_more();
}

#[test]
fn a_server_that_goes_away_has_not_seen_later_posts() {
    let mut pair = Pair::new(&plan());
    let client = pair.open();
    pair.send(client, POST);
    let first = Server::of_post(&mut pair);
    pair.send(first.end, goaway(0, Code::NoError));
    let second = Server::of_post(&mut pair);
    second.answer(&mut pair, 1, OK, "ok");
    assert!(pair.got(client).ends_with("ok"));
    assert_eq!(pair.count(Mark::RetryOnRefused), 1);
    assert_eq!(pair.ended(first.end), "closed");
    pair.got_bytes(first.end);
    pair.nothing_more();
}

#[test]
fn what_is_refused_twice_is_given_up() {
    let mut pair = Pair::new(&plan());
    let client = pair.open();
    pair.send(client, POST);
    for _ in 0..2 {
        let server = Server::of_post(&mut pair);
        pair.send(server.end, rst_stream(1, Code::RefusedStream));
    }
    assert!(pair.got(client).starts_with("HTTP/1.1 502 "));
    assert_eq!(pair.count(Mark::RetryOnRefused), 1);
    pair.no_dial();
    pair.nothing_more();
}

#[test]
fn content_that_is_not_at_hand_any_more_cannot_be_sent_again() {
    let limits = Limits { refused_bytes: 5, ..Limits::default() };
    let mut pair = Pair::with(&plan(), limits);
    let client = pair.open();
    pair.send(client, "POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 9\r\n\r\n");
    let mut server = Server::new(&mut pair);
    pair.send(client, "sixsix");
    server.hears(&mut pair, &["1 data sixsix"]);
    pair.send(server.end, rst_stream(1, Code::RefusedStream));
    assert!(pair.got(client).starts_with("HTTP/1.1 502 "));
    pair.no_dial();
    assert_eq!((pair.count(Mark::RetryOnRefused), pair.count(Mark::KeptOvergrown)), (0, 1));
}

#[test]
fn a_response_that_began_is_not_asked_for_again() {
    let mut pair = Pair::new(&plan());
    let client = pair.open();
    pair.send(client, GET);
    let server = Server::new(&mut pair);
    pair.send(server.end, head(1, &[(":status", "103")]));
    pair.send(server.end, rst_stream(1, Code::RefusedStream));
    assert!(pair.got(client).contains("HTTP/1.1 502 "));
    pair.no_dial();
    assert_eq!(pair.count(Mark::RetryOnRefused), 0);
}

#[test]
fn the_next_connection_begins_with_what_the_last_one_allowed() {
    let mut pair = Pair::new(&plan());
    pair.dial = Dial::Hang;
    let clients = [pair.open(), pair.open()];
    for client in clients {
        pair.send(client, POST);
    }
    let first = pair.dialed();
    pair.connect(first);
    pair.got_bytes(first);
    // One stream at a time; the second was under way already.
    pair.send(first, frame(Kind::Settings, 0, 0, &[0, 3, 0, 0, 0, 1]));
    pair.send(first, rst_stream(1, Code::RefusedStream));
    pair.send(first, rst_stream(3, Code::RefusedStream));
    let second = pair.dialed();
    pair.dial = Dial::Accept;
    pair.connect(second);
    let third = Server::of_post(&mut pair);
    pair.got_bytes(second);
    pair.send(second, frame(Kind::Settings, 0, 0, &[]));
    for end in [second, third.end] {
        pair.send(end, head(1, OK));
        pair.send(end, ended(data(1, "ok")));
    }
    for client in clients {
        assert!(pair.got(client).ends_with("ok"));
    }
    assert_eq!(pair.count(Mark::RetryOnRefused), 2);
}

#[test]
fn a_full_connection_is_joined_by_another() {
    let mut pair = Pair::new(&plan());
    let clients = [pair.open(), pair.open(), pair.open()];
    pair.send(clients[0], GET);
    let server = Server::new(&mut pair);
    // One stream at a time.
    pair.send(server.end, frame(Kind::Settings, 0, 0, &[0, 3, 0, 0, 0, 1]));
    pair.send(clients[1], GET);
    let second = Server::new(&mut pair);
    server.answer(&mut pair, 1, OK, "ok");
    pair.send(clients[2], GET);
    pair.no_dial();
    server.answer(&mut pair, 3, OK, "ok");
    second.answer(&mut pair, 1, OK, "ok");
    for client in clients {
        assert!(pair.got(client).ends_with("ok"));
    }
    pair.nothing_more();
}

#[test]
fn a_response_that_breaks_off_is_cut() {
    let mut pair = Pair::new(&plan());
    let clients = [pair.open(), pair.open()];
    pair.send(clients[0], GET);
    let server = Server::new(&mut pair);
    pair.send(clients[1], GET);
    pair.send(server.end, head(1, OK));
    pair.send(server.end, rst_stream(1, Code::Internal));
    assert_eq!(pair.ended(clients[0]), "shut");
    pair.got(clients[0]);
    // A length that does not hold is a broken response, too.
    pair.send(server.end, head(3, OK));
    pair.send(server.end, ended(data(3, "too long")));
    assert_eq!(pair.ended(clients[1]), "shut");
    pair.got(clients[1]);
    pair.nothing_more();
}

#[test]
fn a_response_survives_the_reset_behind_it() {
    for code in [Code::NoError, Code::Cancel] {
        let mut pair = Pair::new(&plan());
        let client = pair.open();
        pair.send(client, "POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 9\r\n\r\n");
        let mut server = Server::new(&mut pair);
        pair.send(client, "abc");
        server.hears(&mut pair, &["1 data abc"]);
        let answer = [head(1, OK), ended(data(1, "no")), rst_stream(1, code).to_vec()];
        pair.send(server.end, answer.concat());
        assert!(pair.got(client).ends_with("\r\n\r\nno"));
        pair.send(client, "defghi");
        server.hears(&mut pair, &[]);
        assert_eq!((pair.ended(client), pair.count(Mark::UploadRefused)), ("shut", 1));
        pair.fin(client);
        pair.nothing_more();
    }
}

#[test]
fn a_server_that_breaks_the_rules_is_a_bad_gateway() {
    let mut pair = Pair::new(&plan());
    let client = pair.open();
    pair.send(client, GET);
    let server = Server::new(&mut pair);
    pair.send(server.end, head(2, OK));
    assert!(pair.got(client).starts_with("HTTP/1.1 502 "));
    assert_eq!((pair.ended(server.end), pair.count(Mark::SessionBroken)), ("shut", 1));
    pair.nothing_more();
    let mut pair = Pair::new(&plan());
    let client = pair.open();
    pair.send(client, GET);
    let end = pair.dialed();
    pair.send(end, "HTTP/1.1 400 Bad Request\r\n\r\n");
    assert!(pair.got(client).starts_with("HTTP/1.1 502 "));
    pair.nothing_more();
}

#[test]
fn a_silent_server_is_asked_for_a_sign_of_life() {
    let plan = plan_with(|transport| {
        transport.ping_after = Span::secs(5);
        transport.ping_timeout = Span::secs(2);
    });
    let mut pair = Pair::new(&plan);
    let client = pair.open();
    pair.send(client, GET);
    let mut server = Server::new(&mut pair);
    pair.pass(Span::secs(6));
    let ping = frame(Kind::Ping, 0, 0, b"tieline?");
    assert!(pair.got_bytes(server.end).ends_with(&ping));
    pair.send(server.end, frame(Kind::Ping, 1, 0, b"tieline?"));
    pair.pass(Span::secs(4));
    server.hears(&mut pair, &[]);
    pair.pass(Span::secs(4));
    assert!(pair.got(client).starts_with("HTTP/1.1 502 "));
    assert_eq!((pair.ended(server.end), pair.count(Mark::PingUnanswered)), ("aborted", 1));
    pair.got_bytes(server.end);
    pair.nothing_more();
}

#[test]
fn an_idle_connection_to_a_server_ends() {
    let plan = plan_with(|transport| transport.idle_timeout = Span::secs(5));
    let mut pair = Pair::new(&plan);
    let client = pair.open();
    pair.send(client, GET);
    let server = Server::new(&mut pair);
    server.answer(&mut pair, 1, OK, "ok");
    pair.got(client);
    pair.pass(Span::secs(6));
    assert_eq!((pair.ended(server.end), pair.count(Mark::IdleUpstreamClosed)), ("closed", 1));
    pair.nothing_more();
}

#[test]
fn a_switch_of_protocols_goes_over_http_1() {
    let mut pair = Pair::new(&plan());
    let client = pair.open();
    let ask = "GET / HTTP/1.1\r\nHost: s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    pair.send(client, ask);
    let origin = pair.dialed();
    assert!(pair.got(origin).starts_with("GET / HTTP/1.1\r\n"));
}

#[test]
fn a_drain_leaves_no_connection_behind() {
    let mut pair = Pair::new(&plan());
    let client = pair.open();
    pair.send(client, GET);
    let server = Server::new(&mut pair);
    pair.drain(Span::secs(10));
    server.answer(&mut pair, 1, OK, "ok");
    assert!(pair.got(client).ends_with("ok"));
    pair.fin(client);
    assert_eq!((pair.ended(server.end), pair.finished), ("closed", 1));
}
