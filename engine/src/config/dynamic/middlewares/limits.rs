//! Middlewares that count requests by where they come from.

use super::access::ip_strategy;
use super::redis::redis;
use crate::base::time::Span;
use crate::config::dynamic::health::is_token;
use crate::config::fields::Fields;
use crate::config::typed::{InFlight, IpStrategy, MiddlewareKind, RateLimit, Source};
use std::sync::Arc;

pub(super) fn rate_limit(fields: Fields<'_>) -> MiddlewareKind {
    let number = |key| fields.number(key, 0..=i64::MAX).and_then(|n| u64::try_from(n).ok());
    let limit = RateLimit {
        average: number("average").unwrap_or(0),
        period: fields.lasting("period").unwrap_or(Span::secs(1)),
        burst: number("burst").unwrap_or(1).max(1),
        source: source(&fields, Source::Ip(IpStrategy::default())),
        redis: fields.switch("redis").map(|section| Arc::new(redis(section))),
    };
    if !fields.present("average") {
        let text = "without an average there is no limit at all";
        fields.warning("average", "no-effect", text);
    }
    fields.close();
    MiddlewareKind::RateLimit(limit)
}

pub(super) fn in_flight_req(fields: Fields<'_>) -> MiddlewareKind {
    let amount = fields.number("amount", 1..=i64::MAX).and_then(|n| u64::try_from(n).ok());
    fields.demand("amount", "inFlightReq has an amount");
    let source = source(&fields, Source::Host);
    fields.close();
    MiddlewareKind::InFlightReq(InFlight { amount: amount.unwrap_or(1), source })
}

fn source(outer: &Fields<'_>, default: Source) -> Source {
    let Some(fields) = outer.section("sourceCriterion") else { return default };
    let ip = fields.section("ipStrategy").map(ip_strategy);
    let header = fields.parsed("requestHeaderName", |text| {
        if is_token(text) { Ok(text.to_owned()) } else { Err("expected a field name".to_owned()) }
    });
    let host = fields.flag("requestHost").unwrap_or(false);
    let several = [ip.is_some(), header.is_some(), host].iter().filter(|set| **set).count() > 1;
    if several {
        let text = "a criterion is one of ipStrategy, requestHeaderName and requestHost";
        outer.error("sourceCriterion", "several-kinds", text);
    }
    fields.close();
    let named = || header.map(Source::Header);
    ip.map(Source::Ip).or_else(named).unwrap_or(if host { Source::Host } else { default })
}
