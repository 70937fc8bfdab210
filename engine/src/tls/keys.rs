//! PEM text to certificates, keys and roots.

use super::crypto::Crypto;
use super::der::CertificateInfo;
use crate::base::spiffe::TrustDomain;
use rustls::RootCertStore;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A certificate chain with its private key, ready to be shown.
#[derive(Clone, Debug)]
pub struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    /// Of the end of the chain.
    pub info: Arc<CertificateInfo>,
}

impl Identity {
    /// Whether nothing was read anew in between.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.key, &other.key)
    }

    /// Says what is wrong without showing any of it.
    pub fn read(crypto: &Crypto, cert: &[u8], key: &[u8]) -> Result<Self, String> {
        let chain = certificates(cert)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            PemError::NoItemsFound => "there is no private key in it".to_owned(),
            _ => "the private key is not PEM".to_owned(),
        })?;
        Self::new(crypto, chain, key)
    }

    pub(super) fn new(
        crypto: &Crypto,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, String> {
        let info = chain.first().and_then(|end| CertificateInfo::read(end));
        let info = info.ok_or("the certificate is malformed")?;
        let key =
            CertifiedKey::from_der(chain, key, &crypto.provider).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    "the private key belongs to another certificate"
                }
                _ => "the private key is of no kind that is supported",
            })?;
        Ok(Self { key: Arc::new(key), info: Arc::new(info) })
    }
}

/// Whose signatures are trusted.
#[derive(Clone, Debug)]
pub struct Roots {
    /// All of them, of whatever trust domain.
    pub(super) store: Arc<RootCertStore>,
    /// For identities of one trust domain only those of its bundle count.
    pub(super) bundles: Arc<BTreeMap<TrustDomain, Arc<RootCertStore>>>,
    pub infos: Vec<Arc<CertificateInfo>>,
}

impl Roots {
    /// Whether nothing was read anew in between.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.store, &other.store)
    }

    pub fn read<'a>(pems: impl Iterator<Item = &'a [u8]>) -> Result<Self, String> {
        let mut store = RootCertStore::empty();
        let mut infos = Vec::new();
        for pem in pems {
            for root in certificates(pem)? {
                let info = CertificateInfo::read(&root).ok_or("a certificate is malformed")?;
                store.add(root).map_err(|_| "a certificate cannot be a root")?;
                infos.push(Arc::new(info));
            }
        }
        Ok(Self { store: Arc::new(store), bundles: Arc::default(), infos })
    }

    /// Of trust domains; those of one that stands here twice add up.
    pub(super) fn of_bundles<'a>(
        bundles: impl Iterator<Item = (TrustDomain, Vec<CertificateDer<'a>>)>,
    ) -> Result<Self, String> {
        let mut all = RootCertStore::empty();
        let mut by_domain: BTreeMap<TrustDomain, RootCertStore> = BTreeMap::new();
        let mut infos = Vec::new();
        for (domain, roots) in bundles {
            let own = by_domain.entry(domain.clone()).or_insert_with(RootCertStore::empty);
            for root in roots {
                let told = |what: &str| format!("the bundle of {domain}: {what}");
                let info = CertificateInfo::read(&root);
                let info = info.ok_or_else(|| told("a certificate is malformed"))?;
                let refused = |_| told("a certificate cannot be a root");
                own.add(root.clone()).map_err(refused)?;
                all.add(root).map_err(refused)?;
                infos.push(Arc::new(info));
            }
        }
        let bundles = by_domain.into_iter().map(|(domain, store)| (domain, Arc::new(store)));
        Ok(Self { store: Arc::new(all), bundles: Arc::new(bundles.collect()), infos })
    }

    /// What the system trusts: entries that nobody can use are common there, and passed over.
    pub fn of_system(pem: &[u8]) -> Result<Self, String> {
        let mut store = RootCertStore::empty();
        let (good, _) = store.add_parsable_certificates(certificates(pem)?);
        if good == 0 {
            return Err("no certificate in it can be a root".to_owned());
        }
        Ok(Self { store: Arc::new(store), bundles: Arc::default(), infos: Vec::new() })
    }
}

pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match list {
        Ok(list) if list.is_empty() => Err("there is no certificate in it".to_owned()),
        Ok(list) => Ok(list),
        Err(_) => Err("the certificate is not PEM".to_owned()),
    }
}
