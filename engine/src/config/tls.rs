//! TLS settings of both sides after validation: what may be agreed on, whom to trust, who to be.

use super::fixed::{Fixed, Scheme};
use super::spiffe::{Allowed, Source};
use super::typed::{Dynamic, Place, ServiceKind};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Where PEM text comes from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pem {
    File(Arc<str>),
    Inline(Arc<str>),
}

impl Pem {
    /// A path, unless the text itself is PEM.
    pub(crate) fn new(text: &str) -> Self {
        if text.contains("-----BEGIN") {
            Self::Inline(text.into())
        } else {
            Self::File(text.into())
        }
    }

    /// The file it is read from.
    pub fn file(&self) -> Option<&Arc<str>> {
        match self {
            Self::File(path) => Some(path),
            Self::Inline(_) => None,
        }
    }

    /// How people know it.
    pub fn label(&self) -> &str {
        self.file().map_or("inline", |path| path)
    }
}

impl fmt::Debug for Pem {
    /// Inline text may be a private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// A certificate chain and its private key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KeyPair {
    pub cert: Pem,
    pub key: Pem,
}

impl KeyPair {
    fn pems(&self) -> [&Pem; 2] {
        [&self.cert, &self.key]
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Version {
    Tls12,
    Tls13,
}

impl Version {
    /// As access logs and metrics have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }
}

macro_rules! suites {
    ($($suite:ident $version:ident $name:literal)*) => {
        /// A cipher suite, with the version of TLS that it belongs to.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Suite { $($suite,)* }

        impl Suite {
            pub const ALL: &'static [Self] = &[$(Self::$suite,)*];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$suite => $name,)* }
            }

            pub const fn version(self) -> Version {
                match self { $(Self::$suite => Version::$version,)* }
            }
        }
    };
}

suites! {
    Aes128 Tls13 "TLS_AES_128_GCM_SHA256"
    Aes256 Tls13 "TLS_AES_256_GCM_SHA384"
    Chacha20 Tls13 "TLS_CHACHA20_POLY1305_SHA256"
    EcdsaAes128 Tls12 "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
    EcdsaAes256 Tls12 "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
    EcdsaChacha20 Tls12 "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
    RsaAes128 Tls12 "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
    RsaAes256 Tls12 "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"
    RsaChacha20 Tls12 "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Curve {
    X25519,
    P256,
    P384,
}

/// What may be agreed on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Terms {
    pub min: Version,
    pub max: Version,
    /// Of TLS 1.2 only those named; of TLS 1.3 those named, or all if none is. Empty is all.
    pub suites: Vec<Suite>,
    /// Empty is all.
    pub curves: Vec<Curve>,
}

impl Default for Terms {
    fn default() -> Self {
        Self { min: Version::Tls12, max: Version::Tls13, suites: Vec::new(), curves: Vec::new() }
    }
}

impl Terms {
    pub fn allows(&self, suite: Suite) -> bool {
        let version = suite.version();
        let in_range = self.min <= version && version <= self.max;
        let named = self.suites.contains(&suite)
            || self.suites.is_empty()
            || (version == Version::Tls13
                && self.suites.iter().all(|suite| suite.version() != Version::Tls13));
        in_range && named
    }
}

/// A name that a certificate vouches for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum San {
    Dns(String),
    Uri(String),
}

/// How to talk TLS to servers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ClientTls {
    /// Instead of the host of the server's address.
    pub server_name: Option<String>,
    pub trust: Trust,
    /// Who to be, if the server asks.
    pub certificates: Vec<KeyPair>,
    pub terms: Terms,
    /// One of these the server must be. Empty is no such demand.
    pub peers: Vec<San>,
    /// A setting cannot be honoured: whatever would need it does not work. Empty is fine.
    pub unusable: String,
}

/// Whose signature makes a server's certificate good.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Trust {
    /// Whom the system trusts.
    #[default]
    System,
    Roots(Vec<Pem>),
    /// As `Roots`, or the system if there are none, but the certificate may be for any name:
    /// [`ClientTls::peers`] says who it must be.
    AnyName(Vec<Pem>),
    /// The bundle's of the server's trust domain. The own identity comes with the bundles.
    Spiffe(Allowed),
    /// Anybody's: `insecureSkipVerify`.
    DangerAnybody,
}

/// What a server offers its clients: `tls.options`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerTls {
    /// Qualified, except for `default`.
    pub name: String,
    pub place: Place,
    pub terms: Terms,
    pub clients: ClientAuth,
    /// Clients that name no host, or one without a certificate, are refused.
    pub sni_strict: bool,
    /// Application protocols in the order of preference.
    pub protocols: Vec<Protocol>,
    /// Resumption by tickets.
    pub tickets: bool,
    /// A setting cannot be honoured: handshakes that would need these options are refused.
    pub broken: Vec<String>,
}

/// An application protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    H2,
    Http11,
}

