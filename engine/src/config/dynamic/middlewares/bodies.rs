//! Middlewares that look at bodies, or send them again.

use crate::base::time::Span;
use crate::config::dynamic::health::is_token;
use crate::config::dynamic::services::{body_bytes, reference, status_range, statuses};
use crate::config::fields::{Fields, bad_value, join, number, word};
use crate::config::typed::{Buffering, Coding, Compress, ErrorPages, MiddlewareKind, Retry};
use crate::rule::Repeat;

const KIB: u64 = 1024;

pub(super) fn retry(fields: Fields<'_>) -> MiddlewareKind {
    let attempts = fields.number("attempts", 1..=100).and_then(|n| u32::try_from(n).ok());
    if fields.demand("attempts", "retry says how many attempts there are") && attempts == Some(1) {
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

pub(super) fn errors(fields: Fields<'_>) -> MiddlewareKind {
    let status = statuses(&fields, "status");
    let text = "errors names the statuses that are replaced";
    fields.demand_with_help("status", text, "for example [\"500-599\"]");
    let mut rewrites = Vec::new();
    for (at, key, text) in fields.pairs("statusRewrites") {
        let path = join(&fields.path_of("statusRewrites"), &key);
        let code = number(&text, 200..=599).map(|code| u16::try_from(code).unwrap_or(500));
        match (status_range(&key), code) {
            (Ok(range), Ok(code)) => rewrites.push((range, code)),
            (Err(wanted), _) => bad_value(fields.report, at, &path, &key, &wanted),
            (Ok(_), Err(wanted)) => bad_value(fields.report, at, &path, &text, &wanted),
        }
    }
    let query = fields.parsed("query", |text| {
        let clean = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        let found = format!("/{}", text.trim_start_matches('/'));
        let wrong = "expected a path, perhaps with a query, in letters that need no encoding";
        if clean { Ok(found) } else { Err(wrong.to_owned()) }
    });
    let fields_passed = fields.strings("errorRequestHeaders");
    let wrong = fields_passed.iter().flatten().find(|name| !is_token(name));
    if let Some(wrong) = wrong {
        let text = format!("`{wrong}` is no field name");
        fields.error("errorRequestHeaders", "bad-value", text);
    }
    let pages = ErrorPages {
        status,
        rewrites,
        service: reference(&fields, "service"),
        query: query.unwrap_or_else(|| "/".to_owned()),
        request_fields: fields_passed,
    };
    fields.close();
    MiddlewareKind::Errors(pages)
}

pub(super) fn compress(fields: Fields<'_>) -> MiddlewareKind {
    let words = Coding::ALL.map(|coding| (coding.name(), coding));
    let mut encodings = Vec::new();
    let given = fields.texts("encodings").unwrap_or_default();
    let nothing = given.is_empty();
    for (at, text) in given {
        match word(text, &words) {
            Ok(coding) => encodings.push(coding),
            Err(wanted) => {
                bad_value(fields.report, at, &fields.path_of("encodings"), text, &wanted);
            }
        }
    }
    if !fields.present("encodings") {
        encodings = Coding::ALL.to_vec();
    } else if nothing {
        fields.error("encodings", "missing", "name encodings, or leave the key out");
    }
    let default = fields.word("defaultEncoding", &words);
    if let Some(default) = default.filter(|default| !encodings.contains(default)) {
        let text = format!("{} is not among the encodings", default.name());
        fields.error("defaultEncoding", "conflict", text);
    }
    let list = |key| fields.strings(key).unwrap_or_default();
    let (excluded, included) = (list("excludedContentTypes"), list("includedContentTypes"));
    if !excluded.is_empty() && !included.is_empty() {
        let text = "types are excluded or included, not both";
        fields.error("includedContentTypes", "conflict", text);
    }
    for (key, list) in [("excludedContentTypes", &excluded), ("includedContentTypes", &included)] {
        if let Some(wrong) = list.iter().find(|it| it.split('/').count() != 2) {
            fields.error(key, "bad-value", format!("`{wrong}` is no type such as text/html"));
        }
    }
    let bytes_min = fields.number("minResponseBodyBytes", 0..=i64::MAX);
    let compress = Compress {
        excluded,
        included,
        bytes_min: bytes_min.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(KIB),
        encodings,
        default,
    };
    fields.close();
    MiddlewareKind::Compress(compress)
}
