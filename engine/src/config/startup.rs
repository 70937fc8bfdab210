//! Documents, flags or environment to the static configuration.

mod children;
mod entry_points;
mod observe;
mod providers;

pub(super) use entry_points::ranges;

use super::document::{self, Value};
use super::dynamic::{DYNAMIC_ROOTS, STATIC_ROOTS, SYNTAXES, warn_of_unknown_roots};
use super::fields::Fields;
use super::fixed::{EntryPoint, Fixed, Settings, Written};
use super::report::Report;
use super::template::Environment;
use super::{redact, sources, spiffe};
use crate::base::diag::Diagnostic;
use std::net::{Ipv6Addr, SocketAddr};

/// The static configuration and every problem found on the way, by line.
pub type Startup = (Fixed, Vec<Diagnostic>);

/// The entry point of the process's own pages, unless they name another.
const INTERNAL: &str = "traefik";

/// From the text of a file. A file that is not a document at all gives the defaults and an error.
pub fn fixed_from_file(path: &str, text: &str) -> Startup {
    let report = Report::new(path);
    let root = document::read(path, text, &report);
    finish(report, root.as_ref(), true)
}

/// From the arguments of a command, `--a.b.c=value`. A flag that names a file is not one of them.
pub fn fixed_from_flags(arguments: &[String]) -> Startup {
    let report = Report::new("");
    let root = sources::from_flags(arguments, &report);
    finish(report, Some(&root), false)
}

/// From variables `TRAEFIK_A_B_C` and `TIELINE_A_B_C`; others are not looked at.
pub fn fixed_from_env(variables: &[(String, String)]) -> Startup {
    let report = Report::new("");
    let root = sources::from_env(variables, &report);
    finish(report, Some(&root), false)
}

/// From the first source that is there, as the dialect has it: a file, else flags, else the
/// environment. Nothing is merged; flags beside a file are reported.
pub fn fixed(
    file: Option<(&str, &str)>,
    arguments: &[String],
    variables: &[(String, String)],
) -> Startup {
    let flags = sources::without_file_flag(arguments);
    let (mut fixed, mut diagnostics) = match file {
        Some((path, text)) => fixed_from_file(path, text),
        None if flags.is_empty() => fixed_from_env(variables),
        None => fixed_from_flags(&flags),
    };
    fixed.environment = Environment::new(variables);
    let Some((path, _)) = file else { return (fixed, diagnostics) };
    if let Some(first) = flags.first() {
        let text = format!("flags such as {first} are not read, because there is a file");
        diagnostics.push(Diagnostic::warning("flag-beside-file", "", text).at(path, 0, 0));
    }
    (fixed, diagnostics)
}

/// What is asked of a static document, for a report that listens.
pub(super) fn outline(report: &Report, root: &Value) {
    if let Some(root) = Fields::open(report, "", root) {
        read(&root);
    }
}

fn finish(report: Report, root: Option<&Value>, is_file: bool) -> Startup {
    let mut fixed = Fixed::default();
    if let Some(root) = root.and_then(|root| Fields::open(&report, "", root)) {
        fixed = read(&root);
        if is_file {
            warn_of_unknown_roots(&root, &DYNAMIC_ROOTS, &STATIC_ROOTS);
        } else {
            root.close();
        }
    }
    if let Some(root) = root {
        let text = redact::document(root, &redact::Cover::NoKey, fixed.rule_syntax);
        fixed.written = Written(text.into());
    }
    (fixed, report.into_sorted())
}

