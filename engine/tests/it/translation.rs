//! What becomes of heads, trailers and interim responses between the versions of HTTP.

use crate::frames::{Ear, block, data, ended, frame, get, hello, request};
use crate::pair::{End, Pair};
use crate::plan::Plan;
use engine::config::fixed::Scheme;
use engine::h2::frame::{END_HEADERS, Kind, PREFACE};

/// A plan with one server of this scheme.
fn to(scheme: Scheme) -> Plan {
    let mut plan = Plan::bare();
    plan.scheme = scheme;
    let service = plan.origin();
    plan.route("PathPrefix(`/`)", service, &[]);
    plan
}

/// A peer that speaks HTTP/2.
struct Peer {
    end: End,
    ear: Ear,
}

impl Peer {
    fn client(pair: &mut Pair) -> Self {
        let end = pair.open();
        pair.send(end, hello());
        Self { end, ear: Ear::default() }
    }

    /// What a server that was dialed is asked first, without the fields that say who asked.
    fn server(pair: &mut Pair) -> (Self, String) {
        let end = pair.dialed();
        let bytes = pair.got_bytes(end);
        let mut ear = Ear::default();
        let lines = ear.hear(bytes.strip_prefix(PREFACE).expect("the preface comes first"));
        pair.send(end, frame(Kind::Settings, 0, 0, &[]));
        let asked = lines[0].split(" x-forwarded-").next().unwrap_or_default().to_owned();
        (Self { end, ear }, asked)
    }

    #[track_caller]
    fn hears(&mut self, pair: &mut Pair, expected: &[&str]) {
        let bytes = pair.got_bytes(self.end);
        assert_eq!(self.ear.hear(&bytes), expected);
    }

    fn says(&self, pair: &mut Pair, frame: impl AsRef<[u8]>) {
        pair.send(self.end, frame);
    }
}

fn head(fields: &[(&str, &str)]) -> Vec<u8> {
    frame(Kind::Headers, END_HEADERS, 1, &block(fields))
}

/// What a server of HTTP/2 is asked for these field lines of HTTP/1.1.
#[track_caller]
fn goes_up(lines: &str, expected: &str) {
    let mut pair = Pair::new(&to(Scheme::H2c));
    let client = pair.open();
    pair.send(client, format!("GET /a HTTP/1.1\r\nHost: s\r\n{lines}\r\n"));
    let (_, asked) = Peer::server(&mut pair);
    let usual = "1 head :method=GET :scheme=http :authority=s :path=/a";
    assert_eq!(asked, format!("{usual}{expected}"), "{lines}");
}

#[test]
fn fields_of_a_connection_stay_there() {
    goes_up("Connection: close, X-Mine\r\nX-Mine: 1\r\nX-Yours: 2\r\n", " x-yours=2");
    goes_up("Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nA: b\r\n", " a=b");
    goes_up("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n", "");
    goes_up("Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\nA: b\r\n", " a=b");
}

#[test]
fn of_te_only_trailers_are_passed_on() {
    goes_up("TE: trailers, gzip;q=0.5\r\nConnection: TE\r\n", " te=trailers");
    goes_up("TE: gzip\r\nConnection: TE\r\n", "");
}

#[test]
fn names_are_lower_case_and_values_are_trimmed() {
    goes_up("X-UPPER:   spaced \t\r\nX-Empty:\r\n", " x-upper=spaced x-empty=");
}

/// What a server of HTTP/1.1 is asked for these fields of a stream.
#[track_caller]
fn goes_down(fields: &[(&str, &str)], expected: &str) {
    let mut pair = Pair::new(&to(Scheme::Http));
    let client = Peer::client(&mut pair);
    client.says(&mut pair, ended(head(fields)));
    let origin = pair.dialed();
    let asked = pair.got(origin);
    let asked = asked.split("X-Forwarded-For").next().unwrap_or_default().replace("\r\n", "|");
    assert_eq!(asked, expected, "{fields:?}");
}

