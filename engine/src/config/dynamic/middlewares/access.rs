//! Middlewares that let a request pass or send it away by where it comes from and how it is
//! written.

use super::paths::rewrite;
use crate::config::encoded::EncodedRefused;
use crate::config::fields::Fields;
use crate::config::startup::ranges;
use crate::config::typed::{Aim, AllowList, IpStrategy, MiddlewareKind, Redirect};

pub(super) fn redirect_regex(fields: Fields<'_>) -> Option<MiddlewareKind> {
    let rewrite = rewrite(&fields, "redirectRegex");
    let permanent = fields.flag("permanent").unwrap_or(false);
    fields.close();
    let aim = Aim::Regex(rewrite?);
    Some(MiddlewareKind::Redirect(Redirect { aim, permanent }))
}

pub(super) fn redirect_scheme(fields: Fields<'_>) -> Option<MiddlewareKind> {
    let scheme = fields.word("scheme", &SCHEMES);
    fields.demand("scheme", "redirectScheme has a scheme");
    let port = fields.number("port", 1..=65_535).and_then(|port| u16::try_from(port).ok());
    let permanent = fields.flag("permanent").unwrap_or(false);
    fields.close();
    let aim = Aim::Scheme { scheme: scheme?.to_owned(), port };
    Some(MiddlewareKind::Redirect(Redirect { aim, permanent }))
}

pub(crate) const SCHEMES: [(&str, &str); 2] = [("http", "http"), ("https", "https")];

pub(super) fn ip_allow_list(fields: Fields<'_>) -> MiddlewareKind {
    let status = fields.number("rejectStatusCode", 200..=599);
    let status = status.and_then(|status| u16::try_from(status).ok());
    if matches!(status, Some(204 | 304)) {
        let text = "expected a status that has a body";
        fields.error("rejectStatusCode", "bad-value", text);
    }
    list(fields, status.unwrap_or(403))
}

pub(super) fn ip_white_list(fields: Fields<'_>) -> MiddlewareKind {
    list(fields, 403)
}

fn list(fields: Fields<'_>, status: u16) -> MiddlewareKind {
    fields.requires("sourceRange");
    let ranges = ranges(&fields, "sourceRange");
    if ranges.is_empty() {
        let text = "the list has at least one range; empty, nobody would pass";
        fields.error("sourceRange", "missing", text);
    }
    let strategy = fields.section("ipStrategy").map(ip_strategy).unwrap_or_default();
    fields.close();
    MiddlewareKind::IpAllowList(AllowList { ranges, strategy, status })
}

pub(super) fn ip_strategy(fields: Fields<'_>) -> IpStrategy {
    let depth = fields.number("depth", 0..=1_000).and_then(|depth| u32::try_from(depth).ok());
    let bits = fields.number("ipv6Subnet", 0..=128).and_then(|bits| u8::try_from(bits).ok());
    let strategy = IpStrategy {
        depth: depth.unwrap_or(0),
        excluded: ranges(&fields, "excludedIPs"),
        ipv6_bits: bits,
    };
    if strategy.depth > 0 && !strategy.excluded.is_empty() {
        let text = "beside a depth this is not looked at";
        fields.warning("excludedIPs", "no-effect", text);
    }
    fields.close();
    strategy
}

/// Everything is refused unless it is allowed.
pub(super) fn encoded_characters(fields: Fields<'_>) -> MiddlewareKind {
    let refused = EncodedRefused::read(&fields, false);
    fields.close();
    MiddlewareKind::EncodedCharacters(refused)
}