fn read(root: &Fields<'_>) -> Fixed {
    let mut fixed = Fixed::default();
    let mut named = entry_points::read(root, "entryPoints", &mut fixed);
    if let Some(hub) = root.section("hub") {
        named += entry_points::read(&hub, "uplinkEntryPoints", &mut fixed);
        fixed.multicluster = children::read(&hub);
        hub.without_effect(&HUB_LATER);
        hub.close();
    }
    if let Some(providers) = root.section("providers") {
        providers::read(&providers, &mut fixed);
        providers.close();
    }
    if let Some(transport) = root.section("serversTransport") {
        fixed.servers_transport = super::transport::transport(&transport);
        transport.close();
    }
    fixed.spiffe = root.section("spiffe").and_then(spiffe::source);
    children::demand_identities(root, &fixed);
    if let Some(core) = root.section("core") {
        let syntax = core.word("defaultRuleSyntax", &SYNTAXES);
        fixed.rule_syntax = syntax.unwrap_or_default();
        core.without_effect(&["strictTLSOptions"]);
        core.close();
    }
    fixed.tieline = root.section("tieline").map(settings).unwrap_or_default();
    observe::read(root, &mut fixed);
    helm_only(root);
    root.without_effect(&LATER);
    add_missing_entry_points(root, &mut fixed, named);
    fixed
}

const HUB_LATER: [&str; 14] = [
    "aiGateway",
    "apiManagement",
    "experimental",
    "mcpGateway",
    "metrics",
    "namespaces",
    "offline",
    "platformUrl",
    "pluginRegistry",
    "redis",
    "sendLogs",
    "sendlogs",
    "token",
    "tracing",
];

const LATER: [&str; 8] = [
    "certificatesResolvers",
    "experimental",
    "global",
    "hostResolver",
    "ocsp",
    "pilot",
    "tcpServersTransport",
    "tls",
];

/// Keys of the chart's values that mean something only to the chart.
fn helm_only(root: &Fields<'_>) {
    for (key, instead) in [
        ("ports", "write entryPoints and hub.uplinkEntryPoints"),
        ("additionalArguments", "write the flags as keys of this file"),
    ] {
        if root.present(key) {
            let text = "this key belongs to the values of a Helm chart and has no effect";
            root.warning_with_help(key, "no-effect", text, instead);
        }
    }
}

fn settings(fields: Fields<'_>) -> Settings {
    let workers = fields.number("workers", 0..=1024).and_then(|n| u32::try_from(n).ok());
    let instance = fields.parsed("instance", |text| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        if text.len() <= 64 && text.bytes().all(fits) {
            Ok(text.to_owned())
        } else {
            Err("expected at most 64 letters, digits, dots, dashes and underscores".to_owned())
        }
    });
    let recording = fields.flag("recording").unwrap_or(true);
    fields.close();
    Settings { workers: workers.unwrap_or(0), instance: instance.unwrap_or_default(), recording }
}

/// Nothing configured: one entry point on port 80. Own pages without a place of their own: one on
/// port 8080.
fn add_missing_entry_points(root: &Fields<'_>, fixed: &mut Fixed, named: usize) {
    let everywhere = |port| SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
    if named == 0 {
        fixed.entry_points.push(EntryPoint::new("http", everywhere(80)));
    }
    let wants = |manual: bool, entry_point: &str| !manual && entry_point == INTERNAL;
    let wanted = fixed.api.as_ref().is_some_and(|api| api.insecure)
        || fixed.rest.is_some_and(|rest| rest.insecure)
        || fixed.ping.as_ref().is_some_and(|ping| wants(ping.manual_routing, &ping.entry_point))
        || fixed
            .prometheus
            .as_ref()
            .is_some_and(|metrics| wants(metrics.manual_routing, &metrics.entry_point));
    let refused = fixed.refused_entry_points.iter().any(|name| name == INTERNAL);
    if wanted && !refused && !fixed.entry_points.iter().any(|entry| entry.name == INTERNAL) {
        let own = EntryPoint::new(INTERNAL, everywhere(8080));
        let mut others = fixed.entry_points.iter().chain(&fixed.uplink_entry_points);
        if let Some(other) = others.find(|it| entry_points::overlap(it.address, own.address)) {
            let text =
                format!("pages of our own are served on :8080, where {} listens", other.name);
            let problem = Diagnostic::error("address-clash", "entryPoints.traefik.address", text);
            root.report.add(root.at, problem.help("give one of them another address"));
        }
        fixed.entry_points.push(own);
    }
    fixed.entry_points.sort_by(|a, b| a.name.cmp(&b.name));
}

#[cfg(test)]
mod tests;
