//! How a service chooses: its strategy, and the cookie that keeps a session at one member.

use crate::base::digest::{hex, sha1};
use crate::base::secret::Secret;
use crate::config::fields::Fields;
use crate::config::typed::{KeyFrom, Manner, SameSite, Server, StickyCookie, Strategy, Weight};

/// Of a `loadBalancer` with this qualified name.
pub(super) fn of_balancer(fields: &Fields<'_>, service: &str, servers: &[Server]) -> Manner {
    let strategy = fields.word_or_empty("strategy", &Strategy::ALL).unwrap_or_default();
    let weighty = |server: &Server| !matches!(server.weight, Weight::ZERO | Weight::ONE);
    if strategy == Strategy::P2c && servers.iter().any(weighty) {
        let text = "p2c does not look at weights: only 0 means something, no new requests";
        fields.warning("strategy", "no-effect", text);
    }
    Manner { strategy, sticky: sticky(fields, service) }
}

/// Of a `weighted` service.
pub(super) fn of_weighted(fields: &Fields<'_>, service: &str) -> Manner {
    Manner { strategy: Strategy::Wrr, sticky: sticky(fields, service) }
}

fn sticky(fields: &Fields<'_>, service: &str) -> Option<StickyCookie> {
    let sticky = fields.section("sticky")?;
    let text = "sessions stick by a cookie";
    sticky.demand_with_help("cookie", text, "cookie: {} is one with all defaults");
    let cookie = sticky.section("cookie").map(|fields| cookie(fields, service));
    let own = sticky.section("tieline").and_then(|own| {
        let key = own.section("allLevels").and_then(key);
        own.close();
        key
    });
    sticky.close();
    cookie.map(|cookie| StickyCookie { signed_by: own, ..cookie })
}

/// The key that a cookie for all levels is signed with.
fn key(fields: Fields<'_>) -> Option<KeyFrom> {
    let long = |text: &str| match text.len() {
        KeyFrom::BYTES_MIN.. => Ok(Secret::new(text.as_bytes())),
        _ => Err(format!("expected at least {} letters", KeyFrom::BYTES_MIN)),
    };
    let file = fields.text("keyFile").filter(|path| !path.is_empty());
    let inline = fields.text("key").filter(|text| !text.is_empty());
    let key = match (inline, file) {
        (Some(_), Some(_)) => {
            fields.error("key", "two-keys", "a key stands here or in a file, not in both");
            None
        }
        (None, Some(path)) => Some(KeyFrom::File(path.into())),
        (Some(text), None) => match long(&text) {
            Ok(key) => Some(KeyFrom::Inline(key)),
            Err(why) => {
                fields.error("key", "short-key", why);
                None
            }
        },
        (None, None) => {
            let text = "a cookie for all levels is signed with a key";
            let help = "a file with a key a line, the first signs";
            fields.error_with_help("keyFile", "missing", text, help);
            None
        }
    };
    fields.close();
    key
}

fn cookie(fields: Fields<'_>, service: &str) -> StickyCookie {
    let defaults = StickyCookie::default();
    let chosen = fields.text("name").filter(|name| !name.is_empty());
    let secure = fields.flag("secure").unwrap_or(defaults.secure);
    let same_site = fields.word_or_empty("sameSite", &SameSite::ALL);
    if same_site == Some(SameSite::None) && !secure {
        let text = "browsers refuse a cookie with sameSite none that is not secure";
        fields.warning("sameSite", "refused-cookie", text);
    }
    let cookie = StickyCookie {
        name: chosen.map_or_else(|| default_name(service), |name| sanitised(&name)),
        secure,
        http_only: fields.flag("httpOnly").unwrap_or(defaults.http_only),
        same_site,
        max_age: fields.number("maxAge", -AGE_MAX..=AGE_MAX).unwrap_or(defaults.max_age),
        path: fields.parsed("path", path).unwrap_or(defaults.path),
        domain: fields.parsed("domain", domain).unwrap_or(defaults.domain),
        signed_by: None,
    };
    fields.close();
    cookie
}

/// Sixty-eight years, in seconds.
const AGE_MAX: i64 = (1 << 31) - 1;

/// The name of a cookie whose author chose none, as Traefik makes it.
fn default_name(service: &str) -> String {
    let digest = sha1(format!("_TRAEFIK_BACKEND_{service}").as_bytes());
    format!("_{}", hex(&digest, 5))
}

/// Letters that a cookie's name cannot have become `_`, as in Traefik.
fn sanitised(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^`|~".contains(c);
    name.chars().map(|c| if fits(c) { c } else { '_' }).collect()
}

fn path(text: &str) -> Result<String, String> {
    let fits = |b: u8| (b' '..=b'~').contains(&b) && b != b';';
    if text.is_empty() {
        Ok("/".to_owned())
    } else if text.starts_with('/') && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("expected a path such as /shop, without ;".to_owned())
    }
}

/// A dot in front means nothing any more (RFC 6265 §5.2.3).
fn domain(text: &str) -> Result<String, String> {
    let name = text.strip_prefix('.').unwrap_or(text);
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let label = |label: &str| {
        !label.is_empty()
            && label.len() < 64
            && label.bytes().all(fits)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.is_empty() || (name.len() < 254 && name.split('.').all(label)) {
        Ok(name.to_owned())
    } else {
        Err("expected a domain such as example.com".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_without_a_name_is_called_as_traefik_calls_it() {
        assert_eq!(default_name("shop@file"), "_8705d");
    }

    #[test]
    fn letters_that_a_name_cannot_have_are_replaced() {
        for (name, expected) in
            [("lvl1", "lvl1"), ("a b;c=d", "a_b_c_d"), ("_x.y|z", "_x.y|z"), ("ä", "_")]
        {
            assert_eq!(sanitised(name), expected);
        }
    }
}
