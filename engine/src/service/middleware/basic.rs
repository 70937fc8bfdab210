//! Basic authentication (RFC 7617). To compare a password with its hash is meant to take long, so
//! it is not done here. What was found right once is remembered as one word, a keyed hash of user,
//! password and stored hash; what is not remembered is a claim, to be proved elsewhere. A hash that
//! changes makes a different word, so nothing has to be forgotten.

use super::words::Words;
use crate::base::base64;
use crate::base::secret::Secret;
use crate::config::typed::Credentials;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// One `basicAuth` middleware, ready to serve.
#[derive(Debug)]
pub struct Basic {
    users: BTreeMap<String, String>,
    /// The value of `WWW-Authenticate`.
    pub challenge: String,
    pub remove_header: bool,
    pub header_field: Option<String>,
    /// Kept by the registry under the middleware's name.
    words: Arc<Words>,
}

/// What a request presents.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Presented {
    /// Nothing, or nothing that could be right.
    Nothing,
    /// What was right before.
    Known,
    Claim(Claim),
}

/// A password that may be right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// To compare with.
    pub hash: String,
    pub password: Secret,
    /// The user is one of ours. Others are compared with somebody's hash, so that nobody learns
    /// from the time it takes which users there are.
    pub genuine: bool,
    place: usize,
    word: u64,
}

impl Basic {
    pub fn new(credentials: &Credentials, words: Arc<Words>) -> Self {
        Self {
            users: credentials.users.iter().cloned().collect(),
            challenge: format!("Basic realm=\"{}\"", credentials.realm),
            remove_header: credentials.remove_header,
            header_field: credentials.header_field.clone(),
            words,
        }
    }

    pub fn present(&self, authorization: Option<&[u8]>, decoded: &mut Vec<u8>) -> Presented {
        let found = authorization.and_then(|value| user_and_password(value, decoded));
        let Some((user, password)) = found else { return Presented::Nothing };
        let own = self.users.get(user);
        let Some(hash) = own.or_else(|| self.users.values().next()) else {
            return Presented::Nothing;
        };
        let part = |kind: &[u8]| {
            let thing = self.words.hash().write(kind).part(user.as_bytes()).part(password);
            thing.part(hash.as_bytes()).finish()
        };
        // Zero is the word of nobody.
        let (place, word) = (self.words.place(part(b"place")), part(b"word").max(1));
        if own.is_some() && self.words.word(place).load(Relaxed) == word {
            return Presented::Known;
        }
        Presented::Claim(Claim {
            hash: hash.clone(),
            password: Secret::new(password),
            genuine: own.is_some(),
            place,
            word,
        })
    }

    /// Remembers a claim that was proved.
    pub fn remember(&self, claim: &Claim) {
        debug_assert!(claim.genuine, "only our users are remembered");
        self.words.word(claim.place).store(claim.word, Relaxed);
    }
}

/// What an `Authorization` of this kind says.
pub fn user_and_password<'d>(
    authorization: &[u8],
    decoded: &'d mut Vec<u8>,
) -> Option<(&'d str, &'d [u8])> {
    let (scheme, rest) = authorization.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") || !base64::decode(rest.trim_ascii(), decoded) {
        return None;
    }
    let colon = decoded.iter().position(|b| *b == b':')?;
    let user = std::str::from_utf8(&decoded[..colon]).ok()?;
    Some((user, &decoded[colon + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;
    use crate::base::sip::SipKey;

    fn guard(users: &[(&str, &str)], words: &Arc<Words>) -> Basic {
        let users = users.iter().map(|(user, hash)| ((*user).into(), (*hash).into())).collect();
        Basic::new(&Credentials { users, ..Credentials::default() }, Arc::clone(words))
    }

    fn words() -> Arc<Words> {
        Arc::new(Words::new(SipKey::new(&mut Prng::new(1)), 64))
    }

    #[track_caller]
    fn claim(guard: &Basic, authorization: &str) -> Claim {
        match guard.present(Some(authorization.as_bytes()), &mut Vec::new()) {
            Presented::Claim(claim) => claim,
            other @ (Presented::Nothing | Presented::Known) => panic!("{authorization}: {other:?}"),
        }
    }

    // `al:secret`, `al:wrong`, `bo:secret`
    const AL: &str = "Basic YWw6c2VjcmV0";
    const WRONG: &str = "Basic YWw6d3Jvbmc=";
    const BO: &str = "basic  Ym86c2VjcmV0";

    #[test]
    fn what_was_proved_once_is_known() {
        let words = words();
        let guard = guard(&[("al", "hash")], &words);
        let known = |authorization: &str| {
            guard.present(Some(authorization.as_bytes()), &mut Vec::new()) == Presented::Known
        };
        let first = claim(&guard, AL);
        assert_eq!(
            (&*first.hash, first.password.reveal(), first.genuine),
            ("hash", &b"secret"[..], true)
        );
        guard.remember(&first);
        assert!(known(AL) && !known(WRONG) && !known(BO));
    }

    #[test]
    fn another_hash_for_the_user_makes_it_unknown() {
        let words = words();
        let old = guard(&[("al", "hash")], &words);
        old.remember(&claim(&old, AL));
        let new = guard(&[("al", "changed")], &words);
        assert_eq!(claim(&new, AL).hash, "changed");
        assert_eq!(old.present(Some(AL.as_bytes()), &mut Vec::new()), Presented::Known);
    }

    #[test]
    fn a_user_that_is_not_ours_is_compared_all_the_same() {
        let guard = guard(&[("al", "hash")], &words());
        let other = claim(&guard, BO);
        assert_eq!((&*other.hash, other.genuine), ("hash", false));
    }

    #[test]
    fn what_is_no_credential_is_nothing() {
        let guard = guard(&[("al", "hash")], &words());
        let present = |it: Option<&[u8]>| guard.present(it, &mut Vec::new());
        assert_eq!(present(None), Presented::Nothing);
        // The last is `no colon`.
        for text in ["", "Basic", "Bearer abc", "Basic !", "Basic bm8gY29sb24="] {
            assert_eq!(present(Some(text.as_bytes())), Presented::Nothing, "{text}");
        }
    }
}
