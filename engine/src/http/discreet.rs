//! What of a request may be written down. Fields that say how to route, frame or forward a message
//! are shown; of every other value only a keyed hash is, so that two that were alike still are, and
//! nobody without the key can tell what they were.

use super::target::put_decoded;
use crate::base::digest::hex_digits;
use crate::base::sip::SipKey;
use std::io::Write as _;

/// Bytes at either end that are hashed of a long value, besides its length.
const END: usize = 32;
/// What makes eight letters small.
const SMALL: u64 = 0x2020_2020_2020_2020;
/// Letters of a name in a query that says nothing else.
const WORD_MAX: usize = 20;
/// What a hidden value begins with.
const SIGN: u8 = b'~';

/// Hides values under the key of one process.
#[derive(Clone, Copy, Debug)]
pub struct Veil(SipKey);

/// Whether the values of a field may be written down as they are.
#[inline]
pub fn is_shown(name: &str) -> bool {
    let spelled: &[&str] = match name.len() {
        2 => &["te"],
        4 => &["host"],
        6 => &["accept", "expect", "origin"],
        7 => &["upgrade"],
        8 => return among(name, &[b"x-scheme"]),
        9 => return among(name, &[b"x-real-ip"]),
        10 => return among(name, &[b"user-agent", b"connection"]),
        12 => return among(name, &[b"content-type"]),
        13 => return among(name, &[b"x-uplink-name"]),
        14 => return among(name, &[b"content-length", b"x-tieline-hops"]),
        15 => return among(name, &[b"accept-encoding", b"accept-language", b"x-forwarded-for"]),
        16 => return among(name, &[b"x-forwarded-host", b"x-forwarded-port"]),
        17 => &["transfer-encoding", "x-forwarded-proto"],
        18 => &["x-forwarded-server"],
        21 => &["sec-websocket-version"],
        29 => &["access-control-request-method"],
        30 => &["access-control-request-headers"],
        _ => return false,
    };
    spelled.iter().any(|it| name.eq_ignore_ascii_case(it))
}

/// Whether a token of 8 to 16 bytes is one of these without regard to case. They are of letters and
/// hyphens: a set sixth bit makes those small or leaves them, and makes no other byte of a token
/// one of them.
#[inline]
fn among<const N: usize>(name: &str, spelled: &[&[u8; N]]) -> bool {
    let halves = |text: &[u8]| {
        let first = text.first_chunk().map(|half| u64::from_le_bytes(*half))?;
        let last = text.last_chunk().map(|half| u64::from_le_bytes(*half))?;
        Some((first | SMALL, last | SMALL))
    };
    let name = halves(name.as_bytes());
    spelled.iter().any(|it| halves(*it) == name)
}

/// Names with one of these in them are of secrets.
const SECRET: [&str; 11] = [
    "apikey",
    "api-key",
    "auth",
    "cookie",
    "credential",
    "key",
    "password",
    "secret",
    "session",
    "signature",
    "token",
];

/// Whether a field, a query parameter or a key of this name has a secret for its value.
pub fn is_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    SECRET.iter().any(|it| lower.contains(it)) && !is_shown(name)
}

impl Veil {
    pub fn new(key: SipKey) -> Self {
        Self(key)
    }

    /// What stands for a value. Nothing stands for nothing.
    pub fn put(self, out: &mut Vec<u8>, value: &[u8]) {
        if !value.is_empty() {
            out.extend_from_slice(&shown_hash(self.hash(value)));
        }
    }

    /// What tells a value from others.
    pub fn hash(self, value: &[u8]) -> u64 {
        match value.len() {
            0..=64 => self.0.start().part(value).finish(),
            length => {
                let ends = self.0.start().write(&value[..END]).write(&value[length - END..]);
                ends.write(&length.to_le_bytes()).finish()
            }
        }
    }

    pub fn hidden(self, value: &str) -> String {
        let mut out = Vec::new();
        self.put(&mut out, value.as_bytes());
        String::from_utf8(out).unwrap_or_default()
    }

