//! The dashboard: what an operator looks at, as pages made from the view and the figures at the
//! moment they are asked for. They need no script; one that is served along exchanges the middle of
//! a page for a newer one. No page holds more than some rows of anything.

mod certificates;
mod children;
mod diagnostics;
mod html;
mod list;
mod middlewares;
mod overview;
mod routers;
mod services;
#[cfg(test)]
mod tests;
mod tree;

use super::api::decode;
use super::internal::{Answer, Ask, Sight};
use crate::base::text::rfc3339_seconds;
use crate::base::time::{Span, Time};
use crate::view::model::Condition;
use html::{Html, Tone};
use list::Wish;
use std::fmt;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("live.js");
const ICON: &str = include_str!("icon.svg");

/// Nothing is loaded from elsewhere, and nothing that stands in a page runs.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The pages with a place in the menu.
const MENU: [(&str, &str); 7] = [
    ("", "Overview"),
    ("routers", "Routers"),
    ("services", "Services"),
    ("middlewares", "Middlewares"),
    ("children", "Children"),
    ("certificates", "Certificates"),
    ("diagnostics", "Diagnostics"),
];

/// Answers below `dashboard/`, wherever that is; the root leads there. Nothing if it is neither.
pub(super) fn answer(ask: &Ask<'_>, sight: &Sight<'_>) -> Option<Answer> {
    let api = sight.view.fixed.api.as_ref().filter(|api| api.dashboard)?;
    let path = below(ask.path, api.base_path.trim_matches('/').as_bytes())?;
    match path.strip_prefix(b"dashboard") {
        // Relative, so that it holds behind a prefix that a middleware takes off.
        None if path.is_empty() => Some(moved(&api.base_path, ask.path)),
        Some(b"") => Some(moved(&api.base_path, ask.path)),
        Some(inner) => inner.strip_prefix(b"/").map(|inner| page(inner, ask.query, sight)),
        None => None,
    }
}

/// A path without its first slash and what it must begin with.
fn below<'a>(path: &'a [u8], base: &[u8]) -> Option<&'a [u8]> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    if base.is_empty() {
        return Some(path);
    }
    match path.strip_prefix(base)? {
        b"" => Some(b""),
        rest => rest.strip_prefix(b"/"),
    }
}

/// To the overview.
fn moved(base: &str, from: &[u8]) -> Answer {
    let inside = base.trim_matches('/');
    let lacks_slash = !inside.is_empty() && from.strip_prefix(b"/") == Some(inside.as_bytes());
    let last = inside.rsplit('/').next().unwrap_or_default();
    let target = if lacks_slash { format!("{last}/dashboard/") } else { "dashboard/".to_owned() };
    let mut answer = Answer::text(302, "");
    answer.fields.push(("Location", target));
    answer
}

fn page(inner: &[u8], query: &[u8], sight: &Sight<'_>) -> Answer {
    let slashes = inner.iter().filter(|byte| **byte == b'/').count();
    let mut html = Html::new("../".repeat(slashes));
    let (list, name) = match inner.iter().position(|byte| *byte == b'/') {
        Some(at) => (&inner[..at], Some(decode(&inner[at + 1..]))),
        None => (inner, None),
    };
    let wish = Wish::of(query);
    match (list, name.as_deref()) {
        (b"style.css", None) => return asset("text/css; charset=utf-8", STYLE),
        (b"live.js", None) => return asset("text/javascript; charset=utf-8", SCRIPT),
        (b"icon.svg", None) => return asset("image/svg+xml", ICON),
        _ => {}
    }
    let at = MENU.iter().position(|(path, _)| path.as_bytes() == list);
    head(&mut html, at, name.as_deref(), sight);
    let found = middle(&mut html, list, name.as_deref(), &wish, sight);
    if !found {
        html.raw("<h1>There is nothing here</h1><p>A definition of this name is not in the ");
        html.raw("configuration that is in effect. <a").href("./").raw(">To the overview</a></p>");
    }
    foot(&mut html, sight);
    let mut answer = plain("text/html; charset=utf-8", html.finish());
    answer.status = if found { 200 } else { 404 };
    answer.fields.push(("Content-Security-Policy", POLICY.to_owned()));
    answer.fields.push(("Cache-Control", "no-store".to_owned()));
    answer
}

/// What the page is about. False if there is no such page or definition.
fn middle(
    html: &mut Html,
    list: &[u8],
    name: Option<&str>,
    wish: &Wish,
    sight: &Sight<'_>,
) -> bool {
    if let Some(name) = name {
        return match list {
            b"routers" => routers::one(html, sight, name),
            b"services" => services::one(html, sight, name),
            b"middlewares" => middlewares::one(html, sight, name),
            _ => false,
        };
    }
    match list {
        b"" => overview::write(html, sight),
        b"routers" => routers::list(html, sight, wish),
        b"services" => services::list(html, sight, wish),
        b"middlewares" => middlewares::list(html, sight, wish),
        b"children" => children::write(html, sight, wish),
        b"certificates" => certificates::write(html, sight, wish),
        b"diagnostics" => diagnostics::write(html, sight, wish),
        _ => return false,
    }
    true
}

fn asset(content_type: &'static str, text: &str) -> Answer {
    let mut answer = plain(content_type, text.as_bytes().to_vec());
    // Their addresses name the version.
    answer.fields.push(("Cache-Control", "public, max-age=86400".to_owned()));
    answer
}

