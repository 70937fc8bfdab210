//! gRPC-Web from browsers, and gRPC behind it.

use super::{ENTRY, Site, unchunked};
use crate::frames::{Ear, block, data, ended, frame, hello, request};
use crate::pair::{End, Pair};
use engine::base::limits::Limits;
use engine::base::mark::Mark;
use engine::h2::frame::{END_HEADERS, Kind, PREFACE};

const MESSAGE: &str = "\0\0\0\0\u{5}hello";
/// The same as text, and the frame of these trailers.
const MESSAGE_TEXT: &str = "AAAAAAVoZWxsbw==";
const TRAILERS: &str = "grpc-status: 0\r\nx-sum: 1\r\n";
const ORIGIN: &str = "https://app.example.com";

/// A worker in front of a server that speaks HTTP/2 on clear text.
fn pair_of(middlewares: &str) -> Pair {
    let document = super::document(middlewares).replace("http://10.0.0.1", "h2c://10.0.0.1");
    Pair::of(Site::new(ENTRY).view_of(&document), Limits::default())
}

fn web() -> Pair {
    pair_of(&format!("a: {{grpcWeb: {{allowOrigins: ['{ORIGIN}']}}}}"))
}

struct Server {
    end: End,
    ear: Ear,
}

impl Server {
    /// Whoever is dialed, and what it is asked but for who asks.
    #[track_caller]
    fn dialed(pair: &mut Pair) -> (Self, Vec<String>) {
        let end = pair.dialed();
        let bytes = pair.got_bytes(end);
        let mut ear = Ear::default();
        let lines = ear.hear(bytes.strip_prefix(PREFACE).expect("the preface comes first"));
        pair.send(end, frame(Kind::Settings, 0, 0, &[]));
        let short = |line: &String| {
            let line = line.split(" x-forwarded-").next().unwrap_or_default();
            line.to_owned()
        };
        (Self { end, ear }, lines.iter().map(short).collect())
    }

    fn answers(&self, pair: &mut Pair, more: &[(&str, &str)]) {
        let usual = [(":status", "200"), ("content-type", "application/grpc")];
        let fields = [&usual[..], more].concat();
        pair.send(self.end, frame(Kind::Headers, END_HEADERS, 1, &block(&fields)));
    }

    fn ends(&self, pair: &mut Pair) {
        let trailers = block(&[("grpc-status", "0"), ("x-sum", "1")]);
        pair.send(self.end, ended(frame(Kind::Headers, END_HEADERS, 1, &trailers)));
    }
}

/// The last frame.
fn last() -> String {
    let length = char::from(u8::try_from(TRAILERS.len()).expect("short"));
    format!("\0\0\0{length}{TRAILERS}")
}

fn post(kind: &str, content: &str) -> String {
    let length = content.len();
    format!(
        "POST /shop.Orders/Get HTTP/1.1\r\nHost: s\r\nOrigin: {ORIGIN}\r\nX-Grpc-Web: \
         1\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{content}"
    )
}

