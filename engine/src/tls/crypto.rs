//! What configurations are made with: algorithms, randomness, and the time of day.

use super::key_log::KeyLog;
use crate::base::secret::Secret;
use crate::config::tls::{Curve, Suite, Terms, Version};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use rustls::{CipherSuite, NamedGroup, SupportedCipherSuite, SupportedProtocolVersion, version};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::time::Duration;

/// Cloning shares the clock.
#[derive(Clone, Debug)]
pub struct Crypto {
    pub(super) provider: Arc<CryptoProvider>,
    pub clock: Arc<Clock>,
    pub(super) make_key: MakeKey,
    numbers: Arc<AtomicU64>,
    pub(super) key_log: Option<Arc<KeyLog>>,
}

/// The time of day in seconds, as the machine that does the work last told it.
#[derive(Debug, Default)]
pub struct Clock(AtomicU64);

impl Clock {
    pub fn set(&self, seconds: u64) {
        if self.0.load(Relaxed) != seconds {
            self.0.store(seconds, Relaxed);
        }
    }

    pub fn seconds(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(super) fn now(&self) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(self.seconds()))
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.now())
    }
}

impl Default for Crypto {
    /// Randomness comes from the system.
    fn default() -> Self {
        Self::of(ring::default_provider(), system_key)
    }
}

/// Makes the private key of the certificate that is generated, as PKCS #8.
pub type MakeKey = fn() -> Result<Vec<u8>, String>;

/// Of the kind that every client knows.
fn system_key() -> Result<Vec<u8>, String> {
    let key = rcgen::KeyPair::generate().map_err(|error| error.to_string())?;
    Ok(key.serialize_der())
}

impl Crypto {
    /// Sends the secrets of every session to `lines`: whoever reads them can read all traffic.
    pub fn danger_log_keys(self, lines: Sender<Secret>) -> Self {
        Self { key_log: Some(Arc::new(KeyLog(lines))), ..self }
    }

    pub fn logs_keys(&self) -> bool {
        self.key_log.is_some()
    }

    /// With algorithms and randomness of the caller's choice.
    pub fn of(provider: CryptoProvider, make_key: MakeKey) -> Self {
        let (provider, clock) = (Arc::new(provider), Arc::default());
        Self { provider, clock, make_key, numbers: Arc::default(), key_log: None }
    }

    pub(super) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Relaxed)
    }

    pub(super) fn time(&self) -> Arc<dyn TimeProvider> {
        Arc::<Clock>::clone(&self.clock)
    }

    /// Algorithms narrowed down to what may be agreed on.
    pub(super) fn within(&self, terms: &Terms) -> Arc<CryptoProvider> {
        let mut provider = (*self.provider).clone();
        provider.cipher_suites.retain(|suite| known(suite).is_some_and(|it| terms.allows(it)));
        if !terms.curves.is_empty() {
            provider
                .kx_groups
                .retain(|group| terms.curves.iter().any(|curve| group_of(*curve) == group.name()));
        }
        Arc::new(provider)
    }
}

pub(super) fn versions(terms: &Terms) -> Vec<&'static SupportedProtocolVersion> {
    let all = [(Version::Tls13, &version::TLS13), (Version::Tls12, &version::TLS12)];
    let allowed = |version: Version| {
        let in_range = terms.min <= version && version <= terms.max;
        in_range && Suite::ALL.iter().any(|it| it.version() == version && terms.allows(*it))
    };
    all.into_iter().filter(|(version, _)| allowed(*version)).map(|(_, it)| it).collect()
}

fn group_of(curve: Curve) -> NamedGroup {
    match curve {
        Curve::X25519 => NamedGroup::X25519,
        Curve::P256 => NamedGroup::secp256r1,
        Curve::P384 => NamedGroup::secp384r1,
    }
}

/// The suite as settings, access logs and metrics name it.
pub(super) fn known(suite: &SupportedCipherSuite) -> Option<Suite> {
    Some(match suite.suite() {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => Suite::Aes128,
        CipherSuite::TLS13_AES_256_GCM_SHA384 => Suite::Aes256,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => Suite::Chacha20,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => Suite::EcdsaAes128,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => Suite::EcdsaAes256,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => Suite::EcdsaChacha20,
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => Suite::RsaAes128,
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => Suite::RsaAes256,
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => Suite::RsaChacha20,
        _ => return None,
    })
}
