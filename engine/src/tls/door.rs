//! What TLS clients find at an entry point: options by the host they ask for.

use super::crypto::{Clock, Crypto, versions};
use super::key_log::KeyLog;
use super::keys::Roots;
use super::shelf::{Chooser, Shelf};
use super::tickets::Tickets;
use super::verify::{Callers, DangerAnyCaller};
use crate::config::tls::{Demand, ServerTls};
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{Error, ServerConfig};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Options, ready for handshakes.
#[derive(Debug)]
pub struct Policy {
    /// Of the options.
    pub name: Arc<str>,
    /// Absent if they cannot be honoured: handshakes are refused.
    pub(super) config: Option<Arc<ServerConfig>>,
    /// Who judges clients that come back by a ticket: what was good then may not be now.
    verifier: Arc<dyn ClientCertVerifier>,
    /// Certificates of clients are verified, not only asked for.
    pub(super) verifies: bool,
    clock: Arc<Clock>,
}

#[derive(Debug)]
pub struct Door {
    /// For hosts that no router claims.
    pub default: Arc<Policy>,
    /// In lower case; `*.` stands for one label.
    pub by_host: BTreeMap<Box<str>, Arc<Policy>>,
}

impl Door {
    pub fn policy(&self, host: Option<&str>) -> &Arc<Policy> {
        let Some(host) = host.filter(|_| !self.by_host.is_empty()) else { return &self.default };
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let wildcard = || self.by_host.get(&*format!("*.{}", host.split_once('.')?.1));
        self.by_host.get(host.as_str()).or_else(wildcard).unwrap_or(&self.default)
    }
}

/// Makes options ready. `roots` are those of the clients; they must be there if they are needed.
pub fn policy(
    crypto: &Crypto,
    options: &ServerTls,
    roots: Option<&Roots>,
    shelf: &Arc<Shelf>,
    tickets: Option<&Tickets>,
) -> Result<Policy, String> {
    let verifier = verifier(crypto, options, roots)?;
    let config = config(crypto, options, Arc::clone(&verifier), shelf, tickets)?;
    Ok(Policy {
        name: options.name.as_str().into(),
        config: Some(Arc::new(config)),
        verifier,
        verifies: options.clients.demand.verifies(),
        clock: Arc::clone(&crypto.clock),
    })
}

impl Policy {
    /// Refuses every handshake.
    pub fn refusing(name: &str) -> Self {
        let verifier = WebPkiClientVerifier::no_client_auth();
        let clock = Arc::default();
        Self { name: name.into(), config: None, verifier, verifies: false, clock }
    }

    /// Judges the certificate that a client showed in an earlier session.
    pub(super) fn judge(&self, chain: &[CertificateDer<'_>]) -> Result<(), Error> {
        match chain.split_first() {
            Some((end, rest)) => {
                self.verifier.verify_client_cert(end, rest, self.clock.now()).map(drop)
            }
            None if self.verifier.client_auth_mandatory() => Err(Error::NoCertificatesPresented),
            None => Ok(()),
        }
    }
}

fn config(
    crypto: &Crypto,
    options: &ServerTls,
    verifier: Arc<dyn ClientCertVerifier>,
    shelf: &Arc<Shelf>,
    tickets: Option<&Tickets>,
) -> Result<ServerConfig, String> {
    let provider = crypto.within(&options.terms);
    let chooser = Chooser { shelf: Arc::clone(shelf), strict: options.sni_strict };
    let mut config = ServerConfig::builder_with_details(provider, crypto.time())
        .with_protocol_versions(&versions(&options.terms))
        .map_err(|error| error.to_string())?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(chooser));
    config.alpn_protocols = options.protocols.iter().map(|it| it.name().into()).collect();
    if let Some(log) = &crypto.key_log {
        config.key_log = Arc::<KeyLog>::clone(log);
    }
    config.session_storage = Arc::new(NoServerSessionStorage {});
    match tickets {
        Some(tickets) => config.ticketer = Arc::new(tickets.clone()),
        None => config.send_tls13_tickets = 0,
    }
    Ok(config)
}

fn verifier(
    crypto: &Crypto,
    options: &ServerTls,
    roots: Option<&Roots>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let algorithms = crypto.provider.signature_verification_algorithms;
    let any = |mandatory| Arc::new(DangerAnyCaller { algorithms, mandatory });
    let roots = || roots.ok_or("nobody is named who signs the certificates of clients");
    if let Some(allowed) = &options.clients.spiffe {
        return Ok(Arc::new(Callers::new(crypto, roots()?, allowed.clone())?));
    }
    let verified = |mandatory: bool| {
        let (store, provider) = (Arc::clone(&roots()?.store), Arc::clone(&crypto.provider));
        let builder = WebPkiClientVerifier::builder_with_provider(store, provider);
        let builder = if mandatory { builder } else { builder.allow_unauthenticated() };
        builder.build().map_err(|error| error.to_string())
    };
    match options.clients.demand {
        Demand::Nothing => Ok(WebPkiClientVerifier::no_client_auth()),
        Demand::Request => Ok(any(false)),
        Demand::RequireAny => Ok(any(true)),
        Demand::VerifyIfGiven => verified(false),
        Demand::RequireAndVerify => verified(true),
    }
}
