//! The reference in `docs/` against the readers: each documented key is known, and writing its
//! documented default says the same as leaving it out.

use super::dynamic::from_tree;
use super::fixed_from_flags;
use super::report::Report;
use super::sources::from_flags;
use crate::base::diag::Diagnostic;

const STATIC: &str = include_str!("../../../docs/reference/static.md");
const DYNAMIC: &str = include_str!("../../../docs/reference/dynamic.md");

/// Sections as full as the defaults of their members need them.
const STATIC_BASE: &str = "--entryPoints.n.address=:80 --hub.uplinkEntryPoints.u.address=:81 \
    --hub.providers.multicluster.children.n.address=http://c:9443 --providers.file.filename=f \
    --providers.rest --providers.http.endpoint=https://c --providers.http.tls.ca=c \
    --entryPoints.n.http.redirections.entryPoint.to=:443 \
    --api --ping --metrics.prometheus --accessLog";
const DYNAMIC_BASE: &str = "--http.routers.n.rule=Path(`/`) --http.routers.n.service=loadBalancer \
    --http.services.loadBalancer.loadBalancer.servers[0].url=http://a \
    --http.services.loadBalancer.loadBalancer.healthCheck.path=/ \
    --http.services.loadBalancer.loadBalancer.passiveHealthCheck \
    --http.services.loadBalancer.loadBalancer.sticky.cookie \
    --http.services.weighted.weighted.services[0].name=n \
    --http.services.weighted.weighted.sticky.cookie \
    --http.services.highestRandomWeight.highestRandomWeight.services[0].name=n \
    --http.services.failover.failover.service=n --http.services.failover.failover.fallback=n \
    --http.services.failover.failover.errors.status=500 \
    --http.services.mirroring.mirroring.service=n \
    --http.services.mirroring.mirroring.mirrors[0].name=n \
    --tls.options.n --http.uplinks.n.healthCheck --http.uplinks.n.passiveHealthCheck \
    --http.middlewares.redirectRegex.redirectRegex.regex=a \
    --http.middlewares.redirectRegex.redirectRegex.replacement=b \
    --http.middlewares.redirectScheme.redirectScheme.scheme=https \
    --http.middlewares.ipAllowList.ipAllowList.sourceRange=10.0.0.1 \
    --http.middlewares.encodedCharacters.encodedCharacters --http.middlewares.headers.headers \
    --http.middlewares.rateLimit.rateLimit.average=5 \
    --http.middlewares.rateLimit.rateLimit.sourceCriterion.ipStrategy \
    --http.middlewares.rateLimit.rateLimit.redis.tls.ca=c \
    --http.middlewares.inFlightReq.inFlightReq.amount=1 \
    --http.middlewares.retry.retry.attempts=2 --http.middlewares.buffering.buffering \
    --http.middlewares.grpcWeb.grpcWeb --http.middlewares.compress.compress \
    --http.middlewares.contentType.contentType \
    --http.middlewares.passTLSClientCert.passTLSClientCert.info.subject.commonName=true \
    --http.middlewares.passTLSClientCert.passTLSClientCert.info.issuer.commonName=true \
    --http.middlewares.errors.errors.status=500 --http.middlewares.errors.errors.service=n \
    --http.middlewares.basicAuth.basicAuth.users=a:$apr1$abcdefgh$T64oOxnD8c28.dQa.2Lty1 \
    --http.middlewares.circuitBreaker.circuitBreaker.expression=NetworkErrorRatio()>0.5 \
    --http.middlewares.forwardAuth.forwardAuth.address=https://a \
    --http.middlewares.forwardAuth.forwardAuth.tls.ca=c \
    --http.middlewares.digestAuth.digestAuth.users=al:traefik:939e7578ed9e3c518a452acee763bce9";

/// Keys and defaults of the tables that have both.
fn rows(page: &'static str) -> Vec<(&'static str, Option<&'static str>)> {
    let cells = |line: &'static str| -> Vec<&str> { line.split(" | ").map(str::trim).collect() };
    let lines = page.lines().filter(|line| line.starts_with("| `") && line.contains('.'));
    lines
        .map(cells)
        .filter(|cells| cells.len() == 4)
        .map(|cells| {
            let key = cells[0].trim_start_matches("| ").trim_matches('`');
            let default = cells[2].strip_prefix('`').and_then(|text| text.strip_suffix('`'));
            (key, default)
        })
        .collect()
}

/// The flag that writes the default: names are `n`, or the kind of a service or a middleware.
fn flag(key: &str, default: &str) -> String {
    let value = if matches!(default, "[]" | "\"\"") { "" } else { default };
    let mut path = key.replace("[]", "[0]");
    for of in ["http.services", "http.middlewares"] {
        if let Some(rest) = path.strip_prefix(&format!("{of}.<name>.")) {
            let kind = rest.split('.').next().expect("a split has a first part");
            path = format!("{of}.{kind}.{rest}");
        }
    }
    format!("--{}={value}", path.replace("<name>", "n"))
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn fixed(flags: &[String]) -> (String, Vec<Diagnostic>) {
    let (fixed, diagnostics) = fixed_from_flags(flags);
    (format!("{fixed:?}"), diagnostics)
}

fn dynamic(flags: &[String]) -> (String, Vec<Diagnostic>) {
    let report = Report::new("");
    let root = from_flags(flags, &report);
    let dynamic = from_tree(&report, &root);
    (format!("{dynamic:?}"), report.into_sorted())
}

#[track_caller]
fn check(
    page: &'static str,
    base: &str,
    rows_min: usize,
    read: impl Fn(&[String]) -> (String, Vec<Diagnostic>),
) {
    let base = words(base);
    let (plain, problems) = read(&base);
    assert_eq!(problems, [], "the base has no problem");
    let rows = rows(page);
    assert!(rows.len() >= rows_min, "the tables are read: {} rows", rows.len());
    for (key, default) in rows {
        let Some(default) = default else { continue };
        let flags: Vec<String> = base.iter().cloned().chain([flag(key, default)]).collect();
        let (with, problems) = read(&flags);
        assert_eq!(problems, [], "{key}");
        assert_eq!(with, plain, "{key}");
    }
}

#[test]
fn static_defaults_are_as_documented() {
    check(STATIC, STATIC_BASE, 55, fixed);
}

#[test]
fn dynamic_defaults_are_as_documented() {
    check(DYNAMIC, DYNAMIC_BASE, 55, dynamic);
}

#[test]
fn a_wrong_default_would_be_noticed() {
    let base = words(STATIC_BASE);
    let key = "entryPoints.<name>.transport.lifeCycle.graceTimeOut";
    let flags: Vec<String> = base.iter().cloned().chain([flag(key, "11s")]).collect();
    assert_ne!(fixed(&flags).0, fixed(&base).0);
}
