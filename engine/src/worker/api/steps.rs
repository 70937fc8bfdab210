//! Middlewares as the API shows them.

use super::list::{List, Query};
use super::{describe, strings};
use crate::config::typed::MiddlewareKind;
use crate::rule::Pattern;
use crate::view::model::MiddlewareInfo;
use crate::worker::internal::Sight;
use serde_json::{Map, Value, json};
use std::sync::Arc;

pub(super) fn list<'a>(sight: &Sight<'a>, query: &Query) -> List<'a> {
    let admits = |middleware: &&Arc<MiddlewareInfo>| {
        query.admits(middleware.condition.name(), &[&middleware.definition.name])
    };
    let mut all: Vec<_> = sight.view.model.middlewares.iter().filter(admits).collect();
    query.sort(&mut all, |middleware| match query.sort_by.as_str() {
        "type" => json!(spelled(&middleware.definition.kind).map(|(kind, _)| kind)),
        "provider" => json!(super::provider(&middleware.definition.name)),
        "status" => json!(middleware.condition.name()),
        _ => json!(middleware.definition.name),
    });
    List { len: all.len(), object: Box::new(move |at| object(all[at])) }
}

pub(super) fn named(sight: &Sight<'_>, name: &str) -> Option<Value> {
    let all = &sight.view.model.middlewares;
    let at = all.binary_search_by(|m| m.definition.name.as_str().cmp(name)).ok()?;
    Some(object(&all[at]))
}

pub(super) fn object(middleware: &MiddlewareInfo) -> Value {
    let definition = &middleware.definition;
    let mut object = Map::new();
    if let Some((kind, value)) = spelled(&definition.kind) {
        object.insert(kind.to_owned(), value);
        object.insert("type".to_owned(), json!(kind.to_lowercase()));
    }
    object.insert("usedBy".to_owned(), strings(&middleware.used_by));
    describe(&mut object, &definition.name, middleware.condition.name(), &middleware.errors);
    Value::Object(object)
}

/// Key and value as configuration spells them.
fn spelled(kind: &MiddlewareKind) -> Option<(&'static str, Value)> {
    let pairs = |pairs: &[(String, String)]| {
        pairs.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<Map<_, _>>()
    };
    Some(match kind {
        MiddlewareKind::StripPrefix { prefixes } => {
            ("stripPrefix", json!({ "prefixes": prefixes }))
        }
        MiddlewareKind::StripPrefixRegex { patterns } => {
            let sources: Vec<&str> = patterns.iter().map(Pattern::source).collect();
            ("stripPrefixRegex", json!({ "regex": sources }))
        }
        MiddlewareKind::ReplacePath { path } => ("replacePath", json!({ "path": path })),
        MiddlewareKind::ReplacePathRegex(rewrite) => {
            let (regex, replacement) = (rewrite.pattern.source(), rewrite.replacement.source());
            ("replacePathRegex", json!({ "regex": regex, "replacement": replacement }))
        }
        MiddlewareKind::AddPrefix { prefix } => ("addPrefix", json!({ "prefix": prefix })),
        MiddlewareKind::Headers(edit) => {
            let mut object = Map::new();
            for (key, fields) in
                [("customRequestHeaders", &edit.request), ("customResponseHeaders", &edit.response)]
            {
                if !fields.is_empty() {
                    object.insert(key.to_owned(), Value::Object(pairs(fields)));
                }
            }
            ("headers", Value::Object(object))
        }
        MiddlewareKind::Chain(names) => ("chain", json!({ "middlewares": names })),
        MiddlewareKind::Broken(_) => return None,
    })
}
