//! Entry points as the API shows them.

use super::list::List;
use crate::view::{EntryView, Offer};
use crate::worker::internal::Sight;
use serde_json::{Map, Value, json};
use std::sync::Arc;

pub(super) fn list<'a>(sight: &Sight<'a>) -> List<'a> {
    let mut all: Vec<&'a Arc<EntryView>> = sight.view.entries.iter().collect();
    all.sort_by(|a, b| a.settings.name.cmp(&b.settings.name));
    List { len: all.len(), object: Box::new(move |at| object(all[at])) }
}

pub(super) fn named(sight: &Sight<'_>, name: &str) -> Option<Value> {
    sight.view.entries.iter().find(|entry| entry.settings.name == name).map(|entry| object(entry))
}

fn object(entry: &EntryView) -> Value {
    let settings = &entry.settings;
    let forwarded = &settings.forwarded;
    let trusted: Vec<String> =
        forwarded.trusted.iter().map(|range| format!("{}/{}", range.addr, range.bits)).collect();
    let mut http = Map::new();
    http.insert("maxHeaderBytes".to_owned(), json!(settings.header_bytes_max));
    if !settings.middlewares.is_empty() {
        http.insert("middlewares".to_owned(), json!(settings.middlewares));
    }
    if let Some(redirection) = &settings.redirection {
        let to = json!({
            "to": redirection.to,
            "scheme": redirection.scheme,
            "permanent": redirection.permanent,
            "priority": redirection.priority,
        });
        http.insert("redirections".to_owned(), json!({ "entryPoint": to }));
    }
    if !settings.encoded_refused.is_none() {
        let keys = settings.encoded_refused.spelled();
        let keys = keys.map(|(key, allowed)| (key.to_owned(), json!(allowed)));
        http.insert("encodedCharacters".to_owned(), Value::Object(keys.collect()));
    }
    http.insert("sanitizePath".to_owned(), json!(settings.reading.sanitise));
    json!({
        "name": settings.name,
        "address": settings.address.to_string(),
        "asDefault": settings.as_default,
        "transport": {
            "lifeCycle": {
                "requestAcceptGraceTimeout": settings.accept_grace.to_string(),
                "graceTimeOut": settings.drain_grace.to_string(),
            },
            "respondingTimeouts": {
                "readTimeout": settings.read_timeout.to_string(),
                "writeTimeout": settings.write_timeout.to_string(),
                "idleTimeout": settings.idle_timeout.to_string(),
            },
        },
        "forwardedHeaders": {
            "insecure": forwarded.insecure,
            "trustedIPs": trusted,
            "connection": forwarded.connection,
        },
        "http": http,
        "tieline": { "uplink": matches!(entry.offer, Offer::Uplinks { .. }) },
    })
}
