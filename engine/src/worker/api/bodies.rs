//! Middlewares that look at bodies, or send them again, as the API shows them.

use super::services::{bytes, status_ranges};
use crate::base::time::Span;
use crate::config::typed::{
    Buffering, Coding, Compress, ErrorPages, NamePart, PassClientCert, Retry,
};
use serde_json::{Value, json};

pub(super) fn retry(retry: &Retry) -> Value {
    let mut value = json!({ "attempts": retry.attempts });
    for (key, span) in [("initialInterval", retry.initial_interval), ("timeout", retry.timeout)] {
        if span != Span::ZERO {
            value[key] = json!(span.to_string());
        }
    }
    value["maxRequestBodyBytes"] = bytes(retry.body_bytes_max);
    if !retry.status.is_empty() {
        value["status"] = status_ranges(&retry.status);
    }
    if !retry.on_network_error {
        value["disableRetryOnNetworkError"] = json!(true);
    }
    if retry.non_idempotent {
        value["retryNonIdempotentMethod"] = json!(true);
    }
    value
}

pub(super) fn buffering(limits: &Buffering) -> Value {
    let mut value = json!({
        "memRequestBodyBytes": limits.request_memory,
        "memResponseBodyBytes": limits.response_memory,
    });
    let own = [
        ("maxRequestBodyBytes", limits.request_bytes_max),
        ("maxResponseBodyBytes", limits.response_bytes_max),
    ];
    for (key, max) in own {
        if let Some(max) = max {
            value[key] = json!(max);
        }
    }
    if let Some(repeat) = &limits.repeat {
        value["retryExpression"] = json!(repeat.source());
    }
    value
}

pub(super) fn errors(pages: &ErrorPages) -> Value {
    let mut value = json!({
        "status": status_ranges(&pages.status),
        "service": pages.service,
        "query": pages.query,
    });
    for (range, code) in &pages.rewrites {
        let shown = status_ranges(std::slice::from_ref(range));
        value["statusRewrites"][shown[0].as_str().unwrap_or_default()] = json!(code);
    }
    if let Some(names) = &pages.request_fields {
        value["errorRequestHeaders"] = json!(names);
    }
    value
}

pub(super) fn compress(settings: &Compress) -> Value {
    let names: Vec<&str> = settings.encodings.iter().map(|coding| coding.name()).collect();
    let mut value = json!({ "minResponseBodyBytes": settings.bytes_min, "encodings": names });
    if let Some(default) = settings.default {
        value["defaultEncoding"] = json!(Coding::name(default));
    }
    let lists = [
        ("excludedContentTypes", &settings.excluded),
        ("includedContentTypes", &settings.included),
    ];
    for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        value[key] = json!(list);
    }
    value
}

/// Of flags only those that are set, as Traefik shows them.
pub(super) fn client_cert(pass: &PassClientCert) -> Value {
    let mut value = json!({});
    if pass.pem {
        value["pem"] = json!(true);
    }
    let Some(facts) = &pass.facts else { return value };
    let mut info = json!({});
    for (key, wanted) in [
        ("notAfter", facts.not_after),
        ("notBefore", facts.not_before),
        ("sans", facts.sans),
        ("serialNumber", facts.serial_number),
    ] {
        if wanted {
            info[key] = json!(true);
        }
    }
    for (key, parts) in [("subject", &facts.subject), ("issuer", &facts.issuer)] {
        let flags = parts.iter().map(|part| (NamePart::key(*part).to_owned(), json!(true)));
        if !parts.is_empty() {
            info[key] = Value::Object(flags.collect());
        }
    }
    value["info"] = info;
    value
}

#[cfg(test)]
mod tests {
    use super::super::steps::spelled;
    use super::*;

    /// What is written is shown, with its defaults.
    #[track_caller]
    fn check(written: &str, kind: &str, shown: Value) {
        let document = format!("http: {{middlewares: {{m: {{{written}}}}}}}");
        let read = crate::config::dynamic(&[("dynamic.yml", &document)]);
        assert_eq!(read.diagnostics, []);
        let found = spelled(&read.dynamic.middlewares[0].kind);
        assert_eq!(found, Some((kind, shown)), "{written}");
    }

    #[test]
    fn attempts() {
        check(
            "retry: {attempts: 3}",
            "retry",
            json!({ "attempts": 3, "maxRequestBodyBytes": 2_097_152 }),
        );
        check(
            "retry: {attempts: 2, initialInterval: 100ms, timeout: 1m, maxRequestBodyBytes: -1, \
                status: [500-504, 429], disableRetryOnNetworkError: true, \
                retryNonIdempotentMethod: true}",
            "retry",
            json!({
                "attempts": 2, "initialInterval": "100ms", "timeout": "60s",
                "maxRequestBodyBytes": -1, "status": ["500-504", "429"],
                "disableRetryOnNetworkError": true, "retryNonIdempotentMethod": true,
            }),
        );
    }

    #[test]
    fn collecting() {
        check(
            "buffering: {maxRequestBodyBytes: 9, retryExpression: Attempts() < 2}",
            "buffering",
            json!({
                "maxRequestBodyBytes": 9, "memRequestBodyBytes": 1_048_576,
                "memResponseBodyBytes": 1_048_576, "retryExpression": "Attempts() < 2",
            }),
        );
    }

    #[test]
    fn pages() {
        check(
            "errors: {status: ['500-599', 404], service: e, query: '/{status}', \
                statusRewrites: {'502-504': 503, 404: 200}, errorRequestHeaders: [Accept]}",
            "errors",
            json!({
                "status": ["500-599", "404"], "service": "e@file", "query": "/{status}",
                "statusRewrites": { "502-504": 503, "404": 200 },
                "errorRequestHeaders": ["Accept"],
            }),
        );
    }

    #[test]
    fn compressing() {
        check(
            "compress: {}",
            "compress",
            json!({ "minResponseBodyBytes": 1_024, "encodings": ["gzip", "br", "zstd"] }),
        );
        check(
            "compress: {encodings: [br, gzip], defaultEncoding: gzip, minResponseBodyBytes: 9, \
                excludedContentTypes: [text/css]}",
            "compress",
            json!({
                "minResponseBodyBytes": 9, "encodings": ["br", "gzip"], "defaultEncoding": "gzip",
                "excludedContentTypes": ["text/css"],
            }),
        );
    }

    #[test]
    fn certificates() {
        check("passTLSClientCert: {pem: true}", "passTLSClientCert", json!({ "pem": true }));
        check(
            "passTLSClientCert: {info: {sans: true, issuer: {country: true}}}",
            "passTLSClientCert",
            json!({ "info": { "sans": true, "issuer": { "country": true } } }),
        );
        check("contentType: {}", "contentType", json!({}));
        check("grpcWeb: {allowOrigins: ['*']}", "grpcWeb", json!({ "allowOrigins": ["*"] }));
    }
}
