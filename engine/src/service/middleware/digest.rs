//! Digest authentication (RFC 7616, with MD5 and `qop=auth`). A nonce is the time it was made at
//! with a keyed hash of it: whoever has the key knows its own, and nothing is remembered.

use super::passing::Passing;
use crate::base::md5::Md5;
use crate::base::sip::SipKey;
use crate::base::time::{Span, Time};
use crate::config::typed::Credentials;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How long a nonce is good for; then the client is given another without asking its user.
const NONCE_AGE: Span = Span::secs(300);

/// One `digestAuth` middleware, ready to serve.
#[derive(Debug)]
pub struct Digest {
    /// Names with the digest of name, realm and password.
    users: BTreeMap<String, String>,
    realm: String,
    pub remove_header: bool,
    pub header_field: Option<String>,
    key: SipKey,
}

/// What a request comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Right,
    Wrong,
    /// Right, but with a nonce that is too old.
    Stale,
}

impl Digest {
    pub fn new(credentials: &Credentials, key: SipKey) -> Self {
        Self {
            users: credentials.users.iter().cloned().collect(),
            realm: credentials.realm.clone(),
            remove_header: credentials.remove_header,
            header_field: credentials.header_field.clone(),
            key,
        }
    }

    pub(super) fn judge(&self, authorization: Option<&[u8]>, passing: &Passing<'_>) -> Outcome {
        let Some(answer) = authorization.and_then(Response::read) else { return Outcome::Wrong };
        let Some(made) = self.made(answer.nonce) else { return Outcome::Wrong };
        // Nobody learns from the time it takes which users there are.
        let known = self.users.get(answer.username);
        let stored = known.map_or("00000000000000000000000000000000", String::as_str);
        let expected = answer.expected(stored, passing.head.method.as_str());
        let same = known.is_some() & is_same(answer.response.as_bytes(), &expected);
        match same && answer.realm == self.realm && answer.uri == passing.head.target {
            false => Outcome::Wrong,
            true if passing.now.since(made) > NONCE_AGE => Outcome::Stale,
            true => Outcome::Right,
        }
    }

    /// Appends the value of `WWW-Authenticate`.
    pub fn write_challenge(&self, now: Time, stale: bool, out: &mut String) {
        let (realm, stamp) = (&self.realm, now.nanos());
        let stale = if stale { ", stale=true" } else { "" };
        write!(
            out,
            "Digest realm=\"{realm}\", nonce=\"{stamp:016x}{:016x}\", algorithm=MD5, \
             qop=\"auth\"{stale}",
            self.proof(stamp)
        )
        .expect("a text takes every letter");
    }

    fn proof(&self, stamp: u64) -> u64 {
        self.key
            .start()
            .part(b"nonce")
            .part(self.realm.as_bytes())
            .write(&stamp.to_le_bytes())
            .finish()
    }

    /// When a nonce was made, if it is one of ours.
    fn made(&self, nonce: &str) -> Option<Time> {
        let (stamp, proof) = nonce.split_at_checked(16)?;
        let number = |hex: &str| {
            let digits = hex.len() == 16 && hex.bytes().all(|b| b.is_ascii_hexdigit());
            digits.then(|| u64::from_str_radix(hex, 16).ok()).flatten()
        };
        let stamp = number(stamp)?;
        (number(proof)? == self.proof(stamp)).then(|| Time::from_nanos(stamp))
    }
}

/// The user that an `Authorization` of this kind names.
pub fn user(authorization: &[u8]) -> Option<&str> {
    Response::read(authorization).map(|response| response.username)
}

/// Takes as long whatever differs.
fn is_same(one: &[u8], two: &[u8]) -> bool {
    one.len() == two.len() && one.iter().zip(two).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

/// What a client says.
#[derive(Clone, Copy, Default, Debug)]
struct Response<'a> {
    username: &'a str,
    realm: &'a str,
    nonce: &'a str,
    uri: &'a str,
    response: &'a str,
    qop: &'a str,
    nc: &'a str,
    cnonce: &'a str,
    algorithm: &'a str,
}

impl<'a> Response<'a> {
    fn read(authorization: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(authorization).ok()?;
        let (scheme, mut rest) = text.split_at_checked(7)?;
        let mut found = Self::default();
        while let Some((name, after)) = rest.split_once('=') {
            let (value, after) = match after.strip_prefix('"') {
                // A backslash would make two texts of one.
                Some(quoted) => {
                    quoted.split_once('"').filter(|(value, _)| !value.contains('\\'))?
                }
                None => after.split_at(after.find(',').unwrap_or(after.len())),
            };
            let name = name.trim_matches([' ', '\t', ',']);
            if let Some(place) = found.place(name) {
                *place = value.trim();
            }
            rest = after;
        }
        let whole =
            [found.username, found.nonce, found.uri, found.response, found.nc, found.cnonce];
        let fits = scheme.eq_ignore_ascii_case("digest ")
            && found.qop == "auth"
            && (found.algorithm.is_empty() || found.algorithm.eq_ignore_ascii_case("md5"))
            && whole.iter().all(|part| !part.is_empty());
        fits.then_some(found)
    }

    fn place(&mut self, name: &str) -> Option<&mut &'a str> {
        let places = [
            ("username", &mut self.username),
            ("realm", &mut self.realm),
            ("nonce", &mut self.nonce),
            ("uri", &mut self.uri),
            ("response", &mut self.response),
            ("qop", &mut self.qop),
            ("nc", &mut self.nc),
            ("cnonce", &mut self.cnonce),
            ("algorithm", &mut self.algorithm),
        ];
        places.into_iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, place)| place)
    }

    fn expected(&self, stored: &str, method: &str) -> [u8; 32] {
        let asked = joined(&[method.as_bytes(), self.uri.as_bytes()]);
        joined(&[
            stored.as_bytes(),
            self.nonce.as_bytes(),
            self.nc.as_bytes(),
            self.cnonce.as_bytes(),
            self.qop.as_bytes(),
            &asked,
        ])
    }
}

