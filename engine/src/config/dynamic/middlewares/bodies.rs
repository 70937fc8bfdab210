//! Middlewares that look at bodies, or send them again.

use crate::base::time::Span;
use crate::config::dynamic::services::{body_bytes, statuses};
use crate::config::fields::Fields;
use crate::config::typed::{Buffering, MiddlewareKind, Retry};
use crate::rule::Repeat;

const KIB: u64 = 1024;

pub(super) fn retry(fields: Fields<'_>) -> MiddlewareKind {
    let attempts = fields.number("attempts", 1..=100).and_then(|n| u32::try_from(n).ok());
    if !fields.present("attempts") {
        fields.error("attempts", "missing", "retry says how many attempts there are");
    } else if attempts == Some(1) {
        fields.warning("attempts", "no-effect", "the first attempt is one: nothing is sent again");
    }
    let off = fields.flag("disableRetryOnNetworkError").unwrap_or(false);
    let status = statuses(&fields, "status");
    if off && !fields.present("status") {
        let text = "without a status, nothing is left to be sent again for";
        fields.error("disableRetryOnNetworkError", "conflict", text);
    }
    let own = fields.present("maxRequestBodyBytes");
    let body_bytes_max =
        if own { body_bytes(&fields, "maxRequestBodyBytes") } else { Some(2 * KIB * KIB) };
    let retry = Retry {
        attempts: attempts.unwrap_or(1),
        initial_interval: fields.span("initialInterval").unwrap_or(Span::ZERO),
        timeout: fields.span("timeout").unwrap_or(Span::ZERO),
        body_bytes_max,
        status,
        on_network_error: !off,
        non_idempotent: fields.flag("retryNonIdempotentMethod").unwrap_or(false),
    };
    fields.close();
    MiddlewareKind::Retry(retry)
}

pub(super) fn buffering(fields: Fields<'_>) -> MiddlewareKind {
    let bytes = |key| body_bytes(&fields, key);
    let limit = |key| bytes(key).filter(|bytes| *bytes > 0);
    let buffering = Buffering {
        request_bytes_max: limit("maxRequestBodyBytes"),
        request_memory: bytes("memRequestBodyBytes").unwrap_or(KIB * KIB),
        response_bytes_max: limit("maxResponseBodyBytes"),
        response_memory: bytes("memResponseBodyBytes").unwrap_or(KIB * KIB),
        repeat: fields.parsed("retryExpression", Repeat::parse),
    };
    fields.close();
    MiddlewareKind::Buffering(buffering)
}
