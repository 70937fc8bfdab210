//! WebSocket over HTTP/2 (RFC 8441), with servers and clients of either version.

use crate::frames::{Ear, block, data, ended, frame, hello, request};
use crate::pair::{Dial, End, Pair};
use crate::plan::Plan;
use engine::base::limits::Limits;
use engine::base::mark::Mark;
use engine::base::time::Span;
use engine::config::fixed::Scheme;
use engine::h2::frame::{Code, END_HEADERS, Kind, PREFACE, Setting, rst_stream, window_update};
use engine::http::websocket::write_accept;

struct Peer {
    end: End,
    ear: Ear,
}

impl Peer {
    /// A client that speaks HTTP/2.
    fn client(pair: &mut Pair) -> Self {
        let end = pair.open();
        pair.send(end, hello());
        Self { end, ear: Ear::default() }
    }

    /// A server that was dialed and says what its streams take.
    fn server(pair: &mut Pair, settings: &[Setting]) -> Self {
        let end = pair.dialed();
        let bytes = pair.got_bytes(end);
        let rest = bytes.strip_prefix(PREFACE).expect("the preface comes first");
        let mut server = Self { end, ear: Ear::default() };
        assert_eq!(server.ear.hear(rest), [""; 0], "nothing is asked before SETTINGS came");
        server.settle(pair, settings);
        server
    }

    fn settle(&self, pair: &mut Pair, settings: &[Setting]) {
        let settings: Vec<u8> = settings.iter().flat_map(|it| it.bytes()).collect();
        pair.send(self.end, frame(Kind::Settings, 0, 0, &settings));
    }

    #[track_caller]
    fn hears(&mut self, pair: &mut Pair, expected: &[&str]) {
        let bytes = pair.got_bytes(self.end);
        let lines = self.ear.hear(&bytes);
        let short = lines.iter().map(|line| line.split(" x-forwarded-for").next().unwrap_or(""));
        assert_eq!(short.collect::<Vec<_>>(), expected);
    }

    fn says(&self, pair: &mut Pair, frame: impl AsRef<[u8]>) {
        pair.send(self.end, frame);
    }
}

const TAKES: &[Setting] = &[Setting::EnableConnectProtocol(1)];
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const CONNECT: &str = "1 head :method=CONNECT :protocol=websocket :scheme=http :authority=s \
    :path=/chat sec-websocket-version=13";

