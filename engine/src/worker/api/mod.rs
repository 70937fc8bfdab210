//! The API: what is configured and how it does, as JSON in Traefik's shapes, and the children.

mod bodies;
mod certificates;
mod children;
mod entries;
pub(super) mod list;
mod overview;
mod routers;
pub(super) mod services;
pub(super) mod steps;
#[cfg(test)]
mod tests;

use super::capsule;
use super::dashboard;
use super::explain::{self, explain};
use super::internal::{Answer, Ask, Sight};
use crate::http::target::put_decoded;
use list::Query;
use serde_json::{Map, Value, json};

pub(super) fn answer(ask: &Ask<'_>, sight: &Sight<'_>) -> Answer {
    let base = sight.view.fixed.api.as_ref().map_or("/", |api| &api.base_path);
    let parts = split(ask.path);
    let base = split(base.as_bytes());
    let Some(("api", parts)) = parts.strip_prefix(&*base).and_then(first) else {
        // As in the dialect, pages for people are here too.
        return dashboard::answer(ask, sight).unwrap_or_else(not_found);
    };
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let query = Query::of(ask.query);
    match parts[..] {
        ["overview"] => found(&overview::overview(sight)),
        ["rawdata"] => found(&overview::rawdata(sight)),
        ["version"] => found(&overview::version(sight)),
        ["entrypoints"] => entries::list(sight).page(&query),
        ["entrypoints", name] => one("entry point", name, entries::named(sight, name)),
        ["http", "routers"] => routers::list(sight, &query).page(&query),
        ["http", "routers", name] => one("router", name, routers::named(sight, name)),
        ["http", "services"] => services::list(sight, &query).page(&query),
        ["http", "services", name] => one("service", name, services::named(sight, name)),
        ["http", "middlewares"] => steps::list(sight, &query).page(&query),
        ["http", "middlewares", name] => one("middleware", name, steps::named(sight, name)),
        ["tieline", "capsule"] => recorded(sight),
        ["tieline", "certificates"] => found(&certificates::certificates(sight)),
        ["tieline", "children"] => found(&children::children(sight)),
        ["tieline", "diagnostics"] => found(&children::diagnostics(sight)),
        ["tieline", "explain"] => explained(ask.query, sight),
        _ => not_found(),
    }
}

/// What was decided lately, as a file.
fn recorded(sight: &Sight<'_>) -> Answer {
    match capsule::write(sight.view, sight.stats, sight.now) {
        Some(text) => Answer::text(200, text),
        None => {
            let message = "nothing is recorded here: set `tieline.recording: true`";
            with(409, &json!({ "message": message }))
        }
    }
}

/// What would become of a request: `request=GET https://host/path`, `header=Name: value` as often
/// as needed, `entryPoint`, `from` with an address.
fn explained(query: &[u8], sight: &Sight<'_>) -> Answer {
    let asked = asked_about(query).and_then(|ask| explain(sight.view, sight.now, &ask));
    match asked {
        Ok(told) => found(&told),
        Err(message) => with(400, &json!({ "message": message })),
    }
}

fn asked_about(query: &[u8]) -> Result<explain::Ask, String> {
    let pairs = list::pairs(query);
    let last = |name: &str| pairs.iter().rev().find(|(key, _)| key == name).map(|(_, it)| it);
    let request = last("request").ok_or("request is missing: ?request=GET+https://host/path")?;
    let mut ask = explain::Ask::read(request)?;
    for (_, line) in pairs.iter().filter(|(name, _)| name == "header") {
        ask.add_field(line)?;
    }
    if let Some(from) = last("from") {
        ask.from = from.parse().map_err(|_| format!("from: {from} is no address"))?;
    }
    if let Some(entry) = last("entryPoint") {
        ask.entry.clone_from(entry);
    }
    Ok(ask)
}

fn first(parts: &[String]) -> Option<(&str, &[String])> {
    parts.split_first().map(|(first, rest)| (first.as_str(), rest))
}

/// Segments of a path, decoded; a slash at either end counts for nothing.
fn split(path: &[u8]) -> Vec<String> {
    let inner = path.strip_prefix(b"/").unwrap_or(path);
    let inner = inner.strip_suffix(b"/").unwrap_or(inner);
    if inner.is_empty() {
        return Vec::new();
    }
    inner.split(|byte| *byte == b'/').map(decode).collect()
}

/// Percent-triplets become bytes; what is not UTF-8 then becomes U+FFFD.
pub(super) fn decode(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    put_decoded(text, &mut out, |byte| byte);
    String::from_utf8_lossy(&out).into_owned()
}

fn found(value: &Value) -> Answer {
    with(200, value)
}

fn with(status: u16, value: &Value) -> Answer {
    let body = value.to_string().into_bytes();
    Answer { status, content_type: "application/json", fields: Vec::new(), body }
}

fn one(what: &str, name: &str, value: Option<Value>) -> Answer {
    match value {
        Some(value) => found(&value),
        None => with(404, &json!({ "message": format!("{what} not found: {name}") })),
    }
}

fn not_found() -> Answer {
    Answer::text(404, "404 page not found\n")
}

/// The part after the last `@`.
fn provider(name: &str) -> &str {
    name.rsplit_once('@').map_or("", |(_, provider)| provider)
}

/// Adds what every definition shows: its state, its problems, its name and provider.
fn describe(object: &mut Map<String, Value>, name: &str, status: &str, errors: &[String]) {
    object.insert("name".to_owned(), json!(name));
    object.insert("provider".to_owned(), json!(provider(name)));
    object.insert("status".to_owned(), json!(status));
    if !errors.is_empty() {
        object.insert("error".to_owned(), json!(errors));
    }
}

fn strings(names: &[std::sync::Arc<str>]) -> Value {
    names.iter().map(|name| json!(&**name)).collect()
}
