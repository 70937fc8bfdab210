//! HTTP/2 against another implementation of it, both in memory: requests of many shapes, cut into
//! pieces at random, come back from an echo as they were sent.

use bytes::Bytes;
use engine::base::id::ConnId;
use engine::base::page::{Chunk, PageSize, Pool};
use engine::base::prng::Prng;
use engine::base::time::Time;
use engine::boundary::{Batch, Lent};
use engine::h2::frame::Code;
use engine::h2::link::{Bounds, Event, Io, Link, Role};
use engine::h2::message::Gather;
use engine::h2::write::Sent;
use engine::net::inbox::Inbox;
use engine::net::outbox::Outbox;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const BOUNDS: Bounds = Bounds {
    streams_max: 100,
    stream_window: 65_535,
    window: 100_000,
    list_max: 65_536,
    trailers_max: 16_384,
};

/// The judge's end of the wire.
#[derive(Clone, Default)]
struct Wire(Rc<RefCell<Ways>>);

#[derive(Default)]
struct Ways {
    to_judge: VecDeque<u8>,
    to_us: VecDeque<u8>,
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let mut ways = self.0.borrow_mut();
        if ways.to_judge.is_empty() {
            return Poll::Pending;
        }
        let count = buf.remaining().min(ways.to_judge.len());
        let bytes: Vec<u8> = ways.to_judge.drain(..count).collect();
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.0.borrow_mut().to_us.extend(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A message on one stream, as far as it has come.
#[derive(Default)]
struct Message {
    head: String,
    content: Vec<u8>,
    trailers: String,
    ended: bool,
    /// What is being sent back, and whether its head was.
    reply: Option<Outbox>,
    headed: bool,
}

/// Our end.
struct Ours {
    link: Link,
    pool: Pool,
    inbox: Inbox,
    outbox: Outbox,
    gather: Gather,
    messages: BTreeMap<u32, Message>,
    wire: Wire,
    chance: Prng,
}

impl Ours {
    fn new(role: Role, wire: Wire, chance: Prng) -> Self {
        let pool = Pool::new(256, 10_000, 17_000, 1_000);
        let mut outbox = Outbox::default();
        let link = Link::new(role, BOUNDS, Time::ZERO, &mut outbox, &pool).expect("pages");
        let (inbox, gather) = (Inbox::default(), Gather::default());
        Self { link, pool, inbox, outbox, gather, messages: BTreeMap::new(), wire, chance }
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut Link, &mut Io<'_>) -> T) -> T {
        let mut io = Io {
            inbox: &mut self.inbox,
            outbox: &mut self.outbox,
            pool: &self.pool,
            gather: &mut self.gather,
            now: Time::ZERO,
        };
        act(&mut self.link, &mut io)
    }

    /// Takes a random piece of what waits, and writes all there is.
    fn step(&mut self) {
        let mut page = self.pool.take(PageSize::Large).expect("a page");
        let waiting = self.wire.0.borrow().to_us.len();
        let most = if self.chance.one_in(3) { 30 } else { 17_000 };
        let count = below(&mut self.chance, waiting.min(most) + 1);
        let bytes: Vec<u8> = self.wire.0.borrow_mut().to_us.drain(..count).collect();
        page.append(&bytes);
        self.inbox.push(Lent::One(page), &mut Vec::new());
        while let Some(event) = self.with(Link::next).expect("the judge keeps the rules") {
            self.on_event(event);
        }
        self.link.check();
        let mut batch = Batch::new();
        self.outbox.gather(usize::MAX, &mut batch);
        for chunk in &batch {
            self.wire.0.borrow_mut().to_judge.extend(chunk.bytes());
            self.outbox.sent(chunk.len());
        }
    }

    fn on_event(&mut self, event: Event) {
        let text = || String::from_utf8(self.gather.text.clone()).expect("text");
        match event {
            Event::Opened { stream, ended, too_large } => {
                assert!(!too_large);
                let message = Message { head: text(), ended, ..Message::default() };
                self.messages.insert(stream, message);
                self.link.adopt(stream, id(stream));
            }
            Event::Head { owner, ended } => {
                let message = self.messages.get_mut(&owner.slot).expect("asked for");
                (message.head, message.ended) = (text(), ended);
            }
            Event::Data { owner, data } => {
                let message = self.messages.get_mut(&owner.slot).expect("a head came first");
                message.content.extend_from_slice(data.bytes());
                let bytes = u32::try_from(data.len()).expect("a small piece");
                self.with(|link, io| link.release(io, owner.slot, bytes)).expect("pages");
            }
            Event::Trailers { owner } => {
                let message = self.messages.get_mut(&owner.slot).expect("a head came first");
                (message.trailers, message.ended) = (text(), true);
            }
            Event::Ended { owner } => {
                self.messages.get_mut(&owner.slot).expect("a head came first").ended = true;
            }
            Event::Granted { .. } | Event::Greeted => {}
            other @ (Event::Reset { .. } | Event::GoingAway { .. } | Event::Pong) => {
                panic!("{other:?}")
            }
        }
    }

    /// Sends back what has come in full, as far as windows allow.
    fn echo(&mut self) {
        let whole: Vec<u32> =
            self.messages.iter().filter(|(_, it)| it.ended).map(|(stream, _)| *stream).collect();
        for stream in whole {
            let mut message = self.messages.remove(&stream).expect("just listed");
            if !message.headed {
                let path = message.head.split(' ').nth(1).expect("a target").to_owned();
                let length = message.content.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nX-Path: {path}\r\nContent-Length: {length}\r\n\r\n"
                );
                self.with(|link, io| link.respond(io, stream, head.as_bytes(), false))
                    .expect("pages");
                let mut reply = Outbox::default();
                reply.push(Chunk::shared(message.content.clone().into()));
                (message.reply, message.headed) = (Some(reply), true);
            }
            let reply = message.reply.as_mut().expect("made with the head");
            let trailers = message.trailers.clone();
            let sent = self
                .with(|link, io| link.send(io, stream, reply, Some(trailers.as_bytes()), 9_000))
                .expect("pages");
            if sent == Sent::Ended {
                self.with(|link, io| link.let_go(io, stream, Code::Cancel)).expect("pages");
            } else {
                self.messages.insert(stream, message);
            }
        }
    }
}

fn id(stream: u32) -> ConnId {
    ConnId { slot: stream, generation: 0 }
}

fn below(chance: &mut Prng, most: usize) -> usize {
    usize::try_from(chance.below(most as u64)).expect("a small number")
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// What one request is made of.
struct Ask {
    path: String,
    content: Vec<u8>,
    trailers: Option<String>,
}

fn asks(chance: &mut Prng) -> Vec<Ask> {
    let count = 1 + below(chance, 20);
    let ask = |at| {
        let most = if chance.one_in(4) { 200_000 } else { 300 };
        let byte = b'a' + u8::try_from(at % 26).expect("a letter");
        let content = vec![byte; below(chance, most)];
        let trailers = chance.one_in(3).then(|| format!("{}", chance.below(1_000)));
        let long = "p".repeat(below(chance, 200));
        Ask { path: format!("/{at}/{long}"), content, trailers }
    };
    (0..count).map(ask).collect()
}

async fn fetch(
    mut sender: h2::client::SendRequest<Bytes>,
    ask: Rc<Ask>,
) -> (String, Vec<u8>, String) {
    std::future::poll_fn(|cx| sender.poll_ready(cx)).await.expect("ready");
    let request = http::Request::post(format!("http://echo{}", ask.path)).body(()).expect("fine");
    let (response, mut body) = sender.send_request(request, false).expect("sent");
    body.send_data(Bytes::from(ask.content.clone()), ask.trailers.is_none()).expect("sent");
    if let Some(trailers) = &ask.trailers {
        let mut map = http::HeaderMap::new();
        map.insert("x-sum", trailers.parse().expect("a value"));
        body.send_trailers(map).expect("sent");
    }
    let response = response.await.expect("a response");
    let path = response.headers()["x-path"].to_str().expect("text").to_owned();
    let (content, trailers) = collect(response.into_body()).await;
    (path, content, trailers)
}

async fn collect(mut body: h2::RecvStream) -> (Vec<u8>, String) {
    let mut content = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.expect("data");
        content.extend_from_slice(&data);
        body.flow_control().release_capacity(data.len()).expect("as much as came");
    }
    let trailers = body.trailers().await.expect("trailers or none");
    let text = trailers.map(|map| map["x-sum"].to_str().expect("text").to_owned());
    (content, text.unwrap_or_default())
}

#[test]
fn another_client_gets_back_what_it_sent() {
    for seed in 0..40 {
        let mut chance = Prng::new(seed);
        let wire = Wire::default();
        let mut ours = Ours::new(Role::Server, wire.clone(), chance.split(1));
        let mut handshake = pin!(h2::client::handshake(wire));
        let (sender, connection) =
            poll(handshake.as_mut()).expect("at once").expect("a connection");
        let mut connection = pin!(connection);
        let asks: Vec<Rc<Ask>> = asks(&mut chance).into_iter().map(Rc::new).collect();
        let mut fetches: Vec<_> = asks
            .iter()
            .map(|ask| (Rc::clone(ask), Box::pin(fetch(sender.clone(), Rc::clone(ask)))))
            .collect();
        for round in 0.. {
            assert!(round < 100_000, "seed {seed} comes to an end");
            assert!(poll(connection.as_mut()).is_none(), "seed {seed} goes on");
            fetches.retain_mut(|(ask, fetch)| {
                let Some((path, content, trailers)) = poll(fetch.as_mut()) else { return true };
                assert_eq!((path, content.len()), (ask.path.clone(), ask.content.len()));
                assert!(content == ask.content, "seed {seed}: {}", ask.path);
                assert_eq!(trailers, ask.trailers.clone().unwrap_or_default());
                false
            });
            if fetches.is_empty() {
                break;
            }
            ours.step();
            ours.echo();
        }
        assert!(ours.link.is_idle(), "seed {seed}: every stream was left");
    }
}

/// Answers every request with what it sent.
async fn serve(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
) {
    let path = request.uri().path().to_owned();
    let (content, trailers) = collect(request.into_body()).await;
    let response = http::Response::builder()
        .header("x-path", path)
        .header("content-length", content.len())
        .body(())
        .expect("a response");
    let mut body = respond.send_response(response, false).expect("sent");
    body.send_data(Bytes::from(content), trailers.is_empty()).expect("sent");
    if !trailers.is_empty() {
        let mut map = http::HeaderMap::new();
        map.insert("x-sum", trailers.parse().expect("a value"));
        body.send_trailers(map).expect("sent");
    }
}

#[test]
fn another_server_sends_back_what_it_got() {
    for seed in 0..40 {
        let mut chance = Prng::new(seed);
        let wire = Wire::default();
        let mut ours = Ours::new(Role::Client, wire.clone(), chance.split(1));
        let mut handshake = pin!(h2::server::handshake(wire));
        let mut server = None;
        let mut serving: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
        let mut waiting: VecDeque<Ask> = asks(&mut chance).into();
        let mut sending: Vec<(u32, Ask, Outbox, bool)> = Vec::new();
        let mut done = 0;
        let count = waiting.len();
        for round in 0.. {
            assert!(round < 100_000, "seed {seed} comes to an end");
            if ours.link.may_open()
                && let Some(ask) = waiting.pop_front()
            {
                let head = format!("POST {} HTTP/1.1\r\nHost: echo\r\nX-A: b\r\n\r\n", ask.path);
                let stream = ours.open(&head);
                let mut body = Outbox::default();
                body.push(Chunk::shared(ask.content.clone().into()));
                sending.push((stream, ask, body, false));
            }
            for (stream, ask, body, ended) in sending.iter_mut().filter(|it| !it.3) {
                let trailers =
                    ask.trailers.as_ref().map_or(String::new(), |it| format!("X-Sum: {it}\r\n"));
                let sent = ours.with(|link, io| {
                    link.send(io, *stream, body, Some(trailers.as_bytes()), 9_000)
                });
                *ended = sent == Ok(Sent::Ended);
            }
            ours.step();
            match &mut server {
                None => server = poll(handshake.as_mut()).map(|it| it.expect("a connection")),
                Some(server) => {
                    let mut cx = Context::from_waker(Waker::noop());
                    while let Poll::Ready(accepted) = server.poll_accept(&mut cx) {
                        let (request, respond) = accepted.expect("open").expect("a request");
                        serving.push(Box::pin(serve(request, respond)));
                    }
                    serving.retain_mut(|serving| poll(serving.as_mut()).is_none());
                    let _ = server.poll_closed(&mut cx);
                }
            }
            sending.retain(|(stream, ask, _, _)| {
                let Some(message) = ours.messages.get(stream).filter(|it| it.ended) else {
                    return true;
                };
                assert!(message.head.starts_with("HTTP/1.1 200 \r\n"), "{}", message.head);
                assert!(message.head.contains(&format!("x-path: {}\r\n", ask.path)));
                assert!(message.content == ask.content, "seed {seed}: {}", ask.path);
                let trailers =
                    ask.trailers.as_ref().map_or(String::new(), |it| format!("x-sum: {it}\r\n"));
                assert_eq!(message.trailers, trailers);
                done += 1;
                ours.with(|link, io| link.let_go(io, *stream, Code::Cancel)).expect("pages");
                false
            });
            if done == count {
                break;
            }
        }
        assert!(ours.link.is_idle(), "seed {seed}: every stream was left");
    }
}

impl Ours {
    /// Opens a stream. Its owner is found by the number it is about to get.
    fn open(&mut self, head: &str) -> u32 {
        let next = self.messages.keys().next_back().map_or(1, |last| last + 2);
        let stream = self
            .with(|link, io| link.open(io, id(next), b"http", head.as_bytes(), false))
            .expect("pages");
        assert_eq!(stream, next, "streams are numbered in order");
        self.messages.insert(stream, Message::default());
        stream
    }
}
