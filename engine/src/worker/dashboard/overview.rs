//! The whole at a glance.

use super::html::{Grouped, Html, PerMille, Tone};
use super::list::LOOKS_MAX;
use super::{children, diagnostics};
use crate::base::diag::Severity;
use crate::view::model::Condition;
use crate::view::stats::Count;
use crate::view::{EntryView, Offer};
use crate::worker::internal::Sight;

const CHILDREN_MAX: usize = 12;
const PROBLEMS_MAX: usize = 5;

pub(super) fn write(html: &mut Html, sight: &Sight<'_>) {
    html.raw("<h1>Overview</h1>");
    notices(html, sight);
    tiles(html, sight);
    if !sight.view.children.is_empty() {
        html.raw("<section><h2>Children</h2>");
        map(html, sight);
        html.raw("</section>");
    }
    problems(html, sight);
    entries(html, sight);
    let reloads = &sight.view.status.reloads;
    if !reloads.report.is_empty() {
        html.raw("<section><h2>The last change</h2>");
        diagnostics::report(html, sight, 5);
        html.raw("</section>");
    }
}

/// What everybody who looks must see.
fn notices(html: &mut Html, sight: &Sight<'_>) {
    if sight.draining {
        html.raw(
            "<p class=\"notice warning\">This instance is on its way down: it finishes what it",
        );
        html.raw(" has and takes nothing new.</p>");
    }
    if sight.view.status.reloads.last_refused {
        html.raw(
            "<p class=\"notice bad\">The newest configuration was refused. The last good one is",
        );
        html.raw(" in effect: see <a").href("diagnostics").raw(">diagnostics</a>.</p>");
    }
}

fn tiles(html: &mut Html, sight: &Sight<'_>) {
    let model = &sight.view.model;
    html.raw("<div class=\"tiles\">");
    let routers = model.routers.iter().map(|it| it.condition);
    tile(html, "routers", "Routers", model.routers.len(), routers);
    let ids = &model.services_by_name;
    let services = ids.iter().filter_map(|id| model.services.get(id.0)).map(|it| it.condition);
    tile(html, "services", "Services", ids.len(), services);
    let middlewares = model.middlewares.iter().map(|it| it.condition);
    tile(html, "middlewares", "Middlewares", model.middlewares.len(), middlewares);
    let requests = sight.stats.workers.iter().map(|worker| worker.requests.get()).sum();
    html.raw("<div class=\"tile\"><span>Requests</span><strong>").count("requests", requests);
    html.raw("</strong><small>");
    let open: u64 = sight.view.entries.iter().map(|entry| clients(entry, sight)).sum();
    html.text(open).raw(if open == 1 { " connection" } else { " connections" });
    html.raw(" open</small></div>");
    problem_tile(html, sight);
    html.raw("</div>");
}

/// How many there are, and how many of those that are looked at do not do what they say.
fn tile(
    html: &mut Html,
    page: &'static str,
    title: &'static str,
    all: usize,
    conditions: impl Iterator<Item = Condition>,
) {
    let (mut warnings, mut errors) = (0, 0);
    for condition in conditions.take(LOOKS_MAX) {
        match condition {
            Condition::Enabled => {}
            Condition::Warning => warnings += 1,
            Condition::Disabled => errors += 1,
        }
    }
    html.raw("<a class=\"tile\"").href(page).raw("><span>").raw(title).raw("</span><strong>");
    html.count(page, all as u64).raw("</strong><small>");
    match (warnings, errors) {
        (0, 0) => html.raw("all enabled"),
        (warnings, 0) => html.pill(Tone::Warning, format_args!("{warnings} with warnings")),
        (_, errors) => html.pill(Tone::Bad, format_args!("{errors} disabled")),
    };
    if all > LOOKS_MAX {
        html.raw(" of the first ").text(Grouped(LOOKS_MAX as u64));
    }
    html.raw("</small></a>");
}

fn problem_tile(html: &mut Html, sight: &Sight<'_>) {
    let diagnostics = &sight.view.status.diagnostics;
    let errors =
        diagnostics.iter().take(LOOKS_MAX).filter(|it| it.severity == Severity::Error).count();
    html.raw("<a class=\"tile\"").href("diagnostics").raw("><span>Problems</span><strong>");
    html.count("problems", diagnostics.len() as u64).raw("</strong><small>");
    match (diagnostics.len(), errors) {
        (0, _) => {
            html.pill(Tone::Good, "none");
        }
        (_, 0) => {
            html.pill(Tone::Warning, "warnings only");
        }
        (_, 1) => {
            html.pill(Tone::Bad, "1 error");
        }
        (_, errors) => {
            html.pill(Tone::Bad, format_args!("{errors} errors"));
        }
    }
    html.raw("</small></a>");
}

