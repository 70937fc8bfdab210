//! The signed cookie for all levels of services, made and read as the documentation says, by
//! another library's cryptography: C1 for sessions that it keeps, H2 for what clients are given.

use crate::plan::{Document, Kind};
use ring::{digest, hmac};

/// The name of the cookie, and the key that only instances know.
pub const COOKIE: &str = "all";
pub const KEY: &str = "known to instances only";
/// Where it is found that does not stand in a document.
pub const KEY_FILE: &str = "sticky.key";
const VERSION: &str = "1.";
const TAG: usize = 16;

/// Which member of each service, in numbers that stand for their names.
pub type Claims = Vec<(u64, u64)>;

/// Whom a service's claims name: by position, if there is one.
pub fn member_of(claims: &Claims, service: &str, members: &[&str]) -> Option<usize> {
    let number = number_of(service);
    let (_, member) = claims.iter().find(|(known, _)| *known == number)?;
    members.iter().position(|name| number_of(name) == *member)
}

pub fn number_of(name: &str) -> u64 {
    let hash = digest::digest(&digest::SHA256, name.as_bytes());
    number(&hash.as_ref()[..8])
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The value that somebody with this key gives to clients of `service`.
fn value(service: &str, key: &str, claims: &Claims) -> String {
    let mut levels = Vec::new();
    for (service, member) in claims {
        levels.extend_from_slice(&service.to_be_bytes());
        levels.extend_from_slice(&member.to_be_bytes());
    }
    let mut bytes = tag(service, key, &levels);
    bytes.append(&mut levels);
    format!("{VERSION}{}", encoded(&bytes))
}

fn tag(service: &str, key: &str, levels: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let whole = [VERSION.as_bytes(), service.as_bytes(), b"\0", levels].concat();
    hmac::sign(&key, &whole).as_ref()[..TAG].to_vec()
}

/// What a value says, if whoever knows the key has made it.
pub fn claims(service: &str, value: &str) -> Option<Claims> {
    let bytes = decoded(value.strip_prefix(VERSION)?)?;
    let (signature, levels) = bytes.split_at_checked(TAG)?;
    let right = levels.len().is_multiple_of(16) && signature == tag(service, KEY, levels);
    let of = |level: &[u8]| (number(&level[..8]), number(&level[8..]));
    right.then(|| levels.chunks_exact(16).map(of).collect())
}

/// What a request's cookies say.
pub fn claims_among(cookies: &str, service: &str) -> Option<Claims> {
    let mut pairs = cookies.split("; ").filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| *name == COOKIE)?;
    claims(service, value)
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64, by RFC 4648 §4.
fn encoded(bytes: &[u8]) -> String {
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let mut wide = [0; 4];
        wide[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(wide);
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
            out.push(if at > group.len() { '=' } else { char::from(digit) });
        }
    }
    out
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut bits, mut held) = (0u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let value = DIGITS.iter().position(|digit| *digit == letter)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from(bits >> held & 255).ok()?);
        }
    }
    (encoded(&out) == text).then_some(out)
}

/// Cookies that clients may hold of this service: true ones for some of the ways down, and some
/// that nobody with the key has made.
pub fn cookies(document: &Document, root: &str) -> Vec<String> {
    let own = crate::model::qualified(root);
    let mut list = Vec::new();
    for turn in 0..4 {
        let mut way = Claims::new();
        claim(document, &own, turn, &mut way, 0);
        let forger = "known to nobody but a forger";
        let (true_one, forged) = (value(&own, KEY, &way), value(&own, forger, &way));
        let other = value("other@file", KEY, &way);
        let changed = true_one.replacen(['A', 'B', 'C', 'D', 'E'], "z", 1);
        let chosen = [&true_one, &forged, &true_one, &changed, &true_one, &other];
        list.extend(chosen.map(|value| format!("b=2; {COOKIE}={value}")));
    }
    list
}

fn claim(document: &Document, service: &str, turn: usize, way: &mut Claims, depth: u32) {
    let found = document.service(service).filter(|_| depth < 4);
    let Some(found) = found else { return };
    let below: Vec<String> = match &found.kind {
        Kind::Balancer { servers, .. } => {
            let server = &servers[turn % servers.len()];
            return way.push((number_of(service), number_of(&server.url)));
        }
        Kind::Weighted(members) => {
            let (member, _) = &members[turn % members.len()];
            let member = crate::model::qualified(member);
            way.push((number_of(service), number_of(&member)));
            vec![member]
        }
        Kind::Failover { main, fallback, .. } => vec![main.clone(), fallback.clone()],
        Kind::Mirroring { main, .. } => vec![main.clone()],
    };
    for name in below {
        claim(document, &crate::model::qualified(&name), turn, way, depth + 1);
    }
}

/// What is wrong with a cookie that a client is given: nobody but an instance makes such, and it
/// names the server that has answered, where that is one of the document.
pub fn problem(documents: &[Document], root: &str, line: &str, server: u16) -> Option<String> {
    let value = line.strip_prefix(COOKIE)?.strip_prefix('=')?;
    let value = value.split(';').next().unwrap_or_default();
    let Some(claims) = claims(&crate::model::qualified(root), value) else {
        return Some(format!("with a cookie that is not signed: {line}"));
    };
    let backends = documents.iter().flat_map(|document| &document.services);
    let urls: Vec<&str> = backends.flat_map(|at| urls_of(&at.kind, server)).collect();
    let named = |url: &&str| claims.iter().any(|(_, member)| *member == number_of(url));
    let right = urls.is_empty() || urls.iter().any(named);
    (!right).then(|| format!("with a cookie that names none of {urls:?}: {line}"))
}

fn urls_of(kind: &Kind, server: u16) -> Vec<&str> {
    let Kind::Balancer { servers, .. } = kind else { return Vec::new() };
    servers.iter().filter(|at| at.server == server).map(|at| at.url.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        let cases =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")];
        for (plain, text) in cases {
            assert_eq!(encoded(plain.as_bytes()), text);
            assert_eq!(decoded(text).as_deref(), Some(plain.as_bytes()));
        }
        assert_eq!(decoded("Zh=="), None);
    }

    #[test]
    fn only_who_knows_the_key_is_believed() {
        let way = vec![(number_of("a@file"), number_of("http://one"))];
        let own = value("a@file", KEY, &way);
        assert_eq!(claims("a@file", &own), Some(way.clone()));
        assert_eq!(claims("b@file", &own), None);
        assert_eq!(claims("a@file", &value("a@file", "another", &way)), None);
        assert_eq!(member_of(&way, "a@file", &["http://two", "http://one"]), Some(1));
        assert_eq!(member_of(&way, "b@file", &["http://one"]), None);
    }
}
