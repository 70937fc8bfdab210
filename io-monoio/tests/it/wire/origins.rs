//! Origins of both versions, in threads that run until the process ends.

use super::socket::Socket;
use bytes::Bytes;
use engine::base::base64;
use h2::ext::Protocol;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use sha1::{Digest, Sha1};
use std::future::poll_fn;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Poll;
use std::thread;

/// An origin that speaks HTTP/1.1: echoes WebSockets, and sends one event per word it is given.
pub(crate) struct Plain {
    pub(super) address: SocketAddr,
    /// A word is an event.
    pub(super) events: Sender<&'static str>,
}

impl Plain {
    /// Port 0 is any.
    pub(crate) fn at(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (events, words) = channel();
        let words = std::sync::Arc::new(std::sync::Mutex::new(words));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let words = std::sync::Arc::clone(&words);
                thread::spawn(move || serve_plain(BufReader::new(stream), &words));
            }
        });
        Self { address, events }
    }
}

fn serve_plain(mut stream: BufReader<TcpStream>, words: &std::sync::Mutex<Receiver<&str>>) {
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if !stream.read_line(&mut line).is_ok_and(|count| count > 0) {
                return;
            }
            if line.trim_end().is_empty() {
                break;
            }
            lines.push(line.trim_end().to_owned());
        }
        let field = |name: &str| {
            let found = lines.iter().filter_map(|line| line.split_once(": "));
            found.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|it| it.1).next()
        };
        let out = stream.get_mut();
        let head = match field("sec-websocket-key").zip(field("upgrade")) {
            Some((key, "websocket")) => {
                let mut accept = Vec::new();
                let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
                base64::encode(&Sha1::digest(text), &mut accept);
                format!(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: \
                     websocket\r\nSec-WebSocket-Accept: {}\r\n\r\n",
                    String::from_utf8_lossy(&accept)
                )
            }
            Some(_) => return,
            None if lines[0].contains("/events ") => {
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n".to_owned()
            }
            None => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned(),
        };
        if out.write_all(head.as_bytes()).is_err() {
            return;
        }
        if head.starts_with("HTTP/1.1 101") {
            let mut out = stream.get_ref().try_clone().expect("a socket");
            let _ = std::io::copy(&mut stream, &mut out);
            return;
        }
        if head.contains("event-stream") {
            let words = words.lock().expect("no origin panics");
            while let Ok(word) = words.recv() {
                if word == "end" {
                    return;
                }
                if stream.get_mut().write_all(format!("data: {word}\n\n").as_bytes()).is_err() {
                    return;
                }
            }
        }
    }
}

/// An origin that speaks HTTP/2 as another implementation of it does, and gRPC by hand.
pub(crate) struct Streams {
    pub(super) address: SocketAddr,
    /// Calls that are never answered, by their path: that they came, and how they were given up.
    pub(super) told: Receiver<(String, Option<Reason>)>,
}

impl Streams {
    /// Port 0 is any.
    pub(crate) fn at(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (tell, told) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let tell = tell.clone();
                thread::spawn(move || block_forever(serve_streams(Socket::of(stream), tell)));
            }
        });
        Self { address, told }
    }
}

/// As `block_on`, without an end to its patience.
fn block_forever(future: impl Future<Output = ()>) {
    let mut future = pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    while future.as_mut().poll(&mut context).is_pending() {
        thread::sleep(std::time::Duration::from_micros(300));
    }
}

type Tell = Sender<(String, Option<Reason>)>;

async fn serve_streams(socket: Socket, tell: Tell) {
    let mut builder = h2::server::Builder::new();
    builder.enable_connect_protocol();
    let Ok(mut connection) = builder.handshake::<_, Bytes>(socket).await else { return };
    let mut calls: Vec<std::pin::Pin<Box<dyn Future<Output = Option<()>>>>> = Vec::new();
    poll_fn(|context| {
        loop {
            match connection.poll_accept(context) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    calls.push(Box::pin(answer(request, respond, tell.clone())));
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        calls.retain_mut(|call| call.as_mut().poll(context).is_pending());
        Poll::Pending
    })
    .await;
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    tell: Tell,
) -> Option<()> {
    let (head, mut body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let method = path.rsplit('/').next().unwrap_or_default().to_owned();
    let protocol = head.extensions.get::<Protocol>().map(Protocol::as_str);
    let fine = || Response::builder().header("content-type", "application/grpc");
    if head.method == Method::CONNECT {
        assert_eq!(protocol, Some("websocket"));
        assert!(head.headers.get("sec-websocket-key").is_none());
        let mut out = respond.send_response(Response::new(()), false).ok()?;
        while let Some(part) = next(&mut body).await {
            put(&mut out, part, false).await?;
        }
        return put(&mut out, Bytes::new(), true).await;
    }
    if head.headers.get("content-type") != Some(&HeaderValue::from_static("application/grpc")) {
        let mut out = respond.send_response(Response::new(()), false).ok()?;
        return put(&mut out, Bytes::from_static(b"ok"), true).await;
    }
    match method.as_str() {
        "Fail" => {
            let fail = fine().header("grpc-status", "5").header("grpc-message", "gone");
            respond.send_response(fail.body(()).ok()?, true).ok()?;
        }
        "Check" => {
            let mut out = respond.send_response(fine().body(()).ok()?, false).ok()?;
            put(&mut out, Bytes::from_static(&[0, 0, 0, 0, 2, 8, 1]), false).await?;
            out.send_trailers(status("0")).ok()?;
        }
        "Hang" => {
            tell.send((path.clone(), None)).ok()?;
            let reason = poll_fn(|context| respond.poll_reset(context)).await;
            tell.send((path, reason.ok())).ok()?;
        }
        _ => {
            let asked = ["te", "grpc-timeout"].map(|name| head.headers.get(name).cloned());
            let [te, timeout] = asked.map(|it| it.unwrap_or(HeaderValue::from_static("none")));
            let told = fine().header("asked-te", te).header("asked-timeout", timeout);
            let mut out = respond.send_response(told.body(()).ok()?, false).ok()?;
            while let Some(part) = next(&mut body).await {
                put(&mut out, part, false).await?;
            }
            out.send_trailers(status("0")).ok()?;
        }
    }
    Some(())
}

fn status(code: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static(code),
    )])
}

/// The next piece of content.
pub(super) async fn next(body: &mut RecvStream) -> Option<Bytes> {
    let part = poll_fn(|context| body.poll_data(context)).await?.ok()?;
    body.flow_control().release_capacity(part.len()).ok()?;
    Some(part)
}

/// Sends content as far as there is room, until all of it is sent.
pub(super) async fn put(out: &mut SendStream<Bytes>, mut bytes: Bytes, ends: bool) -> Option<()> {
    while !bytes.is_empty() {
        out.reserve_capacity(bytes.len());
        let room = poll_fn(|context| match out.capacity() {
            0 => out.poll_capacity(context).map(|room| room.and_then(Result::ok)),
            room => Poll::Ready(Some(room)),
        });
        let room = room.await?;
        let part = bytes.split_to(room.min(bytes.len()));
        out.send_data(part, false).ok()?;
    }
    if ends { out.send_data(Bytes::new(), true).ok() } else { Some(()) }
}
