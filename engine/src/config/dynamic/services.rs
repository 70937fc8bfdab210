//! Services. One bad member of a service is left out, reported, and the others serve; a service
//! that is wrong itself is broken.

use super::health::{Checked, health_check, passive_check};
use super::{check_name, manner};
use crate::config::address::Url;
use crate::config::document::Value;
use crate::config::duration;
use crate::config::fields::{Fields, Named, bad_value, number};
use crate::config::fixed::{Scheme, Transport};
use crate::config::report::Report;
use crate::config::typed::{
    Balancer, Failover, FailoverErrors, Manner, Mirror, Mirroring, NamedTransport, Server, Service,
    ServiceKind, Weight, WeightedRef,
};
use std::ops::RangeInclusive;

pub const KINDS: [&str; 5] =
    ["loadBalancer", "weighted", "failover", "mirroring", "highestRandomWeight"];

pub(super) fn read(report: &Report, member: &Named<'_>, name: String) -> Option<Service> {
    let mark = report.mark();
    check_name(report, member);
    let mut middlewares = Vec::new();
    let kind = Fields::open(report, &member.path, member.value).map(|mut fields| {
        fields.at = member.at;
        let named = fields.strings("middlewares").unwrap_or_default();
        middlewares = named.iter().map(|name| report.qualified(name)).collect();
        let kind = one_kind(&fields, &name);
        fields.close();
        kind
    });
    let wrong = report.errors_since(mark);
    let kind = match kind {
        Some(Some(kind)) if kind.forgives(&wrong) => kind.kind,
        _ => ServiceKind::Broken(wrong.join("; ")),
    };
    Some(Service { name, place: report.place(member.at), middlewares, kind })
}

/// A service and how many of the errors in it concern members that were left out.
struct Read {
    kind: ServiceKind,
    members_out: usize,
}

impl Read {
    fn forgives(&self, errors: &[String]) -> bool {
        errors.len() == self.members_out
    }
}

fn one_kind(fields: &Fields<'_>, name: &str) -> Option<Read> {
    let set: Vec<&str> = KINDS.into_iter().filter(|kind| fields.has(kind)).collect();
    fields.each_alternative(&KINDS, |kind| drop(of_kind(fields, name, &[kind])));
    of_kind(fields, name, &set)
}

fn of_kind(fields: &Fields<'_>, name: &str, set: &[&str]) -> Option<Read> {
    match set {
        ["loadBalancer"] => fields.section("loadBalancer").map(|own| balancer(own, name)),
        ["weighted"] => fields.section("weighted").map(|own| weighted(own, name)),
        ["failover"] => fields.section("failover").map(failover),
        ["mirroring"] => fields.section("mirroring").map(mirroring),
        ["highestRandomWeight"] => fields.section("highestRandomWeight").map(rendezvous),
        [] => {
            // An unknown key says it better, and with a suggestion.
            if fields.unasked().is_empty() {
                let text = format!("a service is one of {}", KINDS.join(", "));
                fields.report.error("missing", fields.at, &fields.path, text);
            }
            None
        }
        several => {
            let text = format!("a service is one thing, not {}", several.join(" and "));
            fields.report.error("several-kinds", fields.at, &fields.path, text);
            None
        }
    }
}