impl Protocol {
    pub const fn name(self) -> &'static str {
        match self {
            Self::H2 => "h2",
            Self::Http11 => "http/1.1",
        }
    }
}

/// The name of the options that are in effect where none are named.
pub const DEFAULT: &str = "default";

impl ServerTls {
    /// With every setting at its default.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            place: Place::default(),
            terms: Terms::default(),
            clients: ClientAuth::default(),
            sni_strict: false,
            protocols: vec![Protocol::H2, Protocol::Http11],
            tickets: true,
            broken: Vec::new(),
        }
    }
}

/// What is asked of clients.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClientAuth {
    pub demand: Demand,
    pub roots: Vec<Pem>,
    /// Instead of `roots`: callers are verified by the bundle of their trust domain, and the own
    /// SVID is what they are shown. It takes a demand to verify.
    pub spiffe: Option<Allowed>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Demand {
    #[default]
    Nothing,
    /// Asked for, and whatever comes is accepted unverified.
    Request,
    /// Some certificate is needed, and it is not verified.
    RequireAny,
    VerifyIfGiven,
    RequireAndVerify,
}

impl Demand {
    pub const fn verifies(self) -> bool {
        matches!(self, Self::VerifyIfGiven | Self::RequireAndVerify)
    }
}

/// A certificate that entry points may show.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    pub place: Place,
    /// `tls.certificates[0]`, `tls.stores.default.defaultCertificate`.
    pub path: String,
    pub pair: KeyPair,
}

/// Bundles of whom the system trusts, as distributions place them: the first that can be read is
/// used.
pub const SYSTEM_ROOTS: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Every file that these configurations have certificates, keys, roots or users in.
pub fn files(fixed: &Fixed, dynamic: &Dynamic) -> BTreeSet<Arc<str>> {
    let children = || fixed.multicluster.iter().flat_map(|provider| &provider.children);
    let of_children = children().map(|child| &child.transport);
    let named = dynamic.transports.iter().map(|named| &named.transport);
    let judges = || dynamic.middlewares.iter().filter_map(|it| it.kind.transport());
    let of_http = fixed.http.as_ref();
    let transports = || {
        let of_judges = judges().map(|(_, transport)| transport);
        let of_judges = of_judges.chain(of_http.map(|provider| &provider.transport));
        of_children.clone().chain(named.clone()).chain([&fixed.servers_transport]).chain(of_judges)
    };
    let mut pems: Vec<&Pem> = Vec::new();
    for settings in transports().filter_map(|transport| transport.tls.as_ref()) {
        match &settings.trust {
            Trust::Roots(roots) | Trust::AnyName(roots) => pems.extend(roots),
            Trust::System | Trust::Spiffe(_) | Trust::DangerAnybody => {}
        }
        pems.extend(settings.certificates.iter().flat_map(KeyPair::pems));
    }
    let shown = dynamic.certificates.iter().chain(&dynamic.default_certificate);
    pems.extend(shown.flat_map(|certificate| certificate.pair.pems()));
    pems.extend(dynamic.options.iter().flat_map(|options| &options.clients.roots));
    if let Some(Source::Files { pair, bundles }) = &fixed.spiffe {
        pems.extend(pair.pems());
        pems.extend(bundles.iter().flat_map(|(_, roots)| roots));
    }
    let mut files: BTreeSet<Arc<str>> = pems.iter().filter_map(|it| it.file().cloned()).collect();
    files.extend(dynamic.middlewares.iter().filter_map(|it| it.kind.users_file().cloned()));
    let manners = dynamic.services.iter().filter_map(|it| it.kind.manner());
    files.extend(manners.filter_map(|it| it.key_file().cloned()));
    let secure_child = children().any(|child| child.address.scheme == Scheme::Https);
    let secure_server = dynamic.services.iter().any(|service| match &service.kind {
        ServiceKind::Balancer(balancer) => {
            balancer.servers.iter().any(|server| server.authority.scheme == Scheme::Https)
        }
        ServiceKind::Weighted { .. }
        | ServiceKind::Failover(_)
        | ServiceKind::Mirroring(_)
        | ServiceKind::Broken(_) => false,
    });
    let secure_judge = judges().any(|(scheme, _)| scheme == Scheme::Https);
    let secure_provider =
        of_http.is_some_and(|provider| provider.endpoint.authority.scheme == Scheme::Https);
    let by_system = |settings: Option<&Arc<ClientTls>>| match settings.map(|it| &it.trust) {
        None | Some(Trust::System) => true,
        Some(Trust::AnyName(roots)) => roots.is_empty(),
        Some(Trust::Roots(_) | Trust::Spiffe(_) | Trust::DangerAnybody) => false,
    };
    let trusts_system = transports().any(|transport| by_system(transport.tls.as_ref()));
    if (secure_child || secure_server || secure_judge || secure_provider) && trusts_system {
        files.extend(SYSTEM_ROOTS.into_iter().map(Arc::from));
    }
    files
}
