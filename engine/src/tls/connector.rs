//! How servers are reached over TLS: whom to trust, who to be, what to agree on.

use super::crypto::{Clock, Crypto, versions};
use super::key_log::KeyLog;
use super::keys::{Identity, Roots};
use super::refusal::Refusal;
use super::verify::{Judge, Servers};
use crate::config::tls::{ClientTls, Trust};
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ClientConnection, ResolvesClientCert};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, Error, SignatureScheme};
use std::sync::Arc;

/// Ready for handshakes. Sessions are resumed among all that share it.
#[derive(Debug)]
pub struct Connector {
    /// No other has it.
    pub(super) number: u64,
    config: Arc<ClientConfig>,
    /// Instead of the host that is dialed.
    server_name: Option<ServerName<'static>>,
    verifier: Arc<Servers>,
    clock: Arc<Clock>,
}

/// What a server that is greeted has to be, also if it takes up an earlier session.
#[derive(Debug)]
pub(super) struct Expected {
    verifier: Arc<Servers>,
    name: ServerName<'static>,
    clock: Arc<Clock>,
}

impl Expected {
    pub(super) fn judge(&self, chain: &[CertificateDer<'_>]) -> Result<(), Error> {
        let (end, rest) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
        let now = self.clock.now();
        self.verifier.verify_server_cert(end, rest, &self.name, &[], now).map(drop)
    }
}

impl Connector {
    /// `roots` must be there unless anybody is trusted.
    pub fn new(
        crypto: &Crypto,
        settings: &ClientTls,
        roots: Option<&Roots>,
        identities: &[Identity],
    ) -> Result<Self, String> {
        let needed = || {
            let roots = roots.ok_or("nobody is named who signs the certificates of servers")?;
            Ok::<_, String>(Arc::clone(&roots.store))
        };
        let judge = match &settings.trust {
            Trust::System | Trust::Roots(_) => Judge::Name(needed()?),
            Trust::AnyName(_) => Judge::Chain(needed()?),
            Trust::Spiffe(allowed) => {
                let roots = roots.ok_or("no bundle is known")?;
                Judge::Spiffe(Arc::clone(&roots.bundles), allowed.clone())
            }
            Trust::DangerAnybody => Judge::DangerAnybody,
        };
        let algorithms = crypto.provider.signature_verification_algorithms;
        let verifier = Arc::new(Servers { algorithms, judge, peers: settings.peers.clone() });
        let builder =
            ClientConfig::builder_with_details(crypto.within(&settings.terms), crypto.time())
                .with_protocol_versions(&versions(&settings.terms))
                .map_err(|error| error.to_string())?
                .dangerous()
                .with_custom_certificate_verifier(Arc::<Servers>::clone(&verifier));
        let mut config = if identities.is_empty() {
            builder.with_no_client_auth()
        } else {
            let keys = identities.iter().map(|identity| Arc::clone(&identity.key)).collect();
            builder.with_client_cert_resolver(Arc::new(Identities(keys)))
        };
        if let Some(log) = &crypto.key_log {
            config.key_log = Arc::<KeyLog>::clone(log);
        }
        let server_name = match &settings.server_name {
            Some(name) => Some(server_name(name).ok_or_else(|| format!("`{name}` is no name"))?),
            None => None,
        };
        let config = Arc::new(config);
        let clock = Arc::clone(&crypto.clock);
        Ok(Self { number: crypto.next_number(), config, server_name, verifier, clock })
    }

    pub(super) fn connection(
        &self,
        host: &str,
        protocols: &[&[u8]],
    ) -> Result<(ClientConnection, Expected), Refusal> {
        let name = self.server_name.clone().or_else(|| server_name(host));
        let name = name.ok_or(Refusal::WrongName)?;
        let config = Arc::clone(&self.config);
        let protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let (verifier, clock) = (Arc::clone(&self.verifier), Arc::clone(&self.clock));
        let expected = Expected { verifier, name: name.clone(), clock };
        let connection = ClientConnection::new_with_alpn(config, name, protocols)
            .map_err(|error| Refusal::of(&error))?;
        Ok((connection, expected))
    }
}

fn server_name(host: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).ok()
}

/// Who to be: the first identity that the server can verify.
#[derive(Debug)]
struct Identities(Vec<Arc<CertifiedKey>>);

impl ResolvesClientCert for Identities {
    fn resolve(
        &self,
        _issuers: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.0.iter().find(|key| key.key.choose_scheme(schemes).is_some()).map(Arc::clone)
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}
