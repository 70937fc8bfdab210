//! Children as their parent sees them: polls, age, what they offer and how fast they answer.

use super::page::{Kind, Page};
use crate::base::time::Time;
use crate::view::ChildView;
use crate::view::status::ChildPhase;
use crate::worker::internal::Sight;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub(super) fn write(sight: &Sight<'_>, page: &mut Page) {
    if sight.view.children.is_empty() {
        return;
    }
    polls(sight, page);
    offers(sight, page);
    answers(sight, page);
}

/// Whether the last poll of a child succeeded.
pub(super) fn alive(sight: &Sight<'_>, child: &ChildView) -> bool {
    let status = sight.view.status.children.get(child.id.0.into());
    status.is_some_and(|status| status.phase == ChildPhase::Fresh)
}

fn polls(sight: &Sight<'_>, page: &mut Page) {
    let children = &sight.view.children;
    page.family("tieline_child_poll_total", Kind::Counter, "Polls of a child by how they ended.");
    for child in children {
        let unchanged = child.stats.polls_unchanged.load(Relaxed);
        for (result, count) in [
            ("ok", child.stats.polls_ok.load(Relaxed).saturating_sub(unchanged)),
            ("unchanged", unchanged),
            ("failed", child.stats.polls_failed.load(Relaxed)),
        ] {
            page.row(&[("child", &*child.name), ("result", result)]).number(count);
        }
    }
    each(
        sight,
        page,
        ("tieline_child_up", "1 if the last poll of the child succeeded."),
        |page, child| page.row(&[("child", &child.name)]).number(alive(sight, child).into()),
    );
    each(
        sight,
        page,
        ("tieline_child_poll_duration_seconds", "How long the last poll took."),
        |page, child| {
            page.row(&[("child", &child.name)]).seconds(child.stats.duration.load(Relaxed));
        },
    );
    each(
        sight,
        page,
        ("tieline_child_last_success_timestamp_seconds", "When a poll last succeeded."),
        |page, child| {
            let last = child.stats.last_good.load(Relaxed);
            let at = if last == 0 { 0 } else { sight.stats.started.0 + last };
            page.row(&[("child", &child.name)]).seconds(at);
        },
    );
    each(
        sight,
        page,
        ("tieline_child_age_seconds", "How old the set of uplinks in use is."),
        |page, child| {
            if let Some(age) = age(sight.now, &child.stats.last_good) {
                page.row(&[("child", &child.name)]).seconds(age);
            }
        },
    );
}

/// Nanoseconds since a moment; nothing if it never came.
fn age(now: Time, moment: &AtomicU64) -> Option<u64> {
    let moment = moment.load(Relaxed);
    (moment != 0).then(|| now.since(Time::from_nanos(moment)).nanos())
}

fn offers(sight: &Sight<'_>, page: &mut Page) {
    each(sight, page, ("tieline_child_uplinks", "Uplinks of the set in use."), |page, child| {
        page.row(&[("child", &child.name)]).number(child.uplinks.len() as u64);
    });
    each(
        sight,
        page,
        ("tieline_uplink_up", "1 for an uplink of a child that may take requests."),
        |page, child| {
            for uplink in &child.uplinks {
                let labels = [("child", &*child.name), ("uplink", &*uplink.name)];
                page.row(&labels).number(uplink.standing.serves().into());
            }
        },
    );
    each(
        sight,
        page,
        ("tieline_uplink_weight", "Weight that a child gives an uplink."),
        |page, child| {
            for uplink in &child.uplinks {
                let labels = [("child", &*child.name), ("uplink", &*uplink.name)];
                page.row(&labels).number(uplink.weight.into());
            }
        },
    );
}

fn answers(sight: &Sight<'_>, page: &mut Page) {
    page.family(
        "tieline_child_request_duration_seconds",
        Kind::Summary,
        "How long a child took to answer requests, since the start.",
    );
    for child in &sight.view.children {
        let spread = child.stats.latency.spread();
        let labels = [("child", &*child.name)];
        for (quantile, per_mille) in [("0.5", 500), ("0.99", 990)] {
            if let Some(span) = spread.quantile(per_mille) {
                page.row_of("", &labels, &[("quantile", quantile)]).seconds(span.nanos());
            }
        }
        page.row_of("_sum", &labels, &[]).seconds(spread.nanos);
        page.row_of("_count", &labels, &[]).number(spread.count);
    }
}

fn each(
    sight: &Sight<'_>,
    page: &mut Page,
    (name, about): (&'static str, &str),
    row: impl Fn(&mut Page, &ChildView),
) {
    page.family(name, Kind::Gauge, about);
    for child in &sight.view.children {
        row(page, child);
    }
}
