//! What a SPIFFE Workload API tells: the answers of `FetchX509SVID`, which are messages of protocol
//! buffers, read without more of that format than they need.

use super::crypto::Crypto;
use super::der::split;
use super::keys::{Identity, Roots};
use crate::base::spiffe::TrustDomain;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// What certificates of SPIFFE are listed as, whatever brought them.
pub const SPIFFE: &str = "spiffe";

/// Who we are, and who vouches for others.
#[derive(Clone, Debug)]
pub struct Svid {
    pub identity: Identity,
    /// By trust domain.
    pub bundles: Roots,
}

/// Fields of the messages, by number.
mod field {
    pub(super) const SVIDS: u64 = 1;
    pub(super) const FEDERATED: u64 = 3;
    pub(super) const ID: u64 = 1;
    pub(super) const CHAIN: u64 = 2;
    pub(super) const KEY: u64 = 3;
    pub(super) const BUNDLE: u64 = 4;
    pub(super) const MAP_KEY: u64 = 1;
    pub(super) const MAP_VALUE: u64 = 2;
}

impl Svid {
    /// The error says what is wrong, and shows nothing of it. The first identity is the default
    /// one, and is taken.
    pub(super) fn read(crypto: &Crypto, message: &[u8]) -> Result<Self, String> {
        let mut first = None;
        let mut bundles = Vec::new();
        for value in Values(message) {
            match value? {
                (field::SVIDS, content) => {
                    first.get_or_insert(content);
                }
                (field::FEDERATED, entry) => {
                    let [domain, bundle] = texts(entry, [field::MAP_KEY, field::MAP_VALUE])?;
                    bundles.push((domain_of(domain)?, roots(bundle)?));
                }
                _ => {}
            }
        }
        let first = first.ok_or("there is no identity in it")?;
        let wanted = [field::ID, field::CHAIN, field::KEY, field::BUNDLE];
        let [id, chain, key, bundle] = texts(first, wanted)?;
        let identity = identity(crypto, id, chain, key)?;
        bundles.push((domain_of(id)?, roots(bundle)?));
        Ok(Self { identity, bundles: Roots::of_bundles(bundles.into_iter())? })
    }
}

fn identity(crypto: &Crypto, id: &[u8], chain: &[u8], key: &[u8]) -> Result<Identity, String> {
    let chain = split(chain).ok_or("the certificate is malformed")?;
    let chain = chain.into_iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.to_vec()));
    let identity = Identity::new(crypto, chain, key)?;
    let own = identity.info.spiffe_id();
    if own.is_none_or(|own| own.as_str().as_bytes() != id) {
        return Err("the certificate is not for the id that comes with it".to_owned());
    }
    Ok(identity)
}

fn roots(bundle: &[u8]) -> Result<Vec<CertificateDer<'_>>, String> {
    let found = split(bundle).ok_or("a bundle is malformed")?;
    Ok(found.into_iter().map(CertificateDer::from).collect())
}

fn domain_of(id: &[u8]) -> Result<TrustDomain, String> {
    let text = std::str::from_utf8(id).map_err(|_| "an id is no text".to_owned())?;
    TrustDomain::parse(text).map_err(|wanted| format!("`{}`: {wanted}", shown(text)))
}

fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The last value of each field; a field that is not there is empty.
fn texts<const N: usize>(message: &[u8], wanted: [u64; N]) -> Result<[&[u8]; N], String> {
    let mut found: [&[u8]; N] = [&[]; N];
    for value in Values(message) {
        let (number, content) = value?;
        if let Some(at) = wanted.iter().position(|wanted| *wanted == number) {
            found[at] = content;
        }
    }
    Ok(found)
}

/// Fields with a length, in order; those of a fixed size are passed over.
struct Values<'a>(&'a [u8]);

const MALFORMED: &str = "the message is malformed";

impl<'a> Values<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            value |= bits.checked_shl(shift).filter(|it| it >> shift == bits)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn skip(&mut self, bytes: u64) -> Option<&'a [u8]> {
        let (skipped, rest) = self.0.split_at_checked(usize::try_from(bytes).ok()?)?;
        self.0 = rest;
        Some(skipped)
    }

    /// `None` inside for a field without a length.
    fn field(&mut self) -> Option<Option<(u64, &'a [u8])>> {
        let tag = self.number()?;
        match tag & 7 {
            0 => self.number().map(|_| None),
            1 => self.skip(8).map(|_| None),
            2 => {
                let len = self.number()?;
                self.skip(len).map(|content| Some((tag >> 3, content)))
            }
            5 => self.skip(4).map(|_| None),
            _ => None,
        }
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Result<(u64, &'a [u8]), String>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.0.is_empty() {
            match self.field() {
                Some(Some(found)) => return Some(Ok(found)),
                Some(None) => {}
                None => {
                    self.0 = &[];
                    return Some(Err(MALFORMED.to_owned()));
                }
            }
        }
        None
    }
}
