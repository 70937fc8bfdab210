//! Services as the API shows them, those made from what children offer included.

use super::list::{List, Query};
use super::{describe, strings};
use crate::base::id::ServiceId;
use crate::config::typed::{
    Balancer, Failover, FailoverErrors, KeyFrom, Mirroring, ServiceKind, StickyCookie, Strategy,
};
use crate::uplink::advert::{health_check, passive_check};
use crate::view::model::{Definition, ServiceInfo};
use crate::view::status::Health;
use crate::view::{NodeKind, ServiceNode, View};
use crate::worker::internal::Sight;
use serde_json::{Map, Value, json};
use std::ops::RangeInclusive;

pub(super) fn list<'a>(sight: &Sight<'a>, query: &Query) -> List<'a> {
    let view = sight.view;
    let infos = view.model.services_by_name.iter().filter_map(|id| info(view, *id));
    let admits =
        |(_, info): &(ServiceId, &ServiceInfo)| query.admits(info.condition.name(), &[&info.name]);
    let mut all: Vec<_> = infos.filter(admits).collect();
    query.sort(&mut all, |(id, info)| key(*id, info, view, &query.sort_by));
    List { len: all.len(), object: Box::new(move |at| object(all[at].0, all[at].1, view)) }
}

fn info(view: &View, id: ServiceId) -> Option<(ServiceId, &ServiceInfo)> {
    view.model.services.get(id.0).map(|info| (id, &**info))
}

fn key(id: ServiceId, info: &ServiceInfo, view: &View, by: &str) -> Value {
    match by {
        "type" => json!(type_of(&info.definition)),
        "provider" => json!(super::provider(&info.name)),
        "status" => json!(info.condition.name()),
        "servers" => json!(node(view, id).map_or(0, |node| match &node.kind {
            NodeKind::Balancer { servers, .. } => servers.len(),
            NodeKind::Weighted { services, .. } => services.len(),
            NodeKind::Failover { .. }
            | NodeKind::Mirroring(_)
            | NodeKind::Internal(_)
            | NodeKind::Unavailable(_) => 0,
        })),
        _ => json!(&*info.name),
    }
}

pub(super) fn named(sight: &Sight<'_>, name: &str) -> Option<Value> {
    let view = sight.view;
    let ids = &view.model.services_by_name;
    let name_of = |id: &ServiceId| info(view, *id).map_or("", |(_, info)| &info.name);
    let at = ids.binary_search_by(|id| name_of(id).cmp(name)).ok()?;
    info(view, ids[at]).map(|(id, info)| object(id, info, view))
}

fn node(view: &View, id: ServiceId) -> Option<&ServiceNode> {
    view.services.get(id.0).map(|node| &**node)
}

pub(super) fn object(id: ServiceId, info: &ServiceInfo, view: &View) -> Value {
    let mut object = Map::new();
    if let Some((key, value)) = definition(&info.definition, view) {
        object.insert(key.to_owned(), value);
    }
    if let Definition::Written(service) = &info.definition
        && !service.middlewares.is_empty()
    {
        object.insert("middlewares".to_owned(), json!(service.middlewares));
    }
    let kind = type_of(&info.definition);
    if !kind.is_empty() {
        object.insert("type".to_owned(), json!(kind));
    }
    object.insert("usedBy".to_owned(), strings(&info.used_by));
    if let Some(node) = node(view, id) {
        if let Some(servers) = server_status(node, view) {
            object.insert("serverStatus".to_owned(), servers);
        }
        object.insert("tieline".to_owned(), standing(node));
    }
    describe(&mut object, &info.name, info.condition.name(), &info.errors);
    Value::Object(object)
}

