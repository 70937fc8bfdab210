//! Origins: hyper's server, which judges what reaches it and answers as the request wishes.

use super::exec::Here;
use super::payload::{Payload, check};
use super::stage::{Arrival, Stage};
use crate::oracle::Oracle;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::spawn_local;
use turmoil::net::TcpListener;

/// A host that serves under this name, by HTTP/2 or by HTTP/1.1.
pub(super) async fn serve(stage: Rc<Stage>, name: String, two: bool) -> turmoil::Result {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 8080)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let (stage, name) = (Rc::clone(&stage), name.clone());
        spawn_local(async move {
            let service = service_fn(|request| answer(Rc::clone(&stage), name.clone(), request));
            // The date would be that of the machine that simulates.
            let io = TokioIo::new(stream);
            let served = if two {
                let mut builder = http2::Builder::new(Here);
                builder.auto_date_header(false).serve_connection(io, service).await
            } else {
                let mut builder = http1::Builder::new();
                builder.auto_date_header(false).serve_connection(io, service).await
            };
            if let Err(error) = served {
                judge_error(&stage, &name, &error);
            }
        });
    }
}

/// A connection may end anywhere; what comes over it must be HTTP.
fn judge_error(stage: &Stage, name: &str, error: &hyper::Error) {
    let source = std::error::Error::source(error);
    let streams = source.and_then(|source| source.downcast_ref::<h2::Error>());
    // What the library found wrong itself, and what a stranger to HTTP/2 would be told.
    let parted = |error: &h2::Error| error.reason() == Some(h2::Reason::NO_ERROR);
    let broken = streams.is_some_and(|it| it.is_library() || it.is_go_away() && !parted(it));
    if broken || error.is_parse() && !error.is_incomplete_message() {
        stage.violation(Oracle::H4, || format!("{name} was sent what is no HTTP: {error}"));
    }
}

fn field<'a>(request: &'a Request<Incoming>, name: &str) -> Option<&'a str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

/// Numbers of a field, which the client wrote.
fn numbers(request: &Request<Incoming>, name: &str) -> Vec<u64> {
    let text = field(request, name).unwrap_or_default();
    text.split(' ').filter_map(|part| part.parse().ok()).collect()
}

async fn answer(
    stage: Rc<Stage>,
    name: String,
    request: Request<Incoming>,
) -> Result<Response<Payload>, hyper::Error> {
    if request.uri().path() == "/health" {
        stage.probes.set(stage.probes.get() + 1);
        return Ok(Response::new(Payload::empty()));
    }
    judge_head(&stage, &name, &request);
    let (probe, want) = (numbers(&request, "x-probe"), numbers(&request, "x-want"));
    let ([id, sent], [bytes, piece, chunked, delay]) = (&probe[..], &want[..]) else {
        stage.violation(Oracle::H3, || format!("{name} got fields of nobody: {request:?}"));
        return Ok(Response::new(Payload::empty()));
    };
    let method = request.method().to_string();
    let (now, line) = (stage.now(), format!("{name} <- {method} {} {id}", request.uri()));
    stage.tell(now, line);
    let arrival = Arrival { id: *id, method, origin: name.clone() };
    stage.arrivals.borrow_mut().push(arrival);
    let (got, good) = check(request.into_body(), *id).await?;
    if u64::from(got) != *sent || !good {
        stage.violation(Oracle::H3, || {
            format!("{name} got {got} bytes of {id}, in order: {good}, where {sent} were sent")
        });
    }
    tokio::time::sleep(Duration::from_millis(*delay)).await;
    let small = |value: u64| u32::try_from(value).expect("clients ask for little");
    let body = Payload::new(*id, small(*bytes), small(*piece), *chunked == 1);
    let response = Response::builder().header("x-probe", *id).header("x-origin", &name);
    Ok(response.body(body).expect("two plain fields"))
}

/// What a gateway adds for the next one must not reach an origin, what a child adds must.
fn judge_head(stage: &Stage, name: &str, request: &Request<Incoming>) {
    let child = field(request, "x-child");
    let expected = name.strip_prefix("origin-").map(|child| format!("child-{child}"));
    if child != expected.as_deref() || request.headers().contains_key("x-uplink-name") {
        stage.violation(Oracle::H3, || format!("{name} got a wrong head: {request:?}"));
    }
}