const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "http");
const NAME: (&str, &str) = (":authority", "s");
const PATH: (&str, &str) = (":path", "/a");

#[test]
fn crumbs_of_a_cookie_are_joined() {
    let crumbs = [("cookie", "a=b"), ("x", "y"), ("cookie", "c=d"), ("cookie", "e=f")];
    let fields = [&[METHOD, SCHEME, NAME, PATH][..], &crumbs].concat();
    goes_down(&fields, "GET /a HTTP/1.1|Host: s|x: y|cookie: a=b; c=d; e=f|");
    let mut pair = Pair::new(&to(Scheme::H2c));
    let client = Peer::client(&mut pair);
    client.says(&mut pair, ended(head(&fields)));
    let (_, asked) = Peer::server(&mut pair);
    assert!(asked.ends_with(":path=/a x=y cookie=a=b; c=d; e=f"), "{asked}");
}

#[test]
fn one_host_is_passed_on_and_two_that_differ_are_refused() {
    goes_down(&[METHOD, SCHEME, NAME, PATH, ("host", "S")], "GET /a HTTP/1.1|Host: s|");
    goes_down(&[METHOD, SCHEME, PATH, ("host", "t:8")], "GET /a HTTP/1.1|Host: t:8|");
    for fields in [
        &[METHOD, SCHEME, NAME, PATH, ("host", "t")][..],
        &[METHOD, SCHEME, NAME, PATH, ("host", "s"), ("host", "t")],
        &[METHOD, SCHEME, NAME, PATH, ("host", "s:80")],
    ] {
        let mut pair = Pair::new(&to(Scheme::Http));
        let mut client = Peer::client(&mut pair);
        client.says(&mut pair, ended(head(fields)));
        client.hears(&mut pair, &["1 reset 1"]);
        pair.no_dial();
    }
}

#[test]
fn connect_is_not_implemented_in_either_version() {
    let mut pair = Pair::new(&to(Scheme::Http));
    let plain = pair.open();
    pair.send(plain, "CONNECT s:443 HTTP/1.1\r\nHost: s:443\r\n\r\n");
    assert!(pair.got(plain).starts_with("HTTP/1.1 501 "));
    let mut client = Peer::client(&mut pair);
    client.says(&mut pair, head(&[(":method", "CONNECT"), (":authority", "s:443")]));
    let expected = ["1 head :status=501 content-length=15", "1 data Not Implemented end"];
    client.hears(&mut pair, &[expected[0], expected[1], "1 reset 0"]);
    pair.no_dial();
}

#[test]
fn interim_responses_of_streams_reach_clients_that_know_them() {
    let mut pair = Pair::new(&to(Scheme::H2c));
    let (new, old) = (pair.open(), pair.open());
    let ask = "PUT / HTTP/1.1\r\nHost: s\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
    pair.send(new, ask);
    let (mut server, asked) = Peer::server(&mut pair);
    assert!(asked.contains(" expect=100-continue"), "{asked}");
    server.says(&mut pair, head(&[(":status", "100")]));
    server.says(&mut pair, head(&[(":status", "103"), ("link", "a")]));
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\nlink: a\r\n\r\n";
    assert_eq!(pair.got(new), interim);
    pair.send(new, "x");
    server.hears(&mut pair, &["1 data x end"]);
    server.says(&mut pair, ended(head(&[(":status", "204")])));
    assert_eq!(pair.got(new), "HTTP/1.1 204 \r\n\r\n");
    pair.send(old, "GET / HTTP/1.0\r\nHost: s\r\n\r\n");
    pair.got_bytes(server.end);
    server.says(&mut pair, frame(Kind::Headers, END_HEADERS, 3, &block(&[(":status", "103")])));
    assert_eq!(pair.got(old), "", "HTTP/1.0 has no interim responses");
    server.says(
        &mut pair,
        ended(frame(Kind::Headers, END_HEADERS, 3, &block(&[(":status", "204")]))),
    );
    assert!(pair.got(old).starts_with("HTTP/1.1 204 "));
}

