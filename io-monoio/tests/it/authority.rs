//! Certificates as `make-certificates.sh` of the example makes them.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use std::fs;
use std::path::Path;

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a root"))
    }

    pub(crate) fn issue_all(&self, folder: &Path) {
        fs::write(folder.join("ca.crt"), self.0.pem()).expect("a writable folder");
        self.issue("child-1", "127.0.0.1", folder);
        self.issue("child-2", "127.0.0.1", folder);
        self.issue("parent", "parent.example", folder);
    }

    pub(crate) fn issue(&self, name: &str, of: &str, folder: &Path) {
        let params = CertificateParams::new(vec![of.to_owned()]).expect("a name");
        self.sign(name, &params, folder);
    }

    /// An SVID, for `name` in this trust domain.
    pub(crate) fn issue_svid(&self, name: &str, domain: &str, folder: &Path) {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        let id = format!("spiffe://{domain}/{name}");
        params.subject_alt_names.push(SanType::URI(id.try_into().expect("a URI")));
        self.sign(name, &params, folder);
    }

    pub(crate) fn write(&self, name: &str, folder: &Path) {
        fs::write(folder.join(name), self.0.pem()).expect("a writable folder");
    }

    fn sign(&self, name: &str, params: &CertificateParams, folder: &Path) {
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.0).expect("a certificate");
        for (extension, text) in [("crt", cert.pem()), ("key", key.serialize_pem())] {
            let beside = folder.join(".new");
            fs::write(&beside, text).expect("a writable folder");
            let path = folder.join(format!("{name}.{extension}"));
            fs::rename(beside, path).expect("a writable folder");
        }
    }
}
