//! What the cases speak over.

use buffet::bufpool::BufResult;
use buffet::{IntoHalves, Piece, WriteOwned};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The name that requests ask for and that the certificate is made out to.
pub const HOST: &str = "localhost";

/// A connection as bytes.
pub trait Bytes: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Bytes for T {}

pub trait Transport {
    type Io: IntoHalves;
    const SECURE: bool;

    fn port(&self) -> u16;
    async fn connect(&self) -> Self::Io;
    async fn bytes(&self) -> Box<dyn Bytes>;
}

pub struct Clear {
    pub address: SocketAddr,
}

pub struct Secure {
    address: SocketAddr,
    connector: TlsConnector,
}

/// A TLS session on which HTTP/2 was agreed.
pub struct Session(TlsStream<TcpStream>);

/// Its half that writes. The suite flushes nothing, so that what is sealed would stay here.
pub struct Sealing(WriteHalf<TlsStream<TcpStream>>);

impl IntoHalves for Session {
    type Read = ReadHalf<TlsStream<TcpStream>>;
    type Write = Sealing;

    fn into_halves(self) -> (Self::Read, Self::Write) {
        let (read, write) = tokio::io::split(self.0);
        (read, Sealing(write))
    }
}

impl WriteOwned for Sealing {
    async fn write_owned(&mut self, bytes: impl Into<Piece>) -> BufResult<usize, Piece> {
        let bytes = bytes.into();
        let written = match self.0.write(&bytes).await {
            Ok(count) => self.0.flush().await.map(|()| count),
            Err(error) => Err(error),
        };
        (written, bytes)
    }

    async fn shutdown(&mut self) -> std::io::Result<()> {
        AsyncWriteExt::shutdown(&mut self.0).await
    }
}

impl Transport for Clear {
    type Io = TcpStream;
    const SECURE: bool = false;

    fn port(&self) -> u16 {
        self.address.port()
    }

    async fn connect(&self) -> TcpStream {
        dial(self.address).await
    }

    async fn bytes(&self) -> Box<dyn Bytes> {
        Box::new(self.connect().await)
    }
}

impl Secure {
    /// Trusts this certificate and no other.
    pub fn new(address: SocketAddr, certificate: &CertificateDer<'static>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).expect("a certificate made here");
        let mut config =
            ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self { address, connector: TlsConnector::from(Arc::new(config)) }
    }
}

impl Transport for Secure {
    type Io = Session;
    const SECURE: bool = true;

    fn port(&self) -> u16 {
        self.address.port()
    }

    async fn connect(&self) -> Session {
        let name = ServerName::try_from(HOST).expect("a name");
        let stream = dial(self.address).await;
        let stream = self.connector.connect(name, stream).await.expect("a handshake");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "HTTP/2 is agreed");
        Session(stream)
    }

    async fn bytes(&self) -> Box<dyn Bytes> {
        Box::new(self.connect().await.0)
    }
}

async fn dial(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.expect("the gateway listens");
    stream.set_nodelay(true).expect("a TCP socket");
    stream
}
