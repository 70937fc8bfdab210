//! A request on its way through the steps: what each finds there, as those before left it.

use super::forward::Grant;
use super::headers::edits_of;
use super::{AUTHORIZATION, Step};
use crate::base::time::Time;
use crate::config::typed::{IpStrategy, Source};
use crate::http::fields;
use crate::http::head::RequestHead;
use crate::http::target::Target;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

const FORWARDED_FOR: &str = "X-Forwarded-For";

/// What a step may look at.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    pub head: &'a RequestHead<'a>,
    pub target: &'a Target<'a>,
    pub peer: IpAddr,
    /// The peer is believed about `X-Forwarded-*`.
    pub trusted: bool,
    /// The request came over TLS.
    pub secure: bool,
    /// The steps before.
    pub passed: &'a [Step],
    /// Path and query as these have left them.
    pub path: &'a str,
    /// The name of the route, which keeps its own counts.
    pub route: &'a str,
    pub now: Time,
    /// Who asks, as a step before has found out.
    pub user: &'a str,
    /// What steps before were told about the request.
    pub grants: &'a [Grant],
}

/// What tells the senders of requests apart.
pub(super) enum Whose<'a> {
    Address(Ipv6Addr),
    Text(&'a [u8]),
}

impl<'a> Passing<'a> {
    /// The first value of a field.
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        if let Some(set) = self.set(name) {
            return set;
        }
        if !self.trusted && says_whence(name) {
            return None;
        }
        fields::first(self.head.fields, name)
    }

    /// What the steps before have made of a field, if anything: the last word is the innermost's.
    fn set(&self, name: &str) -> Option<Option<&'a [u8]>> {
        let mut steps = self.passed.iter().enumerate().rev();
        steps.find_map(|(at, step)| self.set_by(at, step, name))
    }

    fn set_by(&self, at: usize, step: &'a Step, name: &str) -> Option<Option<&'a [u8]>> {
        let edits = edits_of(step).iter();
        if let Some((_, value)) = edits.rev().find(|(edited, _)| edited.eq_ignore_ascii_case(name))
        {
            return Some(Some(value.as_bytes()).filter(|value| !value.is_empty()));
        }
        if !step.owns(name.as_bytes()) {
            return None;
        }
        if let Step::ForwardAuth(_) = step {
            let grant = self.grants.iter().find(|grant| usize::from(grant.step) == at);
            return Some(grant.and_then(|grant| grant.first(name)));
        }
        let names_user = step.user_field().is_some_and(|field| field.eq_ignore_ascii_case(name));
        let shown = names_user || !name.eq_ignore_ascii_case(AUTHORIZATION);
        Some(shown.then_some(self.user.as_bytes()))
    }

    /// The host that the server will be told, without port.
    pub fn host(&self) -> &'a str {
        match self.set("Host").flatten().and_then(|host| std::str::from_utf8(host).ok()) {
            Some(host) => host,
            None => self.target.host,
        }
    }

    /// Host and port as the client sees them.
    pub fn authority(&self) -> &'a str {
        match self.set("Host").flatten().and_then(|host| std::str::from_utf8(host).ok()) {
            Some(host) => host,
            None => self.target.authority,
        }
    }

    /// Whether the client speaks TLS, as far as we or whoever is in front of us can tell.
    pub fn is_secure(&self) -> bool {
        match self.field("X-Forwarded-Proto") {
            Some(proto) if is_one_of(proto, &["https", "wss"]) => true,
            Some(proto) if is_one_of(proto, &["http", "ws"]) => false,
            Some(_) | None => self.secure,
        }
    }

    /// Addresses on the way here, the nearest first.
    fn forwarded_for(&self) -> impl Iterator<Item = &'a [u8]> {
        let set = self.set(FORWARDED_FOR);
        let own = set.flatten();
        let believed = self.trusted && set.is_none();
        let came = if believed { self.head.fields } else { &[] };
        let came = came.iter().rev().filter(|it| it.name.eq_ignore_ascii_case(FORWARDED_FOR));
        own.into_iter()
            .chain(came.map(|it| it.value))
            .flat_map(|value| value.rsplit(|b| *b == b','))
            .map(fields::trim)
    }

    /// What tells this request's sender from others. Those of whom nothing is known are one.
    pub(super) fn whose(&self, source: &Source) -> Whose<'a> {
        let address = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => Whose::Address(ip.to_ipv6_mapped()),
            IpAddr::V6(ip) => Whose::Address(ip),
        };
        match source {
            Source::Ip(strategy) => self.client_ip(strategy).map_or(Whose::Text(b""), address),
            Source::Host => Whose::Text(self.host().as_bytes()),
            Source::Header(name) => match self.field(name) {
                Some(value) => Whose::Text(value),
                None if name.eq_ignore_ascii_case("x-real-ip") => address(self.peer.to_canonical()),
                None => Whose::Text(b""),
            },
        }
    }

    /// Whose request it is. None if the strategy finds no address.
    pub fn client_ip(&self, strategy: &IpStrategy) -> Option<IpAddr> {
        let ip = match strategy.depth {
            0 if strategy.excluded.is_empty() => Some(self.peer.to_canonical()),
            0 => self
                .forwarded_for()
                .map(address)
                .find(|ip| ip.is_none_or(|ip| !strategy.excluded.iter().any(|r| r.contains(ip))))
                .flatten(),
            depth => self.forwarded_for().nth(depth as usize - 1).and_then(address),
        };
        ip.map(|ip| match (ip, strategy.ipv6_bits) {
            (IpAddr::V6(ip), Some(bits)) => Ipv6Addr::from_bits(ip.to_bits() & mask(bits)).into(),
            _ => ip,
        })
    }
}

