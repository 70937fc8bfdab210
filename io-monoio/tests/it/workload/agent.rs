//! A small Workload API: gRPC over a Unix socket, on an HTTP/2 that is not ours. It tells what the
//! test says, and tells again when the test says something else.

use bytes::{BufMut, Bytes, BytesMut};
use h2::server::{self, SendResponse};
use http::{HeaderMap, Request, Response};
use std::thread::{self, JoinHandle};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{oneshot, watch};

/// What is told: a message, or the code of a refusal.
pub(super) type Told = Result<Vec<u8>, &'static str>;

pub(super) struct Agent {
    told: watch::Sender<Told>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Agent {
    /// On a path, or on `127.0.0.1:port`.
    pub(super) fn start(path: &str, first: Told) -> Self {
        let (told, heard) = watch::channel(first);
        let (stop, stopped) = oneshot::channel();
        let path = path.to_owned();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let tasks = tokio::task::LocalSet::new();
            tasks.block_on(&runtime.expect("a runtime"), async move {
                if path.starts_with('/') {
                    // A socket that an earlier agent left behind.
                    let _ = std::fs::remove_file(&path);
                    let listener = UnixListener::bind(&path).expect("a free path");
                    tokio::task::spawn_local(accept(listener, heard));
                } else {
                    let listener = TcpListener::bind(&path).await.expect("a free port");
                    tokio::task::spawn_local(accept_tcp(listener, heard));
                }
                ready.send(()).expect("the test waits");
                // Nobody sends; the sender goes with the agent.
                let _ = stopped.await;
            });
        });
        is_ready.recv().expect("the agent listens");
        Self { told, stop: Some(stop), thread: Some(thread) }
    }

    pub(super) fn tell(&self, told: Told) {
        drop(self.told.send_replace(told));
    }
}

impl Drop for Agent {
    /// Connections end with it.
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the agent did not panic");
        }
    }
}

async fn accept(listener: UnixListener, heard: watch::Receiver<Told>) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        tokio::task::spawn_local(serve(stream, heard.clone()));
    }
}

async fn accept_tcp(listener: TcpListener, heard: watch::Receiver<Told>) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        tokio::task::spawn_local(serve(stream, heard.clone()));
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, heard: watch::Receiver<Told>) {
    let Ok(mut connection) = server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::task::spawn_local(answer(request, respond, heard.clone()));
    }
}

async fn answer(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    mut heard: watch::Receiver<Told>,
) {
    let (head, mut body) = request.into_parts();
    let mut asked = Vec::new();
    while let Some(Ok(part)) = body.data().await {
        asked.extend_from_slice(&part);
    }
    assert_eq!(asked, [0; 5], "an empty message");
    assert_eq!(head.uri.path(), "/SpiffeWorkloadAPI/FetchX509SVID");
    let ok = Response::builder().header("content-type", "application/grpc");
    let mut out = respond.send_response(ok.body(()).expect("a head"), false).expect("it listens");
    if head.headers.get("workload.spiffe.io").is_none_or(|value| value != "true") {
        return end(&mut out, "3");
    }
    loop {
        let told = heard.borrow_and_update().clone();
        match told {
            Ok(message) => {
                let mut frame = BytesMut::new();
                frame.put_u8(0);
                frame.put_u32(u32::try_from(message.len()).expect("a short message"));
                frame.put_slice(&message);
                out.reserve_capacity(frame.len());
                if out.send_data(frame.freeze(), false).is_err() {
                    return;
                }
            }
            Err(code) => return end(&mut out, code),
        }
        if heard.changed().await.is_err() {
            return;
        }
    }
}

fn end(out: &mut h2::SendStream<Bytes>, code: &'static str) {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static(code));
    // The caller may have gone.
    let _ = out.send_trailers(trailers);
}
