//! Middlewares. One that cannot be carried out as written is broken: the routers that use it
//! answer 503, because leaving it out may let through what it was there to stop.

mod access;
mod auth;
mod bodies;
mod breaker;
mod forward;
mod headers;
mod heads;
mod limits;
mod paths;
mod redis;

use super::check_name;
pub(in crate::config) use forward::client_tls;

use crate::base::diag::Diagnostic;
use crate::config::fields::{Fields, Named, suggestion};
use crate::config::report::Report;
use crate::config::typed::{Middleware, MiddlewareKind};

/// Kinds that this version has.
pub const BUILT: &[&str] = &[
    "addPrefix",
    "basicAuth",
    "buffering",
    "chain",
    "circuitBreaker",
    "compress",
    "contentType",
    "digestAuth",
    "encodedCharacters",
    "errors",
    "forwardAuth",
    "grpcWeb",
    "headers",
    "inFlightReq",
    "ipAllowList",
    "ipWhiteList",
    "passTLSClientCert",
    "rateLimit",
    "redirectRegex",
    "redirectScheme",
    "replacePath",
    "replacePathRegex",
    "retry",
    "stripPrefix",
    "stripPrefixRegex",
];

/// Kinds of the dialect that this version knows by name only.
const LATER: &[&str] =
    &["apiKey", "distributedRateLimit", "httpCache", "jwt", "ldap", "oidc", "plugin"];

pub(super) fn read(report: &Report, member: &Named<'_>, name: String) -> Option<Middleware> {
    let mark = report.mark();
    check_name(report, member);
    let kind = Fields::open(report, &member.path, member.value).and_then(|mut fields| {
        fields.at = member.at;
        one_kind(&fields)
    });
    let wrong = report.errors_since(mark);
    let kind = match kind {
        Some(kind) if wrong.is_empty() => kind,
        _ => MiddlewareKind::Broken(wrong.join("; ")),
    };
    Some(Middleware { name, place: report.place(member.at), kind })
}

fn one_kind(fields: &Fields<'_>) -> Option<MiddlewareKind> {
    let known = || BUILT.iter().chain(LATER).copied();
    let set: Vec<&'static str> = known().filter(|kind| fields.present(kind)).collect();
    for entry in fields.unasked() {
        let text = format!("there is no middleware `{}`", entry.key);
        let problem = Diagnostic::error("unknown-key", fields.path_of(&entry.key), text);
        fields.report.add(entry.at, problem.help(suggestion(&entry.key, known())));
    }
    fields.each_alternative(BUILT, |kind| drop(of_kind(fields, &[kind])));
    for kind in LATER {
        fields.refuses(kind);
    }
    of_kind(fields, &set)
}

fn of_kind(fields: &Fields<'_>, set: &[&'static str]) -> Option<MiddlewareKind> {
    match set {
        ["addPrefix"] => fields.section("addPrefix").map(paths::add_prefix),
        ["stripPrefix"] => fields.section("stripPrefix").map(paths::strip_prefix),
        ["stripPrefixRegex"] => fields.section("stripPrefixRegex").map(paths::strip_prefix_regex),
        ["replacePath"] => fields.section("replacePath").map(paths::replace_path),
        ["replacePathRegex"] => {
            fields.section("replacePathRegex").and_then(paths::replace_path_regex)
        }
        ["redirectRegex"] => fields.section("redirectRegex").and_then(access::redirect_regex),
        ["redirectScheme"] => fields.section("redirectScheme").and_then(access::redirect_scheme),
        ["ipAllowList"] => fields.section("ipAllowList").map(access::ip_allow_list),
        ["ipWhiteList"] => {
            let text = "this is the old name of ipAllowList";
            fields.warning("ipWhiteList", "deprecated", text);
            fields.section("ipWhiteList").map(access::ip_white_list)
        }
        ["encodedCharacters"] => {
            fields.section("encodedCharacters").map(access::encoded_characters)
        }
        ["basicAuth"] => fields.section("basicAuth").map(auth::basic_auth),
        ["digestAuth"] => fields.section("digestAuth").map(auth::digest_auth),
        ["circuitBreaker"] => fields.section("circuitBreaker").and_then(breaker::circuit_breaker),
        ["forwardAuth"] => fields.section("forwardAuth").map(forward::forward_auth),
        ["rateLimit"] => fields.section("rateLimit").map(limits::rate_limit),
        ["inFlightReq"] => fields.section("inFlightReq").map(limits::in_flight_req),
        ["compress"] => fields.switch("compress").map(bodies::compress),
        ["contentType"] => fields.switch("contentType").map(heads::content_type),
        ["grpcWeb"] => fields.switch("grpcWeb").map(heads::grpc_web),
        ["passTLSClientCert"] => fields.section("passTLSClientCert").map(heads::pass_client_cert),
        ["errors"] => fields.section("errors").map(bodies::errors),
        ["buffering"] => fields.section("buffering").map(bodies::buffering),
        ["retry"] => fields.section("retry").map(bodies::retry),
        ["headers"] => fields.section("headers").map(headers::edit_headers),
        ["chain"] => fields.section("chain").map(chain),
        [later] => {
            let text = format!("the middleware {later} is not supported by this version");
            let help = "routers that use it answer 503";
            fields.error_with_help(later, "unsupported", text, help);
            None
        }
        [] => {
            if fields.unasked().is_empty() {
                let text = "a middleware names its kind";
                fields.report.error("missing", fields.at, &fields.path, text);
            }
            None
        }
        several => {
            let text = format!("a middleware is one thing, not {}", several.join(" and "));
            fields.report.error("several-kinds", fields.at, &fields.path, text);
            None
        }
    }
}

fn chain(fields: Fields<'_>) -> MiddlewareKind {
    fields.requires("middlewares");
    let names = fields.strings("middlewares").unwrap_or_default();
    if names.is_empty() {
        fields.error("middlewares", "missing", "a chain names middlewares");
    }
    let report = fields.report;
    fields.close();
    MiddlewareKind::Chain(names.iter().map(|name| report.qualified(name)).collect())
}