/// What Traefik does not show: whether the whole node can serve, and how often it was asked.
fn standing(node: &ServiceNode) -> Value {
    let tickets = match &node.kind {
        NodeKind::Balancer { turns, .. } | NodeKind::Weighted { turns, .. } => {
            Some(turns.ticket.drawn())
        }
        NodeKind::Mirroring(mirroring) => Some(mirroring.ticket.drawn()),
        NodeKind::Failover { .. } | NodeKind::Internal(_) | NodeKind::Unavailable(_) => None,
    };
    let mut object = Map::new();
    object.insert("up".to_owned(), json!(node.up));
    if let Some(tickets) = tickets {
        object.insert("tickets".to_owned(), json!(tickets));
    }
    if let NodeKind::Failover { side, .. } = &node.kind {
        object.insert("side".to_owned(), json!(format!("{side:?}").to_lowercase()));
    }
    if let NodeKind::Unavailable(why) = &node.kind {
        object.insert("unavailable".to_owned(), json!(&**why));
    }
    Value::Object(object)
}

/// Servers are up until a check says otherwise.
fn server_status(node: &ServiceNode, view: &View) -> Option<Value> {
    let NodeKind::Balancer { servers, .. } = &node.kind else { return None };
    let state = |server: &crate::view::ServerNode| {
        let status = view.status.servers.get(server.id.0);
        let down = status.is_some_and(|s| s.health == Health::Down || s.ejected);
        if down { "DOWN" } else { "UP" }
    };
    let states = servers.iter().map(|server| (server.url.to_string(), json!(state(server))));
    Some(Value::Object(states.collect()))
}

pub(in crate::worker) fn type_of(definition: &Definition) -> &'static str {
    match definition {
        Definition::Written(service) => match &service.kind {
            ServiceKind::Balancer(_) => "loadbalancer",
            ServiceKind::Weighted { manner, .. } if manner.strategy == Strategy::Hrw => {
                "highestrandomweight"
            }
            ServiceKind::Weighted { .. } => "weighted",
            ServiceKind::Failover(_) => "failover",
            ServiceKind::Mirroring(_) => "mirroring",
            ServiceKind::Broken(_) => "",
        },
        Definition::Child { .. } => "loadbalancer",
        Definition::Aggregate { .. } => "weighted",
        Definition::Internal(_) => "",
    }
}

/// The key and the value as configuration spells them.
fn definition(definition: &Definition, view: &View) -> Option<(&'static str, Value)> {
    match definition {
        Definition::Written(service) => match &service.kind {
            ServiceKind::Balancer(balancer) => Some(("loadBalancer", load_balancer(balancer))),
            ServiceKind::Weighted { services, manner } => {
                let members = services.iter().map(|m| (m.name.as_str(), m.weight.get()));
                let mut object = weighted(members);
                if let (Value::Object(object), Some(cookie)) = (&mut object, &manner.sticky) {
                    object.insert("sticky".to_owned(), sticky(cookie));
                }
                Some((manner.kind(), object))
            }
            ServiceKind::Failover(failover) => Some(("failover", fail_over(failover))),
            ServiceKind::Mirroring(mirroring) => Some(("mirroring", mirror(mirroring))),
            ServiceKind::Broken(_) => None,
        },
        Definition::Child { address, advert, .. } => {
            let mut object = Map::new();
            object.insert("servers".to_owned(), json!([{ "url": &**address }]));
            object.insert("passHostHeader".to_owned(), json!(true));
            if let Some(check) = &advert.health_check {
                object.insert("healthCheck".to_owned(), health_check(check));
            }
            if let Some(check) = &advert.passive {
                object.insert("passiveHealthCheck".to_owned(), passive_check(check));
            }
            Some(("loadBalancer", Value::Object(object)))
        }
        Definition::Aggregate { members } => {
            let name = |id: ServiceId| info(view, id).map_or("", |(_, info)| &*info.name);
            Some(("weighted", weighted(members.iter().map(|(id, w)| (name(*id), *w)))))
        }
        Definition::Internal(_) => None,
    }
}