/// This process and its children, each by a line as wide as its share.
fn map(html: &mut Html, sight: &Sight<'_>) {
    let all = &sight.view.children;
    let shown = all.len().min(CHILDREN_MAX) as u64;
    let answered = children::answered(sight);
    let total: u64 = answered.iter().sum();
    let height = 24 + shown * 56;
    html.raw("<svg class=\"map\" role=\"img\" aria-label=\"Children and their shares\"");
    html.attr("viewBox", format_args!("0 0 720 {height}")).raw(">");
    let middle = height / 2;
    for (at, (child, answered)) in (0..).zip(all.iter().zip(&answered)).take(CHILDREN_MAX) {
        let share = (answered * 1_000).checked_div(total).unwrap_or(0);
        let y = 40 + at * 56;
        let class = if children::is_alive(sight, child) { "tie" } else { "tie lost" };
        html.raw("<path").attr("class", class).attr("stroke-width", 2 + share / 80);
        html.attr("d", format_args!("M150 {middle} C 290 {middle}, 280 {y}, 420 {y}")).raw("/>");
        let top = y - 20;
        html.raw("<rect class=\"node\" x=\"420\" width=\"290\" height=\"40\" rx=\"8\"");
        html.attr("y", top).raw("/><circle cx=\"438\" r=\"5\"").attr("cy", y);
        html.attr("class", if class == "tie" { "dot good" } else { "dot bad" }).raw("/>");
        html.raw("<text x=\"452\"").attr("y", y + 5).raw(">").clipped(&child.name, 22);
        html.raw("</text><text x=\"698\" text-anchor=\"end\" class=\"share\"").attr("y", y + 5);
        html.raw(">").text(PerMille(share)).raw("</text>");
    }
    let top = middle - 24;
    html.raw("<rect class=\"node own\" x=\"10\" width=\"140\" height=\"48\" rx=\"8\"");
    html.attr("y", top).raw("/><text x=\"80\" text-anchor=\"middle\"").attr("y", middle + 5);
    html.raw(">this parent</text></svg>");
    html.raw("<p class=\"under\">Shares of all requests that children answered since the start. ");
    if all.len() > CHILDREN_MAX {
        html.raw("The first ").text(CHILDREN_MAX).raw(" of ").text(all.len()).raw(". ");
    }
    html.raw("<a").href("children").raw(">More of the children</a></p>");
}

fn problems(html: &mut Html, sight: &Sight<'_>) {
    let all = &sight.view.status.diagnostics;
    if all.is_empty() {
        return;
    }
    html.raw("<section><h2>Problems</h2><ul class=\"problems\">");
    all.iter().take(PROBLEMS_MAX).for_each(|problem| diagnostics::problem(html, problem));
    html.raw("</ul>");
    if all.len() > PROBLEMS_MAX {
        html.raw("<p class=\"under\"><a").href("diagnostics").raw(">All ").text(all.len());
        html.raw("</a></p>");
    }
    html.raw("</section>");
}

fn entries(html: &mut Html, sight: &Sight<'_>) {
    html.raw("<section><h2>Entry points</h2><table><thead><tr><th>Name</th><th>Address</th>");
    html.raw("<th>For</th><th class=\"n\">Connections</th><th class=\"n\">Requests</th></tr>");
    html.raw("</thead><tbody>");
    for entry in &sight.view.entries {
        let settings = &entry.settings;
        html.raw("<tr>").cell("Name").element("b", "", &settings.name).raw("</td>");
        html.cell("Address").element("code", "", settings.address).raw("</td>").cell("For");
        let kind = match &entry.offer {
            Offer::Uplinks { .. } => "parents",
            Offer::Routes(_) => "clients",
        };
        html.pill(Tone::Quiet, kind);
        if entry.secure.is_some() {
            html.raw(" ").pill(Tone::Good, "TLS");
        }
        html.raw("</td><td class=\"n\" data-label=\"Connections\">").text(clients(entry, sight));
        html.raw("</td><td class=\"n\" data-label=\"Requests\">");
        let requests = entry.stats.iter().map(|series| series.requests.get()).sum();
        html.count(format_args!("entry {}", settings.name), requests).raw("</td></tr>");
    }
    html.raw("</tbody></table></section>");
}

fn clients(entry: &EntryView, sight: &Sight<'_>) -> u64 {
    let of = |worker: &crate::view::stats::WorkerStats| {
        worker.clients.get(usize::from(entry.id.0)).map_or(0, Count::get)
    };
    sight.stats.workers.iter().map(of).sum()
}