    /// A path as it is, the query behind it with its values hidden. A value is hashed as rules read
    /// it: `+` is a space, and triplets are decoded.
    pub fn put_target(self, out: &mut Vec<u8>, target: &str, decoded: &mut Vec<u8>) {
        let Some((path, query)) = target.split_once('?') else {
            return out.extend_from_slice(target.as_bytes());
        };
        out.extend_from_slice(path.as_bytes());
        let mut mark = b'?';
        for pair in query.as_bytes().split(|byte| matches!(byte, b'&' | b';')) {
            out.push(mark);
            mark = b'&';
            let Some(end) = pair.iter().position(|byte| *byte == b'=') else {
                // Alone it may be a name or a secret.
                match is_word(pair) {
                    true => out.extend_from_slice(pair),
                    false => self.put(out, pair),
                }
                continue;
            };
            let (name, value) = pair.split_at(end + 1);
            out.extend_from_slice(name);
            match value.iter().any(|byte| matches!(byte, b'%' | b'+')) {
                true => {
                    decoded.clear();
                    put_decoded(value, decoded, |byte| if byte == b'+' { b' ' } else { byte });
                    self.put(out, decoded);
                }
                false => self.put(out, value),
            }
        }
    }
}

/// What is written for a value of this hash.
pub fn shown_hash(hash: u64) -> [u8; 17] {
    let mut out = [SIGN; 17];
    for (to, digit) in out[1..].iter_mut().zip(hex_digits(&hash.to_be_bytes())) {
        *to = digit;
    }
    out
}

fn is_word(text: &[u8]) -> bool {
    text.len() <= WORD_MAX && text.iter().all(|b| b.is_ascii_alphabetic() || b"-_".contains(b))
}

/// A URL without what it may hold of secrets: user and password, and the values of its query.
pub fn put_url(veil: Veil, url: &str) -> String {
    let mut out = Vec::new();
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    if !scheme.is_empty() {
        let _ = write!(out, "{scheme}://");
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    out.extend_from_slice(host.as_bytes());
    veil.put_target(&mut out, target, &mut Vec::new());
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;

    fn veil() -> Veil {
        Veil::new(SipKey::new(&mut Prng::new(1)))
    }

    #[track_caller]
    fn check(target: &str, expected: &str) {
        let mut out = Vec::new();
        veil().put_target(&mut out, target, &mut Vec::new());
        let expected = expected.replace("HIDDEN", &veil().hidden("s e"));
        assert_eq!(String::from_utf8(out).expect("text"), expected, "{target}");
    }

    #[test]
    fn of_a_query_the_names_are_shown_and_the_values_are_not() {
        check("/a/b", "/a/b");
        check("/a?", "/a?");
        check("/a?k=s+e", "/a?k=HIDDEN");
        check("/a?k=s%20e&l=", "/a?k=HIDDEN&l=");
        check("/?s e", "/?HIDDEN");
        check("/?debug&a=", "/?debug&a=");
        check("*", "*");
    }

    #[test]
    fn values_are_alike_where_they_were_and_secrets_are_gone() {
        let (one, two) = (veil(), Veil::new(SipKey::new(&mut Prng::new(2))));
        assert_eq!(one.hidden("a"), one.hidden("a"));
        assert_ne!(one.hidden("a"), one.hidden("b"));
        assert_ne!(one.hidden("a"), two.hidden("a"));
        let (long, other) = ("x".repeat(65), "x".repeat(66));
        assert_ne!(one.hidden(&long), one.hidden(&other));
        assert_eq!(one.hidden(&long).len(), 17);
        for name in ["Authorization", "Cookie", "X-Api-Key", "Proxy-Authorization", "Referer"] {
            assert!(!is_shown(name), "{name}");
        }
        assert!(is_shown("HOST") && is_shown("X-Forwarded-For"));
    }

    /// Of all tokens that differ from a shown name in one place only those in the other case are
    /// shown as well.
    #[test]
    fn no_other_token_is_taken_for_a_shown_name() {
        let shown = ["Te", "Accept", "X-Scheme", "User-Agent", "X-Forwarded-For", "X-Real-Ip"];
        for name in shown {
            assert!(is_shown(name) && is_shown(&name.to_lowercase()), "{name}");
            let places = (0..name.len()).flat_map(|at| (33..127_u8).map(move |byte| (at, byte)));
            for (at, byte) in places {
                let mut other = name.as_bytes().to_vec();
                other[at] = byte;
                let other = String::from_utf8(other).expect("ASCII");
                assert_eq!(is_shown(&other), other.eq_ignore_ascii_case(name), "{other}");
            }
        }
    }

    #[test]
    fn urls_lose_user_and_password() {
        let shown = |url| put_url(veil(), url);
        assert_eq!(shown("http://al:secret@a.test:81/x"), "http://a.test:81/x");
        assert_eq!(shown("http://a.test"), "http://a.test");
        assert!(!shown("http://a.test?token=secret").contains("secret"));
    }
}
