//! What flows through a parent and a child, two processes on real sockets, in every pair of
//! versions: WebSocket, gRPC and events. Another implementation of HTTP/2 is client and origin.

mod gateways;
pub(crate) mod origins;
mod socket;

use bytes::Bytes;
use gateways::{Gateways, UPLINKS, WAYS};
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{Method, Request, Response};
use origins::{Plain, Streams, next, put};
use socket::{Socket, beside, block_on};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::Poll;

struct Stage {
    gateways: Gateways,
    plain: Plain,
    streams: Streams,
}

impl Stage {
    fn set() -> Self {
        let (plain, streams) = (Plain::at(0), Streams::at(0));
        let gateways = Gateways::start(plain.address, streams.address);
        Self { gateways, plain, streams }
    }

    fn connect(&self, tls: bool, protocol: &[u8]) -> Socket {
        match tls {
            true => Socket::secure(self.gateways.secure, &self.gateways.root, protocol),
            false => Socket::connect(self.gateways.clear),
        }
    }

    /// Plays as a client of HTTP/2.
    fn ask<T>(&self, tls: bool, play: impl AsyncFnOnce(SendRequest<Bytes>) -> T) -> T {
        speak(self.connect(tls, b"h2"), play)
    }
}

/// Plays as a client of HTTP/2.
fn speak<T>(socket: Socket, play: impl AsyncFnOnce(SendRequest<Bytes>) -> T) -> T {
    block_on(async {
        let (sender, connection) = h2::client::handshake(socket).await.expect("a greeting");
        beside(play(sender), connection).await
    })
}

/// Opens a WebSocket over HTTP/1.1 and one over HTTP/2, and hears itself on both.
pub(crate) fn echo(to: SocketAddr, path: &str) {
    upgraded(&mut Socket::connect(to), path);
    speak(Socket::connect(to), async |sender| connected(sender, path).await);
}

/// Calls one after another on one connection: who answered each.
pub(crate) fn calls(to: SocketAddr, path: &str, count: u32) -> Vec<String> {
    speak(Socket::connect(to), async |sender| {
        let mut by = Vec::new();
        for _ in 0..count {
            let (response, mut out) = call(sender.clone(), path).await;
            put(&mut out, Bytes::from_static(b"\0\0\0\0\0"), true).await.expect("sent");
            let response = response.await.expect("an answer");
            by.push(field(&response, "x-served-by").to_owned());
            let mut body = response.into_body();
            while next(&mut body).await.is_some() {}
            assert_eq!(trailer(&mut body).await, "0");
        }
        by
    })
}

/// Bytes whose place can be told.
fn pattern(count: usize) -> Vec<u8> {
    crate::world::pattern(count)
}

#[test]
fn websockets_cross_whatever_either_side_speaks() {
    let stage = Stage::set();
    for (way, _, _) in WAYS {
        for uplink in UPLINKS {
            for tls in [false, true] {
                let path = format!("/{way}/{uplink}/chat");
                upgraded(&mut stage.connect(tls, b"http/1.1"), &path);
                stage.ask(tls, async |sender| connected(sender, &path).await);
            }
        }
    }
}

#[test]
fn what_came_over_tls_is_decided_again_alike() {
    let stage = Stage::set();
    for (way, _, _) in WAYS {
        let path = format!("/{way}/one/chat");
        for tls in [false, true] {
            upgraded(&mut stage.connect(tls, b"http/1.1"), &path);
            stage.ask(tls, async |sender| connected(sender, &path).await);
            let mut socket = stage.connect(tls, b"http/1.1");
            socket.send(b"GET /nowhere HTTP/1.1\r\nHost: test\r\n\r\n");
            assert!(socket.some().starts_with(b"HTTP/1.1 404 "));
        }
    }
    let (capsule, told) = stage.gateways.recorded();
    assert_eq!(told["different"], serde_json::json!([]), "{told:#}");
    let count = |what: &str| told[what].as_u64().expect("a count");
    assert!(count("identical") >= 24 && count("unknowable") == 0, "{told:#}");
    let secure = capsule.lines().filter(|line| line.contains("\"tls\":true")).count();
    assert!(secure >= 12, "{secure} requests over TLS were recorded");
    assert!(!capsule.contains("PRIVATE KEY") && !capsule.contains("CERTIFICATE"));
}

/// A WebSocket over HTTP/1.1.
fn upgraded(socket: &mut Socket, path: &str) {
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.send(head.as_bytes());
    let mut came = Vec::new();
    let end = loop {
        came.extend(socket.some());
        if let Some(end) = came.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let told = String::from_utf8_lossy(&came[..end]).to_lowercase();
    assert!(told.starts_with("http/1.1 101 "), "{path}: {told}");
    let accept = "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=";
    assert!(told.contains(accept), "{path}: {told}");
    came.drain(..end);
    let sent = pattern(50_000);
    socket.send(&sent);
    socket.shut();
    loop {
        match socket.some() {
            end if end.is_empty() => break,
            some => came.extend(some),
        }
    }
    assert!(came == sent, "{path}: {} bytes came back", came.len());
}

/// A WebSocket over HTTP/2.
async fn connected(mut sender: SendRequest<Bytes>, path: &str) {
    poll_fn(|context| match sender.is_extended_connect_protocol_enabled() {
        true => sender.poll_ready(context).map(|ready| ready.expect("a connection")),
        false => Poll::Pending,
    })
    .await;
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://test{path}"))
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13");
    let request = request.body(()).expect("a request");
    let (response, mut out) = sender.send_request(request, false).expect("a stream");
    let response = response.await.expect("an answer");
    assert_eq!(response.status(), 200, "{path}");
    assert!(response.headers().get("sec-websocket-accept").is_none());
    let mut body = response.into_body();
    let sent = pattern(200_000);
    let mut came = Vec::new();
    let back = async {
        while let Some(part) = next(&mut body).await {
            came.extend(part);
        }
    };
    beside(back, put(&mut out, Bytes::from(sent.clone()), true)).await;
    assert!(came == sent, "{path}: {} bytes came back", came.len());
}

/// Calls a method of the origin that speaks gRPC.
async fn call(
    mut sender: SendRequest<Bytes>,
    path: &str,
) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
    poll_fn(|context| sender.poll_ready(context)).await.expect("a connection");
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://test{path}"))
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "7S")
        .header("te", "trailers");
    sender.send_request(request.body(()).expect("a request"), false).expect("a stream")
}