fn load_balancer(balancer: &Balancer) -> Value {
    let servers = balancer.servers.iter().map(|server| {
        let mut object = Map::new();
        object.insert("url".to_owned(), json!(server.url));
        if server.weight.get() != 1 {
            object.insert("weight".to_owned(), json!(server.weight.get()));
        }
        if server.preserve_path {
            object.insert("preservePath".to_owned(), json!(true));
        }
        Value::Object(object)
    });
    let mut object = Map::new();
    object.insert("servers".to_owned(), servers.collect());
    object.insert("strategy".to_owned(), json!(balancer.manner.strategy.name()));
    if let Some(cookie) = &balancer.manner.sticky {
        object.insert("sticky".to_owned(), sticky(cookie));
    }
    object.insert("passHostHeader".to_owned(), json!(balancer.pass_host));
    if let Some(check) = &balancer.health_check {
        object.insert("healthCheck".to_owned(), health_check(check));
    }
    if let Some(check) = &balancer.passive {
        object.insert("passiveHealthCheck".to_owned(), passive_check(check));
    }
    Value::Object(object)
}

/// What is not set is left out.
fn sticky(cookie: &StickyCookie) -> Value {
    let mut object = attributes(cookie);
    match &cookie.signed_by {
        None => {}
        Some(KeyFrom::Inline(_)) => object["tieline"] = json!({ "allLevels": {} }),
        Some(KeyFrom::File(path)) => {
            object["tieline"] = json!({ "allLevels": { "keyFile": &**path } });
        }
    }
    object
}

fn attributes(cookie: &StickyCookie) -> Value {
    let mut object = Map::new();
    object.insert("name".to_owned(), json!(cookie.name));
    for (key, set) in [("secure", cookie.secure), ("httpOnly", cookie.http_only)] {
        if set {
            object.insert(key.to_owned(), json!(true));
        }
    }
    if let Some(same_site) = cookie.same_site {
        object.insert("sameSite".to_owned(), json!(same_site.name()));
    }
    if cookie.max_age != 0 {
        object.insert("maxAge".to_owned(), json!(cookie.max_age));
    }
    object.insert("path".to_owned(), json!(cookie.path));
    if !cookie.domain.is_empty() {
        object.insert("domain".to_owned(), json!(cookie.domain));
    }
    json!({ "cookie": object })
}

fn weighted<'a>(members: impl Iterator<Item = (&'a str, u32)>) -> Value {
    let members = members.map(|(name, weight)| json!({ "name": name, "weight": weight }));
    json!({ "services": members.collect::<Value>() })
}

fn fail_over(failover: &Failover) -> Value {
    let mut object = Map::new();
    object.insert("service".to_owned(), json!(failover.service));
    object.insert("fallback".to_owned(), json!(failover.fallback));
    if let Some(on) = &failover.errors {
        object.insert("errors".to_owned(), errors(on));
    }
    Value::Object(object)
}

fn errors(on: &FailoverErrors) -> Value {
    json!({
        "status": status_ranges(&on.status),
        "maxRequestBodyBytes": bytes(on.body_bytes_max),
        "tieline": { "replayNonIdempotent": on.replay_non_idempotent },
    })
}

fn mirror(mirroring: &Mirroring) -> Value {
    let mirrors = mirroring.mirrors.iter().map(|m| json!({ "name": m.name, "percent": m.percent }));
    json!({
        "service": mirroring.service,
        "mirrorBody": mirroring.mirror_body,
        "maxBodySize": bytes(mirroring.body_bytes_max),
        "mirrors": mirrors.collect::<Value>(),
    })
}

pub(super) fn status_ranges(ranges: &[RangeInclusive<u16>]) -> Value {
    let range = |range: &RangeInclusive<u16>| {
        let (first, last) = (range.start(), range.end());
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ranges.iter().map(range).collect()
}

/// No limit reads as -1.
pub(super) fn bytes(limit: Option<u64>) -> Value {
    limit.map_or_else(|| json!(-1), |limit| json!(limit))
}
