//! Requests by entry point, router and service.

use super::page::{Kind, Labels, Page, bound};
use crate::view::series::{Scope, SeriesKey};
use crate::view::stats::Count;
use crate::view::{Destination, Offer, Route, View};
use crate::worker::internal::Sight;
use std::collections::BTreeMap;

/// Names of the families of one kind of scope.
struct Names {
    requests: &'static str,
    duration: &'static str,
    request_bytes: &'static str,
    response_bytes: &'static str,
}

const ENTRY: Names = Names {
    requests: "traefik_entrypoint_requests_total",
    duration: "traefik_entrypoint_request_duration_seconds",
    request_bytes: "traefik_entrypoint_requests_bytes_total",
    response_bytes: "traefik_entrypoint_responses_bytes_total",
};
const ROUTER: Names = Names {
    requests: "traefik_router_requests_total",
    duration: "traefik_router_request_duration_seconds",
    request_bytes: "traefik_router_requests_bytes_total",
    response_bytes: "traefik_router_responses_bytes_total",
};
const SERVICE: Names = Names {
    requests: "traefik_service_requests_total",
    duration: "traefik_service_request_duration_seconds",
    request_bytes: "traefik_service_requests_bytes_total",
    response_bytes: "traefik_service_responses_bytes_total",
};

/// What all workers together counted under one key.
#[derive(Default)]
struct Sum {
    requests: u64,
    nanos: u64,
    request_bytes: u64,
    response_bytes: u64,
    retries: u64,
    buckets: Vec<u64>,
}

/// One scope: the labels that name it, and its sums.
struct Counted<'a> {
    labels: Vec<(&'static str, &'a str)>,
    sums: BTreeMap<SeriesKey, Sum>,
}

pub(super) fn write(sight: &Sight<'_>, page: &mut Page) {
    let view = sight.view;
    let Some(settings) = view.fixed.prometheus.as_ref() else { return };
    let bounds = &settings.buckets_micros;
    if settings.entry_point_labels {
        let entries = view.entries.iter();
        let scopes = entries.map(|e| (vec![("entrypoint", &*e.settings.name)], &*e.stats));
        families(&ENTRY, bounds, &counted(scopes), page);
    }
    if settings.router_labels {
        let routes = routes(view);
        let scopes = routes.values().map(|route| {
            let service = service_of(route, view);
            (vec![("router", &*route.name), ("service", service)], &*route.stats)
        });
        families(&ROUTER, bounds, &counted(scopes), page);
    }
    if settings.service_labels {
        let nodes = view.services.iter();
        let scopes = nodes.map(|node| (vec![("service", &*node.name)], &*node.stats));
        let all = counted(scopes);
        families(&SERVICE, bounds, &all, page);
        page.family("traefik_service_retries_total", Kind::Counter, "Attempts after the first.");
        for scope in &all {
            let retries = scope.sums.values().map(|sum| sum.retries).sum();
            page.row(&scope.labels).number(retries);
        }
    }
}

/// Each router once, although it may be in effect on several entry points.
fn routes(view: &View) -> BTreeMap<&str, &Route> {
    let mut all = BTreeMap::new();
    for entry in &view.entries {
        let tables: Vec<_> = match &entry.offer {
            Offer::Routes(table) => vec![table],
            Offer::Uplinks { uplinks, .. } => uplinks.iter().map(|uplink| &uplink.routes).collect(),
        };
        let secure = entry.secure.iter().map(|side| &side.routes);
        for table in tables.into_iter().chain(secure) {
            all.extend(table.iter().map(|route| (&*route.name, &**route)));
        }
    }
    for table in &*view.layers {
        all.extend(table.iter().map(|route| (&*route.name, &**route)));
    }
    all
}

fn service_of<'a>(route: &Route, view: &'a View) -> &'a str {
    match &route.to {
        Destination::Service(id) => view.services.get(id.0).map_or("", |node| &node.name),
        Destination::Layer(_) | Destination::Broken(_) => "",
    }
}

/// Scopes that saw a request.
fn counted<'a>(
    scopes: impl Iterator<Item = (Vec<(&'static str, &'a str)>, &'a Scope)>,
) -> Vec<Counted<'a>> {
    let summed = scopes.map(|(labels, scope)| Counted { labels, sums: sums(scope) });
    summed.filter(|counted| !counted.sums.is_empty()).collect()
}

fn sums(scope: &Scope) -> BTreeMap<SeriesKey, Sum> {
    let mut sums: BTreeMap<SeriesKey, Sum> = BTreeMap::new();
    for series in scope.iter() {
        let sum = sums.entry(series.key).or_default();
        sum.requests += series.requests.get();
        sum.nanos += series.nanos.get();
        sum.request_bytes += series.request_bytes.get();
        sum.response_bytes += series.response_bytes.get();
        sum.retries += series.retries.get();
        sum.buckets.resize(series.buckets.len(), 0);
        for (total, count) in sum.buckets.iter_mut().zip(series.buckets.iter().map(Count::get)) {
            *total += count;
        }
    }
    sums
}

fn families(names: &Names, bounds: &[u64], scopes: &[Counted<'_>], page: &mut Page) {
    page.family(names.requests, Kind::Counter, "Requests that ended.");
    each(scopes, |labels, sum| page.row(labels).number(sum.requests));
    page.family(names.duration, Kind::Histogram, "How long requests took.");
    let bounds: Vec<String> = bounds.iter().map(|micros| bound(*micros)).collect();
    each(scopes, |labels, sum| histogram(&bounds, labels, sum, page));
    page.family(names.request_bytes, Kind::Counter, "Bytes of request bodies.");
    each(scopes, |labels, sum| page.row(labels).number(sum.request_bytes));
    page.family(names.response_bytes, Kind::Counter, "Bytes of response bodies.");
    each(scopes, |labels, sum| page.row(labels).number(sum.response_bytes));
}

fn each(scopes: &[Counted<'_>], mut row: impl FnMut(&Labels<'_>, &Sum)) {
    for scope in scopes {
        for (key, sum) in &scope.sums {
            let code = key.code.to_string();
            let mut labels = vec![
                ("code", if key.code == 0 { "other" } else { &*code }),
                ("method", key.method()),
                ("protocol", key.protocol.label()),
            ];
            labels.extend_from_slice(&scope.labels);
            row(&labels, sum);
        }
    }
}

fn histogram(bounds: &[String], labels: &Labels<'_>, sum: &Sum, page: &mut Page) {
    let mut below = 0;
    for (bound, count) in bounds.iter().zip(&sum.buckets) {
        below += count;
        page.row_of("_bucket", labels, &[("le", bound)]).number(below);
    }
    page.row_of("_bucket", labels, &[("le", "+Inf")]).number(sum.requests);
    page.row_of("_sum", labels, &[]).seconds(sum.nanos);
    page.row_of("_count", labels, &[]).number(sum.requests);
}
