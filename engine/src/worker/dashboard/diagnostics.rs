//! Everything that is wrong now, and what the last change did.

use super::html::{Html, Tone};
use super::list::Wish;
use super::{Age, Date, fact};
use crate::base::diag::{Diagnostic, Severity};
use crate::base::time::Time;
use crate::worker::internal::Sight;

pub(super) fn write(html: &mut Html, sight: &Sight<'_>, wish: &Wish) {
    let all = &sight.view.status.diagnostics;
    let page = wish.page(all.len(), |at| {
        let it = &all[at];
        wish.admits(name(it.severity), &[&it.text, &it.path, &it.file, it.code])
    });
    html.raw("<h1>Diagnostics</h1>");
    page.form(html, wish, &["error", "warning"]);
    if all.is_empty() {
        html.raw("<p class=\"notice good\">Nothing is wrong.</p>");
    }
    html.raw("<ul class=\"problems\">");
    page.rows.iter().for_each(|at| problem(html, &all[*at]));
    html.raw("</ul>");
    if !all.is_empty() {
        page.pager(html, wish);
    }
    html.raw("<section><h2>Configurations</h2>");
    report(html, sight, 100);
    html.raw("</section>");
}

fn name(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

pub(super) fn problem(html: &mut Html, it: &Diagnostic) {
    let tone = match it.severity {
        Severity::Error => Tone::Bad,
        Severity::Warning => Tone::Warning,
    };
    html.raw("<li>").pill(tone, name(it.severity)).raw(" ").clipped(&it.text, 1_000);
    if !it.help.is_empty() {
        html.raw(" <em>").clipped(&it.help, 500).raw("</em>");
    }
    html.raw("<br><code>").clipped(&it.path, 300).raw("</code>");
    if !it.file.is_empty() {
        html.raw(" <span class=\"under\">").clipped(&it.file, 300);
        if it.line > 0 {
            html.raw(":").text(it.line);
        }
        html.raw("</span>");
    }
    html.raw("</li>");
}

/// When configurations were taken and refused, and what the last one changed.
pub(super) fn report(html: &mut Html, sight: &Sight<'_>, lines_max: usize) {
    let reloads = &sight.view.status.reloads;
    html.raw("<dl class=\"facts\">");
    let when = |html: &mut Html, count: u64, at: Option<Time>| {
        html.text(count);
        if let Some(at) = at {
            html.raw(", the last ").text(Age(sight.now.since(at))).raw(" ago, at ");
            html.text(Date(sight.stats.started.at(at)));
        }
    };
    fact(html, "Taken", |html| when(html, reloads.applied, reloads.applied_at));
    fact(html, "Refused", |html| when(html, reloads.refused, reloads.refused_at));
    html.raw("</dl>");
    if reloads.report.is_empty() {
        return;
    }
    html.raw("<ul class=\"report\">");
    for line in reloads.report.iter().take(lines_max) {
        html.raw("<li>").clipped(line, 300).raw("</li>");
    }
    html.raw("</ul>");
    if reloads.report.len() > lines_max {
        let more = reloads.report.len() - lines_max;
        html.raw("<p class=\"under\">and ").text(more).raw(" more</p>");
    }
}