fn mask(bits: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0)
}

fn is_one_of(value: &[u8], words: &[&str]) -> bool {
    words.iter().any(|word| word.as_bytes().eq_ignore_ascii_case(value))
}

/// Fields that say where a request comes from.
fn says_whence(name: &str) -> bool {
    let start = name.as_bytes().get(.."x-forwarded-".len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(b"x-forwarded-"))
        || name.eq_ignore_ascii_case("x-real-ip")
        || name.eq_ignore_ascii_case("x-scheme")
}

/// An address as it stands in such lists: some write a port, brackets or a zone.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let plain = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let plain = plain.split_once('%').map_or(plain, |(plain, _)| plain);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    plain.parse::<IpAddr>().ok().or_else(with_port).map(|ip| ip.to_canonical())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::base::cidr::Cidr;
    use crate::http::fields::Field;
    use crate::http::head::Version;
    use crate::http::target::{Rewritten, read};
    use crate::service::middleware::Headers;
    use std::sync::Arc;

    /// A request with these lines, `GET` or else `METHOD target` first, for a test to look at.
    pub(in super::super) fn passing<T>(
        request: &str,
        passed: &[Step],
        look: impl FnOnce(Passing<'_>) -> T,
    ) -> T {
        let mut lines = request.lines();
        let (method, target) =
            lines.next().and_then(|line| line.split_once(' ')).expect("a request line");
        let fields: Vec<Field<'_>> = lines
            .map(|line| line.split_once(": ").expect("a field line"))
            .map(|(name, value)| Field { name, value: value.as_bytes() })
            .collect();
        let head = RequestHead::new(method, target, Version::Http11, &fields).expect("fine");
        let mut rewritten = Rewritten::default();
        let target = read(&head, &mut rewritten).expect("a fine target");
        let path = match target.query {
            Some(query) => format!("{}?{query}", target.path),
            None => target.path.to_owned(),
        };
        look(Passing {
            head: &head,
            target: &target,
            peer: "192.0.2.7".parse().expect("an address"),
            trusted: !request.contains("X-Stranger"),
            secure: false,
            passed,
            path: &path,
            route: "r",
            now: Time::ZERO,
            user: "",
            grants: &[],
        })
    }

    #[track_caller]
    fn ip(fields: &str, depth: u32, excluded: &[&str], bits: Option<u8>, expected: &str) {
        let excluded = excluded.iter().map(|text| Cidr::parse(text).expect("a range")).collect();
        let strategy = IpStrategy { depth, excluded, ipv6_bits: bits };
        let request = format!("GET /\nHost: s\n{fields}");
        let found = passing(&request, &[], |passing| passing.client_ip(&strategy));
        let found = found.map_or_else(|| "none".to_owned(), |ip| ip.to_string());
        assert_eq!(found, expected, "{fields} at {depth}");
    }

    #[test]
    fn the_depth_counts_from_the_right_and_over_all_lines() {
        let list = "X-Forwarded-For: 10.0.0.1, 11.0.0.1 ,12.0.0.1";
        ip(list, 0, &[], None, "192.0.2.7");
        ip(list, 1, &[], None, "12.0.0.1");
        ip(list, 3, &[], None, "10.0.0.1");
        ip(list, 4, &[], None, "none");
        ip("X-Forwarded-For: 1.1.1.1\nX-Forwarded-For: 2.2.2.2, 3.3.3.3", 3, &[], None, "1.1.1.1");
        ip("X-Forwarded-For: x, 2.2.2.2", 2, &[], None, "none");
        ip("Accept: x", 1, &[], None, "none");
    }

    #[test]
    fn what_a_stranger_says_of_its_way_is_not_heard() {
        ip("X-Stranger: 1\nX-Forwarded-For: 10.0.0.1", 1, &[], None, "none");
        ip("X-Stranger: 1\nX-Forwarded-For: 10.0.0.1", 0, &["1.1.1.1"], None, "none");
    }

    #[test]
    fn the_nearest_address_that_is_not_excluded_counts() {
        let list = "X-Forwarded-For: 10.0.0.1, 11.0.0.1, 12.0.0.1, 13.0.0.1";
        ip(list, 0, &["13.0.0.0/8", "12.0.0.1"], None, "11.0.0.1");
        ip(list, 0, &["0.0.0.0/0"], None, "none");
        ip(list, 2, &["13.0.0.0/8", "12.0.0.1"], None, "12.0.0.1");
        ip("X-Forwarded-For: 1.1.1.1, unknown, 2.2.2.2", 0, &["2.2.2.2"], None, "none");
    }

    #[test]
    fn addresses_are_read_as_proxies_write_them() {
        for (text, expected) in [
            ("1.2.3.4:5678", "1.2.3.4"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("", "none"),
        ] {
            ip(&format!("X-Forwarded-For: {text}"), 1, &[], None, expected);
        }
    }

    #[test]
    fn ipv6_addresses_of_one_subnet_are_one() {
        let list = "X-Forwarded-For: 2001:db8:1:2:3:4:5:6";
        ip(list, 1, &[], Some(64), "2001:db8:1:2::");
        ip(list, 1, &[], Some(128), "2001:db8:1:2:3:4:5:6");
        ip(list, 1, &[], Some(0), "::");
        ip("X-Forwarded-For: 1.2.3.4", 1, &[], Some(64), "1.2.3.4");
    }

    #[test]
    fn a_step_sees_fields_as_the_steps_before_left_them() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let request =
            vec![pair("X-Who", "me"), pair("X-Gone", ""), pair("X-Forwarded-For", "9.9.9.9")];
        let steps = [Step::Headers(Arc::new(Headers::custom(request, Vec::new())))];
        let lines = "GET /\nHost: s\nX-Who: you\nX-Gone: 1\nX-Kept: 2\nX-Forwarded-For: 1.1.1.1";
        passing(lines, &steps, |passing| {
            assert_eq!(passing.field("x-who"), Some(&b"me"[..]));
            assert_eq!(passing.field("x-gone"), None);
            assert_eq!(passing.field("x-kept"), Some(&b"2"[..]));
            let strategy = IpStrategy { depth: 1, ..IpStrategy::default() };
            assert_eq!(passing.client_ip(&strategy), "9.9.9.9".parse().ok());
        });
    }

    #[test]
    fn a_client_is_as_secure_as_whoever_is_in_front_of_us_says() {
        for (line, own, expected) in [
            ("X-Kept: 1", false, false),
            ("X-Kept: 1", true, true),
            ("X-Forwarded-Proto: https", false, true),
            ("X-Forwarded-Proto: WSS", false, true),
            ("X-Forwarded-Proto: http", true, false),
            ("X-Forwarded-Proto: ws", true, false),
            ("X-Forwarded-Proto: gopher", false, false),
            ("X-Forwarded-Proto: gopher", true, true),
        ] {
            passing(&format!("GET /\nHost: s\n{line}"), &[], |mut passing| {
                passing.secure = own;
                assert_eq!(passing.is_secure(), expected, "{line} {own}");
            });
        }
    }
}
