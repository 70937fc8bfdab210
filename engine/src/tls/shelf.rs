//! Certificates by the names they are for.

use super::keys::Identity;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Debug, Default)]
pub struct Shelf {
    /// Names in lower case; `*.` stands for one label. Certificates with keys of several kinds may
    /// share a name: the first that the client can use is taken.
    by_name: BTreeMap<String, Vec<Arc<CertifiedKey>>>,
    /// For clients that dial an address and so name no host: certificates for addresses.
    of_addresses: Vec<Arc<CertifiedKey>>,
    default: Option<Arc<CertifiedKey>>,
}

impl Shelf {
    pub fn put(&mut self, identity: &Identity) {
        for name in identity.info.names() {
            self.by_name.entry(name).or_default().push(Arc::clone(&identity.key));
        }
        if !identity.info.addresses.is_empty() {
            self.of_addresses.push(Arc::clone(&identity.key));
        }
    }

    pub fn set_default(&mut self, identity: &Identity) {
        self.default = Some(Arc::clone(&identity.key));
    }

    fn of_name(&self, name: &str) -> &[Arc<CertifiedKey>] {
        let name = name.to_ascii_lowercase();
        let exact = self.by_name.get(&name);
        let wildcard = || self.by_name.get(&format!("*.{}", name.split_once('.')?.1));
        exact.or_else(wildcard).map_or(&[], Vec::as_slice)
    }
}

/// A shelf as the handshakes of some options see it.
#[derive(Debug)]
pub(super) struct Chooser {
    pub(super) shelf: Arc<Shelf>,
    /// Nothing for clients that name no host, or one without a certificate.
    pub(super) strict: bool,
}

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shelf = &self.shelf;
        let unnamed = || shelf.of_addresses.as_slice();
        let named = hello.server_name().map_or_else(unnamed, |name| shelf.of_name(name));
        let fits =
            |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        // One that does not fit names the cause better than another's certificate.
        let found = named.iter().find(fits).or_else(|| named.first());
        let default = || self.shelf.default.as_ref().filter(|_| !self.strict);
        found.or_else(default).map(Arc::clone)
    }
}
