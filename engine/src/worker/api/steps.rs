//! Middlewares as the API shows them.

use super::list::{List, Query};
use super::{bodies, describe, strings};
use crate::base::cidr::Cidr;
use crate::base::time::Time;
use crate::config::fixed::Scheme;
use crate::config::tls::{ClientTls, Trust};
use crate::config::typed::{
    Aim, AllowList, Credentials, ForwardAuth, HeadersEdit, IpStrategy, MiddlewareKind, Redirect,
    Redis, Source,
};
use crate::rule::Pattern;
use crate::service::middleware::breaker::Breaker;
use crate::view::View;
use crate::view::model::MiddlewareInfo;
use crate::view::registry::User;
use crate::worker::internal::Sight;
use serde_json::{Map, Value, json};
use std::sync::Arc;

pub(super) fn list<'a>(sight: &Sight<'a>, query: &Query) -> List<'a> {
    let admits = |middleware: &&Arc<MiddlewareInfo>| {
        query.admits(middleware.condition.name(), &[&middleware.definition.name])
    };
    let mut all: Vec<_> = sight.view.model.middlewares.iter().filter(admits).collect();
    query.sort(&mut all, |middleware| match query.sort_by.as_str() {
        "type" => json!(spelled(&middleware.definition.kind).map(|(kind, _)| kind)),
        "provider" => json!(super::provider(&middleware.definition.name)),
        "status" => json!(middleware.condition.name()),
        _ => json!(middleware.definition.name),
    });
    let now = sight.now;
    List { len: all.len(), object: Box::new(move |at| object(all[at], now)) }
}

pub(super) fn named(sight: &Sight<'_>, name: &str) -> Option<Value> {
    let all = &sight.view.model.middlewares;
    let at = all.binary_search_by(|m| m.definition.name.as_str().cmp(name)).ok()?;
    Some(object(&all[at], sight.now))
}

pub(super) fn object(middleware: &MiddlewareInfo, now: Time) -> Value {
    let definition = &middleware.definition;
    let mut object = Map::new();
    if let Some((kind, value)) = spelled(&definition.kind) {
        object.insert(kind.to_owned(), value);
        object.insert("type".to_owned(), json!(kind.to_lowercase()));
    }
    if !middleware.breakers.is_empty() {
        let state = |breaker: &Breaker| json!({ "state": breaker.state(now).name(), "opened": breaker.openings() });
        let mut all = Map::new();
        for (user, breaker) in &middleware.breakers {
            let key = match user {
                User::Router(_) => "breakers",
                User::Service(_) => "breakersOfServices",
            };
            let own = all.entry(key).or_insert_with(|| json!({}));
            own[&**user.name()] = state(breaker);
        }
        object.insert("tieline".to_owned(), Value::Object(all));
    }
    object.insert("usedBy".to_owned(), strings(&middleware.used_by));
    describe(&mut object, &definition.name, middleware.condition.name(), &middleware.errors);
    Value::Object(object)
}

/// What a middleware is, as configuration spells it. Null if it is broken.
pub(in crate::worker) fn defined(view: &View, name: &str) -> Option<Value> {
    let all = &view.model.middlewares;
    let at = all.binary_search_by(|m| m.definition.name.as_str().cmp(name)).ok()?;
    let spelled = spelled(&all[at].definition.kind);
    Some(spelled.map_or(Value::Null, |(kind, value)| json!({ kind: value })))
}

fn without_password(redis: &Redis) -> Value {
    let mut value = json!({
        "endpoints": [redis.address()],
        "db": redis.db,
        "readTimeout": redis.transport.read_timeout.to_string(),
        "writeTimeout": redis.transport.write_timeout.to_string(),
        "dialTimeout": redis.transport.dial_timeout.to_string(),
    });
    if !redis.username.is_empty() {
        value["username"] = json!(redis.username);
    }
    if redis.endpoint.scheme == Scheme::Https {
        value["tls"] = json!({});
    }
    value
}

