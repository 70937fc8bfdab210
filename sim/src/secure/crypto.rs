//! A provider of cryptography for simulations: whatever it draws comes from the seed of the run,
//! and nothing that it makes varies in length. Signatures and ciphers are the real ones. Only the
//! exchange of keys is not, because the library underneath takes its chance from the system alone.

use engine::base::prng::Prng;
use ring::digest;
use ring::signature::{ED25519, UnparsedPublicKey};
use rustls::crypto::{
    ActiveKeyExchange, CryptoProvider, GetRandomFailed, SecureRandom, SharedSecret,
    SupportedKxGroup, WebPkiSupportedAlgorithms,
};
use rustls::ffdhe_groups::FfdheGroup;
use rustls::pki_types::{
    AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};
use rustls::{CipherSuite, Error, NamedGroup, PeerMisbehaved, SignatureScheme};
use std::cell::RefCell;
use std::collections::BTreeSet;

thread_local! {
    /// A run has its thread to itself.
    static CHANCE: RefCell<Prng> = const { RefCell::new(Prng::new(0)) };
    static GOOD: RefCell<BTreeSet<Vec<u8>>> = const { RefCell::new(BTreeSet::new()) };
}

/// Whatever is drawn on this thread from here on follows from `seed`.
pub fn seed(seed: u64) {
    CHANCE.set(Prng::new(seed));
}

fn fill(out: &mut [u8]) {
    CHANCE.with_borrow_mut(|chance| {
        for eight in out.chunks_mut(8) {
            eight.copy_from_slice(&chance.next_u64().to_le_bytes()[..eight.len()]);
        }
    });
}

/// PKCS #8 of an Ed25519 key (RFC 8410 §7), up to the secret.
const PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// A key of the kind whose signatures never vary.
pub fn key_of(secret: &[u8; 32]) -> Vec<u8> {
    [PREFIX.as_slice(), secret].concat()
}

/// One that is drawn.
pub fn key() -> Result<Vec<u8>, String> {
    let mut secret = [0; 32];
    fill(&mut secret);
    Ok(key_of(&secret))
}

/// What is spoken: the suites of the engine, the cheapest one first, and one exchange of keys.
pub fn provider() -> CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
    let cheap = CipherSuite::TLS13_AES_128_GCM_SHA256;
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != cheap);
    provider.kx_groups = vec![&Exchange];
    provider.secure_random = &Chance;
    provider.signature_verification_algorithms =
        WebPkiSupportedAlgorithms { all: &[&Remembered], mapping: MAPPING };
    provider
}

#[derive(Debug)]
struct Chance;

impl SecureRandom for Chance {
    fn fill(&self, out: &mut [u8]) -> Result<(), GetRandomFailed> {
        fill(out);
        Ok(())
    }
}

const MAPPING: &[(SignatureScheme, &[&dyn SignatureVerificationAlgorithm])] =
    &[(SignatureScheme::ED25519, &[&Remembered])];

/// Signatures that are remembered to be good.
const REMEMBERED_MAX: usize = 4_096;

/// Ed25519. The same few certificates are shown again and again: each is verified once.
#[derive(Debug)]
struct Remembered;

impl SignatureVerificationAlgorithm for Remembered {
    fn verify_signature(
        &self,
        key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let mut all = digest::Context::new(&digest::SHA256);
        for part in [key, signature, message] {
            all.update(&part.len().to_be_bytes());
            all.update(part);
        }
        let all = all.finish().as_ref().to_vec();
        if GOOD.with_borrow(|good| good.contains(&all)) {
            return Ok(());
        }
        let verified = UnparsedPublicKey::new(&ED25519, key).verify(message, signature);
        verified.map_err(|_| InvalidSignature)?;
        GOOD.with_borrow_mut(|good| {
            if good.len() == REMEMBERED_MAX {
                good.clear();
            }
            good.insert(all);
        });
        Ok(())
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ED25519
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ED25519
    }
}

const SHARE: usize = 32;

/// Both sides show a number, and the secret is what both numbers hash to. Whoever listens knows
/// it, and nobody listens here.
#[derive(Debug)]
struct Exchange;

impl SupportedKxGroup for Exchange {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut share = [0; SHARE];
        fill(&mut share);
        Ok(Box::new(Started { share }))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

struct Started {
    share: [u8; SHARE],
}

impl ActiveKeyExchange for Started {
    fn complete(self: Box<Self>, theirs: &[u8]) -> Result<SharedSecret, Error> {
        if theirs.len() != SHARE {
            return Err(PeerMisbehaved::InvalidKeyShare.into());
        }
        let (low, high) = if self.share.as_slice() < theirs {
            (self.share.as_slice(), theirs)
        } else {
            (theirs, self.share.as_slice())
        };
        let mut both = digest::Context::new(&digest::SHA256);
        both.update(low);
        both.update(high);
        Ok(SharedSecret::from(both.finish().as_ref()))
    }

    fn pub_key(&self) -> &[u8] {
        &self.share
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    fn drawn() -> [u8; 40] {
        let mut bytes = [0; 40];
        provider().secure_random.fill(&mut bytes).expect("chance never fails");
        bytes
    }

    #[test]
    fn a_signature_is_verified_also_if_another_was_good() {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&key_of(&[7; 32])).expect("a key");
        let good = pair.sign(b"said");
        let verify = |message: &[u8], signature: &[u8]| {
            Remembered.verify_signature(pair.public_key().as_ref(), message, signature).is_ok()
        };
        assert!(!verify(b"unsaid", good.as_ref()));
        assert!(verify(b"said", good.as_ref()) && verify(b"said", good.as_ref()));
        assert!(!verify(b"unsaid", good.as_ref()) && !verify(b"said", &[0; 64]));
    }

    #[test]
    fn one_seed_gives_one_sequence_and_both_sides_one_secret() {
        seed(7);
        let (first, second) = (drawn(), drawn());
        seed(7);
        assert_eq!((drawn(), drawn()), (first, second));
        assert_ne!(first, second);
        let started = || Exchange.start().expect("chance never fails");
        let (ours, theirs) = (started(), started());
        let (to_them, to_us) = (ours.pub_key().to_vec(), theirs.pub_key().to_vec());
        let ours = ours.complete(&to_us).expect("a share");
        let theirs = theirs.complete(&to_them).expect("a share");
        assert_eq!(ours.secret_bytes(), theirs.secret_bytes());
        assert!(started().complete(b"short").is_err());
    }
}
