//! Why a rule matches or does not: the parts that decide it, and what they looked at.

use crate::http::fields;
use crate::http::request::RequestInfo;
use crate::rule::{Matcher, Node};

/// The parts that make `node` what it is for this request, each with what it found.
pub(super) fn why(node: &Node, request: &RequestInfo<'_>) -> String {
    let mut reasons = Vec::new();
    collect(node, request, &mut reasons);
    reasons.join("; ")
}

/// Of an `&&` that fails one failing part is enough, of one that holds every part is needed; of an
/// `||` it is the other way round.
fn collect(node: &Node, request: &RequestInfo<'_>, reasons: &mut Vec<String>) {
    match node {
        Node::Match(matcher) => reasons.push(one(matcher, request)),
        Node::Not(inner) => {
            let held = inner.matches(request);
            let verdict = if held { "holds" } else { "does not hold" };
            let mut inside = Vec::new();
            collect(inner, request, &mut inside);
            reasons.push(format!("what ! denies {verdict}: {}", inside.join("; ")));
        }
        Node::And(parts) | Node::Or(parts) => {
            let matches = node.matches(request);
            let decisive = matches == matches!(node, Node::Or(_));
            if decisive {
                let first = parts.iter().find(|part| part.matches(request) == matches);
                first.into_iter().for_each(|part| collect(part, request, reasons));
            } else {
                parts.iter().for_each(|part| collect(part, request, reasons));
            }
        }
    }
}

fn one(matcher: &Matcher, request: &RequestInfo<'_>) -> String {
    let verdict = if matcher.matches(request) { "holds" } else { "does not hold" };
    format!("{matcher} {verdict}: {}", seen(matcher, request))
}

/// What a matcher looks at.
fn seen(matcher: &Matcher, request: &RequestInfo<'_>) -> String {
    match matcher {
        Matcher::Host(_) | Matcher::HostRegexp(_) if request.host.is_empty() => {
            "the request names no host".to_owned()
        }
        Matcher::Host(_) | Matcher::HostRegexp(_) => format!("the host is {}", request.host),
        Matcher::Path(_) | Matcher::PathPrefix(_) | Matcher::PathRegexp(_) => {
            format!("the path is {}", request.path)
        }
        Matcher::Header { name, .. } | Matcher::HeaderRegexp { name, .. } => {
            let values: Vec<String> = fields::all(request.fields, name)
                .map(|value| format!("`{}`", value.escape_ascii()))
                .collect();
            match values.len() {
                0 => format!("there is no {name}"),
                _ => format!("{name} is {}", values.join(" and ")),
            }
        }
        Matcher::Query { .. } | Matcher::QueryRegexp { .. } => match request.query {
            "" => "there is no query".to_owned(),
            query => format!("the query is {query}"),
        },
        Matcher::Method(_) => format!("the method is {}", request.method),
        Matcher::ClientIp(_) => format!("the peer is {}", request.peer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fields::Field;
    use crate::rule::Rule;

    #[track_caller]
    fn check(rule: &str, expected: &str) {
        check_asked("a.test", rule, expected);
    }

    #[track_caller]
    fn check_asked(host: &str, rule: &str, expected: &str) {
        let request = RequestInfo {
            method: "GET",
            authority: host,
            host,
            path: "/pay/x",
            query: "",
            fields: &[Field { name: "X-Region", value: b"eu" }],
            peer: [192, 0, 2, 7].into(),
        };
        let rule = Rule::parse(rule).expect("a rule");
        assert_eq!(why(rule.ast(), &request), expected);
    }

    #[test]
    fn the_parts_that_decide_are_named_with_what_they_saw() {
        check("Host(`a.test`)", "Host(`a.test`) holds: the host is a.test");
        check(
            "Host(`a.test`) && PathPrefix(`/shop`) && Method(`PUT`)",
            "PathPrefix(`/shop`) does not hold: the path is /pay/x",
        );
        check(
            "Host(`b.test`) || Header(`X-Region`, `us`)",
            "Host(`b.test`) does not hold: the host is a.test; \
             Header(`X-Region`, `us`) does not hold: X-Region is `eu`",
        );
        check(
            "!(Path(`/pay`) || ClientIP(`192.0.2.0/24`))",
            "what ! denies holds: ClientIP(`192.0.2.0/24`) holds: the peer is 192.0.2.7",
        );
        check("Query(`a`, `b`)", "Query(`a`, `b`) does not hold: there is no query");
    }

    #[test]
    fn what_is_missing_is_said_to_be_missing() {
        let expected = "Host(`a.test`) does not hold: the request names no host";
        check_asked("", "Host(`a.test`)", expected);
        check("Header(`X-No`, `a`)", "Header(`X-No`, `a`) does not hold: there is no X-No");
    }
}
