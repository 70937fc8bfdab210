//! Services, and one of them with everything below it.

use super::html::{Html, Tone};
use super::list::Wish;
use super::{STATUSES, condition, errors, fact, links, tree};
use crate::base::id::ServiceId;
use crate::view::model::{Definition, ServiceInfo};
use crate::view::{NodeKind, View};
use crate::worker::api::services::type_of;
use crate::worker::internal::Sight;

pub(super) fn list(html: &mut Html, sight: &Sight<'_>, wish: &Wish) {
    let ids = &sight.view.model.services_by_name;
    let page = wish.page(ids.len(), |at| {
        info(sight.view, ids[at])
            .is_some_and(|info| wish.admits(info.condition.name(), &[&info.name]))
    });
    html.raw("<h1>Services</h1>");
    page.form(html, wish, &STATUSES);
    html.raw("<p class=\"under\">A bar is the share of what was answered since the start, whoever");
    html.raw(" sent it there; the mark in it is where weights and health put the share.</p>");
    let mut left = tree::NODES_MAX;
    for at in &page.rows {
        if let Some(info) = info(sight.view, ids[*at]) {
            card(html, sight, ids[*at], info, &mut left);
        }
    }
    page.pager(html, wish);
}

fn info(view: &View, id: ServiceId) -> Option<&ServiceInfo> {
    view.model.services.get(id.0).map(|info| &**info)
}

fn kind(info: &ServiceInfo) -> &'static str {
    match type_of(&info.definition) {
        "" => "internal",
        kind => kind,
    }
}

fn card(html: &mut Html, sight: &Sight<'_>, id: ServiceId, info: &ServiceInfo, left: &mut usize) {
    html.raw("<article class=\"card\"><h3>").link("services", &info.name).raw("</h3><p>");
    condition(html, info.condition);
    html.raw(" ");
    standing(html, sight.view, id);
    html.raw(" ").pill(Tone::Quiet, kind(info));
    if !info.used_by.is_empty() {
        html.raw(" <span class=\"under\">used by ");
        links(html, "routers", info.used_by.iter().map(|name| &**name), 3);
        html.raw("</span>");
    }
    html.raw("</p>");
    errors(html, info.errors.get(..1).unwrap_or_default());
    tree::below(html, sight, id, left);
    html.raw("</article>");
}

fn standing(html: &mut Html, view: &View, id: ServiceId) {
    match view.services.get(id.0) {
        Some(node) if matches!(node.kind, NodeKind::Internal(_)) => {}
        Some(node) if node.up => {
            html.pill(Tone::Good, "serves");
        }
        Some(_) => {
            html.pill(Tone::Bad, "cannot serve");
        }
        None => {}
    }
}

pub(super) fn one(html: &mut Html, sight: &Sight<'_>, name: &str) -> bool {
    let view = sight.view;
    let Some(id) = tree::by_name(view, name) else { return false };
    let Some(info) = info(view, id) else { return false };
    html.raw("<h1><small>Service</small> ").clipped(&info.name, 200).raw("</h1>");
    html.raw("<dl class=\"facts\">");
    fact(html, "Status", |html| {
        condition(html, info.condition);
        html.raw(" ");
        standing(html, view, id);
    });
    fact(html, "Kind", |html| {
        html.text(kind(info));
    });
    if let Some(drawn) = tree::drawn(view, id) {
        fact(html, "Choices", |html| {
            html.count("drawn", drawn);
        });
    }
    if let Definition::Written(service) = &info.definition
        && !service.middlewares.is_empty()
    {
        fact(html, "Middlewares", |html| {
            links(html, "middlewares", service.middlewares.iter().map(String::as_str), 64);
        });
    }
    fact(html, "Used by", |html| {
        links(html, "routers", info.used_by.iter().map(|name| &**name), 40);
    });
    html.raw("</dl>");
    errors(html, &info.errors);
    html.raw("<section><h2>Below it</h2>");
    tree::write(html, sight, id);
    html.raw("</section>");
    true
}
