//! Authorities and what they sign. Keys follow from names, and keys of this kind sign alike each
//! time, so that one name gives one certificate in every process.

use super::crypto;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ED25519, SanType, SerialNumber,
};
use ring::digest::{SHA256, digest};
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Whom somebody trusts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Authority {
    /// Whom everybody trusts at first.
    Old,
    /// Who takes over.
    New,
    /// Whom nobody trusts.
    Stranger,
}

/// When a certificate is good. The time of worlds begins with that of Unix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Good {
    /// For as long as any world lasts.
    Always,
    /// For the first second of a world.
    Over,
    /// It begins when no world is left.
    NotYet,
}

/// What a certificate says.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Wanted {
    pub by: Authority,
    /// Host names and addresses.
    pub names: Vec<String>,
    /// An id of SPIFFE.
    pub id: Option<String>,
    pub good: Good,
    /// Tells apart those that say the same.
    pub serial: u32,
}

/// PEM text.
#[derive(Clone, Debug)]
pub struct Signed {
    pub cert: Arc<str>,
    pub key: Arc<str>,
}

thread_local! {
    static SIGNED: RefCell<BTreeMap<Wanted, Signed>> = const { RefCell::new(BTreeMap::new()) };
    static ROOTS: RefCell<BTreeMap<Authority, Root>> = const { RefCell::new(BTreeMap::new()) };
}

struct Root {
    cert: Arc<str>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Its own certificate.
    pub fn root(self) -> Arc<str> {
        self.with(|root| Arc::clone(&root.cert))
    }

    fn with<T>(self, use_it: impl FnOnce(&Root) -> T) -> T {
        ROOTS.with_borrow_mut(|roots| use_it(roots.entry(self).or_insert_with(|| self.found())))
    }

    fn found(self) -> Root {
        let mut params = params(&format!("{self:?}"), Vec::new(), Good::Always);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = key(&format!("authority {self:?}"));
        let cert = params.self_signed(&key).expect("the parameters are fine").pem();
        Root { cert: cert.into(), issuer: Issuer::new(params, key) }
    }
}

impl Wanted {
    pub fn new(names: &[&str]) -> Self {
        let names = names.iter().map(ToString::to_string).collect();
        Self { by: Authority::Old, names, id: None, good: Good::Always, serial: 0 }
    }

    pub fn signed(&self) -> Signed {
        let known = SIGNED.with_borrow(|all| all.get(self).cloned());
        known.unwrap_or_else(|| {
            let signed = self.sign();
            SIGNED.with_borrow_mut(|all| all.insert(self.clone(), signed.clone()));
            signed
        })
    }

    fn sign(&self) -> Signed {
        let name = self.names.first().map_or("nobody", String::as_str);
        let mut params = params(name, self.names.clone(), self.good);
        if let Some(id) = &self.id {
            let id = id.as_str().try_into().expect("ids are ASCII");
            params.subject_alt_names.push(SanType::URI(id));
        }
        let key = key(&format!("{self:?}"));
        let cert = self.by.with(|root| params.signed_by(&key, &root.issuer));
        let cert = cert.expect("the parameters are fine").pem();
        Signed { cert: cert.into(), key: key.serialize_pem().into() }
    }
}

fn params(name: &str, names: Vec<String>, good: Good) -> CertificateParams {
    let mut params = CertificateParams::new(names).expect("names are host names or addresses");
    params.distinguished_name.push(DnType::CommonName, name);
    let (from, until) = match good {
        Good::Always => (rcgen::date_time_ymd(1970, 1, 1), rcgen::date_time_ymd(2040, 1, 1)),
        Good::Over => (rcgen::date_time_ymd(1970, 1, 1), rcgen::date_time_ymd(1970, 1, 1)),
        Good::NotYet => (rcgen::date_time_ymd(2030, 1, 1), rcgen::date_time_ymd(2040, 1, 1)),
    };
    (params.not_before, params.not_after) = (from, until);
    // One that follows from the key would be shorter now and then.
    params.serial_number = Some(SerialNumber::from_slice(&[0x40; 8]));
    params
}

fn key(name: &str) -> KeyPair {
    let secret = digest(&SHA256, name.as_bytes());
    let secret = secret.as_ref().try_into().expect("32 bytes");
    let der = PrivatePkcs8KeyDer::from(crypto::key_of(secret));
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519).expect("any secret is a key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_gives_one_certificate_and_all_are_of_one_length() {
        let wanted = |serial| Wanted { serial, ..Wanted::new(&["a.test", "10.0.0.1"]) };
        assert_eq!(wanted(1).sign().cert, wanted(1).sign().cert);
        assert_ne!(wanted(1).sign().cert, wanted(2).sign().cert);
        let lengths: Vec<usize> = (0..50).map(|n| wanted(n).sign().cert.len()).collect();
        assert!(lengths.iter().max() == lengths.iter().min(), "{lengths:?}");
    }
}
