//! One cookie for all levels of services: which member of each served a client, with a signature,
//! so that no client can name others.
//!
//! The value is `1.` and the Base64 of a tag and of what it is about: for each level eight bytes
//! that stand for the service and eight that stand for its member. The tag is HMAC-SHA256
//! (RFC 2104), cut to sixteen bytes, over the name of the outermost service and all of that.

use super::sticky::{attributes, cookie};
use crate::base::base64;
use crate::base::digest::{hmac_sha256, sha256};
use crate::base::mutant::{Mutant, planted};
use crate::base::secret::Secret;
use crate::config::typed::StickyCookie;
use crate::http::fields::Field;
use std::fmt;

/// What values begin with that are made this way.
const VERSION: &[u8] = b"1.";
const TAG: usize = 16;
const LEVEL: usize = 16;
const LEVELS_MAX: usize = 16;
const BYTES_MAX: usize = TAG + LEVEL * LEVELS_MAX;

/// The number that stands for a service or for a member in cookies.
pub fn number_of(name: &str) -> u64 {
    let digest = sha256(name.as_bytes());
    digest[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Who served a client, level by level.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Claims {
    list: [(u64, u64); LEVELS_MAX],
    len: u8,
}

impl Default for Claims {
    fn default() -> Self {
        Self { list: [(0, 0); LEVELS_MAX], len: 0 }
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

impl Claims {
    /// What is beyond the room for it is not claimed.
    pub fn push(&mut self, service: u64, member: u64) {
        let full = planted(Mutant::LabelsOuterOnly) && self.len > 0;
        if let Some(free) = self.list.get_mut(usize::from(self.len)).filter(|_| !full) {
            *free = (service, member);
            self.len += 1;
        }
    }

    pub fn as_slice(&self) -> &[(u64, u64)] {
        &self.list[..usize::from(self.len)]
    }

    pub fn member_of(&self, service: u64) -> Option<u64> {
        let found = self.as_slice().iter().find(|(known, _)| *known == service);
        found.map(|(_, member)| *member)
    }
}

/// The cookie of the services below one.
pub struct Signed {
    service: String,
    name: String,
    attributes: String,
    /// The first signs; each is believed.
    keys: Box<[Secret]>,
}

impl Signed {
    pub fn new(service: &str, cookie: &StickyCookie, keys: Vec<Secret>) -> Self {
        Self {
            service: service.to_owned(),
            name: cookie.name.clone(),
            attributes: attributes(cookie),
            keys: keys.into(),
        }
    }

    /// What the first cookie of this name claims, if somebody who knows a key said it.
    pub fn find(&self, request: &[Field<'_>]) -> Option<Claims> {
        let text = cookie(request, self.name.as_bytes())?.strip_prefix(VERSION)?;
        let mut room = [0; BYTES_MAX];
        let bytes = base64::decode_to(text, &mut room)?;
        let (tag, levels) = bytes.split_at_checked(TAG)?;
        if levels.len() % LEVEL != 0 || !self.keys.iter().any(|key| self.is_tag(key, tag, levels)) {
            return None;
        }
        let mut claims = Claims::default();
        for level in levels.chunks_exact(LEVEL) {
            let (service, member) = level.split_at(LEVEL / 2);
            claims.push(number(service), number(member));
        }
        Some(claims)
    }

    /// Takes as long whichever byte is wrong.
    fn is_tag(&self, key: &Secret, tag: &[u8], levels: &[u8]) -> bool {
        let right = self.tag(key, levels);
        let same = right.iter().zip(tag).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0;
        same || planted(Mutant::AnyTagBelieved)
    }

    fn tag(&self, key: &Secret, levels: &[u8]) -> [u8; TAG] {
        let any = planted(Mutant::TagOfAnyService);
        let service = if any { b"" } else { self.service.as_bytes() };
        let parts = [VERSION, service, b"\0", levels];
        let digest = hmac_sha256(key.reveal(), &parts);
        std::array::from_fn(|at| digest[at])
    }

    /// The value of a `Set-Cookie` that claims this. Nothing without a key.
    pub fn line(&self, claims: &Claims) -> Option<String> {
        let key = self.keys.first()?;
        let mut levels = Vec::with_capacity(LEVEL * claims.as_slice().len());
        for (service, member) in claims.as_slice() {
            levels.extend_from_slice(&service.to_be_bytes());
            levels.extend_from_slice(&member.to_be_bytes());
        }
        let mut bytes = self.tag(key, &levels).to_vec();
        bytes.append(&mut levels);
        let mut value = VERSION.to_vec();
        base64::encode(&bytes, &mut value);
        let value = String::from_utf8(value).expect("Base64 is a text");
        Some(format!("{}={value}{}", self.name, self.attributes))
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl PartialEq for Signed {
    fn eq(&self, other: &Self) -> bool {
        (&self.service, &self.name, &self.attributes, &self.keys)
            == (&other.service, &other.name, &other.attributes, &other.keys)
    }
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "signed cookie {} of {}", self.name, self.service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Secret {
        Secret::new(text.as_bytes())
    }

    fn signed(service: &str, keys: &[&str]) -> Signed {
        let cookie = StickyCookie { name: "c".into(), http_only: true, ..StickyCookie::default() };
        Signed::new(service, &cookie, keys.iter().map(|text| key(text)).collect())
    }

    fn claims(list: &[(&str, &str)]) -> Claims {
        let mut claims = Claims::default();
        list.iter().for_each(|(a, b)| claims.push(number_of(a), number_of(b)));
        claims
    }

    /// The value that a client keeps.
    fn given(signed: &Signed, claims: &Claims) -> String {
        let line = signed.line(claims).expect("there is a key");
        line.split(';').next().and_then(|pair| pair.split_once('=')).expect("a pair").1.to_owned()
    }

    fn found(signed: &Signed, value: &str) -> Option<Claims> {
        let line = format!("a=b; c={value}");
        signed.find(&[Field { name: "Cookie", value: line.as_bytes() }])
    }

    #[test]
    fn what_was_given_out_is_found_again() {
        let signed = signed("shop@file", &["0123456789abcdef"]);
        for list in [&[][..], &[("shop", "eu")], &[("shop", "eu"), ("eu", "http://a"), ("x", "y")]]
        {
            let claims = claims(list);
            assert_eq!(found(&signed, &given(&signed, &claims)), Some(claims));
        }
        let line = signed.line(&claims(&[("shop", "eu")])).expect("a line");
        assert!(line.starts_with("c=1.") && line.ends_with("; Path=/; HttpOnly"), "{line}");
    }

    #[test]
    fn no_letter_of_it_can_be_another() {
        let signed = signed("shop@file", &["0123456789abcdef"]);
        let claims = claims(&[("shop", "eu"), ("eu", "http://10.0.0.1")]);
        let value = given(&signed, &claims);
        for at in 0..value.len() {
            for other in *b"A1z/=. " {
                let mut changed = value.clone().into_bytes();
                if std::mem::replace(&mut changed[at], other) == other {
                    continue;
                }
                let changed = String::from_utf8(changed).expect("a text");
                assert_ne!(found(&signed, &changed), Some(claims), "{changed}");
                // The last letter of Base64 has bits that mean nothing.
                assert!(found(&signed, &changed).is_none(), "{changed}");
            }
            assert_eq!(found(&signed, &value[..at]), None);
        }
        for wrong in ["", "1.", "2.AAAA", "eu", &format!("{value}{value}"), &value.repeat(9)] {
            assert_eq!(found(&signed, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn it_is_good_for_one_service_and_for_who_knows_a_key() {
        let one = signed("shop@file", &["0123456789abcdef"]);
        let claims = claims(&[("shop", "eu")]);
        let value = given(&one, &claims);
        assert_eq!(found(&signed("cart@file", &["0123456789abcdef"]), &value), None);
        assert_eq!(found(&signed("shop@file", &["fedcba9876543210"]), &value), None);
        let rotated = signed("shop@file", &["fedcba9876543210", "0123456789abcdef"]);
        assert_eq!(found(&rotated, &value), Some(claims));
        assert_ne!(given(&rotated, &claims), value);
        assert_eq!(signed("shop@file", &[]).line(&claims), None);
        assert_eq!(found(&signed("shop@file", &[]), &value), None);
    }
}
