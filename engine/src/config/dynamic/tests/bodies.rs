//! What is read of middlewares that look at bodies, and what is said about them.

use super::middlewares::middleware;
use crate::base::time::Span;
use crate::config::typed::{
    Buffering, CertificateFacts, Coding, Compress, ErrorPages, GrpcWeb, MiddlewareKind, NamePart,
    PassClientCert, Retry,
};
use crate::rule::Repeat;

#[test]
fn how_often_a_request_is_sent() {
    let plain = Retry {
        attempts: 3,
        initial_interval: Span::ZERO,
        timeout: Span::ZERO,
        body_bytes_max: Some(2 << 20),
        status: Vec::new(),
        on_network_error: true,
        non_idempotent: false,
    };
    let check = |lines: &str, expected: Retry| {
        assert_eq!(middleware(lines, ""), MiddlewareKind::Retry(expected), "{lines}");
    };
    check("retry: {attempts: 3}", plain.clone());
    check(
        "retry: {attempts: 3, initialInterval: 100ms, timeout: 2, maxRequestBodyBytes: -1, \
            status: ['502-504', 429], disableRetryOnNetworkError: true, \
            retryNonIdempotentMethod: true}",
        Retry {
            initial_interval: Span::millis(100),
            timeout: Span::secs(2),
            body_bytes_max: None,
            status: vec![502..=504, 429..=429],
            on_network_error: false,
            non_idempotent: true,
            ..plain
        },
    );
    middleware(
        "retry: {attempts: 1}",
        "warning: retry.attempts: the first attempt is one: nothing is sent again",
    );
    for (lines, expected) in [
        ("", "attempts: retry says how many attempts there are"),
        ("attempts: 0", "attempts: `0`: it is below 1"),
        ("attempts: 101", "attempts: `101`: it is above 100"),
        ("attempts: many", "attempts: `many`: expected a whole number"),
        (
            "attempts: 2, disableRetryOnNetworkError: true",
            "disableRetryOnNetworkError: without a status, nothing is left to be sent again for",
        ),
        (
            "attempts: 2, status: [99]",
            "status: `99`: expected a status such as 503 or a range such as 500-599",
        ),
        ("attempts: 2, timeuot: 1s", "timeuot: unknown key `timeuot` (did you mean timeout?)"),
    ] {
        middleware(&format!("retry: {{{lines}}}"), &format!("error: retry.{expected}"));
    }
}

#[test]
fn what_is_collected() {
    let plain = Buffering {
        request_bytes_max: None,
        request_memory: 1 << 20,
        response_bytes_max: None,
        response_memory: 1 << 20,
        repeat: None,
    };
    let check = |lines: &str, expected: Buffering| {
        assert_eq!(middleware(lines, ""), MiddlewareKind::Buffering(expected), "{lines}");
    };
    check("buffering: {}", plain.clone());
    check("buffering: {maxRequestBodyBytes: 0, maxResponseBodyBytes: -1}", plain);
    let expression = "IsNetworkError() && Attempts() < 2";
    check(
        &format!(
            "buffering: {{maxRequestBodyBytes: 5, memRequestBodyBytes: 4, maxResponseBodyBytes: 3, \
                memResponseBodyBytes: 2, retryExpression: '{expression}'}}"
        ),
        Buffering {
            request_bytes_max: Some(5),
            request_memory: 4,
            response_bytes_max: Some(3),
            response_memory: 2,
            repeat: Repeat::parse(expression).ok(),
        },
    );
    for (lines, expected) in [
        ("maxRequestBodyBytes: 1MB", "maxRequestBodyBytes: `1MB`: expected a whole number"),
        ("memRequestBodyBytes: -2", "memRequestBodyBytes: `-2`: it is below -1"),
        (
            "retryExpression: Attempts() < x",
            "retryExpression: `Attempts() < x`: expected a whole number at 14",
        ),
    ] {
        middleware(&format!("buffering: {{{lines}}}"), &format!("error: buffering.{expected}"));
    }
}

#[test]
fn what_is_replaced_by_pages() {
    let plain = ErrorPages {
        status: vec![500..=599],
        rewrites: Vec::new(),
        service: "e@file".into(),
        query: "/".into(),
        request_fields: None,
    };
    let check = |lines: &str, expected: ErrorPages| {
        let document = format!("http: {{middlewares: {{m: {{{lines}}}}}}}");
        let dynamic = crate::config::dynamic(&[("f.yml", &document)]).dynamic;
        assert_eq!(dynamic.middlewares[0].kind, MiddlewareKind::Errors(expected), "{lines}");
    };
    check("errors: {status: [500-599], service: e}", plain.clone());
    check(
        "errors: {status: [500-599], service: e, query: 'x/{status}?u={url}', \
            statusRewrites: {'502-504': 503, 404: 200}, errorRequestHeaders: [Accept]}",
        ErrorPages {
            rewrites: vec![(502..=504, 503), (404..=404, 200)],
            query: "/x/{status}?u={url}".into(),
            request_fields: Some(vec!["Accept".into()]),
            ..plain
        },
    );
    let range = "expected a status such as 503 or a range such as 500-599";
    for (lines, expected) in [
        (
            "service: e",
            "status: errors names the statuses that are replaced (for example [\"500-599\"])",
        ),
        ("status: [500]", "service: service names a service"),
        (
            "status: [500], service: e, statusRewrites: {a: 503}",
            &format!("statusRewrites.a: `a`: {range}"),
        ),
        (
            "status: [500], service: e, statusRewrites: {500: 99}",
            "statusRewrites.500: `99`: it is below 200",
        ),
        (
            "status: [500], service: e, query: /a b",
            "query: `/a b`: expected a path, perhaps with a query, in letters that need no encoding",
        ),
        (
            "status: [500], service: e, errorRequestHeaders: ['a b']",
            "errorRequestHeaders: `a b` is no field name",
        ),
    ] {
        middleware(&format!("errors: {{{lines}}}"), &format!("error: errors.{expected}"));
    }
}

