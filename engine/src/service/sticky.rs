//! Sticky sessions: which member a cookie names, and the cookie that names a member. Names and
//! values are Traefik's, so that a client's cookie means the same to both.

use crate::base::digest::{fnv1, hex, sha256};
use crate::config::typed::{SameSite, StickyCookie};
use crate::http::fields::{self, Field, trim};
use std::fmt::Write as _;

const VALUE_DIGITS: usize = 16;

/// The value that names a member.
pub fn value_of(key: &str) -> String {
    hex(&sha256(key.as_bytes()), VALUE_DIGITS)
}

/// The cookie of one level of services.
#[derive(PartialEq, Eq, Debug)]
pub struct Sticky {
    name: String,
    /// What a cookie may say, sorted.
    values: Box<[Value]>,
    /// `Set-Cookie` for each member.
    lines: Box<[Box<str>]>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Value {
    text: Box<str>,
    member: u16,
    /// An earlier way to name the member, to be replaced in the client.
    old: bool,
}

/// Whom a cookie names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Named {
    pub member: u16,
    /// In an earlier spelling: the client is to be given the present one.
    pub old: bool,
}

impl Sticky {
    /// Members are positions in `keys`: URLs of servers, or names of services as written. Members
    /// with one key share one cookie, which names the first.
    pub fn new<'a>(cookie: &StickyCookie, keys: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut values, mut lines) = (Vec::new(), Vec::new());
        for (member, key) in (0..=u16::MAX).zip(keys) {
            let present = value_of(key);
            let hash = format!("{:x}", fnv1(key.as_bytes()));
            let twice = format!("{:x}", fnv1(hash.as_bytes()));
            lines.push(line(cookie, &present).into_boxed_str());
            let all = [(present, false), (key.to_owned(), true), (hash, true), (twice, true)];
            values.extend(all.map(|(text, old)| Value {
                text: text.into_boxed_str(),
                member,
                old,
            }));
        }
        values.sort_unstable();
        values.dedup_by(|next, first| next.text == first.text);
        Self { name: cookie.name.clone(), values: values.into(), lines: lines.into() }
    }

    /// Whom the first cookie of this level's name names.
    pub fn find(&self, request: &[Field<'_>]) -> Option<Named> {
        let text = cookie(request, self.name.as_bytes())?;
        let at = self.values.binary_search_by(|value| value.text.as_bytes().cmp(text)).ok()?;
        let Value { member, old, .. } = self.values[at];
        Some(Named { member, old })
    }

    /// What a cookie of an earlier form says that names a member.
    pub fn earlier(&self, member: u16) -> Option<String> {
        let found = self.values.iter().find(|value| value.old && value.member == member);
        found.map(|value| format!("{}={}", self.name, value.text))
    }

    /// The value of the `Set-Cookie` that names a member.
    pub fn line(&self, member: u16) -> Option<&str> {
        self.lines.get(usize::from(member)).map(|line| &**line)
    }
}

fn line(cookie: &StickyCookie, value: &str) -> String {
    format!("{}={value}{}", cookie.name, attributes(cookie))
}

/// What follows the value in `Set-Cookie`.
pub(super) fn attributes(cookie: &StickyCookie) -> String {
    let mut line = String::new();
    let attributes = [("Path", &cookie.path), ("Domain", &cookie.domain)];
    for (name, text) in attributes.into_iter().filter(|(_, text)| !text.is_empty()) {
        let _ = write!(line, "; {name}={text}");
    }
    match cookie.max_age {
        0 => {}
        age => {
            let _ = write!(line, "; Max-Age={}", age.max(0));
        }
    }
    if cookie.http_only {
        line.push_str("; HttpOnly");
    }
    if cookie.secure {
        line.push_str("; Secure");
    }
    line.push_str(match cookie.same_site {
        None => "",
        Some(SameSite::None) => "; SameSite=None",
        Some(SameSite::Lax) => "; SameSite=Lax",
        Some(SameSite::Strict) => "; SameSite=Strict",
    });
    line
}

/// The value of the first cookie of this name, without the quotes it may stand in.
pub(super) fn cookie<'a>(request: &[Field<'a>], name: &[u8]) -> Option<&'a [u8]> {
    let pairs = fields::all(request, "cookie").flat_map(|line| line.split(|b| *b == b';'));
    let value = pairs.map(trim).find_map(|pair| match pair.strip_prefix(name)? {
        [b'=', value @ ..] => Some(value),
        _ => None,
    })?;
    Some(match value {
        [b'"', inner @ .., b'"'] => inner,
        value => value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(name: &str) -> StickyCookie {
        StickyCookie { name: name.into(), ..StickyCookie::default() }
    }

    #[test]
    fn values_are_those_that_clients_of_traefik_hold() {
        assert_eq!(value_of("http://10.42.0.6:80"), "08e1f9a2357f532a");
    }

    #[track_caller]
    fn check(cookies: &[&str], expected: Option<(u16, bool)>) {
        let sticky = Sticky::new(&plain("lvl"), ["http://a:80", "http://b:80", "http://a:80"]);
        let request: Vec<Field<'_>> =
            cookies.iter().map(|line| Field { name: "Cookie", value: line.as_bytes() }).collect();
        let found = sticky.find(&request).map(|named| (named.member, named.old));
        assert_eq!(found, expected, "{cookies:?}");
    }

    #[test]
    fn a_cookie_names_its_member_in_any_spelling_that_was_ever_given_out() {
        let b = value_of("http://b:80");
        let once = format!("{:x}", fnv1(b"http://b:80"));
        let twice = format!("{:x}", fnv1(once.as_bytes()));
        check(&[&format!("lvl={b}")], Some((1, false)));
        check(&[&format!("lvl=\"{b}\"")], Some((1, false)));
        check(&[&format!("a=b; lvl={b}; lvl=x")], Some((1, false)));
        check(&["a=b;c", &format!(" lvl={b} ")], Some((1, false)));
        check(&["lvl=http://b:80"], Some((1, true)));
        check(&[&format!("lvl={once}")], Some((1, true)));
        check(&[&format!("lvl={twice}")], Some((1, true)));
        check(&[&format!("lvl={}", value_of("http://a:80"))], Some((0, false)));
        check(&[&format!("lvl=x; lvl={b}")], None);
        check(&[&format!("LVL={b}")], None);
        check(&[&format!("lvl2={b}"), "lvl", "", ";=;lvl"], None);
        check(&[], None);
    }

    #[test]
    fn attributes_are_sent_as_they_are_asked_for() {
        let a = value_of("a");
        let line = |cookie: &StickyCookie| Sticky::new(cookie, ["a"]).lines[0].to_string();
        assert_eq!(line(&plain("c")), format!("c={a}; Path=/"));
        let all = StickyCookie {
            name: "c".into(),
            secure: true,
            http_only: true,
            same_site: Some(SameSite::None),
            max_age: 3_600,
            path: "/shop".into(),
            domain: "example.com".into(),
            signed_by: None,
        };
        assert_eq!(
            line(&all),
            format!(
                "c={a}; Path=/shop; Domain=example.com; Max-Age=3600; HttpOnly; Secure; \
                 SameSite=None"
            )
        );
        let gone = StickyCookie { max_age: -1, same_site: Some(SameSite::Lax), ..plain("c") };
        assert_eq!(line(&gone), format!("c={a}; Path=/; Max-Age=0; SameSite=Lax"));
        let strict = StickyCookie { same_site: Some(SameSite::Strict), ..plain("c") };
        assert_eq!(line(&strict), format!("c={a}; Path=/; SameSite=Strict"));
    }
}