/// Reads each member of a list; a member with an error is left out and its errors are counted.
fn members<T>(
    fields: &Fields<'_>,
    key: &'static str,
    read: impl Fn(Fields<'_>, &Value) -> Option<T>,
) -> (Vec<T>, usize) {
    let (mut kept, mut errors) = (Vec::new(), 0);
    for (path, value) in fields.list(key).unwrap_or_default() {
        let mark = fields.report.mark();
        let member = Fields::open(fields.report, &path, value).and_then(|f| read(f, value));
        let wrong = fields.report.errors_since(mark).len();
        if wrong > 0 {
            errors += wrong;
        } else if let Some(member) = member {
            kept.push(member);
        }
    }
    (kept, errors)
}

fn balancer(fields: Fields<'_>, name: &str) -> Read {
    let (servers, members_out) = members(&fields, "servers", |fields, _| server(fields));
    let manner = manner::of_balancer(&fields, name, &servers);
    let transport = fields.text("serversTransport").filter(|name| name != "default@internal");
    forwarding(&fields);
    let balancer = Balancer {
        servers,
        health_check: fields
            .section("healthCheck")
            .and_then(|fields| health_check(fields, Checked::Server)),
        passive: fields.section("passiveHealthCheck").map(passive_check),
        pass_host: fields.flag("passHostHeader").unwrap_or(true),
        transport: fields.report.qualified(&transport.unwrap_or_default()),
        manner,
    };
    if !fields.present("servers") {
        fields.warning("servers", "no-members", "without servers every request is answered 503");
    }
    fields.close();
    Read { kind: ServiceKind::Balancer(balancer), members_out }
}

/// Responses are forwarded as they come, which is what every flush interval allows. A negative one
/// asks for just that.
fn forwarding(fields: &Fields<'_>) {
    let Some(forwarding) = fields.section("responseForwarding") else { return };
    forwarding.parsed("flushInterval", |text| {
        let length = text.strip_prefix('-').unwrap_or(text);
        duration::span(length).map_err(str::to_owned)
    });
    forwarding.close();
}

fn server(fields: Fields<'_>) -> Option<Server> {
    let preserve_path = fields.flag("preservePath").unwrap_or(false);
    let weight = weight(&fields);
    fields.without_effect(&["fenced"]);
    fields.demand("url", "a server has a url");
    let parsed = fields.parsed("url", server_url);
    fields.close();
    let (url, Url { authority, path }) = parsed?;
    let path = path.split('?').next().filter(|path| *path != "/").unwrap_or_default().to_owned();
    Some(Server { url, authority, path, preserve_path, weight })
}

/// A URL as written, and its parts.
fn server_url(text: &str) -> Result<(String, Url), String> {
    let url = Url::parse(text)?;
    match url.authority.scheme {
        Scheme::Http | Scheme::Https | Scheme::H2c => Ok((text.to_owned(), url)),
    }
}

/// A transport with an error stays, so that services that name it are told why they do not work.
pub(super) fn transport(
    report: &Report,
    member: &Named<'_>,
    name: String,
) -> Option<NamedTransport> {
    let mark = report.mark();
    check_name(report, member);
    let mut transport = Transport::default();
    if let Some(mut fields) = Fields::open(report, &member.path, member.value) {
        fields.at = member.at;
        transport = crate::config::transport::transport(&fields);
        fields.close();
    }
    let broken = report.errors_since(mark);
    Some(NamedTransport { name, place: report.place(member.at), transport, broken })
}

fn weight(fields: &Fields<'_>) -> Weight {
    let weight = fields.number("weight", 0..=i64::from(Weight::MAX));
    weight.and_then(Weight::new).unwrap_or(Weight::ONE)
}

/// A reference that must be there.
pub(super) fn reference(fields: &Fields<'_>, key: &'static str) -> String {
    fields.requires(key);
    let name = fields.text(key).unwrap_or_default();
    if name.is_empty() {
        fields.error(key, "missing", format!("{key} names a service"));
    }
    fields.report.qualified(&name)
}

/// `healthCheck: {}` on a parent is how the dialect asks for what happens anyway.
fn parent_check(fields: &Fields<'_>) {
    if let Some(check) = fields.section("healthCheck") {
        check.close();
    }
}

fn weighted(fields: Fields<'_>, name: &str) -> Read {
    let manner = manner::of_weighted(&fields, name);
    over_services(fields, manner)
}

fn rendezvous(fields: Fields<'_>) -> Read {
    over_services(fields, Manner::RENDEZVOUS)
}

fn over_services(fields: Fields<'_>, manner: Manner) -> Read {
    let (services, members_out) = members(&fields, "services", |fields, value| {
        let child = WeightedRef {
            name: reference(&fields, "name"),
            key: fields.text("name").unwrap_or_default(),
            weight: weight(&fields),
            place: fields.report.place(value.at),
        };
        fields.unsupported(&["headers", "status", "grpcStatus"]);
        fields.close();
        Some(child)
    });
    fields.requires("services");
    if services.is_empty() && members_out == 0 {
        let text = format!("a {} service names other services", manner.kind());
        fields.error("services", "missing", text);
    }
    parent_check(&fields);
    fields.close();
    Read { kind: ServiceKind::Weighted { services, manner }, members_out }
}

fn failover(fields: Fields<'_>) -> Read {
    let failover = Failover {
        service: reference(&fields, "service"),
        fallback: reference(&fields, "fallback"),
        errors: fields.section("errors").map(failover_errors),
    };
    parent_check(&fields);
    fields.close();
    Read { kind: ServiceKind::Failover(failover), members_out: 0 }
}

fn failover_errors(fields: Fields<'_>) -> FailoverErrors {
    let status = statuses(&fields, "status");
    let text = "name the statuses that send a request to the fallback";
    fields.demand_with_help("status", text, "for example [\"500-504\"]");
    let replay = fields.section("tieline").map(|own| {
        let replay = own.flag("replayNonIdempotent").unwrap_or(false);
        own.close();
        replay
    });
    let errors = FailoverErrors {
        status,
        body_bytes_max: body_bytes(&fields, "maxRequestBodyBytes"),
        replay_non_idempotent: replay.unwrap_or(false),
    };
    fields.close();
    errors
}

/// Statuses and ranges of them: `500`, `"500-599"`.
pub(crate) fn statuses(fields: &Fields<'_>, key: &'static str) -> Vec<RangeInclusive<u16>> {
    let mut ranges = Vec::new();
    for (at, text) in fields.texts(key).unwrap_or_default() {
        match status_range(text) {
            Ok(range) => ranges.push(range),
            Err(wanted) => bad_value(fields.report, at, &fields.path_of(key), text, &wanted),
        }
    }
    ranges
}

pub(super) fn status_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| {
        let status = number(text.trim(), 100..=599)
            .map_err(|_| "expected a status such as 503 or a range such as 500-599".to_owned())?;
        u16::try_from(status).map_err(|_| "expected a status".to_owned())
    };
    let (low, high) = (status(low)?, status(high)?);
    if low > high { Err("the range is empty".to_owned()) } else { Ok(low..=high) }
}

/// `-1` is no limit of its own.
pub(super) fn body_bytes(fields: &Fields<'_>, key: &'static str) -> Option<u64> {
    fields.number(key, -1..=i64::MAX).and_then(|bytes| u64::try_from(bytes).ok())
}

fn mirroring(fields: Fields<'_>) -> Read {
    let (mirrors, members_out) = members(&fields, "mirrors", |fields, value| {
        let percent = fields.number("percent", 0..=100).and_then(|p| u8::try_from(p).ok());
        let mirror = Mirror {
            name: reference(&fields, "name"),
            percent: percent.unwrap_or(0),
            place: fields.report.place(value.at),
        };
        fields.close();
        Some(mirror)
    });
    let mirroring = Mirroring {
        service: reference(&fields, "service"),
        mirrors,
        mirror_body: fields.flag("mirrorBody").unwrap_or(true),
        body_bytes_max: body_bytes(&fields, "maxBodySize"),
    };
    parent_check(&fields);
    fields.close();
    Read { kind: ServiceKind::Mirroring(mirroring), members_out }
}
