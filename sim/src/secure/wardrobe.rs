//! What actors wear: the settings of TLS by which they come in or are come to.

use super::authority::{Authority, Wanted};
use super::crypto;
use crate::net::Net;
use engine::tls::{Clock, H2, HTTP_1};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An application protocol that no instance speaks.
pub const UNKNOWN: &[u8] = b"gopher";

/// How somebody is met.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Leg {
    pub tls: bool,
    /// HTTP/2, and not HTTP/1.1.
    pub two: bool,
}

impl Leg {
    pub const ALL: [Self; 4] = [
        Self { tls: false, two: false },
        Self { tls: false, two: true },
        Self { tls: true, two: false },
        Self { tls: true, two: true },
    ];

    pub fn name(self) -> &'static str {
        match (self.tls, self.two) {
            (false, false) => "h1",
            (false, true) => "h2",
            (true, false) => "h1+tls",
            (true, true) => "h2+tls",
        }
    }

    fn protocols(self) -> Vec<Vec<u8>> {
        if self.two { vec![H2.to_vec()] } else { vec![HTTP_1.to_vec()] }
    }
}

/// What a server shows and asks for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Look {
    pub leg: Leg,
    pub shown: Wanted,
    /// Callers must be known to one of these.
    pub callers: Vec<Authority>,
    /// Nothing is spoken there that an instance speaks.
    pub unknown: bool,
}

impl Look {
    pub fn new(leg: Leg, names: &[&str]) -> Self {
        Self { leg, shown: Wanted::new(names), callers: Vec::new(), unknown: false }
    }
}

/// What is odd about a client.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Manner {
    /// It speaks TLS 1.2 only.
    pub old: bool,
    /// It offers no protocol that an instance speaks.
    pub unknown: bool,
}

#[derive(Debug)]
pub struct Wardrobe {
    provider: Arc<CryptoProvider>,
    clients: BTreeMap<(Leg, Manner), Arc<ClientConfig>>,
    servers: BTreeMap<Look, Arc<ServerConfig>>,
}

impl Default for Wardrobe {
    fn default() -> Self {
        let provider = Arc::new(crypto::provider());
        Self { provider, clients: BTreeMap::new(), servers: BTreeMap::new() }
    }
}

fn roots(of: &[Authority]) -> RootCertStore {
    let mut store = RootCertStore::empty();
    for authority in of {
        let der = CertificateDer::from_pem_slice(authority.root().as_bytes());
        store.add(der.expect("an authority's own PEM")).expect("a root");
    }
    store
}

impl Wardrobe {
    /// A client that asks for `host`.
    pub fn client(
        &mut self,
        clock: &Arc<Clock>,
        leg: Leg,
        manner: Manner,
        host: &str,
    ) -> Connection {
        let provider = &self.provider;
        let config = self.clients.entry((leg, manner)).or_insert_with(|| {
            let all = [&rustls::version::TLS13, &rustls::version::TLS12];
            let builder = ClientConfig::builder_with_details(
                Arc::clone(provider),
                Arc::<Clock>::clone(clock),
            )
            .with_protocol_versions(if manner.old { &all[1..] } else { &all })
            .expect("both versions are spoken");
            let roots = roots(&[Authority::Old, Authority::New]);
            let mut config = builder.with_root_certificates(roots).with_no_client_auth();
            config.alpn_protocols = leg.protocols();
            if manner.unknown {
                config.alpn_protocols = vec![UNKNOWN.to_vec()];
            }
            Arc::new(config)
        });
        let name = ServerName::try_from(host.to_owned()).expect("a host name");
        let client = ClientConnection::new(Arc::clone(config), name);
        client.expect("the settings are complete").into()
    }

    pub fn server(&mut self, clock: &Arc<Clock>, look: &Look) -> Connection {
        let provider = &self.provider;
        let make = || Arc::new(server_config(provider, clock, look));
        let config = self.servers.entry(look.clone()).or_insert_with(make);
        ServerConnection::new(Arc::clone(config)).expect("the settings are complete").into()
    }
}

fn server_config(provider: &Arc<CryptoProvider>, clock: &Arc<Clock>, look: &Look) -> ServerConfig {
    let all = [&rustls::version::TLS13, &rustls::version::TLS12];
    let builder =
        ServerConfig::builder_with_details(Arc::clone(provider), Arc::<Clock>::clone(clock))
            .with_protocol_versions(&all)
            .expect("both versions are spoken");
    let builder = if look.callers.is_empty() {
        builder.with_no_client_auth()
    } else {
        let roots = Arc::new(roots(&look.callers));
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
        builder.with_client_cert_verifier(verifier.build().expect("there are roots"))
    };
    let signed = look.shown.signed();
    let cert = CertificateDer::from_pem_slice(signed.cert.as_bytes()).expect("our own PEM");
    let key = PrivateKeyDer::from_pem_slice(signed.key.as_bytes()).expect("our own PEM");
    let mut config = builder.with_single_cert(vec![cert], key).expect("they belong together");
    config.alpn_protocols = look.leg.protocols();
    if look.leg.two {
        // Whoever does not offer it may still ask as always.
        config.alpn_protocols.push(HTTP_1.to_vec());
    }
    if look.unknown {
        config.alpn_protocols = vec![UNKNOWN.to_vec()];
    }
    config
}

impl Net {
    /// Speaks TLS at `end` as a client that asks for `host`.
    pub fn wear_client(&mut self, end: crate::wire::EndId, leg: Leg, manner: Manner, host: &str) {
        let clock = Arc::clone(&self.clock);
        let tls = self.wardrobe.client(&clock, leg, manner, host);
        self.wear(end, tls);
    }

    pub fn wear_server(&mut self, end: crate::wire::EndId, look: &Look) {
        let clock = Arc::clone(&self.clock);
        let tls = self.wardrobe.server(&clock, look);
        self.wear(end, tls);
    }
}
