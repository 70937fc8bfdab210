//! Printing and parsing are inverses; the matcher agrees with a naive twin; no text is a surprise.

use super::*;
use crate::base::cidr::Cidr;
use crate::http::fields::Field;
use proptest::prelude::*;
use std::net::IpAddr;

fn word() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c]{1,2}", "[ -~]{1,4}", "[`\"\\\\\r\n\t\u{1}ö%+&=;]{1,3}"]
}

fn path() -> impl Strategy<Value = String> {
    prop_oneof![Just("/".to_owned()), "/[ab]{0,2}", word().prop_map(|word| format!("/{word}"))]
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("*".to_owned()),
        "[ab]{1,2}",
        "[ab]\\.[ab]",
        "\\*\\.[ab]",
        "\\*\\.[ab]\\.[ab]",
        Just("*.".to_owned()),
    ]
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let sources = ["a", "^a", "b$", "a.b", "^$", "(?i)A", "[^a]", "a|b", "`", "^/a/?$"];
    prop::sample::select(sources.to_vec()).prop_map(|source| Pattern::new(source).expect(source))
}

fn range() -> impl Strategy<Value = Cidr> {
    let ranges = ["10.0.0.0/8", "10.1.2.3", "0.0.0.0/0", "::/0", "2001:db8::/32", "::1"];
    prop::sample::select(ranges.to_vec()).prop_map(|range| Cidr::parse(range).expect(range))
}

fn matcher() -> impl Strategy<Value = Node> {
    let host = host().prop_map(|text| match Rule::parse(&format!("Host(`{text}`)")) {
        Ok(rule) => rule.root,
        Err(error) => panic!("{text}: {error:?}"),
    });
    let other = prop_oneof![
        pattern().prop_map(Matcher::HostRegexp),
        path().prop_map(Matcher::Path),
        path().prop_map(Matcher::PathPrefix),
        pattern().prop_map(Matcher::PathRegexp),
        ("[a-cA-C]", word()).prop_map(|(name, value)| Matcher::Header { name, value }),
        ("[a-cA-C]", pattern()).prop_map(|(name, pattern)| Matcher::HeaderRegexp { name, pattern }),
        (word(), prop::option::of(word())).prop_map(|(key, value)| Matcher::Query { key, value }),
        (word(), pattern()).prop_map(|(key, pattern)| Matcher::QueryRegexp { key, pattern }),
        prop::sample::select(&["GET", "POST"][..]).prop_map(|m| Matcher::Method(m.to_owned())),
        range().prop_map(Matcher::ClientIp),
    ];
    prop_oneof![1 => host, 5 => other.prop_map(Node::Match)]
}

fn rule() -> impl Strategy<Value = Node> {
    matcher().prop_recursive(5, 24, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|node| Node::Not(Box::new(node))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Node::And),
            prop::collection::vec(inner, 2..4).prop_map(Node::Or),
        ]
    })
}

#[derive(Clone, Debug)]
struct Owned {
    method: String,
    host: String,
    path: String,
    query: Vec<(String, String)>,
    junk: String,
    fields: Vec<(String, Vec<u8>)>,
    peer: IpAddr,
}

fn request() -> impl Strategy<Value = Owned> {
    let value = || prop_oneof![word(), "[ab]{0,2}"];
    let host = prop_oneof![Just(String::new()), "[ab]{1,2}\\.?", "[ab](\\.[ab]){1,2}\\.?"];
    let peers = ["10.1.2.3", "::ffff:10.1.2.3", "::1", "2001:db8::7", "192.0.2.1"];
    let peer =
        prop::sample::select(peers.to_vec()).prop_map(|peer| peer.parse().expect("an address"));
    (
        prop::sample::select(&["GET", "POST"][..]).prop_map(str::to_owned),
        host,
        path(),
        prop::collection::vec((value(), value()), 0..3),
        "[a%;&=+]{0,4}",
        prop::collection::vec(("[a-cA-C]", value().prop_map(String::into_bytes)), 0..3),
        peer,
    )
        .prop_map(|(method, host, path, query, junk, fields, peer)| Owned {
            method,
            host,
            path,
            query,
            junk,
            fields,
            peer,
        })
}