async fn trailer(body: &mut RecvStream) -> String {
    let trailers = poll_fn(|context| body.poll_trailers(context)).await;
    let trailers = trailers.expect("no reset").expect("there are trailers");
    trailers["grpc-status"].to_str().expect("a number").to_owned()
}

fn field<'a>(response: &'a Response<RecvStream>, name: &str) -> &'a str {
    let value = response.headers().get(name);
    value.unwrap_or_else(|| panic!("{response:?}")).to_str().expect("text")
}

#[test]
fn calls_of_grpc_cross_whole_and_piece_by_piece() {
    let stage = Stage::set();
    for (way, _, _) in WAYS {
        for tls in [false, true] {
            stage.ask(tls, async |sender| {
                let (response, mut out) = call(sender.clone(), &format!("/{way}/two/Unary")).await;
                put(&mut out, Bytes::from_static(b"\0\0\0\0\x02hi"), true).await.expect("sent");
                let response = response.await.expect("an answer");
                assert_eq!(field(&response, "asked-te"), "trailers");
                assert_eq!(field(&response, "asked-timeout"), "7S");
                let mut body = response.into_body();
                let mut came = Vec::new();
                while let Some(part) = next(&mut body).await {
                    came.extend(part);
                }
                assert_eq!(
                    (came.as_slice(), trailer(&mut body).await.as_str()),
                    (&b"\0\0\0\0\x02hi"[..], "0")
                );

                // Each message is answered before the next one is sent.
                let (response, mut out) = call(sender.clone(), &format!("/{way}/two/Chat")).await;
                put(&mut out, Bytes::from_static(b"first"), false).await.expect("sent");
                let mut body = response.await.expect("an answer while it is asked").into_body();
                assert_eq!(next(&mut body).await.expect("the first"), "first");
                for round in 0..10 {
                    let message = Bytes::from(format!("message {round}"));
                    put(&mut out, message.clone(), false).await.expect("sent");
                    assert_eq!(next(&mut body).await.expect("an answer"), message);
                }
                put(&mut out, Bytes::new(), true).await.expect("sent");
                assert!(next(&mut body).await.is_none());
                assert_eq!(trailer(&mut body).await, "0");

                let (response, mut out) = call(sender, &format!("/{way}/two/Fail")).await;
                let response = response.await.expect("an answer");
                assert_eq!(
                    (field(&response, "grpc-status"), response.status().as_u16()),
                    ("5", 200)
                );
                assert_eq!(field(&response, "grpc-message"), "gone");
                out.send_reset(Reason::CANCEL);
            });
        }
    }
}

#[test]
fn a_call_that_is_given_up_is_given_up_at_the_origin() {
    let stage = Stage::set();
    for (way, _, _) in WAYS {
        stage.ask(false, async |sender| {
            let (response, mut out) = call(sender, &format!("/{way}/two/Hang")).await;
            put(&mut out, Bytes::from_static(b"?"), false).await.expect("sent");
            let began = beside(told(&stage.streams), response).await;
            assert_eq!(began, (format!("/{way}/two/Hang"), None));
            out.send_reset(Reason::CANCEL);
            let taken_back = told(&stage.streams).await;
            assert_eq!(taken_back, (format!("/{way}/two/Hang"), Some(Reason::CANCEL)));
        });
    }
}

/// What the origin says of a call that it does not answer.
async fn told(origin: &Streams) -> (String, Option<Reason>) {
    poll_fn(|_| origin.told.try_recv().map_or(Poll::Pending, Poll::Ready)).await
}

#[test]
fn an_event_arrives_while_its_stream_goes_on() {
    let stage = Stage::set();
    let say = |word| stage.plain.events.send(word).expect("the origin runs");
    for (way, _, _) in WAYS {
        let path = format!("/{way}/one/events");
        let mut socket = stage.connect(false, b"");
        say("one");
        socket.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes());
        let mut text = String::new();
        let mut until = |wanted: &str| {
            while !text.contains(wanted) {
                let some = socket.some();
                assert!(!some.is_empty(), "{text}");
                text.push_str(&String::from_utf8_lossy(&some));
            }
        };
        until("data: one\n\n");
        say("two");
        until("data: two\n\n");
        say("end");
        stage.ask(true, async |mut sender| {
            poll_fn(|context| sender.poll_ready(context)).await.expect("a connection");
            say("one");
            let request = Request::get(format!("https://test{path}")).body(()).expect("a request");
            let (response, _) = sender.send_request(request, true).expect("a stream");
            let mut body = response.await.expect("an answer").into_body();
            assert_eq!(next(&mut body).await.expect("an event"), "data: one\n\n");
            say("two");
            assert_eq!(next(&mut body).await.expect("an event"), "data: two\n\n");
            say("end");
            while let Some(part) = next(&mut body).await {
                assert_eq!(part, "");
            }
        });
    }
}
