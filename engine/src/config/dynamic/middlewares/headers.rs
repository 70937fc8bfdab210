//! The middleware `headers`.

use crate::config::dynamic::health::{headers, is_field_value, is_token};
use crate::config::fields::{Fields, bad_value};
use crate::config::typed::{Cors, HeadersEdit, MiddlewareKind, Security};
use crate::rule::Pattern;

pub(super) fn edit_headers(fields: Fields<'_>) -> MiddlewareKind {
    let edit = HeadersEdit {
        request: headers(&fields, "customRequestHeaders"),
        response: headers(&fields, "customResponseHeaders"),
        cors: cors(&fields),
        security: security(&fields),
    };
    gone(&fields);
    fields.close();
    MiddlewareKind::Headers(Box::new(edit))
}

fn cors(fields: &Fields<'_>) -> Cors {
    let age = fields.number("accessControlMaxAge", 0..=i64::MAX);
    let mut cors = Cors {
        credentials: fields.flag("accessControlAllowCredentials").unwrap_or(false),
        headers: tokens(fields, "accessControlAllowHeaders"),
        methods: tokens(fields, "accessControlAllowMethods"),
        expose: tokens(fields, "accessControlExposeHeaders"),
        origins: origins(fields),
        patterns: patterns(fields),
        max_age: age.filter(|age| *age > 0).map(|age| age.to_string()).unwrap_or_default(),
        vary: fields.flag("addVaryHeader").unwrap_or(false),
    };
    if cors != Cors::default() && cors.max_age.is_empty() {
        cors.max_age = "0".to_owned();
    }
    if cors.credentials && cors.origins.iter().any(|origin| origin == "*") {
        let text = "browsers accept no credentials together with the origin *";
        let help = "list the origins, or use accessControlAllowOriginListRegex";
        let key = "accessControlAllowCredentials";
        fields.warning_with_help(key, "no-effect", text, help);
    }
    cors
}

/// Names, as they stand in one field.
fn tokens(fields: &Fields<'_>, key: &'static str) -> String {
    let texts = fields.texts(key).unwrap_or_default();
    for (at, text) in &texts {
        if !is_token(text) {
            let wanted = "expected a name or a method";
            bad_value(fields.report, *at, &fields.path_of(key), text, wanted);
        }
    }
    texts.iter().map(|(_, text)| *text).collect::<Vec<_>>().join(",")
}

fn origins(fields: &Fields<'_>) -> Vec<String> {
    const KEY: &str = "accessControlAllowOriginList";
    let texts = fields.texts(KEY).unwrap_or_default();
    for (at, text) in &texts {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
            let wanted = "expected an origin such as https://shop.example.com, or *";
            bad_value(fields.report, *at, &fields.path_of(KEY), text, wanted);
        }
    }
    texts.into_iter().map(|(_, text)| text.to_owned()).collect()
}

fn patterns(fields: &Fields<'_>) -> Vec<Pattern> {
    const KEY: &str = "accessControlAllowOriginListRegex";
    let mut patterns = Vec::new();
    for (at, text) in fields.texts(KEY).unwrap_or_default() {
        match Pattern::new(text) {
            Ok(pattern) => patterns.push(pattern),
            Err(why) => bad_value(fields.report, at, &fields.path_of(KEY), text, &why),
        }
    }
    patterns
}

fn security(fields: &Fields<'_>) -> Security {
    let flag = |key| fields.flag(key).unwrap_or(false);
    let value = |key| fields.parsed(key, field_value).unwrap_or_default();
    let seconds = fields.number("stsSeconds", 0..=i64::MAX).unwrap_or(0);
    let security = Security {
        allowed_hosts: fields.strings("allowedHosts").unwrap_or_default(),
        hosts_proxy_headers: fields.strings("hostsProxyHeaders").unwrap_or_default(),
        ssl_proxy_headers: headers(fields, "sslProxyHeaders"),
        sts_seconds: u64::try_from(seconds).unwrap_or(0),
        sts_subdomains: flag("stsIncludeSubdomains"),
        sts_preload: flag("stsPreload"),
        force_sts: flag("forceSTSHeader"),
        frame_deny: flag("frameDeny"),
        frame_options: value("customFrameOptionsValue"),
        nosniff: flag("contentTypeNosniff"),
        xss_filter: flag("browserXssFilter"),
        xss_value: value("customBrowserXSSValue"),
        csp: value("contentSecurityPolicy"),
        csp_report_only: value("contentSecurityPolicyReportOnly"),
        public_key: value("publicKey"),
        referrer_policy: value("referrerPolicy"),
        permissions_policy: value("permissionsPolicy"),
        is_development: flag("isDevelopment"),
    };
    if security.sts_seconds == 0 {
        for key in ["stsIncludeSubdomains", "stsPreload", "forceSTSHeader"] {
            if fields.has(key) {
                let text = "without stsSeconds no Strict-Transport-Security is sent";
                fields.warning(key, "no-effect", text);
            }
        }
    }
    if security.allowed_hosts.is_empty() && !security.hosts_proxy_headers.is_empty() {
        let text = "without allowedHosts no host is looked at";
        fields.warning("hostsProxyHeaders", "no-effect", text);
    }
    security
}

/// Policies are long, and written over several lines.
fn field_value(text: &str) -> Result<String, String> {
    let value = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    if is_field_value(value.trim()) {
        return Ok(value.trim().to_owned());
    }
    Err("a field value has no control characters".to_owned())
}

/// Options that the dialect has left behind.
fn gone(fields: &Fields<'_>) {
    if fields.has("sslRedirect") {
        let text = "this is gone from the dialect; nothing would be redirected";
        fields.error_with_help("sslRedirect", "unsupported", text, "use redirectScheme");
    }
    for key in ["sslTemporaryRedirect", "sslHost", "sslForceHost"] {
        if fields.has(key) {
            let text = "this is gone from the dialect and has no effect";
            fields.warning_with_help(key, "no-effect", text, "use redirectScheme or redirectRegex");
        }
    }
    for (key, instead) in [
        ("featurePolicy", "write permissionsPolicy"),
        ("accessControlAllowOrigin", "write accessControlAllowOriginList"),
    ] {
        if fields.has(key) {
            let text = "this is gone from the dialect and has no effect";
            fields.warning_with_help(key, "no-effect", text, instead);
        }
    }
}