fn upgrade() -> String {
    format!(
        "GET /chat HTTP/1.1\r\nHost: s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

fn connect(more: &[(&str, &str)]) -> Vec<u8> {
    let fields = [&[(":protocol", "websocket")], more].concat();
    request(1, "CONNECT", "/chat", &fields)
}

fn head(fields: &[(&str, &str)]) -> Vec<u8> {
    frame(Kind::Headers, END_HEADERS, 1, &block(fields))
}

fn h2c() -> Plan {
    let mut plan = Plan::bare();
    plan.scheme = Scheme::H2c;
    let service = plan.origin();
    plan.route("PathPrefix(`/`)", service, &[]);
    plan
}

/// The head of a switch that answers the key in `asked`.
fn switch(asked: &str) -> String {
    let key = asked.split("Sec-WebSocket-Key: ").nth(1).expect("a key is asked");
    let mut accept = Vec::new();
    write_accept(key.lines().next().expect("a line").as_bytes(), &mut accept);
    let accept = String::from_utf8(accept).expect("Base64");
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
    )
}

#[test]
fn a_stream_becomes_an_upgrade_with_a_key_of_ours() {
    let mut pair = Pair::new(&Plan::one_origin());
    let mut client = Peer::client(&mut pair);
    let more = [("sec-websocket-version", "13"), ("sec-websocket-key", KEY), ("origin", "o")];
    client.says(&mut pair, connect(&more));
    let origin = pair.dialed();
    let asked = pair.got(origin);
    assert!(asked.starts_with("GET /chat HTTP/1.1\r\nHost: s\r\n"), "{asked}");
    assert!(asked.contains("Connection: Upgrade\r\nUpgrade: websocket\r\n"), "{asked}");
    assert!(asked.contains("X-Forwarded-Proto: ws\r\n"), "{asked}");
    assert!(!asked.contains(KEY) && !asked.contains("ransfer-"), "{asked}");
    pair.send(origin, format!("{}first", switch(&asked)));
    let told = "1 head :status=200 sec-websocket-protocol=chat";
    client.hears(&mut pair, &[told, "1 data first"]);
    client.says(&mut pair, data(1, "ping"));
    assert_eq!(pair.got(origin), "ping");
    pair.send(origin, "pong");
    client.hears(&mut pair, &["1 data pong"]);
    pair.pass(Span::secs(600));
    client.says(&mut pair, ended(data(1, "bye")));
    assert_eq!((pair.got(origin).as_str(), pair.ended(origin)), ("bye", "shut"));
    pair.send(origin, "last words");
    client.hears(&mut pair, &["1 data last words"]);
    pair.fin(origin);
    client.hears(&mut pair, &["1 data  end"]);
    assert_eq!((pair.ended(origin), pair.count(Mark::WebSocketBridged)), ("closed", 1));
    pair.nothing_more();
}

#[test]
fn every_stream_is_asked_with_another_key() {
    let mut pair = Pair::new(&Plan::one_origin());
    let keys = [(); 2].map(|()| {
        let client = Peer::client(&mut pair);
        client.says(&mut pair, connect(&[]));
        let origin = pair.last_dialed();
        let asked = pair.got(origin);
        asked
            .split("Sec-WebSocket-Key: ")
            .nth(1)
            .and_then(|it| it.lines().next())
            .map(str::to_owned)
    });
    assert!(keys[0].is_some() && keys[0] != keys[1], "{keys:?}");
}

#[test]
fn an_upgrade_becomes_a_stream_once_the_server_allows_it() {
    let mut pair = Pair::new(&h2c());
    let client = pair.open();
    pair.send(client, upgrade());
    let mut server = Peer::server(&mut pair, TAKES);
    server.hears(&mut pair, &[CONNECT]);
    server.says(&mut pair, head(&[(":status", "200"), ("sec-websocket-protocol", "chat")]));
    let expected = format!(
        "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-protocol: chat\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    );
    assert_eq!(pair.got(client), expected);
    pair.send(client, "ping");
    server.hears(&mut pair, &["1 data ping"]);
    server.says(&mut pair, data(1, "pong"));
    assert_eq!(pair.got(client), "pong");
    pair.fin(client);
    server.hears(&mut pair, &["1 data  end"]);
    server.says(&mut pair, ended(data(1, "bye")));
    assert_eq!((pair.got(client).as_str(), pair.ended(client)), ("bye", "closed"));
    assert_eq!((pair.count(Mark::WebSocketWaited), pair.count(Mark::WebSocketBridged)), (1, 1));
    pair.nothing_more();
}

#[test]
fn streams_carry_it_on_both_sides() {
    let mut pair = Pair::new(&h2c());
    let mut client = Peer::client(&mut pair);
    client.says(&mut pair, connect(&[("sec-websocket-version", "13")]));
    let mut server = Peer::server(&mut pair, TAKES);
    server.hears(&mut pair, &[CONNECT]);
    server.says(&mut pair, head(&[(":status", "200"), ("content-length", "0")]));
    client.hears(&mut pair, &["1 head :status=200"]);
    client.says(&mut pair, data(1, "ping"));
    server.hears(&mut pair, &["1 data ping"]);
    server.says(&mut pair, data(1, "pong"));
    client.hears(&mut pair, &["1 data pong"]);
    // The next one finds a connection on which it may ask at once.
    let mut other = Peer::client(&mut pair);
    other.says(&mut pair, connect(&[("sec-websocket-version", "13")]));
    server.hears(&mut pair, &[&CONNECT.replacen('1', "3", 1)]);
    server.says(
        &mut pair,
        ended(frame(Kind::Headers, END_HEADERS, 3, &block(&[(":status", "403")]))),
    );
    other.hears(&mut pair, &["1 head :status=403 end", "1 reset 0"]);
    server.hears(&mut pair, &["3 data  end"]);
    client.says(&mut pair, rst_stream(1, Code::Cancel));
    server.hears(&mut pair, &["1 reset 8"]);
    pair.nothing_more();
}

#[test]
fn a_server_that_does_not_allow_it_is_asked_over_http_1() {
    let mut pair = Pair::new(&h2c());
    let client = pair.open();
    pair.send(client, upgrade());
    let server = Peer::server(&mut pair, &[]);
    let origin = pair.dialed();
    let asked = pair.got(origin);
    assert!(asked.contains(&format!("Sec-WebSocket-Key: {KEY}\r\n")), "{asked}");
    pair.send(origin, switch(&asked));
    assert!(pair.got(client).contains(&format!("Sec-WebSocket-Accept: {ACCEPT}\r\n")));
    // It is remembered, also after that connection is gone.
    pair.fin(server.end);
    let second = pair.open();
    pair.send(second, upgrade());
    let origin = pair.dialed();
    assert!(pair.got(origin).starts_with("GET /chat HTTP/1.1\r\n"));
    assert_eq!(pair.count(Mark::WebSocketFellBack), 2);
}

#[test]
fn a_server_may_allow_it_later_and_never_takes_it_back() {
    let mut pair = Pair::new(&h2c());
    let client = pair.open();
    pair.send(client, "GET / HTTP/1.1\r\nHost: s\r\n\r\n");
    let mut server = Peer { end: pair.dialed(), ear: Ear::default() };
    let bytes = pair.got_bytes(server.end);
    assert_eq!(server.ear.hear(&bytes[PREFACE.len()..]).len(), 1);
    server.settle(&mut pair, &[]);
    server.settle(&mut pair, TAKES);
    let second = pair.open();
    pair.send(second, upgrade());
    pair.no_dial();
    server.hears(&mut pair, &[&CONNECT.replacen('1', "3", 1)]);
    server.settle(&mut pair, &[Setting::EnableConnectProtocol(0)]);
    server.hears(&mut pair, &["goaway 0 1"]);
    assert_eq!(pair.count(Mark::SessionBroken), 1);
}

#[test]
fn an_upgrade_that_no_stream_could_carry_goes_over_http_1() {
    for (from, to) in [("websocket", "other"), (KEY, "k"), ("GET", "POST"), (KEY, "a\r\nX: b")] {
        let mut pair = Pair::new(&h2c());
        let client = pair.open();
        let ask = upgrade().replacen(from, to, 1);
        pair.send(client, &ask);
        let origin = pair.dialed();
        let asked = pair.got(origin);
        assert!(asked.contains("Connection: Upgrade\r\n"), "{from} {to}: {asked}");
        assert_eq!(pair.count(Mark::WebSocketFellBack), 0);
    }
}

#[test]
fn a_refusal_is_an_ordinary_answer() {
    let mut pair = Pair::new(&h2c());
    let client = pair.open();
    pair.send(client, upgrade());
    let mut server = Peer::server(&mut pair, TAKES);
    server.hears(&mut pair, &[CONNECT]);
    server.says(&mut pair, head(&[(":status", "403"), ("content-length", "2")]));
    server.hears(&mut pair, &["1 data  end"]);
    server.says(&mut pair, ended(data(1, "no")));
    assert_eq!(pair.got(client), "HTTP/1.1 403 \r\ncontent-length: 2\r\n\r\nno");
    pair.send(client, "GET /next HTTP/1.1\r\nHost: s\r\n\r\n");
    server.hears(&mut pair, &["3 head :method=GET :scheme=http :authority=s :path=/next"]);
    server.says(
        &mut pair,
        ended(frame(Kind::Headers, END_HEADERS, 3, &block(&[(":status", "204")]))),
    );
    assert_eq!(pair.got(client), "HTTP/1.1 204 \r\n\r\n");
    pair.nothing_more();
}

#[test]
fn a_server_that_does_not_answer_the_key_is_a_bad_gateway() {
    let mut pair = Pair::new(&Plan::one_origin());
    let mut client = Peer::client(&mut pair);
    client.says(&mut pair, connect(&[]));
    let origin = pair.dialed();
    let asked = pair.got(origin);
    pair.send(origin, switch(&asked).replace("Accept: ", "Accept: A"));
    let expected = ["1 head :status=502 content-length=11", "1 data Bad Gateway end", "1 reset 0"];
    client.hears(&mut pair, &expected);
    assert_eq!((pair.ended(origin), pair.count(Mark::WebSocketKeyWrong)), ("aborted", 1));
    pair.nothing_more();
}

#[test]
fn what_breaks_on_one_side_is_reset_on_the_other() {
    let mut pair = Pair::new(&Plan::one_origin());
    let mut client = Peer::client(&mut pair);
    client.says(&mut pair, connect(&[]));
    let origin = pair.dialed();
    let asked = pair.got(origin);
    pair.send(origin, switch(&asked));
    client.hears(&mut pair, &["1 head :status=200 sec-websocket-protocol=chat"]);
    pair.reset(origin);
    client.hears(&mut pair, &["1 reset 8"]);
    pair.nothing_more();
    let mut pair = Pair::new(&Plan::one_origin());
    let client = Peer::client(&mut pair);
    client.says(&mut pair, connect(&[]));
    let origin = pair.dialed();
    let asked = pair.got(origin);
    pair.send(origin, switch(&asked));
    client.says(&mut pair, rst_stream(1, Code::Cancel));
    assert_eq!(pair.ended(origin), "aborted");
    pair.got(origin);
    pair.got_bytes(client.end);
    pair.nothing_more();
}

#[test]
fn fields_behind_the_bytes_of_a_tunnel_reset_it() {
    let mut pair = Pair::new(&Plan::one_origin());
    let mut client = Peer::client(&mut pair);
    client.says(&mut pair, connect(&[]));
    let origin = pair.dialed();
    let asked = pair.got(origin);
    pair.send(origin, switch(&asked));
    client.hears(&mut pair, &["1 head :status=200 sec-websocket-protocol=chat"]);
    client.says(&mut pair, ended(head(&[("x-sum", "1")])));
    client.hears(&mut pair, &["1 reset 1"]);
    assert_eq!(pair.ended(origin), "aborted");
}

#[test]
fn requests_that_rfc_8441_forbids_are_reset() {
    let scheme = (":scheme", "http");
    let (connects, path) = ((":method", "CONNECT"), (":path", "/chat"));
    let (named, protocol) = ((":authority", "s"), (":protocol", "websocket"));
    for fields in [
        &[(":method", "GET"), scheme, named, path, protocol][..],
        &[connects, scheme, named, protocol],
        &[connects, named, path, protocol],
        &[connects, scheme, path, protocol],
        &[connects, scheme, named, path, protocol, protocol],
        &[connects, scheme, named, path, (":protocol", "")],
        &[connects, scheme, named, path, protocol, ("content-length", "1")],
        &[connects, scheme, named, path, protocol, ("upgrade", "websocket")],
    ] {
        let mut pair = Pair::new(&Plan::one_origin());
        let mut client = Peer::client(&mut pair);
        client.says(&mut pair, head(fields));
        client.hears(&mut pair, &["1 reset 1"]);
        pair.no_dial();
    }
}

#[test]
fn tunnels_of_other_protocols_are_not_implemented() {
    let mut pair = Pair::new(&Plan::one_origin());
    let mut client = Peer::client(&mut pair);
    let fields = [(":protocol", "connect-udp")];
    client.says(&mut pair, request(1, "CONNECT", "/chat", &fields));
    let expected = ["1 head :status=501 content-length=15", "1 data Not Implemented end"];
    client.hears(&mut pair, &[expected[0], expected[1], "1 reset 0"]);
    pair.no_dial();
    pair.nothing_more();
}

#[test]
fn a_tunnel_on_a_stream_is_held_back_by_its_slow_end() {
    let limits = Limits { outbox_bytes: 1_000, ..Limits::default() };
    let mut pair = Pair::with(&Plan::one_origin(), limits);
    let mut client = Peer::client(&mut pair);
    // An initial window of eight bytes.
    client.settle(&mut pair, &[Setting::InitialWindowSize(8)]);
    client.says(&mut pair, connect(&[]));
    let origin = pair.dialed();
    let asked = pair.got(origin);
    pair.send(origin, format!("{}{}", switch(&asked), "x".repeat(50_000)));
    let told = "1 head :status=200 sec-websocket-protocol=chat";
    client.hears(&mut pair, &[told, "1 data xxxxxxxx"]);
    assert!(!pair.is_read(origin), "nobody reads what nobody takes");
    client.says(&mut pair, window_update(1, 2));
    client.hears(&mut pair, &["1 data xx"]);
    pair.deafen(origin, true);
    let sent: usize = 60_000;
    for part in "y".repeat(sent).as_bytes().chunks(10_000) {
        client.says(&mut pair, frame(Kind::Data, 0, 1, part));
    }
    client.hears(&mut pair, &[]);
    pair.deafen(origin, false);
    assert_eq!(pair.got(origin).len(), sent);
    // What was taken is granted again.
    client.hears(&mut pair, &[]);
    pair.nothing_more();
}

#[test]
fn a_server_that_never_says_what_it_takes_is_given_up() {
    let mut pair = Pair::new(&h2c());
    let client = pair.open();
    pair.send(client, upgrade());
    let end = pair.dialed();
    pair.got_bytes(end);
    pair.pass(Span::secs(31));
    assert!(pair.got(client).starts_with("HTTP/1.1 504 "));
    pair.nothing_more();
}

#[test]
fn a_server_that_goes_before_it_says_what_it_takes_is_dialed_again() {
    let mut pair = Pair::new(&h2c());
    let client = pair.open();
    pair.send(client, upgrade());
    let end = pair.dialed();
    pair.got_bytes(end);
    pair.dial = Dial::Refuse;
    pair.fin(end);
    pair.dialed();
    assert!(pair.got(client).starts_with("HTTP/1.1 502 "));
    pair.nothing_more();
}
