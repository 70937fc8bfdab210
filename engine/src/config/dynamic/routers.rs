//! Routers and uplinks.

use super::health::{Checked, health_check, passive_check};
use super::{check_name, router_tls};
use crate::base::diag::Diagnostic;
use crate::config::document::{At, Scalar};
use crate::config::fields::{Fields, Named};
use crate::config::report::Report;
use crate::config::typed::{Observability, Router, RouterTls, Uplink, Weight};
use crate::rule::{Rule, Syntax};
use std::sync::Arc;

/// Higher ones belong to the routers of the process itself.
const PRIORITY_MAX: i64 = i64::MAX - 1000;

/// Versions of the rule language, as documents name them.
pub(in crate::config) const SYNTAXES: [(&str, Syntax); 2] =
    [("v3", Syntax::V3), ("v2", Syntax::V2)];

/// A router with any error answers 503 where its rule matches: without the part that is wrong it
/// might let through what its author meant to guard.
pub(super) fn read(
    report: &Report,
    member: &Named<'_>,
    name: String,
    usual: Syntax,
) -> Option<Router> {
    let mark = report.mark();
    check_name(report, member);
    let mut router = Router { name, place: report.place(member.at), ..Router::default() };
    if let Some(mut fields) = Fields::open(report, &member.path, member.value) {
        fields.at = member.at;
        fill(&fields, &mut router, usual);
        fields.close();
    }
    router.broken = report.errors_since(mark);
    Some(router)
}

fn fill(fields: &Fields<'_>, router: &mut Router, usual: Syntax) {
    read_rule(fields, router, usual);
    let priority = fields.number("priority", i64::MIN..=PRIORITY_MAX).unwrap_or(0);
    let by_length = i64::try_from(router.rule_text.len()).unwrap_or(PRIORITY_MAX);
    router.priority = if priority == 0 { by_length } else { priority };
    router.entry_points = fields.strings("entryPoints").unwrap_or_default();
    let middlewares = fields.strings("middlewares").unwrap_or_default();
    router.middlewares = middlewares.iter().map(|name| fields.report.qualified(name)).collect();
    router.uplinks = fields.strings("uplinks").unwrap_or_default();
    router.service = fields.report.qualified(&fields.text("service").unwrap_or_default());
    if !router.uplinks.is_empty() {
        settings_of_the_uplink(fields, &router.rule_text);
        return;
    }
    let parents = fields.strings("parentRefs").unwrap_or_default();
    router.parents = parents.iter().map(|name| fields.report.qualified(name)).collect();
    router.parents.sort();
    router.parents.dedup();
    if router.parents.is_empty() {
        own_settings(fields, router);
    } else {
        settings_of_the_parent(fields);
    }
}

fn own_settings(fields: &Fields<'_>, router: &mut Router) {
    router.tls = fields.section("tls").map(|tls| {
        let options = router_tls(&tls);
        tls.close();
        RouterTls { options }
    });
    if let Some(section) = fields.section("observability") {
        router.observability = observed(&section);
        section.close();
    }
}

/// Tracing is not there to be switched; switching it off is no loss.
pub(in crate::config) fn observed(fields: &Fields<'_>) -> Observability {
    if fields.flag("tracing") == Some(true) {
        fields.without_effect(&["tracing"]);
    }
    fields.without_effect(&["traceVerbosity"]);
    Observability { access_logs: fields.flag("accessLogs"), metrics: fields.flag("metrics") }
}

/// Entry points, TLS and observability of a router under others come from the outermost.
fn settings_of_the_parent(fields: &Fields<'_>) {
    for key in ["entryPoints", "tls", "observability"] {
        if fields.present(key) {
            let line = fields.place_of(key).line;
            let text = format!("a router with parentRefs must not set {key}: its parent says it");
            let help =
                if line == 0 { format!("leave out {key}") } else { format!("delete line {line}") };
            fields.error_with_help(key, "child-router", text, help);
        }
    }
}

/// Entry points, TLS and observability of a router behind an uplink come from the uplink.
fn settings_of_the_uplink(fields: &Fields<'_>, rule: &str) {
    for key in ["entryPoints", "tls", "observability", "parentRefs"] {
        if fields.present(key) {
            let line = fields.place_of(key).line;
            fields.error_with_help(
                key,
                "uplink-router",
                format!(
                    "a router that is offered through uplinks must not set {key}; its rule \
                    is {rule}"
                ),
                if line == 0 { format!("leave out {key}") } else { format!("delete line {line}") },
            );
        }
    }
}

fn read_rule(fields: &Fields<'_>, router: &mut Router, usual: Syntax) {
    router.syntax = fields.word("ruleSyntax", &SYNTAXES).unwrap_or(usual);
    let Some((at, scalar)) = fields.scalar("rule") else {
        let help = "a rule that takes every request is PathPrefix(`/`)";
        fields.demand_with_help("rule", "a router has a rule", help);
        return;
    };
    router.rule_text.clone_from(&scalar.text);
    match Rule::parse_as(&scalar.text, router.syntax) {
        Ok(rule) => router.rule = Some(Arc::new(rule)),
        Err(error) => {
            let text = format!("{} in {}", error.text, scalar.text.trim());
            let problem = Diagnostic::error("bad-rule", fields.path_of("rule"), text);
            fields.report.add(inside(at, scalar, error.start), problem.help(error.help));
        }
    }
}

/// Where byte `offset` of a scalar stands, if its letters stand in the document as they are.
fn inside(at: At, scalar: &Scalar, offset: usize) -> At {
    let before = scalar.text.get(..offset).map(|before| before.chars().count());
    match scalar.lead.zip(before.and_then(|count| u32::try_from(count).ok())) {
        Some((lead, count)) => At { line: at.line, column: at.column + lead + count },
        None => at,
    }
}

/// A broken uplink is left out: nothing is offered under its name.
pub(super) fn read_uplink(report: &Report, member: &Named<'_>, name: String) -> Option<Uplink> {
    let mark = report.mark();
    let visible = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic());
    if !visible || name.contains(['@', ',']) || name.len() > 253 {
        let text = "an uplink's name is 1 to 253 visible ASCII letters without @ and comma";
        report.error("bad-name", member.at, &member.path, text);
    }
    let mut fields = Fields::open(report, &member.path, member.value)?;
    fields.at = member.at;
    let weight = fields.number("weight", 0..=i64::from(Weight::MAX));
    let uplink = Uplink {
        name,
        place: report.place(member.at),
        entry_points: fields.strings("entryPoints").unwrap_or_default(),
        weight: weight.and_then(Weight::new).unwrap_or(Weight::ONE),
        health_check: fields.section("healthCheck").and_then(|f| health_check(f, Checked::Uplink)),
        passive: fields.section("passiveHealthCheck").map(passive_check),
    };
    fields.close();
    report.errors_since(mark).is_empty().then_some(uplink)
}
