//! Session tickets: what a client brings back to skip a handshake, sealed under a key that only
//! this process has. Keys live for two periods, and the machine that owns the periods makes each
//! next set.

use super::crypto::Crypto;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use rustls::crypto::SecureRandom;
use rustls::server::ProducesTickets;
use std::sync::Arc;

const NAME_LEN: usize = 8;
const KEY_LEN: usize = 32;
/// Seconds after which clients forget a ticket: two periods.
const LIFETIME: u32 = 2 * Tickets::PERIOD;

#[derive(Clone, Debug)]
pub struct Tickets {
    random: &'static dyn SecureRandom,
    /// New tickets are sealed with the first.
    keys: Vec<Arc<Key>>,
}

#[derive(Debug)]
struct Key {
    /// Which key a ticket is sealed with.
    name: [u8; NAME_LEN],
    key: LessSafeKey,
}

impl Tickets {
    /// Seconds between new keys.
    pub const PERIOD: u32 = 6 * 3600;

    /// With one key. `None` if there is no randomness to be had.
    pub fn new(crypto: &Crypto) -> Option<Self> {
        Self { random: crypto.provider.secure_random, keys: Vec::new() }.rotated()
    }

    /// The next set of keys: one that is new, and the one that was.
    pub fn rotated(&self) -> Option<Self> {
        let (mut name, mut bytes) = ([0; NAME_LEN], [0; KEY_LEN]);
        self.random.fill(&mut name).ok()?;
        self.random.fill(&mut bytes).ok()?;
        let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &bytes).ok()?);
        let first = Arc::new(Key { name, key });
        let keys = std::iter::once(first).chain(self.keys.first().cloned()).collect();
        Some(Self { random: self.random, keys })
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let Key { name, key } = &**self.keys.first()?;
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).ok()?;
        let mut sealed = plain.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(unique, Aad::from(name), &mut sealed).ok()?;
        Some([name.as_slice(), &nonce, &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME_LEN>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let key = self.keys.iter().find(|key| key.name == *name)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = key.key.open_in_place(nonce, Aad::from(name), &mut sealed).ok()?;
        Some(plain.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_for_two_periods_and_then_for_nobody() {
        let first = Tickets::new(&Crypto::default()).expect("randomness");
        let ticket = first.encrypt(b"state").expect("a ticket");
        assert!(!ticket.windows(5).any(|part| part == b"state"));
        let second = first.rotated().expect("randomness");
        let third = second.rotated().expect("randomness");
        assert_eq!(first.decrypt(&ticket).as_deref(), Some(&b"state"[..]));
        assert_eq!(second.decrypt(&ticket).as_deref(), Some(&b"state"[..]));
        assert_eq!(third.decrypt(&ticket), None);
        for at in 0..ticket.len() {
            let mut forged = ticket.clone();
            forged[at] ^= 1;
            assert_eq!(first.decrypt(&forged), None, "byte {at}");
            assert_eq!(first.decrypt(&ticket[..at]), None, "{at} bytes");
        }
    }
}