/// Key and value as configuration spells them.
pub(in crate::worker) fn spelled(kind: &MiddlewareKind) -> Option<(&'static str, Value)> {
    Some(match kind {
        MiddlewareKind::StripPrefix(strip) => {
            let mut value = json!({ "prefixes": strip.prefixes });
            if strip.force_slash {
                value["forceSlash"] = json!(true);
            }
            ("stripPrefix", value)
        }
        MiddlewareKind::StripPrefixRegex { patterns } => {
            let sources: Vec<&str> = patterns.iter().map(Pattern::source).collect();
            ("stripPrefixRegex", json!({ "regex": sources }))
        }
        MiddlewareKind::ReplacePath { path } => ("replacePath", json!({ "path": path })),
        MiddlewareKind::ReplacePathRegex(rewrite) => {
            let (regex, replacement) = (rewrite.pattern.source(), rewrite.replacement.source());
            ("replacePathRegex", json!({ "regex": regex, "replacement": replacement }))
        }
        MiddlewareKind::Redirect(redirect) => redirection(redirect),
        MiddlewareKind::IpAllowList(list) => ("ipAllowList", allow_list(list)),
        MiddlewareKind::BasicAuth(credentials) => ("basicAuth", without_hashes(credentials)),
        MiddlewareKind::DigestAuth(credentials) => ("digestAuth", without_hashes(credentials)),
        MiddlewareKind::CircuitBreaker(breaker) => {
            let value = json!({
                "expression": breaker.expression.source(),
                "checkPeriod": breaker.check_period.to_string(),
                "fallbackDuration": breaker.fallback.to_string(),
                "recoveryDuration": breaker.recovery.to_string(),
                "responseCode": breaker.status,
            });
            ("circuitBreaker", value)
        }
        MiddlewareKind::ForwardAuth(auth) => ("forwardAuth", judge(auth)),
        MiddlewareKind::RateLimit(limit) => {
            let mut value = json!({
                "average": limit.average,
                "period": limit.period.to_string(),
                "burst": limit.burst,
                "sourceCriterion": source(&limit.source),
            });
            if let Some(redis) = &limit.redis {
                value["redis"] = without_password(redis);
            }
            ("rateLimit", value)
        }
        MiddlewareKind::InFlightReq(limit) => {
            let criterion = source(&limit.source);
            ("inFlightReq", json!({ "amount": limit.amount, "sourceCriterion": criterion }))
        }
        MiddlewareKind::EncodedCharacters(refused) => {
            let keys = refused.spelled().map(|(key, allowed)| (key.to_owned(), json!(allowed)));
            ("encodedCharacters", Value::Object(keys.collect()))
        }
        MiddlewareKind::AddPrefix { prefix } => ("addPrefix", json!({ "prefix": prefix })),
        MiddlewareKind::Compress(settings) => ("compress", bodies::compress(settings)),
        MiddlewareKind::ContentType { detects } => {
            let value = detects.map_or_else(|| json!({}), |it| json!({ "autoDetect": it }));
            ("contentType", value)
        }
        MiddlewareKind::GrpcWeb(web) => ("grpcWeb", json!({ "allowOrigins": web.origins })),
        MiddlewareKind::PassClientCert(pass) => ("passTLSClientCert", bodies::client_cert(pass)),
        MiddlewareKind::Errors(pages) => ("errors", bodies::errors(pages)),
        MiddlewareKind::Buffering(limits) => ("buffering", bodies::buffering(limits)),
        MiddlewareKind::Retry(policy) => ("retry", bodies::retry(policy)),
        MiddlewareKind::Headers(edit) => ("headers", headers(edit)),
        MiddlewareKind::Chain(names) => ("chain", json!({ "middlewares": names })),
        MiddlewareKind::Broken(_) => return None,
    })
}

/// What is said, in the words of the dialect.
fn headers(edit: &HeadersEdit) -> Value {
    let pairs = |pairs: &[(String, String)]| -> Value {
        Value::Object(pairs.iter().map(|(name, value)| (name.clone(), json!(value))).collect())
    };
    let list = |joined: &str| -> Value { joined.split_terminator(',').collect() };
    let (cors, security) = (&edit.cors, &edit.security);
    let expressions: Vec<&str> = cors.patterns.iter().map(Pattern::source).collect();
    let told = [
        ("customRequestHeaders", pairs(&edit.request)),
        ("customResponseHeaders", pairs(&edit.response)),
        ("accessControlAllowCredentials", json!(cors.credentials)),
        ("accessControlAllowHeaders", list(&cors.headers)),
        ("accessControlAllowMethods", list(&cors.methods)),
        ("accessControlAllowOriginList", json!(cors.origins)),
        ("accessControlAllowOriginListRegex", json!(expressions)),
        ("accessControlExposeHeaders", list(&cors.expose)),
        ("accessControlMaxAge", json!(cors.max_age.parse::<u64>().unwrap_or(0))),
        ("addVaryHeader", json!(cors.vary)),
        ("allowedHosts", json!(security.allowed_hosts)),
        ("hostsProxyHeaders", json!(security.hosts_proxy_headers)),
        ("sslProxyHeaders", pairs(&security.ssl_proxy_headers)),
        ("stsSeconds", json!(security.sts_seconds)),
        ("stsIncludeSubdomains", json!(security.sts_subdomains)),
        ("stsPreload", json!(security.sts_preload)),
        ("forceSTSHeader", json!(security.force_sts)),
        ("frameDeny", json!(security.frame_deny)),
        ("customFrameOptionsValue", json!(security.frame_options)),
        ("contentTypeNosniff", json!(security.nosniff)),
        ("browserXssFilter", json!(security.xss_filter)),
        ("customBrowserXSSValue", json!(security.xss_value)),
        ("contentSecurityPolicy", json!(security.csp)),
        ("contentSecurityPolicyReportOnly", json!(security.csp_report_only)),
        ("publicKey", json!(security.public_key)),
        ("referrerPolicy", json!(security.referrer_policy)),
        ("permissionsPolicy", json!(security.permissions_policy)),
        ("isDevelopment", json!(security.is_development)),
    ];
    Value::Object(said(told))
}

