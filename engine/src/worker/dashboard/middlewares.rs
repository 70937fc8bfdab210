//! Middlewares, and one of them as configuration spells it.

use super::html::{Html, Tone};
use super::list::Wish;
use super::{STATUSES, condition, errors, fact, links};
use crate::view::model::MiddlewareInfo;
use crate::view::registry::User;
use crate::worker::api::steps::spelled;
use crate::worker::internal::Sight;

pub(super) fn list(html: &mut Html, sight: &Sight<'_>, wish: &Wish) {
    let all = &sight.view.model.middlewares;
    let page = wish
        .page(all.len(), |at| wish.admits(all[at].condition.name(), &[&all[at].definition.name]));
    html.raw("<h1>Middlewares</h1>");
    page.form(html, wish, &STATUSES);
    html.raw("<table><thead><tr><th>Status</th><th>Name</th><th>Kind</th><th>Used by</th></tr>");
    html.raw("</thead><tbody>");
    page.rows.iter().for_each(|at| row(html, &all[*at]));
    html.raw("</tbody></table>");
    page.pager(html, wish);
}

fn row(html: &mut Html, middleware: &MiddlewareInfo) {
    html.raw("<tr>").cell("Status");
    condition(html, middleware.condition);
    html.raw("</td>").cell("Name").link("middlewares", &middleware.definition.name);
    errors(html, middleware.errors.get(..1).unwrap_or_default());
    html.raw("</td>").cell("Kind");
    let kind = spelled(&middleware.definition.kind).map_or("broken", |(kind, _)| kind);
    html.element("code", "", kind).raw("</td>").cell("Used by");
    links(html, "routers", middleware.used_by.iter().map(|name| &**name), 4);
    html.raw("</td></tr>");
}

pub(super) fn one(html: &mut Html, sight: &Sight<'_>, name: &str) -> bool {
    let all = &sight.view.model.middlewares;
    let Ok(at) = all.binary_search_by(|it| it.definition.name.as_str().cmp(name)) else {
        return false;
    };
    let middleware = &all[at];
    html.raw("<h1><small>Middleware</small> ").clipped(&middleware.definition.name, 200);
    html.raw("</h1><dl class=\"facts\">");
    fact(html, "Status", |html| condition(html, middleware.condition));
    let spelled = spelled(&middleware.definition.kind);
    fact(html, "Kind", |html| {
        html.element("code", "", spelled.as_ref().map_or("broken", |(kind, _)| kind));
    });
    fact(html, "Used by", |html| {
        links(html, "routers", middleware.used_by.iter().map(|name| &**name), 40);
    });
    for (user, breaker) in middleware.breakers.iter().take(40) {
        fact(html, "Breaker", |html| {
            let state = breaker.state(sight.now).name();
            html.pill(if state == "closed" { Tone::Good } else { Tone::Bad }, state).raw(" for ");
            let list = match user {
                User::Router(_) => "routers",
                User::Service(_) => "services",
            };
            html.link(list, user.name()).raw(", opened ").text(breaker.openings()).raw(" times");
        });
    }
    html.raw("</dl>");
    errors(html, &middleware.errors);
    if let Some((_, value)) = spelled {
        let text = serde_json::to_string_pretty(&value).unwrap_or_default();
        html.raw("<section><h2>As configured</h2><pre>").clipped(&text, 20_000);
        html.raw("</pre></section>");
    }
    true
}
