//! The floor: bytes from a client connection to an origin connection and back, nothing parsed.

use super::ring;
use monoio::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, Splitable};
use monoio::net::{TcpListener, TcpStream};

/// Words: the port to listen on, the origin's port.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let [port, origin] = words else { return Err("relay PORT ORIGIN".to_owned()) };
    let (port, origin) = (port.clone(), format!("127.0.0.1:{origin}"));
    ring::block_on(async move {
        let listener = TcpListener::bind(format!("127.0.0.1:{port}")).map_err(|e| e.to_string())?;
        let origin: std::net::SocketAddr = origin.parse().map_err(|_| "a port".to_owned())?;
        loop {
            let (client, _) = listener.accept().await.map_err(|e| e.to_string())?;
            monoio::spawn(async move {
                let Ok(server) = TcpStream::connect_addr(origin).await else { return };
                if client.set_nodelay(true).is_err() || server.set_nodelay(true).is_err() {
                    return;
                }
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                monoio::spawn(pass(from_client, to_server));
                pass(from_server, to_client).await;
            });
        }
    })?
}

async fn pass(mut from: impl AsyncReadRent, mut to: impl AsyncWriteRent) {
    let mut buffer = Vec::with_capacity(16 << 10);
    loop {
        let (result, back) = from.read(buffer).await;
        buffer = back;
        if !matches!(result, Ok(1..)) {
            // The other direction ends by itself when its peer sees the half-close.
            let _ = to.shutdown().await;
            return;
        }
        let (result, back) = to.write_all(buffer).await;
        buffer = back;
        buffer.clear();
        if result.is_err() {
            return;
        }
    }
}