/// Those that say something.
fn said<const N: usize>(told: [(&str, Value); N]) -> Map<String, Value> {
    let says = |value: &Value| match value {
        Value::Bool(value) => *value,
        Value::Number(value) => value.as_u64() != Some(0),
        Value::String(value) => !value.is_empty(),
        Value::Array(value) => !value.is_empty(),
        Value::Object(value) => !value.is_empty(),
        Value::Null => false,
    };
    let said = told.into_iter().filter(|(_, value)| says(value));
    said.map(|(key, value)| (key.to_owned(), value)).collect()
}

fn redirection(redirect: &Redirect) -> (&'static str, Value) {
    let permanent = redirect.permanent;
    match &redirect.aim {
        Aim::Regex(rewrite) => {
            let (regex, replacement) = (rewrite.pattern.source(), rewrite.replacement.source());
            let value = json!({
                "regex": regex, "replacement": replacement, "permanent": permanent
            });
            ("redirectRegex", value)
        }
        Aim::Scheme { scheme, port } => {
            let mut value = json!({ "scheme": scheme, "permanent": permanent });
            if let Some(port) = port {
                value["port"] = json!(port.to_string());
            }
            ("redirectScheme", value)
        }
    }
}

/// Who may pass; what is stored of passwords stays here.
fn without_hashes(credentials: &Credentials) -> Value {
    let users: Vec<String> =
        credentials.users.iter().map(|(user, _)| format!("{user}:(hidden)")).collect();
    let mut value = json!({ "users": users, "realm": credentials.realm });
    if let Some(file) = &credentials.users_file {
        value["usersFile"] = json!(&**file);
    }
    if credentials.remove_header {
        value["removeHeader"] = json!(true);
    }
    if let Some(field) = &credentials.header_field {
        value["headerField"] = json!(field);
    }
    value
}

/// Who is asked, and what is told and heard.
fn judge(auth: &ForwardAuth) -> Value {
    let pattern = auth.response_pattern.as_ref().map_or("", Pattern::source);
    let size = |size: Option<u64>| size.map_or_else(|| json!(-1), |size| json!(size));
    let told = [
        ("address", json!(auth.address)),
        ("tls", auth.transport.tls.as_ref().map_or(Value::Null, |tls| client_tls(tls))),
        ("trustForwardHeader", json!(auth.trust_forwarded)),
        ("authResponseHeaders", json!(auth.response_fields)),
        ("authResponseHeadersRegex", json!(pattern)),
        ("authRequestHeaders", json!(auth.request_fields)),
        ("addAuthCookiesToResponse", json!(auth.cookies)),
        ("headerField", json!(auth.header_field.as_deref().unwrap_or_default())),
        ("forwardBody", json!(auth.forward_body)),
        ("preserveLocationHeader", json!(auth.preserve_location)),
        ("preserveRequestMethod", json!(auth.preserve_method)),
        ("authSigninURL", json!(auth.signin_url)),
    ];
    let mut object = said(told);
    object.insert("maxBodySize".to_owned(), size(auth.body_bytes_max));
    object.insert("maxResponseBodySize".to_owned(), size(auth.response_bytes_max));
    Value::Object(object)
}

/// Whom to trust and who to be; keys stay here.
fn client_tls(tls: &ClientTls) -> Value {
    let mut value = json!({});
    match &tls.trust {
        Trust::DangerAnybody => value["insecureSkipVerify"] = json!(true),
        Trust::Roots(roots) => {
            value["ca"] = json!(roots.first().map_or("", |root| root.label()));
        }
        Trust::System | Trust::AnyName(_) | Trust::Spiffe(_) => {}
    }
    if let Some(pair) = tls.certificates.first() {
        value["cert"] = json!(pair.cert.label());
        value["key"] = json!("(hidden)");
    }
    value
}

fn source(source: &Source) -> Value {
    match source {
        Source::Ip(own) => json!({ "ipStrategy": strategy(own) }),
        Source::Header(name) => json!({ "requestHeaderName": name }),
        Source::Host => json!({ "requestHost": true }),
    }
}

fn allow_list(list: &AllowList) -> Value {
    let mut value = json!({ "sourceRange": ranges(&list.ranges), "rejectStatusCode": list.status });
    if list.strategy != IpStrategy::default() {
        value["ipStrategy"] = strategy(&list.strategy);
    }
    value
}

fn ranges(ranges: &[Cidr]) -> Value {
    ranges.iter().map(|range| json!(range.to_string())).collect()
}

fn strategy(strategy: &IpStrategy) -> Value {
    let mut value = json!({});
    if strategy.depth > 0 {
        value["depth"] = json!(strategy.depth);
    }
    if !strategy.excluded.is_empty() {
        value["excludedIPs"] = ranges(&strategy.excluded);
    }
    if let Some(bits) = strategy.ipv6_bits {
        value["ipv6Subnet"] = json!(bits);
    }
    value
}
