//! Clients: hyper's client, one request at a time on a connection that is kept, by either version
//! of HTTP.

use super::exec::Here;
use super::payload::{Payload, check};
use super::plan::{self, Route};
use super::stage::{Asked, End, Stage};
use crate::oracle::Oracle;
use engine::base::prng::Prng;
use engine::base::time::{Span, Time};
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::{Request, Response, StatusCode, body::Incoming};
use hyper_util::rt::TokioIo;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};
use turmoil::net::TcpStream;

/// Far longer than any deadline of the gateways.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Client {
    stage: Rc<Stage>,
    chance: Prng,
    /// Speaks HTTP/2, which it knows to be spoken there.
    two: bool,
    sender: Option<Sender>,
    /// The next request's number.
    next: u64,
}

enum Sender {
    One(http1::SendRequest<Payload>),
    Two(http2::SendRequest<Payload>),
}

impl Sender {
    async fn over(stream: TcpStream, two: bool) -> hyper::Result<Self> {
        let io = TokioIo::new(stream);
        if two {
            let (sender, connection) = http2::handshake(Here, io).await?;
            spawn_local(async move { drop(connection.await) });
            return Ok(Self::Two(sender));
        }
        let (sender, connection) = http1::handshake(io).await?;
        spawn_local(async move { drop(connection.await) });
        Ok(Self::One(sender))
    }

    fn is_closed(&self) -> bool {
        match self {
            Self::One(sender) => sender.is_closed(),
            Self::Two(sender) => sender.is_closed(),
        }
    }

    async fn ready(&mut self) -> hyper::Result<()> {
        match self {
            Self::One(sender) => sender.ready().await,
            Self::Two(sender) => sender.ready().await,
        }
    }

    async fn send(
        &mut self,
        request: Request<Payload>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Payload>>> {
        match self {
            Self::One(sender) => sender.try_send_request(request).await,
            Self::Two(sender) => sender.try_send_request(request).await,
        }
    }
}

/// What one request is.
struct Wish {
    route: Route,
    method: &'static str,
    /// Of the request's body.
    bytes: u32,
    piece: u32,
    chunked: bool,
    /// Bytes, piece, chunked or not, and delay of the answer.
    want: [u64; 4],
}

impl Client {
    pub(super) fn new(stage: &Rc<Stage>, number: u64) -> Self {
        let chance = |salt| Prng::new(stage.plan.seed).split(salt);
        let two = chance(200 + number).one_in(2);
        let (stage, chance, next) = (Rc::clone(stage), chance(100 + number), number * 1_000_000);
        Self { stage, chance, two, sender: None, next }
    }

    /// Asks for this and that until the storm is over.
    pub(super) async fn storm(mut self) {
        sleep(Duration::from_nanos((plan::WARM + self.millis(300)).nanos())).await;
        while self.stage.now() < Time::ZERO + plan::STORM {
            let wish = self.wish();
            self.ask(&wish, false).await;
            let pause = self.millis(120);
            sleep(Duration::from_nanos(pause.nanos())).await;
        }
    }

    /// Asks one thing, several times in a row, when nothing may go wrong any more.
    pub(super) async fn calm(&mut self, route: Route, times: u32) {
        for _ in 0..times {
            let wish = Wish { route, ..self.wish() };
            self.ask(&wish, true).await;
        }
    }

    fn millis(&mut self, below: u64) -> Span {
        Span::millis(self.chance.below(below))
    }

    fn wish(&mut self) -> Wish {
        let chance = &mut self.chance;
        let children = self.stage.plan.children.len() as u64;
        let route = match chance.below(8) {
            0 => Route::Local,
            1..4 => Route::All,
            4..6 => Route::Failover,
            _ => Route::Only(usize::try_from(chance.below(children)).expect("few children")),
        };
        let methods = ["GET", "GET", "POST", "PUT", "POST", "DELETE"];
        let method = methods[usize::try_from(chance.below(6)).expect("below six")];
        let size = |chance: &mut Prng| {
            let max = if chance.one_in(8) { 150_000 } else { 3_000 };
            chance.below(max)
        };
        let body = if matches!(method, "POST" | "PUT") { size(chance) } else { 0 };
        let delay = if chance.one_in(5) { chance.below(400) } else { 0 };
        Wish {
            route,
            method,
            bytes: u32::try_from(body).expect("small"),
            piece: 1 + u32::try_from(chance.below(9_000)).expect("small"),
            chunked: chance.one_in(2),
            want: [size(chance), 1 + chance.below(9_000), chance.below(2), delay],
        }
    }

