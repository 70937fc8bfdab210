//! What of a request may be written down. Fields that say how to route, frame or forward a message
//! are shown; of every other value only a keyed hash is, so that two that were alike still are, and
//! nobody without the key can tell what they were.

use super::fields::Field;
use super::target::put_decoded;
use crate::base::sip::SipKey;
use std::io::Write as _;

/// Bytes at either end that are hashed of a long value, besides its length.
const END: usize = 32;
/// Letters of a name in a query that says nothing else.
const WORD_MAX: usize = 20;
/// What a hidden value begins with.
const SIGN: u8 = b'~';

/// Hides values under the key of one process.
#[derive(Clone, Copy, Debug)]
pub struct Veil(SipKey);

/// Whether the values of a field may be written down as they are.
pub fn is_shown(name: &str) -> bool {
    let shown: &[&str] = match name.len() {
        2 => &["te"],
        4 => &["host"],
        6 => &["accept", "expect", "origin"],
        7 => &["upgrade"],
        8 => &["x-scheme"],
        9 => &["x-real-ip"],
        10 => &["connection", "user-agent"],
        12 => &["content-type"],
        13 => &["x-uplink-name"],
        14 => &["content-length", "x-tieline-hops"],
        15 => &["accept-encoding", "accept-language", "x-forwarded-for"],
        16 => &["x-forwarded-host", "x-forwarded-port"],
        17 => &["transfer-encoding", "x-forwarded-proto"],
        18 => &["x-forwarded-server"],
        21 => &["sec-websocket-version"],
        29 => &["access-control-request-method"],
        30 => &["access-control-request-headers"],
        _ => return false,
    };
    shown.iter().any(|it| name.eq_ignore_ascii_case(it))
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
        if value.is_empty() {
            return;
        }
        let hash = match value.len() {
            0..=64 => self.0.start().part(value).finish(),
            length => {
                let ends = self.0.start().write(&value[..END]).write(&value[length - END..]);
                ends.write(&length.to_le_bytes()).finish()
            }
        };
        out.push(SIGN);
        let digits = (0..16).map(|at| (hash >> (60 - 4 * at)) & 15);
        out.extend(digits.map(|digit| b"0123456789abcdef"[usize::try_from(digit).unwrap_or(0)]));
    }

    pub fn hidden(self, value: &str) -> String {
        let mut out = Vec::new();
        self.put(&mut out, value.as_bytes());
        String::from_utf8(out).unwrap_or_default()
    }

    /// The value of a field as it may be written down.
    pub fn put_field(self, out: &mut Vec<u8>, field: &Field<'_>) {
        match is_shown(field.name) {
            true => out.extend_from_slice(field.value),
            false => self.put(out, field.value),
        }
    }

    /// A path as it is, the query behind it with its values hidden. A value is hashed as rules read
    /// it: `+` is a space, and triplets are decoded.
    pub fn put_target(self, out: &mut Vec<u8>, target: &str, decoded: &mut Vec<u8>) {
        let Some((path, query)) = target.split_once('?') else {
            return out.extend_from_slice(target.as_bytes());
        };
        out.extend_from_slice(path.as_bytes());
        let mut mark = b'?';
        for pair in query.split(['&', ';']) {
            out.push(mark);
            mark = b'&';
            let Some((name, value)) = pair.split_once('=') else {
                // Alone it may be a name or a secret.
                match is_word(pair) {
                    true => out.extend_from_slice(pair.as_bytes()),
                    false => self.put(out, pair.as_bytes()),
                }
                continue;
            };
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            decoded.clear();
            put_decoded(value.as_bytes(), decoded, |byte| if byte == b'+' { b' ' } else { byte });
            self.put(out, decoded);
        }
    }
}

fn is_word(text: &str) -> bool {
    text.len() <= WORD_MAX && text.bytes().all(|b| b.is_ascii_alphabetic() || b"-_".contains(&b))
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

    #[test]
    fn urls_lose_user_and_password() {
        let shown = |url| put_url(veil(), url);
        assert_eq!(shown("http://al:secret@a.test:81/x"), "http://a.test:81/x");
        assert_eq!(shown("http://a.test"), "http://a.test");
        assert!(!shown("http://a.test?token=secret").contains("secret"));
    }
}
