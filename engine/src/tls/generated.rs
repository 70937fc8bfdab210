//! The certificate for clients that no other is for: made at start, signed by itself.

use super::crypto::Crypto;
use super::der::date;
use super::keys::Identity;
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

const DAY: u64 = 86_400;

/// Good for a year around now.
pub(super) fn generated(crypto: &Crypto) -> Result<Identity, String> {
    let told = |error: rcgen::Error| error.to_string();
    let mut params = CertificateParams::new(["tieline.default".to_owned()]).map_err(told)?;
    params.distinguished_name.push(DnType::CommonName, "TIELINE DEFAULT CERT");
    let today = i64::try_from(crypto.clock.seconds() / DAY).unwrap_or(0).max(1);
    let (year, month, day) = date(today - 1);
    params.not_before = rcgen::date_time_ymd(year, month, day);
    let (year, month, day) = date(today + 365);
    params.not_after = rcgen::date_time_ymd(year, month, day);
    let der = PrivatePkcs8KeyDer::from((crypto.make_key)()?);
    let key = KeyPair::try_from(&der).map_err(told)?;
    let cert = params.self_signed(&key).map_err(told)?;
    let key = PrivateKeyDer::Pkcs8(der);
    Identity::new(crypto, vec![cert.der().clone()], key)
}
