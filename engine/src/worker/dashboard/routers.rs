//! Routers, and one of them.

use super::html::{Html, Tone};
use super::list::Wish;
use super::{STATUSES, condition, errors, fact, links, tree};
use crate::rule::Syntax;
use crate::view::model::RouterInfo;
use crate::worker::internal::Sight;

const RULE_CHARS_MAX: usize = 240;

pub(super) fn list(html: &mut Html, sight: &Sight<'_>, wish: &Wish) {
    let all = &sight.view.model.routers;
    let page = wish.page(all.len(), |at| {
        let it = &all[at].definition;
        wish.admits(all[at].condition.name(), &[&it.name, &it.rule_text, &it.service])
    });
    html.raw("<h1>Routers</h1>");
    page.form(html, wish, &STATUSES);
    html.raw("<table><thead><tr><th>Status</th><th>Name</th><th>Rule</th><th class=\"n\">Priority");
    html.raw("</th><th>At</th><th>Middlewares</th><th>Service</th></tr></thead><tbody>");
    page.rows.iter().for_each(|at| row(html, &all[*at]));
    html.raw("</tbody></table>");
    page.pager(html, wish);
}

fn row(html: &mut Html, router: &RouterInfo) {
    let it = &router.definition;
    html.raw("<tr>").cell("Status");
    condition(html, router.condition);
    html.raw("</td>").cell("Name").link("routers", &it.name).raw("</td>").cell("Rule");
    html.raw("<code>").clipped(&it.rule_text, RULE_CHARS_MAX).raw("</code>");
    errors(html, router.errors.get(..1).unwrap_or_default());
    html.raw("</td><td class=\"n\" data-label=\"Priority\"").attr("title", it.priority).raw(">");
    match i64::MAX - it.priority.max(0) {
        below @ 0..1_000 => html.raw("max − ").text(below),
        _ => html.text(it.priority),
    };
    html.raw("</td>");
    html.cell("At");
    places(html, router);
    html.raw("</td>").cell("Middlewares");
    links(html, "middlewares", it.middlewares.iter().map(String::as_str), 4);
    html.raw("</td>").cell("Service");
    service(html, router);
    html.raw("</td></tr>");
}

/// Entry points, or uplinks, or the routers above.
fn places(html: &mut Html, router: &RouterInfo) {
    let it = &router.definition;
    if !it.parents.is_empty() {
        html.raw("under ");
        return links(html, "routers", it.parents.iter().map(String::as_str), 3);
    }
    for uplink in it.uplinks.iter().take(4) {
        html.pill(Tone::Quiet, format_args!("uplink {uplink}")).raw(" ");
    }
    for name in router.using.iter().take(4).filter(|_| it.uplinks.is_empty()) {
        html.pill(Tone::Quiet, name).raw(" ");
    }
}

fn service(html: &mut Html, router: &RouterInfo) {
    match router.definition.service.as_str() {
        "" => {
            html.element("span", "none", "routers under it");
        }
        name => {
            html.link("services", name);
        }
    }
}

pub(super) fn one(html: &mut Html, sight: &Sight<'_>, name: &str) -> bool {
    let all = &sight.view.model.routers;
    let Ok(at) = all.binary_search_by(|it| it.definition.name.as_str().cmp(name)) else {
        return false;
    };
    let router = &all[at];
    let it = &router.definition;
    html.raw("<h1><small>Router</small> ").clipped(&it.name, 200).raw("</h1><dl class=\"facts\">");
    fact(html, "Status", |html| condition(html, router.condition));
    fact(html, "Rule", |html| {
        html.raw("<code>").clipped(&it.rule_text, 8_000).raw("</code>");
        if it.syntax != Syntax::V3 {
            html.raw(" ").pill(Tone::Quiet, it.syntax.name());
        }
    });
    fact(html, "Priority", |html| {
        html.text(it.priority);
    });
    fact(html, "At", |html| places(html, router));
    fact(html, "Middlewares", |html| {
        links(html, "middlewares", it.middlewares.iter().map(String::as_str), 64);
    });
    fact(html, "Service", |html| service(html, router));
    html.raw("</dl>");
    errors(html, &router.errors);
    if let Some(id) = tree::by_name(sight.view, &it.service) {
        html.raw("<section><h2>Who answers</h2>");
        tree::write(html, sight, id);
        html.raw("</section>");
    }
    true
}
