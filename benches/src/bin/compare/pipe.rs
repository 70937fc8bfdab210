//! A connection of the load generator, in clear text or under TLS, which trusts anybody: what is
//! measured is the proxy.

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::TcpStream;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::SocketAddr;
use std::sync::Arc;

/// Room for one read.
const READ: usize = 64 << 10;

pub(crate) struct Pipe {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    /// What was read last.
    wire: Vec<u8>,
}

impl Pipe {
    pub(crate) async fn open(to: SocketAddr, config: Option<&Arc<ClientConfig>>) -> Result<Self> {
        let stream = TcpStream::connect_addr(to).await?;
        stream.set_nodelay(true)?;
        let mut pipe = Self { stream, tls: None, wire: Vec::with_capacity(READ) };
        if let Some(config) = config {
            let name = ServerName::try_from("bench.example").map_err(Error::other)?;
            let session = ClientConnection::new(Arc::clone(config), name).map_err(Error::other)?;
            pipe.tls = Some(Box::new(session));
            pipe.greet().await?;
        }
        Ok(pipe)
    }

    async fn greet(&mut self) -> Result<()> {
        loop {
            self.flush().await?;
            if !self.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
                return Ok(());
            }
            self.read_wire().await?;
            self.open_wire(&mut Vec::new())?;
        }
    }

    pub(crate) async fn send(&mut self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        if let Some(tls) = &mut self.tls {
            tls.writer().write_all(&bytes)?;
            self.flush().await?;
            return Ok(bytes);
        }
        let (result, bytes) = self.stream.write_all(bytes).await;
        result.map(|_| bytes)
    }

    /// Sends what was made once for all connections.
    pub(crate) async fn send_static(&mut self, bytes: &'static [u8]) -> Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.writer().write_all(bytes)?;
            return self.flush().await;
        }
        self.stream.write_all(bytes).await.0.map(|_| ())
    }

    /// Reads at least a byte behind what `into` holds.
    pub(crate) async fn receive(&mut self, into: &mut Vec<u8>) -> Result<()> {
        if self.tls.is_none() {
            return self.receive_clear(into).await;
        }
        let before = into.len();
        while into.len() == before {
            self.read_wire().await?;
            self.open_wire(into)?;
        }
        Ok(())
    }

    async fn receive_clear(&mut self, into: &mut Vec<u8>) -> Result<()> {
        let filled = into.len();
        into.reserve(4096);
        let space = monoio::buf::IoBufMut::slice_mut(std::mem::take(into), filled..);
        let (result, space) = self.stream.read(space).await;
        *into = space.into_inner();
        if result? == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Whether the server agreed to this protocol.
    pub(crate) fn speaks(&self, protocol: &[u8]) -> bool {
        self.tls.as_ref().is_none_or(|tls| tls.alpn_protocol() == Some(protocol))
    }

    async fn read_wire(&mut self) -> Result<()> {
        let mut wire = std::mem::take(&mut self.wire);
        wire.clear();
        let (result, wire) = self.stream.read(wire).await;
        self.wire = wire;
        if result? == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Opens what was read last, piece by piece: a session holds little that nobody takes.
    fn open_wire(&mut self, into: &mut Vec<u8>) -> Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        let mut rest = self.wire.as_slice();
        while !rest.is_empty() {
            tls.read_tls(&mut rest)?;
            tls.process_new_packets().map_err(Error::other)?;
            match tls.reader().read_to_end(into) {
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        let mut sealed = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut sealed)?;
        }
        if sealed.is_empty() { Ok(()) } else { self.stream.write_all(sealed).await.0.map(|_| ()) }
    }
}

/// TLS 1.3 without tickets, so that every handshake is a full one.
pub(crate) fn config(protocol: &[u8]) -> std::result::Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]);
    let builder = builder.map_err(|error| error.to_string())?.dangerous();
    let builder = builder.with_custom_certificate_verifier(Arc::new(Anybody));
    let mut config = builder.with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519]
    }
}
