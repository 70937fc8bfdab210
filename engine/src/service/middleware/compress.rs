//! Which responses are compressed, and how: what the client takes, what the middleware offers, and
//! what a response says of itself.

use crate::base::mutant::{Mutant, planted};
use crate::config::typed::{Coding, Compress};
use crate::http::fields::{self, Field};

/// What the client takes, best first as the middleware sees it. Nothing if it wants the response
/// as it is.
pub fn coding_for(settings: &Compress, request: &[Field<'_>]) -> Option<Coding> {
    let kind = fields::first(request, "content-type").unwrap_or_default();
    if begins(kind, "application/grpc") {
        return None;
    }
    let said = fields::first(request, "accept-encoding").is_some();
    let mut best: Option<(u32, Coding)> = None;
    let mut weights = [None; Coding::ALL.len()];
    let mut others = None;
    for element in fields::all(request, "accept-encoding").flat_map(fields::list) {
        let (name, weight) = weighted(element);
        match Coding::ALL.into_iter().find(|it| name.eq_ignore_ascii_case(it.name().as_bytes())) {
            Some(coding) => weights[coding as usize] = Some(weight),
            None if name == b"*" => others = Some(weight),
            None => {}
        }
    }
    if !said {
        return settings.default;
    }
    let first = settings.default.or_else(|| settings.encodings.first().copied());
    for &coding in &settings.encodings {
        let other = others.filter(|_| first == Some(coding));
        let weight = weights[coding as usize].or(other).unwrap_or(0);
        if weight > 0 && best.is_none_or(|(than, _)| weight > than) {
            best = Some((weight, coding));
        }
    }
    best.map(|(_, coding)| coding)
}

/// Whether a response with these fields may be compressed at all.
pub fn may_compress(settings: &Compress, status: u16, response: &[Field<'_>]) -> bool {
    let has = |name| fields::first(response, name).is_some();
    let keeps_form = fields::all(response, "cache-control")
        .flat_map(fields::list)
        .any(|word| word.eq_ignore_ascii_case(b"no-transform"));
    if matches!(status, 204 | 206 | 304) || keeps_form || has("content-range") {
        return false;
    }
    let coded = fields::all(response, "content-encoding").flat_map(fields::list);
    let is_coded = coded.into_iter().any(|coding| !coding.eq_ignore_ascii_case(b"identity"));
    if is_coded && !planted(Mutant::SqueezesAgain) {
        return false;
    }
    let kind = media_type(fields::first(response, "content-type").unwrap_or_default());
    let listed = |list: &[String]| {
        list.iter().any(|it| media_type(it.as_bytes()).eq_ignore_ascii_case(kind))
    };
    if !settings.included.is_empty() {
        return listed(&settings.included);
    }
    !begins(kind, "application/grpc") && !listed(&settings.excluded)
}

/// A type without its parameters.
fn media_type(value: &[u8]) -> &[u8] {
    fields::trim(value.split(|byte| *byte == b';').next().unwrap_or_default())
}

fn begins(value: &[u8], start: &str) -> bool {
    value.get(..start.len()).is_some_and(|value| value.eq_ignore_ascii_case(start.as_bytes()))
}

/// A coding and its weight in thousandths (RFC 9110 §12.4.2). What cannot be read is not wanted.
fn weighted(element: &[u8]) -> (&[u8], u32) {
    let mut parts = element.split(|byte| *byte == b';').map(fields::trim);
    let name = parts.next().unwrap_or_default();
    let mut weight = 1_000;
    for part in parts {
        if let Some((b'q' | b'Q', [b'=', digits @ ..])) = part.split_first() {
            weight = thousandths(digits).unwrap_or(0);
        }
    }
    (name, weight)
}

fn thousandths(digits: &[u8]) -> Option<u32> {
    let (whole, rest) = digits.split_first()?;
    let fraction = match rest {
        [] | [b'.'] => &[][..],
        [b'.', fraction @ ..] if fraction.len() <= 3 => fraction,
        _ => return None,
    };
    let mut value = u32::from(whole.wrapping_sub(b'0'));
    for at in 0..3 {
        let digit = fraction.get(at).copied().unwrap_or(b'0');
        value = value * 10 + u32::from(Some(digit).filter(u8::is_ascii_digit)? - b'0');
    }
    let value = if planted(Mutant::CodingUnwanted) { value.max(1) } else { value };
    (value <= 1_000).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Compress {
        Compress {
            excluded: Vec::new(),
            included: Vec::new(),
            bytes_min: 1_024,
            encodings: vec![Coding::Gzip, Coding::Brotli, Coding::Zstd],
            default: None,
        }
    }

    fn field<'a>(name: &'a str, value: &'a str) -> Field<'a> {
        Field { name, value: value.as_bytes() }
    }

    #[test]
    fn what_a_client_takes_best_is_chosen() {
        use Coding::{Brotli, Gzip, Zstd};
        for (accepts, chosen) in [
            ("gzip", Some(Gzip)),
            ("br", Some(Brotli)),
            ("gzip, deflate, br, zstd", Some(Gzip)),
            ("gzip;q=0.5, br;q=0.8", Some(Brotli)),
            ("gzip;q=0.5, br;q=0.5, zstd ; q=0.501", Some(Zstd)),
            ("GZIP;Q=0.001", Some(Gzip)),
            ("gzip;q=0, *", None),
            ("gzip;q=0, br", Some(Brotli)),
            ("*", Some(Gzip)),
            ("*;q=0", None),
            ("br, *;q=0.1", Some(Brotli)),
            ("identity", None),
            ("deflate", None),
            ("gzip;q=2", None),
            ("gzip;q=0.0001", None),
            ("gzip;q=x", None),
            ("", None),
        ] {
            let fields = [field("Accept-Encoding", accepts)];
            assert_eq!(coding_for(&settings(), &fields), chosen, "{accepts}");
        }
        let other = Compress { default: Some(Brotli), ..settings() };
        assert_eq!(coding_for(&other, &[]), Some(Brotli));
        assert_eq!(coding_for(&other, &[field("accept-encoding", "*")]), Some(Brotli));
        assert_eq!(coding_for(&other, &[field("accept-encoding", "")]), None);
        assert_eq!(coding_for(&settings(), &[]), None);
        let grpc = [field("accept-encoding", "gzip"), field("Content-Type", "application/grpc+x")];
        assert_eq!(coding_for(&settings(), &grpc), None);
    }

    #[test]
    fn some_responses_stay_as_they_are() {
        let check = |settings: &Compress, status, fields: &[(&str, &str)], may: bool| {
            let list: Vec<Field<'_>> = fields.iter().map(|(n, v)| field(n, v)).collect();
            assert_eq!(may_compress(settings, status, &list), may, "{status} {fields:?}");
        };
        let plain = settings();
        check(&plain, 200, &[], true);
        check(&plain, 404, &[("Content-Type", "text/html; charset=utf-8")], true);
        check(&plain, 206, &[], false);
        check(&plain, 304, &[], false);
        check(&plain, 200, &[("Content-Encoding", "br")], false);
        check(&plain, 200, &[("Content-Encoding", "identity")], true);
        check(&plain, 200, &[("Content-Range", "bytes 0-1/2")], false);
        check(&plain, 200, &[("Cache-Control", "public, no-transform")], false);
        check(&plain, 200, &[("Content-Type", "application/grpc")], false);
        let html = vec!["text/html; charset=utf-8".to_owned()];
        let without = Compress { excluded: html.clone(), ..settings() };
        check(&without, 200, &[("Content-Type", "Text/HTML")], false);
        check(&without, 200, &[("Content-Type", "text/css")], true);
        let only = Compress { included: html, ..settings() };
        check(&only, 200, &[("Content-Type", "text/html")], true);
        check(&only, 200, &[("Content-Type", "text/css")], false);
        check(&only, 200, &[], false);
    }
}
