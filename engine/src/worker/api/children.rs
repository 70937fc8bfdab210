//! The children of this parent and what is wrong with the configuration: ours, under `tieline`.

use crate::base::diag::{Diagnostic, Severity};
use crate::base::text::rfc3339;
use crate::base::time::Time;
use crate::view::latency::Spread;
use crate::view::status::ChildPhase;
use crate::view::{ChildUplink, ChildView};
use crate::worker::internal::Sight;
use serde_json::{Value, json};
use std::sync::atomic::Ordering::Relaxed;

pub(super) fn children(sight: &Sight<'_>) -> Value {
    let children = &sight.view.children;
    let spreads: Vec<Spread> = children.iter().map(|c| c.stats.latency.spread()).collect();
    let all = spreads.iter().map(|spread| spread.count).sum();
    children.iter().zip(&spreads).map(|(child, spread)| object(sight, child, spread, all)).collect()
}

fn object(sight: &Sight<'_>, child: &ChildView, spread: &Spread, all: u64) -> Value {
    let stats = &child.stats;
    let status = sight.view.status.children.get(child.id.0.into());
    let phase = status.map_or(ChildPhase::Pending, |status| status.phase);
    let last_good = Some(stats.last_good.load(Relaxed)).filter(|at| *at != 0);
    let micros = |per_mille| spread.quantile(per_mille).map(|span| span.nanos() / 1_000);
    json!({
        "name": &*child.name,
        "address": child.address,
        "alive": phase == ChildPhase::Fresh,
        "phase": phase.name(),
        "error": status.map_or("", |status| &status.error),
        "lastGoodPoll": last_good.map(|at| date(sight, Time::from_nanos(at))),
        "ageMillis": last_good.map(|at| sight.now.since(Time::from_nanos(at)).as_millis()),
        "polls": {
            "ok": stats.polls_ok.load(Relaxed),
            "unchanged": stats.polls_unchanged.load(Relaxed),
            "failed": stats.polls_failed.load(Relaxed),
            "lastMicros": stats.duration.load(Relaxed) / 1_000,
        },
        "uplinks": child.uplinks.iter().map(uplink(sight)).collect::<Value>(),
        "requests": spread.count,
        "sharePerMille": (spread.count * 1_000).checked_div(all).unwrap_or(0),
        "p50Micros": micros(500),
        "p99Micros": micros(990),
    })
}

fn uplink(sight: &Sight<'_>) -> impl Fn(&ChildUplink) -> Value {
    |uplink| {
        let service = sight.view.services.get(uplink.service.0);
        json!({
            "name": &*uplink.name,
            "weight": uplink.weight,
            "up": uplink.standing.serves(),
            "standing": uplink.standing.name(),
            "service": service.map(|node| &*node.name),
        })
    }
}

fn date(sight: &Sight<'_>, at: Time) -> String {
    let mut out = Vec::new();
    rfc3339(sight.stats.started.at(at), &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

pub(super) fn diagnostics(sight: &Sight<'_>) -> Value {
    let status = &sight.view.status;
    let reloads = &status.reloads;
    json!({
        "epoch": sight.view.epoch,
        "diagnostics": status.diagnostics.iter().map(diagnostic).collect::<Value>(),
        "reloads": {
            "applied": reloads.applied,
            "refused": reloads.refused,
            "lastRefused": reloads.last_refused,
            "appliedAt": reloads.applied_at.map(|at| date(sight, at)),
            "refusedAt": reloads.refused_at.map(|at| date(sight, at)),
            "report": &*reloads.report,
        },
    })
}

fn diagnostic(diagnostic: &Diagnostic) -> Value {
    json!({
        "severity": match diagnostic.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        },
        "code": diagnostic.code,
        "file": diagnostic.file,
        "line": diagnostic.line,
        "column": diagnostic.column,
        "path": diagnostic.path,
        "text": diagnostic.text,
        "help": diagnostic.help,
    })
}
