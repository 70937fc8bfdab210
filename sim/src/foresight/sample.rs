//! A request for each router: what its rule asks for, if that can be said at once.

use super::crowd::Class;
use engine::http::fields::Field;
use engine::http::request::RequestInfo;
use engine::rule::{HostPattern, Matcher, Node, Rule};
use engine::view::{Offer, RouteTable, View};
use std::net::{IpAddr, SocketAddr};

/// What a request says.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: String,
    pub(super) host: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) fields: Vec<(String, String)>,
}

impl Default for Ask {
    fn default() -> Self {
        Self {
            method: "GET".to_owned(),
            host: "tieline.test".to_owned(),
            path: "/".to_owned(),
            query: String::new(),
            fields: Vec::new(),
        }
    }
}

/// The requests of the crowd, and the routers for which none was found.
pub(super) struct Samples {
    pub(super) classes: Vec<Class>,
    /// What is asked for, in words, and at which entry point.
    pub(super) told: Vec<String>,
    pub(super) missing: Vec<String>,
}

/// One request for each router of each entry point; one router is asked at one entry point.
pub(super) fn samples(view: &View, at: impl Fn(u16) -> SocketAddr, peer: IpAddr) -> Samples {
    let mut found = Samples { classes: Vec::new(), told: Vec::new(), missing: Vec::new() };
    let mut asked: Vec<&str> = Vec::new();
    for entry in &view.entries {
        let Offer::Routes(table) = &entry.offer else { continue };
        let routes = table.iter().filter(|route| !route.internal);
        for route in routes {
            if asked.contains(&&*route.name) || is_page(view, &route.name) {
                continue;
            }
            asked.push(&route.name);
            let router = view.model.routers.iter().find(|it| it.definition.name == *route.name);
            let rule = router.and_then(|router| router.definition.rule.clone());
            let ask = rule.map(|rule| {
                let mut ask = Ask::default();
                satisfy(rule.ast(), &mut ask);
                ask
            });
            let takes = |ask: &Ask| takes(table, ask, peer) == Some(&*route.name);
            match ask.filter(takes) {
                Some(ask) => {
                    let to = at(entry.settings.address.port());
                    found.classes.push(Class { bytes: ask.bytes(), to, weight: 1 });
                    found.told.push(format!("{ask} at {} for {}", entry.settings.name, route.name));
                }
                None => {
                    let why = "its rule does not say what: name a request in the scenario";
                    found.missing.push(format!("{}: {why}", route.name));
                }
            }
        }
        let secure = entry.secure.iter().flat_map(|side| side.routes.iter());
        for route in secure.filter(|route| !route.internal) {
            if asked.contains(&&*route.name) {
                continue;
            }
            asked.push(&route.name);
            found.missing.push(format!("{}: it is for TLS, and all is clear here", route.name));
        }
    }
    found
}

/// A page of the process itself.
fn is_page(view: &View, name: &str) -> bool {
    let router = view.model.routers.iter().find(|it| it.definition.name == *name);
    router.is_some_and(|router| router.definition.service.ends_with("@internal"))
}

/// A request with this method that comes to a router by its rule, if one is found at once.
pub(super) fn ask_for(
    table: &RouteTable,
    rule: &Rule,
    router: &str,
    method: &str,
    peer: IpAddr,
) -> Option<Ask> {
    let mut ask = Ask { method: method.to_owned(), ..Ask::default() };
    satisfy(rule.ast(), &mut ask);
    (ask.method == method && takes(table, &ask, peer) == Some(router)).then_some(ask)
}

fn takes<'t>(table: &'t RouteTable, ask: &Ask, peer: IpAddr) -> Option<&'t str> {
    ask.with_info(peer, |info| table.find(info).map(|route| &*route.name))
}

impl Ask {
    pub(super) fn with_info<T>(&self, peer: IpAddr, then: impl FnOnce(&RequestInfo<'_>) -> T) -> T {
        let fields: Vec<Field<'_>> = self
            .fields
            .iter()
            .map(|(name, value)| Field { name, value: value.as_bytes() })
            .collect();
        then(&RequestInfo {
            method: &self.method,
            authority: &self.host,
            host: self.host.split(':').next().unwrap_or_default(),
            path: &self.path,
            query: &self.query,
            fields: &fields,
            peer,
        })
    }

    pub(super) fn with(mut self, field: Option<(&str, &str)>) -> Self {
        self.fields.extend(field.map(|(name, value)| (name.to_owned(), value.to_owned())));
        self
    }

    pub(super) fn target(&self) -> String {
        let mark = if self.query.is_empty() { "" } else { "?" };
        format!("{}{mark}{}", self.path, self.query)
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut head =
            format!("{} {} HTTP/1.1\r\nHost: {}\r\n", self.method, self.target(), self.host);
        for (name, value) in &self.fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !matches!(&*self.method, "GET" | "HEAD") {
            head.push_str("Content-Length: 0\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

impl std::fmt::Display for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} http://{}{}", self.method, self.host, self.target())?;
        self.fields.iter().try_for_each(|(name, value)| write!(f, " -H '{name}: {value}'"))
    }
}

/// Makes a request that the positive parts of a rule want; whether it matches is seen after.
fn satisfy(rule: &Node, ask: &mut Ask) {
    match rule {
        Node::Match(matcher) => grant(matcher, ask),
        Node::Not(_) => {}
        Node::And(parts) => parts.iter().for_each(|part| satisfy(part, ask)),
        Node::Or(parts) => parts.iter().take(1).for_each(|part| satisfy(part, ask)),
    }
}

fn grant(matcher: &Matcher, ask: &mut Ask) {
    match matcher {
        Matcher::Host(HostPattern::Exactly(host)) => ask.host.clone_from(host),
        Matcher::Host(HostPattern::OneLabelUnder(parent)) => ask.host = format!("any.{parent}"),
        Matcher::Path(path) => ask.path.clone_from(path),
        Matcher::PathPrefix(prefix) if !ask.path.starts_with(prefix.as_str()) => {
            ask.path.clone_from(prefix);
        }
        Matcher::Header { name, value } => ask.fields.push((name.clone(), value.clone())),
        Matcher::Query { key, value } => {
            let value = value.as_deref().unwrap_or_default();
            ask.query = format!("{key}={value}");
        }
        Matcher::Method(method) => ask.method.clone_from(method),
        Matcher::Host(HostPattern::Any)
        | Matcher::PathPrefix(_)
        | Matcher::HostRegexp(_)
        | Matcher::PathRegexp(_)
        | Matcher::HeaderRegexp { .. }
        | Matcher::QueryRegexp { .. }
        | Matcher::ClientIp(_) => {}
    }
}
