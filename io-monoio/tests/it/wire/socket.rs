//! Sockets that never block, for a judge that is driven by hand.

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::future::Future;
use std::io::{ErrorKind, Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection in clear text or under TLS.
pub(super) enum Socket {
    Clear(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Socket {
    pub(super) fn of(stream: TcpStream) -> Self {
        stream.set_nonblocking(true).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Self::Clear(stream)
    }

    pub(super) fn connect(to: SocketAddr) -> Self {
        Self::of(TcpStream::connect(to).expect("somebody listens"))
    }

    /// Speaks TLS, and HTTP as `protocol` says.
    pub(super) fn secure(to: SocketAddr, root: &str, protocol: &[u8]) -> Self {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(root.as_bytes()).expect("a certificate");
        roots.add(root).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions");
        let mut config = versions.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let name = ServerName::try_from("127.0.0.1").expect("an address");
        let session = ClientConnection::new(Arc::new(config), name).expect("a session");
        let stream = TcpStream::connect(to).expect("somebody listens");
        stream.set_nodelay(true).expect("a socket");
        let mut stream = StreamOwned::new(session, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).expect("a handshake");
        }
        assert_eq!(stream.conn.alpn_protocol(), Some(protocol));
        stream.sock.set_nonblocking(true).expect("a socket");
        Self::Tls(Box::new(stream))
    }

    fn now(result: Result<usize>) -> Poll<Result<usize>> {
        match result {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
            result => Poll::Ready(result),
        }
    }

    pub(super) fn poll_some(&mut self, buf: &mut [u8]) -> Poll<Result<usize>> {
        match self {
            Self::Clear(stream) => Self::now(stream.read(buf)),
            Self::Tls(stream) => Self::now(stream.read(buf)),
        }
    }

    fn poll_put(&mut self, bytes: &[u8]) -> Poll<Result<usize>> {
        match self {
            Self::Clear(stream) => Self::now(stream.write(bytes)),
            Self::Tls(stream) => Self::now(stream.write(bytes)),
        }
    }

    fn poll_push(&mut self) -> Poll<Result<()>> {
        let Self::Tls(stream) = self else { return Poll::Ready(Ok(())) };
        while stream.conn.wants_write() {
            match Self::now(stream.conn.write_tls(&mut stream.sock)) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(_)) => {}
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Says that nothing more comes.
    pub(super) fn shut(&mut self) {
        match self {
            Self::Clear(stream) => stream.shutdown(Shutdown::Write).expect("still connected"),
            Self::Tls(stream) => {
                stream.conn.send_close_notify();
                block_on(std::future::poll_fn(|_| self.poll_push())).expect("still connected");
            }
        }
    }

    pub(super) fn send(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let put = block_on(std::future::poll_fn(|_| self.poll_put(bytes)));
            bytes = &bytes[put.expect("still connected")..];
        }
        block_on(std::future::poll_fn(|_| self.poll_push())).expect("still connected");
    }

    /// What comes next; nothing at the end.
    pub(super) fn some(&mut self) -> Vec<u8> {
        let mut buf = [0; 16 * 1024];
        let read = block_on(std::future::poll_fn(|_| self.poll_some(&mut buf)));
        buf[..read.expect("a clean end")].to_vec()
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let mut some = vec![0; buf.remaining().min(16 * 1024)];
        self.get_mut().poll_some(&mut some).map_ok(|count| buf.put_slice(&some[..count]))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.get_mut().poll_put(bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        self.get_mut().poll_push()
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Asks again and again: nobody wakes anybody here.
#[track_caller]
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let end = Instant::now() + crate::world::PATIENCE;
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
        assert!(Instant::now() < end, "nothing happens any more");
        thread::sleep(Duration::from_micros(300));
    }
}

/// Drives `other` until `main` is done.
pub(super) async fn beside<T>(main: impl Future<Output = T>, other: impl Future) -> T {
    let (mut main, mut other) = (pin!(main), pin!(other));
    let mut over = false;
    std::future::poll_fn(|context| {
        over = over || other.as_mut().poll(context).is_ready();
        main.as_mut().poll(context)
    })
    .await
}