    async fn ask(&mut self, wish: &Wish, calm: bool) {
        self.next += 1;
        let (id, begun) = (self.next, self.stage.now());
        let end = timeout(PATIENCE, self.exchange(id, wish)).await.unwrap_or(End::Stuck);
        if !matches!(end, End::Answered { .. }) {
            self.sender = None;
        }
        let ended = self.stage.now();
        let Wish { route, method, .. } = *wish;
        self.stage.tell(ended, format!("client {id} {method} {route:?} from {begun}: {end:?}"));
        let asked = Asked { id, route, method, begun, ended, end, calm };
        self.stage.asked.borrow_mut().push(asked);
    }

    async fn exchange(&mut self, id: u64, wish: &Wish) -> End {
        let cut = |status, why: &dyn ToString| End::Cut { status, why: why.to_string() };
        let mut request = request(id, wish, self.two);
        let response = loop {
            let reused = self.sender.is_some();
            let sender = match self.connected().await {
                Ok(sender) => sender,
                Err(why) => return cut(None, &why),
            };
            match sender.send(request).await {
                Ok(response) => break response,
                Err(mut error) => match error.take_message() {
                    // The kept connection had ended, and nothing of this was sent.
                    Some(unsent) if reused => request = unsent,
                    _ => return cut(None, error.error()),
                },
            }
            self.sender = None;
        };
        let status = response.status().as_u16();
        match self.read(id, wish, response).await {
            Ok(origin) => End::Answered { status, origin },
            Err(error) => cut(Some(status), &error),
        }
    }

    async fn connected(&mut self) -> Result<&mut Sender, String> {
        if self.sender.as_ref().is_none_or(Sender::is_closed) {
            let stream =
                TcpStream::connect(plan::entry()).await.map_err(|error| error.to_string())?;
            let sender = Sender::over(stream, self.two).await;
            self.sender = Some(sender.map_err(|error| error.to_string())?);
        }
        let sender = self.sender.as_mut().expect("connected above");
        sender.ready().await.map_err(|error| error.to_string())?;
        Ok(sender)
    }

    /// The origin that answered; judges what it said.
    async fn read(
        &self,
        id: u64,
        wish: &Wish,
        response: Response<Incoming>,
    ) -> Result<Option<String>, hyper::Error> {
        let text = |name: &str| {
            let value = response.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let (probe, origin, status) = (text("x-probe"), text("x-origin"), response.status());
        let (bytes, good) = check(response.into_body(), id).await?;
        if status == StatusCode::OK {
            let complete = u64::from(bytes) == wish.want[0] && good;
            if probe != Some(id.to_string()) || !complete {
                self.stage.violation(Oracle::H2, || {
                    format!("{id} was answered with {bytes} bytes for {probe:?}, in order: {good}")
                });
            }
        }
        Ok(origin)
    }
}

fn request(id: u64, wish: &Wish, two: bool) -> Request<Payload> {
    let path = match wish.route {
        Route::Local => "/local".to_owned(),
        Route::All => "/all".to_owned(),
        Route::Failover => "/failover".to_owned(),
        Route::Only(child) => format!("/only{child}"),
    };
    let want: Vec<String> = wish.want.iter().map(ToString::to_string).collect();
    let request = Request::builder().method(wish.method);
    let target = format!("{path}/{id}?q={id}");
    let request = if two {
        request.uri(format!("http://shop.test{target}"))
    } else {
        request.uri(target).header("host", "shop.test")
    };
    let request =
        request.header("x-probe", format!("{id} {}", wish.bytes)).header("x-want", want.join(" "));
    let body = Payload::new(id, wish.bytes, wish.piece, wish.chunked);
    request.body(body).expect("plain fields")
}
