//! `forwardAuth`, as it is written.

use super::auth::field_name;
use crate::config::address::Url;
use crate::config::fields::{Fields, bad_value};
use crate::config::fixed::{Scheme, Transport};
use crate::config::tls::{ClientTls, KeyPair, Pem, Trust};
use crate::config::typed::{ForwardAuth, MiddlewareKind};
use crate::rule::Pattern;
use std::sync::Arc;

pub(super) fn forward_auth(fields: Fields<'_>) -> MiddlewareKind {
    let url = fields.parsed("address", Url::parse);
    fields.demand("address", "forwardAuth has the address of who decides");
    let mut transport = Transport::default();
    if let Some(section) = fields.section("tls") {
        transport.tls = Some(Arc::new(client_tls(&section)));
        if url.as_ref().is_some_and(|url| url.authority.scheme != Scheme::Https) {
            fields.warning("tls", "no-effect", "the address is not one of https");
        }
        section.close();
    }
    let size = |key| {
        let size = fields.number(key, -1..=i64::MAX);
        size.and_then(|size| u64::try_from(size).ok())
    };
    let pattern =
        |text: &str| if text.is_empty() { Ok(None) } else { Pattern::new(text).map(Some) };
    let forward_body = fields.flag("forwardBody").unwrap_or(false);
    let body_bytes_max = size("maxBodySize");
    if body_bytes_max.is_some() && !forward_body {
        fields.warning("maxBodySize", "no-effect", "without forwardBody no body is forwarded");
    }
    let auth = ForwardAuth {
        address: fields.text("address").unwrap_or_default(),
        url: url.unwrap_or_default(),
        transport,
        trust_forwarded: fields.flag("trustForwardHeader").unwrap_or(false),
        response_fields: names(&fields, "authResponseHeaders"),
        response_pattern: fields.parsed("authResponseHeadersRegex", pattern).flatten(),
        request_fields: names(&fields, "authRequestHeaders"),
        cookies: fields.strings("addAuthCookiesToResponse").unwrap_or_default(),
        header_field: fields.parsed("headerField", field_name),
        forward_body,
        body_bytes_max,
        response_bytes_max: size("maxResponseBodySize"),
        preserve_location: fields.flag("preserveLocationHeader").unwrap_or(false),
        preserve_method: fields.flag("preserveRequestMethod").unwrap_or(false),
        signin_url: fields.parsed("authSigninURL", location).unwrap_or_default(),
    };
    fields.close();
    MiddlewareKind::ForwardAuth(Box::new(auth))
}

fn names(fields: &Fields<'_>, key: &'static str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, text) in fields.texts(key).unwrap_or_default() {
        match field_name(text) {
            Ok(name) => names.push(name),
            Err(wanted) => {
                let path = fields.path_of(key);
                bad_value(fields.report, at, &path, text, &wanted);
            }
        }
    }
    names
}

fn location(text: &str) -> Result<String, String> {
    if text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err("expected a URL without blanks".to_owned())
}

/// `ca`, `cert`, `key` and `insecureSkipVerify`.
pub(in crate::config) fn client_tls(fields: &Fields<'_>) -> ClientTls {
    let pem = |key: &'static str| {
        let text = fields.text(key).filter(|text| !text.is_empty());
        text.map(|text| Pem::new(&text))
    };
    let skip = fields.flag("insecureSkipVerify").unwrap_or(false);
    if fields.has("caOptional") {
        let text = "whether the other side shows a certificate is no matter of choice";
        fields.warning("caOptional", "no-effect", text);
    }
    let trust = match (skip, pem("ca")) {
        (true, _) => Trust::DangerAnybody,
        (false, Some(ca)) => Trust::Roots(vec![ca]),
        (false, None) => Trust::System,
    };
    let certificates = match (pem("cert"), pem("key")) {
        (Some(cert), Some(key)) => vec![KeyPair { cert, key }],
        (None, None) => Vec::new(),
        (Some(_), None) => {
            fields.error("cert", "missing", "a certificate has a key");
            Vec::new()
        }
        (None, Some(_)) => {
            fields.error("key", "missing", "a key has a cert");
            Vec::new()
        }
    };
    ClientTls { trust, certificates, ..ClientTls::default() }
}
