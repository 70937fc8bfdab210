//! Children, what they offer, and how it goes with them.

use super::html::{Html, PerMille, Tone};
use super::list::Wish;
use super::{Age, Micros, fact};
use crate::base::time::Time;
use crate::view::latency::Spread;
use crate::view::status::ChildPhase;
use crate::view::{ChildView, Standing};
use crate::worker::internal::Sight;
use std::sync::atomic::Ordering::Relaxed;

const UPLINKS_MAX: usize = 40;

/// Requests that each child answered.
pub(super) fn answered(sight: &Sight<'_>) -> Vec<u64> {
    sight.view.children.iter().map(|child| child.stats.latency.spread().count).collect()
}

fn phase(sight: &Sight<'_>, child: &ChildView) -> ChildPhase {
    let status = sight.view.status.children.get(child.id.0.into());
    status.map_or(ChildPhase::Pending, |status| status.phase)
}

pub(super) fn is_alive(sight: &Sight<'_>, child: &ChildView) -> bool {
    phase(sight, child) == ChildPhase::Fresh
}

pub(super) fn write(html: &mut Html, sight: &Sight<'_>, wish: &Wish) {
    let all = &sight.view.children;
    let page = wish.page(all.len(), |at| wish.admits("", &[&all[at].name, &all[at].address]));
    html.raw("<h1>Children</h1>");
    if all.is_empty() {
        html.raw(
            "<p>This instance has no children: <code>hub.providers.multicluster.children</code>",
        );
        html.raw(" names them.</p>");
        return;
    }
    page.form(html, wish, &[]);
    let total = answered(sight).iter().sum();
    html.raw("<div class=\"cards\">");
    page.rows.iter().for_each(|at| card(html, sight, &all[*at], total));
    html.raw("</div>");
    page.pager(html, wish);
}

fn card(html: &mut Html, sight: &Sight<'_>, child: &ChildView, total: u64) {
    let spread = child.stats.latency.spread();
    let share = (spread.count * 1_000).checked_div(total).unwrap_or(0);
    html.raw("<article class=\"card child\"><h3>").clipped(&child.name, 100).raw(" ");
    let phase = phase(sight, child);
    match phase {
        ChildPhase::Fresh => html.pill(Tone::Good, "alive"),
        ChildPhase::Pending => html.pill(Tone::Quiet, phase.name()),
        ChildPhase::Stale | ChildPhase::Overdue | ChildPhase::Unseen => {
            html.pill(Tone::Bad, phase.name())
        }
    };
    html.raw("</h3><p><code>").clipped(&child.address, 200).raw("</code></p>");
    html.bar(share, None).raw("<dl class=\"facts\">");
    fact(html, "Share of all", |html| {
        html.text(PerMille(share));
    });
    fact(html, "Requests", |html| {
        html.count(format_args!("child {}", child.name), spread.count);
    });
    fact(html, "Half within", |html| quantile(html, &spread, 500));
    fact(html, "99 % within", |html| quantile(html, &spread, 990));
    fact(html, "Last good poll", |html| last_good(html, sight, child));
    fact(html, "Polls", |html| {
        let stats = &child.stats;
        html.text(stats.polls_ok.load(Relaxed)).raw(" good, ");
        html.text(stats.polls_failed.load(Relaxed)).raw(" failed, the last took ");
        html.text(Micros(stats.duration.load(Relaxed) / 1_000));
    });
    html.raw("</dl>");
    let status = sight.view.status.children.get(child.id.0.into());
    if let Some(status) = status.filter(|status| !status.error.is_empty()) {
        html.raw("<ul class=\"errors\"><li>").clipped(&status.error, 500).raw("</li></ul>");
    }
    uplinks(html, sight, child);
    html.raw("</article>");
}

fn quantile(html: &mut Html, spread: &Spread, per_mille: u64) {
    match spread.quantile(per_mille) {
        Some(span) => html.text(Micros(span.nanos() / 1_000)),
        None => html.raw("–"),
    };
}

fn last_good(html: &mut Html, sight: &Sight<'_>, child: &ChildView) {
    match child.stats.last_good.load(Relaxed) {
        0 => html.raw("never"),
        at => html.text(Age(sight.now.since(Time::from_nanos(at)))).raw(" ago"),
    };
}

fn uplinks(html: &mut Html, sight: &Sight<'_>, child: &ChildView) {
    if child.uplinks.is_empty() {
        html.raw("<p class=\"none\">It offers nothing.</p>");
        return;
    }
    html.raw("<table class=\"small\"><thead><tr><th>Uplink</th><th class=\"n\">Weight</th>");
    html.raw("<th>Standing</th></tr></thead><tbody>");
    for uplink in child.uplinks.iter().take(UPLINKS_MAX) {
        html.raw("<tr>").cell("Uplink");
        match sight.view.services.get(uplink.service.0) {
            Some(node) => html.link_as("services", &node.name, &uplink.name),
            None => html.clipped(&uplink.name, 100),
        };
        html.raw("</td><td class=\"n\" data-label=\"Weight\">").text(uplink.weight).raw("</td>");
        html.cell("Standing").pill(tone(uplink.standing), uplink.standing.name());
        html.raw("</td></tr>");
    }
    html.raw("</tbody></table>");
    if child.uplinks.len() > UPLINKS_MAX {
        let more = child.uplinks.len() - UPLINKS_MAX;
        html.raw("<p class=\"under\">and ").text(more).raw(" more</p>");
    }
}

pub(super) fn tone(standing: Standing) -> Tone {
    match standing {
        Standing::Up => Tone::Good,
        Standing::UpStale => Tone::Warning,
        Standing::Unknown | Standing::UnknownStale => Tone::Quiet,
        Standing::Down => Tone::Bad,
    }
}