impl Owned {
    /// The pairs as a client would send them, then something malformed.
    fn raw_query(&self) -> String {
        let escaped = |text: &str| {
            let escape = |b: u8| match b {
                b'a'..=b'z' => char::from(b).to_string(),
                b' ' => "+".to_owned(),
                b => format!("%{b:02x}"),
            };
            text.bytes().map(escape).collect::<String>()
        };
        let mut pairs: Vec<String> =
            self.query.iter().map(|(k, v)| format!("{}={}", escaped(k), escaped(v))).collect();
        pairs.push(format!("%{};", self.junk));
        pairs.join("&")
    }
}

/// What the documentation says, with no thought of speed.
fn naive(node: &Node, request: &Owned) -> bool {
    let matcher = match node {
        Node::Not(inner) => return !naive(inner, request),
        Node::And(parts) => return parts.iter().filter(|p| !naive(p, request)).count() == 0,
        Node::Or(parts) => return parts.iter().filter(|p| naive(p, request)).count() > 0,
        Node::Match(matcher) => matcher,
    };
    let values = |name: &str| {
        let same = |other: &str| other.to_lowercase() == name.to_lowercase();
        let found = request.fields.iter().filter(|(other, _)| same(other));
        found.map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    let query = |key: &str| {
        let found = request.query.iter().filter(|(other, _)| other == key);
        found.map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    match matcher {
        Matcher::Host(pattern) => naive_host(pattern, &request.host),
        Matcher::HostRegexp(pattern) => pattern.is_match(request.host.as_bytes()),
        Matcher::Path(path) => *path == request.path,
        Matcher::PathPrefix(prefix) => request.path.find(prefix.as_str()) == Some(0),
        Matcher::PathRegexp(pattern) => pattern.is_match(request.path.as_bytes()),
        Matcher::Header { name, value } => values(name).contains(&value.as_bytes().to_vec()),
        Matcher::HeaderRegexp { name, pattern } => values(name).iter().any(|v| pattern.is_match(v)),
        Matcher::Query { key, value } => {
            query(key).contains(value.as_ref().unwrap_or(&String::new()))
        }
        Matcher::QueryRegexp { key, pattern } => {
            query(key).iter().any(|value| pattern.is_match(value.as_bytes()))
        }
        Matcher::Method(method) => *method == request.method,
        Matcher::ClientIp(range) => range.contains(request.peer),
    }
}

fn naive_host(pattern: &HostPattern, host: &str) -> bool {
    let host = host.trim_end_matches('.');
    let labels: Vec<&str> = host.split('.').collect();
    match pattern {
        HostPattern::Any => true,
        HostPattern::Exactly(wanted) => host == wanted,
        HostPattern::OneLabelUnder(parent) => {
            !labels[0].is_empty() && labels[1..].join(".") == *parent && labels.len() > 1
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_parses_to_the_same(node in rule()) {
        let text = node.to_string();
        let parsed = Rule::parse(&text);
        prop_assert_eq!(parsed.as_ref().map(Rule::ast), Ok(&node), "{}", text);
    }

    #[test]
    fn the_matcher_agrees_with_its_naive_twin(node in rule(), request in request()) {
        let query = request.raw_query();
        let fields: Vec<Field<'_>> =
            request.fields.iter().map(|(name, value)| Field { name, value }).collect();
        let info = RequestInfo {
            method: &request.method,
            authority: &request.host,
            host: &request.host,
            path: &request.path,
            query: &query,
            fields: &fields,
            peer: request.peer,
        };
        prop_assert_eq!(node.matches(&info), naive(&node, &request), "{} on {}", node, query);
    }

    #[test]
    fn any_text_is_a_rule_or_an_error_inside_of_it(text in "[A-Za-z(),!&|`\"\\\\ \nö/*0-9]{0,40}") {
        if let Err(error) = Rule::parse(&text) {
            prop_assert!(error.start <= error.end && error.start <= text.len());
            prop_assert!(text.is_char_boundary(error.start), "{:?}", error);
            prop_assert!(!error.text.is_empty());
        }
    }
}