#[test]
fn what_is_compressed() {
    let plain = Compress {
        excluded: Vec::new(),
        included: Vec::new(),
        bytes_min: 1_024,
        encodings: Coding::ALL.to_vec(),
        default: None,
    };
    let check = |lines: &str, expected: Compress| {
        assert_eq!(middleware(lines, ""), MiddlewareKind::Compress(expected), "{lines}");
    };
    check("compress: {}", plain.clone());
    check(
        "compress: {encodings: [br, GZIP], defaultEncoding: br, minResponseBodyBytes: 0, \
            excludedContentTypes: [text/css, a/b]}",
        Compress {
            excluded: vec!["text/css".into(), "a/b".into()],
            bytes_min: 0,
            encodings: vec![Coding::Brotli, Coding::Gzip],
            default: Some(Coding::Brotli),
            ..plain
        },
    );
    for (lines, expected) in [
        ("encodings: [deflate]", "encodings: `deflate`: expected one of gzip, br, zstd"),
        ("encodings: []", "encodings: name encodings, or leave the key out"),
        (
            "encodings: [gzip], defaultEncoding: br",
            "defaultEncoding: br is not among the encodings",
        ),
        (
            "excludedContentTypes: [a/b], includedContentTypes: [c/d]",
            "includedContentTypes: types are excluded or included, not both",
        ),
        (
            "includedContentTypes: [html]",
            "includedContentTypes: `html` is no type such as text/html",
        ),
        ("minResponseBodyBytes: -1", "minResponseBodyBytes: `-1`: it is below 0"),
    ] {
        middleware(&format!("compress: {{{lines}}}"), &format!("error: compress.{expected}"));
    }
}

#[test]
fn what_is_told_of_certificates_and_content() {
    let check = |lines: &str, expected: PassClientCert| {
        assert_eq!(middleware(lines, ""), MiddlewareKind::PassClientCert(expected), "{lines}");
    };
    check("passTLSClientCert: {pem: true}", PassClientCert { pem: true, facts: None });
    let facts = CertificateFacts {
        not_after: true,
        not_before: true,
        sans: true,
        serial_number: true,
        subject: NamePart::ALL.to_vec(),
        issuer: vec![NamePart::Country],
    };
    check(
        "passTLSClientCert: {info: {notAfter: true, notBefore: true, sans: true, serialNumber: \
            true, subject: {country: true, province: true, locality: true, organization: true, \
            organizationalUnit: true, commonName: true, serialNumber: true, domainComponent: \
            true}, issuer: {country: true, locality: false}}}",
        PassClientCert { pem: false, facts: Some(facts) },
    );
    for lines in ["{}", "{pem: false}", "{info: {sans: false}}"] {
        middleware(
            &format!("passTLSClientCert: {lines}"),
            "warning: passTLSClientCert.pem: nothing of the certificate is passed on",
        );
    }
    for (lines, expected) in [
        ("pem: 3", "pem: `3`: expected true or false"),
        (
            "info: {issuer: {organizationalUnit: true}}",
            "info.issuer.organizationalUnit: unknown key `organizationalUnit` (did you mean \
                organization?)",
        ),
    ] {
        let lines = format!("passTLSClientCert: {{{lines}}}");
        middleware(&lines, &format!("error: passTLSClientCert.{expected}"));
    }
    let detects = |detects| MiddlewareKind::ContentType { detects };
    assert_eq!(middleware("contentType: {}", ""), detects(None));
    let warning = "warning: contentType.autoDetect: that the middleware is there says it already";
    assert_eq!(middleware("contentType: {autoDetect: true}", warning), detects(Some(true)));
}

#[test]
fn which_scripts_speak_grpc() {
    let origins = |list: &[&str]| {
        MiddlewareKind::GrpcWeb(GrpcWeb { origins: list.iter().map(|it| (*it).into()).collect() })
    };
    assert_eq!(middleware("grpcWeb: {}", ""), origins(&[]));
    let both = ["https://a.example", "*"];
    assert_eq!(
        middleware("grpcWeb: {allowOrigins: ['https://a.example', '*']}", ""),
        origins(&both)
    );
    middleware(
        "grpcWeb: {allowOrigins: ['']}",
        "error: grpcWeb.allowOrigins: ``: expected an origin such as https://app.example.com, or *",
    );
}
