//! What a caller with a verified certificate is called in the chain of callers.

use super::der::CertificateInfo;
use ring::digest::{SHA256, digest};
use std::fmt::Write as _;

/// Ids that are longer go by their hash, so that the chain stays short.
const ID_BYTES_MAX: usize = 512;

/// The SPIFFE id, else the first host name, else a hash: of the common name, which outlives a
/// renewal, or of the certificate itself. It has neither commas nor spaces.
pub(super) fn name_of(info: &CertificateInfo, certificate: &[u8]) -> String {
    if let Some(id) = info.spiffe_id() {
        if id.as_str().len() <= ID_BYTES_MAX {
            return id.as_str().to_owned();
        }
        return hashed("spiffe-sha256", id.as_str().as_bytes());
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._*".contains(&byte);
    let is_name = |name: &&String| !name.is_empty() && name.bytes().all(plain);
    if let Some(name) = info.dns_names.iter().find(is_name).filter(|it| it.len() <= ID_BYTES_MAX) {
        return format!("dns:{}", name.to_ascii_lowercase());
    }
    match info.common_name.as_str() {
        "" => hashed("cert-sha256", certificate),
        name => hashed("cn-sha256", name.as_bytes()),
    }
}

fn hashed(what: &str, bytes: &[u8]) -> String {
    let mut text = format!("{what}:");
    for byte in digest(&SHA256, bytes).as_ref() {
        write!(text, "{byte:02x}").expect("a string takes every text");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(uris: &[&str], names: &[&str], common_name: &str, expected: &str) {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        let common_name = common_name.to_owned();
        let info = CertificateInfo {
            common_name,
            uris: owned(uris),
            dns_names: owned(names),
            ..CertificateInfo::default()
        };
        assert_eq!(name_of(&info, b"abc"), expected);
    }

    #[test]
    fn callers_are_called_by_the_best_that_their_certificate_says() {
        let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        check(&["spiffe://a/b"], &["c.example"], "d", "spiffe://a/b");
        check(&["spiffe://a/b", "x:y"], &["C.example"], "d", "dns:c.example");
        check(&["spiffe://a/b, spiffe://root/x"], &[], "abc", &format!("cn-sha256:{of_abc}"));
        check(&[], &["a, b", "*.c"], "", "dns:*.c");
        check(&[], &["a\r\nX: y"], "abc", &format!("cn-sha256:{of_abc}"));
        check(&[], &[], "", &format!("cert-sha256:{of_abc}"));
        let long = format!("spiffe://a/{}", "b".repeat(600));
        let info = CertificateInfo { uris: vec![long], ..CertificateInfo::default() };
        let name = name_of(&info, b"");
        assert!(name.starts_with("spiffe-sha256:") && name.len() == 78, "{name}");
    }
}
