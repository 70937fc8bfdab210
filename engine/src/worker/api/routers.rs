//! Routers as the API shows them.

use super::list::{List, Query};
use super::{describe, strings};
use crate::rule::Syntax;
use crate::view::model::RouterInfo;
use crate::worker::internal::Sight;
use serde_json::{Map, Value, json};
use std::sync::Arc;

pub(super) fn list<'a>(sight: &Sight<'a>, query: &Query) -> List<'a> {
    let admits = |router: &&Arc<RouterInfo>| {
        let definition = &router.definition;
        query.admits(router.condition.name(), &[&definition.name, &definition.rule_text])
            && (query.service.is_empty() || is(&definition.service, &query.service))
            && (query.middleware.is_empty()
                || definition.middlewares.iter().any(|name| is(name, &query.middleware)))
    };
    let mut all: Vec<_> = sight.view.model.routers.iter().filter(admits).collect();
    query.sort(&mut all, |router| key(router, &query.sort_by));
    List { len: all.len(), object: Box::new(move |at| object(all[at])) }
}

/// A name with or without its provider.
fn is(name: &str, wanted: &str) -> bool {
    name == wanted || name.split_once('@').is_some_and(|(bare, _)| bare == wanted)
}

fn key(router: &RouterInfo, by: &str) -> Value {
    let definition = &router.definition;
    match by {
        "priority" => json!(definition.priority),
        "provider" => json!(super::provider(&definition.name)),
        "status" => json!(router.condition.name()),
        "rule" => json!(definition.rule_text),
        "service" => json!(definition.service),
        "entryPoints" => json!(definition.entry_points.join(",")),
        _ => json!(definition.name),
    }
}

pub(super) fn named(sight: &Sight<'_>, name: &str) -> Option<Value> {
    let routers = &sight.view.model.routers;
    let at = routers.binary_search_by(|router| router.definition.name.as_str().cmp(name)).ok()?;
    Some(object(&routers[at]))
}

pub(super) fn object(router: &RouterInfo) -> Value {
    let definition = &router.definition;
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("rule", json!(definition.rule_text));
    if definition.syntax != Syntax::V3 {
        put("ruleSyntax", json!(definition.syntax.name()));
    }
    put("priority", json!(definition.priority));
    put("priorityStr", json!(definition.priority.to_string()));
    if !definition.service.is_empty() || definition.parents.is_empty() {
        put("service", json!(definition.service));
    }
    if !definition.parents.is_empty() {
        put("parentRefs", json!(definition.parents));
    }
    if !definition.entry_points.is_empty() {
        put("entryPoints", json!(definition.entry_points));
    }
    if !definition.middlewares.is_empty() {
        put("middlewares", json!(definition.middlewares));
    }
    if !definition.uplinks.is_empty() {
        put("uplinks", json!(definition.uplinks));
    }
    let (logs, metrics) = (definition.observability.access_logs, definition.observability.metrics);
    if logs.is_some() || metrics.is_some() {
        put("observability", json!({"accessLogs": logs, "metrics": metrics}));
    }
    put("using", strings(&router.using));
    describe(&mut object, &definition.name, router.condition.name(), &router.errors);
    Value::Object(object)
}