fn plain(content_type: &'static str, body: Vec<u8>) -> Answer {
    let fields = vec![
        ("X-Content-Type-Options", "nosniff".to_owned()),
        ("Referrer-Policy", "no-referrer".to_owned()),
    ];
    Answer { status: 200, content_type, fields, body }
}

fn head(html: &mut Html, at: Option<usize>, name: Option<&str>, sight: &Sight<'_>) {
    let versioned = |file: &str| format!("{file}?v={}", env!("CARGO_PKG_VERSION"));
    html.raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">");
    html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    html.raw("<meta name=\"color-scheme\" content=\"light dark\"><title>");
    if let Some(name) = name {
        html.clipped(name, html::NAME_CHARS_MAX).raw(" · ");
    }
    html.raw(at.map_or("Not found", |at| MENU[at].1)).raw(" · Tieline</title><link rel=\"icon\"");
    html.href(versioned("icon.svg")).raw(" type=\"image/svg+xml\"><link rel=\"stylesheet\"");
    html.href(versioned("style.css")).raw(">");
    html.raw("<noscript><meta http-equiv=\"refresh\" content=\"10\"></noscript>");
    html.raw("<script defer src=\"");
    let up = html.up.clone();
    html.text(&up)
        .text(versioned("live.js"))
        .raw("\"></script></head><body><header><a class=\"brand\"")
        .href("./");
    html.raw("><img alt=\"\" width=\"26\" height=\"26\" src=\"").text(&up);
    html.text(versioned("icon.svg")).raw("\">");
    html.raw("<b>Tieline</b>");
    let api = sight.view.fixed.api.as_ref();
    if let Some(own) = api.map(|api| &*api.dashboard_name).filter(|name| !name.is_empty()) {
        html.raw("<span>").clipped(own, html::NAME_CHARS_MAX).raw("</span>");
    }
    html.raw("</a><nav aria-label=\"Pages\">");
    for (position, (path, title)) in MENU.into_iter().enumerate() {
        html.raw("<a").href(if path.is_empty() { "./" } else { path });
        if at == Some(position) {
            html.raw(" aria-current=\"page\"");
        }
        html.raw(">").raw(title).raw("</a>");
    }
    html.raw(
        "</nav></header><p id=\"lost\" role=\"alert\" hidden>No answer. What you see is old.</p>",
    );
    html.raw("<main id=\"main\">");
}

fn foot(html: &mut Html, sight: &Sight<'_>) {
    html.raw("<footer>");
    html.raw("<span>Tieline ").raw(env!("CARGO_PKG_VERSION")).raw("</span>");
    html.raw("<span>epoch ").text(sight.view.epoch).raw("</span><span>up for ");
    html.text(Age(sight.now.since(Time::ZERO))).raw("</span><span>as of ");
    html.text(Date(sight.stats.started.at(sight.now))).raw("</span>");
    html.raw("</footer></main></body></html>\n");
}

/// Nanoseconds since 1970.
struct Date(u64);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::new();
        rfc3339_seconds(self.0, &mut out);
        let text = String::from_utf8_lossy(&out);
        f.write_str(&text.replace('T', " ").replace('Z', " UTC"))
    }
}

/// A length of time in the one or two units that matter.
struct Age(Span);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.nanos() / 1_000_000_000;
        match secs {
            0 => write!(f, "{} ms", self.0.as_millis()),
            1..60 => write!(f, "{secs} s"),
            60..3_600 => write!(f, "{} min {} s", secs / 60, secs % 60),
            3_600..86_400 => write!(f, "{} h {} min", secs / 3_600, secs / 60 % 60),
            _ => write!(f, "{} d {} h", secs / 86_400, secs / 3_600 % 24),
        }
    }
}

/// Microseconds as people say them.
struct Micros(u64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..1_000 => write!(f, "{} µs", self.0),
            1_000..100_000 => write!(f, "{}.{} ms", self.0 / 1_000, self.0 / 100 % 10),
            100_000..10_000_000 => write!(f, "{} ms", self.0 / 1_000),
            _ => write!(f, "{} s", self.0 / 1_000_000),
        }
    }
}

fn condition(html: &mut Html, condition: Condition) {
    let tone = match condition {
        Condition::Enabled => Tone::Good,
        Condition::Warning => Tone::Warning,
        Condition::Disabled => Tone::Bad,
    };
    html.pill(tone, condition.name());
}

const STATUSES: [&str; 3] =
    [Condition::Enabled.name(), Condition::Warning.name(), Condition::Disabled.name()];

/// Errors of a definition, as many as fit.
fn errors(html: &mut Html, errors: &[String]) {
    if errors.is_empty() {
        return;
    }
    html.raw("<ul class=\"errors\">");
    for error in errors.iter().take(10) {
        html.raw("<li>").clipped(error, 1_000).raw("</li>");
    }
    html.raw("</ul>");
}

/// Links to definitions, the first few of them.
fn links<'a>(
    html: &mut Html,
    list: &'static str,
    names: impl ExactSizeIterator<Item = &'a str>,
    most: usize,
) {
    let all = names.len();
    if all == 0 {
        html.raw("<span class=\"none\">–</span>");
    }
    for (at, name) in names.take(most).enumerate() {
        html.raw(if at == 0 { "" } else { ", " }).link(list, name);
    }
    if all > most {
        html.raw(" <span class=\"none\">and ").text(all - most).raw(" more</span>");
    }
}

/// A line of a list of facts.
fn fact(html: &mut Html, name: &'static str, write: impl FnOnce(&mut Html)) {
    html.raw("<div><dt>").raw(name).raw("</dt><dd>");
    write(html);
    html.raw("</dd></div>");
}
