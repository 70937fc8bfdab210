//! Who the other side is: chains, names, and the identities that were asked for.

use super::crypto::Crypto;
use super::der::CertificateInfo;
use crate::config::tls::San;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use std::sync::Arc;

/// That the other side has the key of its certificate is verified by every judge alike.
macro_rules! proves_its_key {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(message, cert, signed, &self.algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, cert, signed, &self.algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.algorithms.supported_schemes()
        }
    };
}

/// Judges certificates of servers.
#[derive(Debug)]
pub(super) struct Servers {
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    pub(super) judge: Judge,
    /// One of these the server must be. Empty is no such demand.
    pub(super) peers: Vec<San>,
}

#[derive(Debug)]
pub(super) enum Judge {
    /// Signed by one of these, for the name that was dialed.
    Name(Arc<RootCertStore>),
    /// Signed by one of these, for any name.
    Chain(Arc<RootCertStore>),
    /// Any certificate at all.
    DangerAnybody,
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (roots, named) = match &self.judge {
            Judge::Name(roots) => (roots, true),
            Judge::Chain(roots) => (roots, false),
            Judge::DangerAnybody => return Ok(ServerCertVerified::assertion()),
        };
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, algorithms)?;
        if named {
            verify_server_name(&parsed, server_name)?;
        }
        identify(&self.peers, end_entity)?;
        Ok(ServerCertVerified::assertion())
    }

    proves_its_key!();
}

/// Judges certificates of clients by their chain, and then by who they are.
#[derive(Debug)]
pub(super) struct Callers {
    algorithms: WebPkiSupportedAlgorithms,
    pub(super) chain: Arc<dyn ClientCertVerifier>,
    pub(super) allowed: Vec<San>,
}

impl Callers {
    pub(super) fn new(
        crypto: &Crypto,
        roots: Arc<RootCertStore>,
        mandatory: bool,
        allowed: Vec<San>,
    ) -> Result<Self, String> {
        let provider = Arc::clone(&crypto.provider);
        let algorithms = provider.signature_verification_algorithms;
        let builder = WebPkiClientVerifier::builder_with_provider(roots, provider);
        let builder = if mandatory { builder } else { builder.allow_unauthenticated() };
        let chain = builder.build().map_err(|error| error.to_string())?;
        Ok(Self { algorithms, chain, allowed })
    }
}

impl ClientCertVerifier for Callers {
    fn offer_client_auth(&self) -> bool {
        self.chain.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.chain.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        identify(&self.allowed, end_entity)?;
        Ok(verified)
    }

    proves_its_key!();
}

/// Asks clients for a certificate and believes whatever comes: `RequestClientCert` and
/// `RequireAnyClientCert`. That the client has the key is verified.
#[derive(Debug)]
pub(super) struct DangerAnyCaller {
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    pub(super) mandatory: bool,
}

impl ClientCertVerifier for DangerAnyCaller {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    proves_its_key!();
}

/// Refuses a certificate, verified otherwise, that is for none of the wanted identities.
fn identify(wanted: &[San], certificate: &CertificateDer<'_>) -> Result<(), Error> {
    if wanted.is_empty() {
        return Ok(());
    }
    let wrong = Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
    let info = CertificateInfo::read(certificate)
        .ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
    if wanted.iter().any(|wanted| vouches(&info, wanted)) { Ok(()) } else { Err(wrong) }
}

fn vouches(info: &CertificateInfo, wanted: &San) -> bool {
    match wanted {
        San::Dns(name) => info.dns_names.iter().any(|found| found.eq_ignore_ascii_case(name)),
        San::Uri(uri) => info.uris.contains(uri),
        San::TrustDomain(domain) => match info.uris.as_slice() {
            // An X.509 SVID has exactly one URI.
            [uri] => uri
                .strip_prefix("spiffe://")
                .and_then(|rest| rest.split('/').next())
                .is_some_and(|found| found == domain),
            _ => false,
        },
    }
}
