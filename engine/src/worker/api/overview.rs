//! The whole at a glance, and the whole in full.

use super::{routers, services, steps};
use crate::base::text::rfc3339;
use crate::view::model::Condition;
use crate::worker::internal::Sight;
use serde_json::{Map, Value, json};

pub(super) fn overview(sight: &Sight<'_>) -> Value {
    let (view, fixed) = (sight.view, &sight.view.fixed);
    let model = &view.model;
    let none = || counts([].into_iter());
    let mut providers = Vec::new();
    if fixed.file.is_some() {
        providers.push("File");
    }
    if fixed.http.is_some() {
        providers.push("HTTP");
    }
    if fixed.multicluster.is_some() {
        providers.push("Multicluster");
    }
    json!({
        "http": {
            "routers": counts(model.routers.iter().map(|router| router.condition)),
            "services": counts(model.services.iter().map(|service| service.condition)),
            "middlewares": counts(model.middlewares.iter().map(|step| step.condition)),
        },
        "tcp": { "routers": none(), "services": none(), "middlewares": none() },
        "udp": { "routers": none(), "services": none() },
        "certificates": none(),
        "features": {
            "tracing": "",
            "metrics": if fixed.prometheus.is_some() { "Prometheus" } else { "" },
            "accessLog": fixed.access_log.is_some(),
        },
        "providers": providers,
    })
}

fn counts(conditions: impl Iterator<Item = Condition>) -> Value {
    let (mut total, mut warnings, mut errors) = (0, 0, 0);
    for condition in conditions {
        total += 1;
        match condition {
            Condition::Enabled => {}
            Condition::Warning => warnings += 1,
            Condition::Disabled => errors += 1,
        }
    }
    json!({ "total": total, "warnings": warnings, "errors": errors })
}

pub(super) fn rawdata(sight: &Sight<'_>) -> Value {
    let view = sight.view;
    let model = &view.model;
    let routers = model.routers.iter().map(|router| routers::object(router));
    let services = model
        .services_by_name
        .iter()
        .filter_map(|id| model.services.get(id.0).map(|info| services::object(*id, info, view)));
    let middlewares =
        model.middlewares.iter().map(|middleware| steps::object(middleware, sight.now));
    json!({
        "routers": keyed(routers),
        "services": keyed(services),
        "middlewares": keyed(middlewares),
    })
}

/// Objects by their name, which they then no longer say themselves.
fn keyed(objects: impl Iterator<Item = Value>) -> Value {
    let mut all = Map::new();
    for mut object in objects {
        let Value::Object(fields) = &mut object else { continue };
        for said in ["provider", "type"] {
            fields.remove(said);
        }
        if let Some(Value::String(name)) = fields.remove("name") {
            all.insert(name, object);
        }
    }
    Value::Object(all)
}

pub(super) fn version(sight: &Sight<'_>) -> Value {
    let mut started = Vec::new();
    rfc3339(sight.stats.started.0, &mut started);
    json!({
        "Version": env!("CARGO_PKG_VERSION"),
        "Codename": "tieline",
        "startDate": String::from_utf8_lossy(&started),
    })
}