/// The digest of parts with colons between them.
fn joined(parts: &[&[u8]]) -> [u8; 32] {
    let mut all = Md5::default();
    for (at, part) in parts.iter().enumerate() {
        let colon: &[u8] = if at == 0 { b"" } else { b":" };
        all = all.write(colon).write(part);
    }
    all.hex()
}

#[cfg(test)]
mod tests {
    use super::super::passing::tests::passing;
    use super::*;
    use crate::base::prng::Prng;

    const STORED: &str = "939e7578ed9e3c518a452acee763bce9";

    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(
            joined(&[b"Mufasa", b"testrealm@host.com", b"Circle Of Life"]),
            STORED.as_bytes()
        );
        let said = "Digest username=\"Mufasa\", realm=\"testrealm@host.com\", \
            nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", uri=\"/dir/index.html\", qop=auth, \
            nc=00000001, cnonce=\"0a4f113b\", response=\"6629fae49393a05397450978507c4ef1\", \
            opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
        let response = Response::read(said.as_bytes()).expect("a whole response");
        assert_eq!(response.expected(STORED, "GET"), response.response.as_bytes());
        assert_eq!(user(said.as_bytes()), Some("Mufasa"));
    }

    fn digest() -> Digest {
        let credentials = Credentials {
            users: vec![("Mufasa".into(), STORED.into())],
            realm: "testrealm@host.com".into(),
            ..Credentials::default()
        };
        Digest::new(&credentials, SipKey::new(&mut Prng::new(1)))
    }

    /// What a client that knows `stored` answers to a challenge.
    fn answer(challenge: &str, user: &str, stored: &str, method: &str, uri: &str) -> String {
        let nonce = challenge.split("nonce=\"").nth(1).and_then(|it| it.split('"').next());
        let nonce = nonce.expect("a challenge has a nonce");
        let response = Response {
            username: user,
            nonce,
            uri,
            qop: "auth",
            nc: "1",
            cnonce: "c",
            ..Response::default()
        };
        let proof = response.expected(stored, method);
        format!(
            "digest username=\"{user}\", realm=\"testrealm@host.com\", nonce=\"{nonce}\", \
             uri=\"{uri}\", qop=auth, nc=1, cnonce=\"c\", response=\"{}\"",
            String::from_utf8_lossy(&proof)
        )
    }

    #[track_caller]
    fn check(change: impl FnOnce(String) -> String, age: Span, expected: Outcome) {
        let digest = digest();
        let mut challenge = String::new();
        digest.write_challenge(Time::from_nanos(7), false, &mut challenge);
        let said = change(answer(&challenge, "Mufasa", STORED, "GET", "/x?y"));
        let outcome = passing("GET /x?y\nHost: s", &[], |mut passing| {
            passing.now = Time::from_nanos(7) + age;
            digest.judge(Some(said.as_bytes()), &passing)
        });
        assert_eq!(outcome, expected, "{said}");
    }

    #[test]
    fn an_answer_is_right_for_its_user_its_target_and_its_time() {
        let same = |said: String| said;
        check(same, Span::ZERO, Outcome::Right);
        check(same, NONCE_AGE, Outcome::Right);
        check(same, NONCE_AGE + Span::secs(1), Outcome::Stale);
        let replaced =
            |from: &'static str, to: &'static str| move |said: String| said.replace(from, to);
        check(replaced("Mufasa", "Scar"), Span::ZERO, Outcome::Wrong);
        check(replaced("/x?y", "/x"), Span::ZERO, Outcome::Wrong);
        check(replaced("testrealm", "other"), Span::ZERO, Outcome::Wrong);
        check(replaced("nc=1", "nc=2"), Span::ZERO, Outcome::Wrong);
        check(replaced("qop=auth", "qop=auth-int"), Span::ZERO, Outcome::Wrong);
        check(replaced("qop=auth, ", ""), Span::ZERO, Outcome::Wrong);
        check(replaced("nc=1", "nc=1, algorithm=MD5"), Span::ZERO, Outcome::Right);
        check(replaced("nc=1", "nc=1, algorithm=SHA-256"), Span::ZERO, Outcome::Wrong);
        check(replaced("nonce=\"0", "nonce=\"1"), Span::ZERO, Outcome::Wrong);
        check(replaced("digest", "Basic"), Span::ZERO, Outcome::Wrong);
        check(replaced("\"c\"", "\"\\c\""), Span::ZERO, Outcome::Wrong);
    }

    #[test]
    fn a_nonce_of_another_key_is_not_ours() {
        let (mine, mut challenge) = (digest(), String::new());
        let other = Digest { key: SipKey::new(&mut Prng::new(2)), ..digest() };
        other.write_challenge(Time::ZERO, true, &mut challenge);
        assert!(challenge.ends_with("qop=\"auth\", stale=true"), "{challenge}");
        let said = answer(&challenge, "Mufasa", STORED, "GET", "/");
        let outcome =
            passing("GET /\nHost: s", &[], |passing| mine.judge(Some(said.as_bytes()), &passing));
        assert_eq!(outcome, Outcome::Wrong);
        assert_eq!(mine.judge_nothing(), Outcome::Wrong);
    }

    impl Digest {
        fn judge_nothing(&self) -> Outcome {
            passing("GET /\nHost: s", &[], |passing| self.judge(None, &passing))
        }
    }
}
