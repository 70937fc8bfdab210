//! Bad answers and the pages that replace them.

use crate::base::id::ServiceId;
use crate::config::typed::ErrorPages;
use std::fmt::Write as _;

/// Pages for some statuses, and who makes them.
#[derive(Debug)]
pub struct Pages {
    definition: ErrorPages,
    pub service: ServiceId,
}

impl Pages {
    pub fn new(definition: ErrorPages, service: ServiceId) -> Self {
        Self { definition, service }
    }

    /// What clients are told instead of `status`, if that is replaced.
    pub fn status_for(&self, status: u16) -> Option<u16> {
        if !self.definition.status.iter().any(|range| range.contains(&status)) {
            return None;
        }
        let rewritten = self.definition.rewrites.iter().find(|(range, _)| range.contains(&status));
        Some(rewritten.map_or(status, |(_, code)| *code))
    }

    /// Whether the service gets this field of the request. What is about the request's body or
    /// asks for a part of the answer it does not.
    pub fn passes(&self, name: &str) -> bool {
        let begins = |start: &str| {
            name.get(..start.len()).is_some_and(|name| name.eq_ignore_ascii_case(start))
        };
        let whole = ["range", "expect", "transfer-encoding", "upgrade", "te"];
        let is_one = whole.into_iter().any(|own| own.eq_ignore_ascii_case(name));
        if is_one || begins("content-") || begins("if-") {
            return false;
        }
        let host = name.eq_ignore_ascii_case("host");
        let listed = self.definition.request_fields.as_ref();
        host || listed.is_none_or(|list| list.iter().any(|it| it.eq_ignore_ascii_case(name)))
    }

    /// Path and query of the page.
    pub fn target(&self, status: u16, original: u16, url: &str) -> String {
        let mut out = String::new();
        let mut rest = self.definition.query.as_str();
        while let Some(open) = rest.find('{') {
            let (before, from) = rest.split_at(open);
            out.push_str(before);
            let known = ["{status}", "{originalStatus}", "{url}"];
            let word = known.into_iter().find(|word| from.starts_with(word));
            match word {
                Some("{status}") => write!(out, "{status}").expect("a string takes every letter"),
                Some("{originalStatus}") => {
                    write!(out, "{original}").expect("a string takes every letter");
                }
                Some(_) => escape(url, &mut out),
                None => out.push_str("%7B"),
            }
            rest = &from[word.map_or(1, str::len)..];
        }
        out.push_str(rest);
        out
    }
}

/// As a value of a query.
fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            _ => write!(out, "%{byte:02X}").expect("a string takes every letter"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(query: &str) -> Pages {
        let definition = ErrorPages {
            status: vec![404..=404, 500..=599],
            rewrites: vec![(502..=504, 503), (500..=510, 500)],
            service: "s".into(),
            query: query.into(),
            request_fields: None,
        };
        Pages::new(definition, ServiceId(1))
    }

    #[test]
    fn statuses_are_replaced_or_not() {
        let pages = pages("/");
        for (status, told) in [
            (200, None),
            (404, Some(404)),
            (502, Some(503)),
            (509, Some(500)),
            (511, Some(511)),
            (499, None),
        ] {
            assert_eq!(pages.status_for(status), told, "{status}");
        }
    }

    #[test]
    fn words_in_braces_are_filled_in() {
        for (query, target) in [
            ("/{status}.html", "/503.html"),
            ("/e?u={url}&o={originalStatus}", "/e?u=%2Fa%20b%3Fc%3Dd%26e&o=502"),
            ("/{stat}us}", "/%7Bstat}us}"),
            ("/{", "/%7B"),
        ] {
            let target = target.replace("%20", "%2520");
            assert_eq!(pages(query).target(503, 502, "/a%20b?c=d&e"), target, "{query}");
        }
    }

    #[test]
    fn what_is_about_the_body_is_not_passed_on() {
        let all = pages("/");
        for (name, passes) in [
            ("Content-Length", false),
            ("content-type", false),
            ("If-None-Match", false),
            ("Range", false),
            ("Cookie", true),
            ("Accept", true),
            ("Host", true),
        ] {
            assert_eq!(all.passes(name), passes, "{name}");
        }
        let mut some = pages("/");
        some.definition.request_fields = Some(vec!["Accept".into(), "Range".into()]);
        for (name, passes) in
            [("Host", true), ("accept", true), ("Cookie", false), ("Range", false)]
        {
            assert_eq!(some.passes(name), passes, "{name}");
        }
    }
}