#[test]
fn trailers_that_could_change_the_message_are_left_out() {
    let mut pair = Pair::new(&to(Scheme::Http));
    let mut client = Peer::client(&mut pair);
    client.says(&mut pair, get(1, "/"));
    let origin = pair.dialed();
    pair.got(origin);
    let trailers = "Grpc-Status: 0\r\nContent-Type: no\r\nSet-Cookie: a=b\r\nX-Sum: 1\r\n";
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n";
    pair.send(origin, format!("{answer}2\r\nab\r\n0\r\n{trailers}\r\n"));
    let expected = ["1 head :status=200", "1 data ab", "1 head grpc-status=0 x-sum=1 end"];
    client.hears(&mut pair, &expected);
    // The same from a stream.
    let mut pair = Pair::new(&to(Scheme::H2c));
    let plain = pair.open();
    pair.send(plain, "GET / HTTP/1.1\r\nHost: s\r\nTE: trailers\r\n\r\n");
    let (server, _) = Peer::server(&mut pair);
    server.says(&mut pair, head(&[(":status", "200")]));
    server.says(&mut pair, data(1, "ab"));
    let trailers = [("grpc-status", "0"), ("content-type", "no"), ("host", "no")];
    server.says(&mut pair, ended(head(&trailers)));
    let got = pair.got(plain);
    assert!(got.ends_with("\r\n\r\n2\r\nab\r\n0\r\ngrpc-status: 0\r\n\r\n"), "{got}");
}

#[test]
fn trailers_follow_content_of_a_stated_length_from_stream_to_stream() {
    let mut pair = Pair::new(&to(Scheme::H2c));
    let mut client = Peer::client(&mut pair);
    client.says(&mut pair, get(1, "/"));
    let (server, _) = Peer::server(&mut pair);
    server.says(&mut pair, head(&[(":status", "200"), ("content-length", "2")]));
    server.says(&mut pair, data(1, "ab"));
    client.hears(&mut pair, &["1 head :status=200 content-length=2", "1 data ab"]);
    server.says(&mut pair, ended(head(&[("x-sum", "1")])));
    client.hears(&mut pair, &["1 head x-sum=1 end"]);
}

#[test]
fn an_answer_without_content_stays_so() {
    for (method, status, more) in [
        ("HEAD", "200", " content-length=5"),
        ("GET", "304", " content-length=5"),
        ("GET", "204", ""),
    ] {
        let mut pair = Pair::new(&to(Scheme::Http));
        let mut client = Peer::client(&mut pair);
        client.says(&mut pair, ended(request(1, method, "/", &[])));
        let origin = pair.dialed();
        pair.got(origin);
        let length = if more.is_empty() { "" } else { "Content-Length: 5\r\n" };
        pair.send(origin, format!("HTTP/1.1 {status} X\r\n{length}Connection: keep-alive\r\n\r\n"));
        client.hears(&mut pair, &[&format!("1 head :status={status}{more} end")]);
        let mut pair = Pair::new(&to(Scheme::H2c));
        let plain = pair.open();
        pair.send(plain, format!("{method} / HTTP/1.1\r\nHost: s\r\n\r\n"));
        let (server, _) = Peer::server(&mut pair);
        let mut fields = vec![(":status", status)];
        fields.extend((!more.is_empty()).then_some(("content-length", "5")));
        server.says(&mut pair, ended(head(&fields)));
        let got = pair.got(plain);
        assert!(got.starts_with(&format!("HTTP/1.1 {status} \r\n")), "{got}");
        assert!(got.ends_with("\r\n\r\n"), "{got}");
        pair.send(plain, "GET /next HTTP/1.1\r\nHost: s\r\n\r\n");
        assert!(!pair.got_bytes(server.end).is_empty(), "the client's connection goes on");
    }
}