fn split(bytes: &[u8]) -> (String, &[u8]) {
    let end = bytes.windows(4).position(|it| it == b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let head = head.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ")).collect();
    (head, &bytes[end..])
}

#[test]
fn messages_pass_and_trailers_become_the_last_frame() {
    let mut pair = web();
    let client = pair.open();
    pair.send(client, post("application/grpc-web+proto", MESSAGE));
    let (mut server, asked) = Server::dialed(&mut pair);
    let length = MESSAGE.len();
    assert_eq!(
        asked,
        [
            format!(
                "1 head :method=POST :scheme=http :authority=s :path=/shop.Orders/Get \
                 origin={ORIGIN} x-grpc-web=1 content-type=application/grpc+proto \
                 content-length={length} te=trailers"
            ),
            format!("1 data {MESSAGE} end"),
        ]
    );
    server.answers(&mut pair, &[("access-control-allow-origin", "*"), ("x-a", "b")]);
    pair.send(server.end, data(1, MESSAGE));
    server.ends(&mut pair);
    let bytes = pair.got_bytes(client);
    let (head, rest) = split(&bytes);
    assert_eq!(
        head,
        format!(
            "HTTP/1.1 200 \r\nx-a: b\r\nTransfer-Encoding: chunked\r\nContent-Type: \
             application/grpc-web+proto\r\nAccess-Control-Allow-Origin: \
             {ORIGIN}\r\nAccess-Control-Allow-Credentials: true\r\nAccess-Control-Expose-Headers: \
             content-type, x-a, grpc-status, grpc-message\r\nVary: \
             Origin\r\n\r\n"
        )
    );
    let (content, over) = unchunked(rest);
    let expected = [MESSAGE.as_bytes(), b"\x80", last().as_bytes()].concat();
    assert_eq!((content, over), (expected, true));
    assert_eq!(pair.count(Mark::WebTranslated), 1);
    assert_eq!(server.ear.hear(&pair.got_bytes(server.end)), [""; 0]);
    pair.nothing_more();
}

#[test]
fn text_is_read_and_written_as_base64() {
    let mut pair = web();
    let client = pair.open();
    let request = post("application/grpc-web-text", MESSAGE_TEXT);
    let (first, rest) = request.split_at(request.len() - 7);
    pair.send(client, first);
    pair.send(client, rest);
    let (server, asked) = Server::dialed(&mut pair);
    assert!(asked[0].ends_with(" content-type=application/grpc te=trailers"), "{asked:?}");
    let content: String = asked[1..]
        .iter()
        .map(|it| it.trim_start_matches("1 data ").trim_end_matches(" end"))
        .collect();
    assert_eq!(content, MESSAGE);
    assert!(asked.last().is_some_and(|it| it.ends_with(" end")));
    server.answers(&mut pair, &[]);
    pair.send(server.end, data(1, MESSAGE));
    server.ends(&mut pair);
    let bytes = pair.got_bytes(client);
    let (head, rest) = split(&bytes);
    assert!(head.contains("Content-Type: application/grpc-web-text+proto\r\n"), "{head}");
    let (text, over) = unchunked(rest);
    assert!(over && text.starts_with(MESSAGE_TEXT.as_bytes()));
    let text = String::from_utf8(text).expect("a text");
    // RFC 4648 §4 by hand: the first bytes of the frame are 80 00 00 00.
    assert!(text[MESSAGE_TEXT.len()..].starts_with("gAAAA"), "{text}");
    pair.nothing_more();
}

#[test]
fn what_is_no_base64_is_refused() {
    let mut pair = web();
    let client = pair.open();
    pair.send(client, post("application/grpc-web-text", "AAAA!!!!"));
    assert!(pair.own(client).starts_with("HTTP/1.1 400 "));
    assert_eq!(pair.count(Mark::BodyRefused), 1);
}

#[test]
fn streams_are_translated_without_chunks() {
    let mut pair = web();
    let client = pair.open();
    let mut ear = Ear::default();
    let fields =
        [("content-type", "application/grpc-web"), ("origin", "https://elsewhere.example")];
    pair.send(client, hello());
    pair.send(client, request(1, "POST", "/a", &fields));
    pair.send(client, ended(data(1, MESSAGE)));
    let (server, asked) = Server::dialed(&mut pair);
    assert!(asked[0].contains(" content-type=application/grpc "), "{asked:?}");
    server.answers(&mut pair, &[]);
    pair.send(server.end, data(1, MESSAGE));
    server.ends(&mut pair);
    let heard = ear.hear(&pair.got_bytes(client));
    assert_eq!(heard[0], "1 head :status=200 content-type=application/grpc-web+proto");
    let content: String =
        heard[1..].iter().map(|line| line.trim_start_matches("1 data ")).collect();
    assert_eq!(content, format!("{MESSAGE}\u{fffd}{} end", last()));
    pair.reset(client);
}

#[test]
fn an_answer_that_is_all_head_stays_so_and_others_pass_as_they_are() {
    let mut pair = web();
    let client = pair.open();
    pair.send(client, post("application/grpc-web", MESSAGE));
    let (server, _) = Server::dialed(&mut pair);
    let fields = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "5")];
    pair.send(server.end, ended(frame(Kind::Headers, END_HEADERS, 1, &block(&fields))));
    let got = pair.got(client);
    assert!(got.contains("\r\ngrpc-status: 5\r\n"), "{got}");
    assert!(got.contains("Content-Type: application/grpc-web+proto\r\n"), "{got}");
    assert!(!got.contains('\u{fffd}'), "no frame of trailers: {got}");
    // Plain gRPC through the same route.
    let mut pair = web();
    let client = pair.open();
    pair.send(client, hello());
    pair.send(client, request(1, "POST", "/a", &[("content-type", "application/grpc")]));
    pair.send(client, ended(data(1, MESSAGE)));
    let (server, _) = Server::dialed(&mut pair);
    server.answers(&mut pair, &[]);
    pair.send(server.end, data(1, MESSAGE));
    server.ends(&mut pair);
    let heard = Ear::default().hear(&pair.got_bytes(client));
    assert_eq!(heard[0], "1 head :status=200 content-type=application/grpc");
    assert_eq!(heard.last().map(String::as_str), Some("1 head grpc-status=0 x-sum=1 end"));
    assert_eq!(pair.count(Mark::WebTranslated), 0);
    pair.reset(client);
}

#[test]
fn scripts_that_are_let_in_are_told_what_they_may_send() {
    let ask = |origin: &str, wanted: &str| {
        format!(
            "OPTIONS /a HTTP/1.1\r\nHost: s\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: \
             POST\r\nAccess-Control-Request-Headers: {wanted}\r\n\r\n"
        )
    };
    let mut pair = web();
    let client = pair.open();
    pair.send(client, ask(ORIGIN, "content-type, X-Grpc-Web"));
    assert_eq!(
        pair.got(client),
        format!(
            "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Credentials: \
             true\r\nAccess-Control-Allow-Headers: content-type, \
             X-Grpc-Web\r\nAccess-Control-Allow-Methods: POST\r\nAccess-Control-Allow-Origin: \
             {ORIGIN}\r\nAccess-Control-Max-Age: 600\r\nVary: Origin, \
             Access-Control-Request-Method, Access-Control-Request-Headers\r\nContent-Length: \
             0\r\n\r\n"
        )
    );
    pair.send(client, ask("https://elsewhere.example", "x-grpc-web"));
    let got = pair.got(client);
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n") && !got.contains("Allow-Origin"), "{got}");
    pair.no_dial();
    pair.send(client, ask(ORIGIN, "content-type"));
    pair.dialed();
}
