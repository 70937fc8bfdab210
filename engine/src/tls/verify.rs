//! Who the other side is: chains, names, and the identities that were asked for.

use super::crypto::Crypto;
use super::der::CertificateInfo;
use super::keys::Roots;
use super::refusal::Refusal;
use crate::base::spiffe::TrustDomain;
use crate::config::spiffe::Allowed;
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
use std::collections::BTreeMap;
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
    /// An SVID that is let in, signed by the bundle of its trust domain.
    Spiffe(Bundles, Allowed),
    /// Any certificate at all.
    DangerAnybody,
}

pub(super) type Bundles = Arc<BTreeMap<TrustDomain, Arc<RootCertStore>>>;

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
            Judge::Spiffe(bundles, allowed) => (admit(end_entity, bundles, allowed)?, false),
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

/// Judges SVIDs of clients: who it is, and then the chain by the bundle of its trust domain.
#[derive(Debug)]
pub(super) struct Callers {
    algorithms: WebPkiSupportedAlgorithms,
    /// By trust domain.
    chains: BTreeMap<TrustDomain, Arc<dyn ClientCertVerifier>>,
    hints: Vec<DistinguishedName>,
    allowed: Allowed,
}

impl Callers {
    pub(super) fn new(crypto: &Crypto, roots: &Roots, allowed: Allowed) -> Result<Self, String> {
        let provider = &crypto.provider;
        let mut chains: BTreeMap<_, Arc<dyn ClientCertVerifier>> = BTreeMap::new();
        let bundles = roots.bundles.iter().filter(|(_, roots)| !roots.is_empty());
        for (domain, roots) in bundles {
            let (roots, provider) = (Arc::clone(roots), Arc::clone(provider));
            let chain = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
            chains.insert(domain.clone(), chain.map_err(|error| error.to_string())?);
        }
        let algorithms = provider.signature_verification_algorithms;
        Ok(Self { algorithms, chains, hints: roots.store.subjects(), allowed })
    }
}

impl ClientCertVerifier for Callers {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let chain = admit(end_entity, &self.chains, &self.allowed)?;
        chain.verify_client_cert(end_entity, intermediates, now)
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

/// What vouches for an SVID, if it is let in at all.
fn admit<'a, T>(
    certificate: &CertificateDer<'_>,
    bundles: &'a BTreeMap<TrustDomain, T>,
    allowed: &Allowed,
) -> Result<&'a T, Refusal> {
    let info = CertificateInfo::read(certificate).ok_or(Refusal::BadCertificate)?;
    let id = info.spiffe_id().ok_or(Refusal::NoSvid)?;
    match allowed {
        Allowed::Any => {}
        Allowed::Ids(ids) if ids.contains(&id) => {}
        Allowed::Ids(ids) if ids.iter().any(|other| other.domain() == id.domain()) => {
            return Err(Refusal::Identity);
        }
        Allowed::Domain(domain) if domain == id.domain() => {}
        Allowed::Ids(_) | Allowed::Domain(_) => return Err(Refusal::TrustDomain),
    }
    bundles.get(id.domain()).ok_or(Refusal::NoBundle)
}

/// Refuses a certificate, verified otherwise, that is for none of the wanted names.
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
    }
}
