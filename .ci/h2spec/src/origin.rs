//! A server of HTTP/1.1 that reads each request whole and answers it with a few bytes.

use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n";

/// Listens as long as the program runs.
pub async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::task::spawn_local(serve(stream));
        }
    });
    address
}

/// Until the gateway has had enough.
async fn serve(mut stream: TcpStream) -> Option<()> {
    let mut bytes = Vec::new();
    loop {
        let head = until(&mut stream, &mut bytes, |bytes| find(bytes, b"\r\n\r\n")).await?;
        let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
        bytes.drain(..head);
        let body = match text.split("content-length: ").nth(1) {
            Some(rest) => {
                let digits = rest.split("\r\n").next()?.trim().parse().ok()?;
                until(&mut stream, &mut bytes, |bytes| (bytes.len() >= digits).then_some(digits))
                    .await?
            }
            None if text.contains("transfer-encoding: chunked") => {
                until(&mut stream, &mut bytes, last_chunk).await?
            }
            None => 0,
        };
        bytes.drain(..body);
        stream.write_all(ANSWER).await.ok()?;
    }
}

/// Reads on until `whole` says how many bytes make up what is waited for.
async fn until(
    stream: &mut TcpStream,
    bytes: &mut Vec<u8>,
    whole: impl Fn(&[u8]) -> Option<usize>,
) -> Option<usize> {
    loop {
        if let Some(count) = whole(bytes) {
            return Some(count);
        }
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// The cases send nothing in chunks that looks like the last one.
fn last_chunk(bytes: &[u8]) -> Option<usize> {
    let at = if bytes.starts_with(b"0\r\n") { 3 } else { find(bytes, b"\r\n0\r\n")? };
    // The empty line is behind the trailers, if there are any.
    find(&bytes[at - 2..], b"\r\n\r\n").map(|count| at - 2 + count)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what).map(|at| at + what.len())
}
