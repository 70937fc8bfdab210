//! The children a parent polls, and how it talks to them.

use crate::base::diag::Diagnostic;
use crate::base::time::Span;
use crate::config::address::Url;
use crate::config::fields::{Fields, Named};
use crate::config::fixed::{Child, Fixed, Multicluster, OnStale, Scheme, Transport};
use crate::config::tls::Trust;
use crate::config::transport::transport;

/// More often than this is a load of its own.
const POLL_INTERVAL_MIN: Span = Span::millis(10);

pub(super) fn read(hub: &Fields<'_>) -> Option<Multicluster> {
    let providers = hub.section("providers")?;
    let multicluster = providers.switch("multicluster").and_then(multicluster);
    providers.without_effect(&["consulCatalogEnterprise", "microcks"]);
    providers.close();
    multicluster
}

fn multicluster(fields: Fields<'_>) -> Option<Multicluster> {
    let defaults = Multicluster::default();
    let enabled = fields.flag("enabled").unwrap_or(true);
    let mut children: Vec<Child> =
        fields.named("children").iter().filter_map(|member| child(&fields, member)).collect();
    children.sort_by(|a, b| a.name.cmp(&b.name));
    if !enabled && !children.is_empty() {
        let text = "the children are not polled, because this is false";
        fields.warning("enabled", "disabled", text);
    }
    let multicluster = Multicluster {
        poll_interval: poll_interval(&fields).unwrap_or(defaults.poll_interval),
        poll_timeout: fields.lasting("pollTimeout").unwrap_or(defaults.poll_timeout),
        children,
    };
    fields.close();
    enabled.then_some(multicluster)
}

pub(super) fn poll_interval(fields: &Fields<'_>) -> Option<Span> {
    let interval = fields.lasting("pollInterval")?;
    if interval < POLL_INTERVAL_MIN {
        let text = format!("{interval}: it is below {POLL_INTERVAL_MIN}");
        fields.error("pollInterval", "bad-value", text);
        return None;
    }
    Some(interval)
}

/// Whoever is to be verified by SPIFFE needs somebody to tell who is who.
pub(super) fn demand_identities(root: &Fields<'_>, fixed: &Fixed) {
    let speaks = |transport: &Transport| {
        transport.tls.as_ref().is_some_and(|tls| matches!(tls.trust, Trust::Spiffe(_)))
    };
    let mut wanting: Vec<String> = Vec::new();
    let children = fixed.multicluster.iter().flat_map(|provider| &provider.children);
    for child in children.filter(|child| speaks(&child.transport)) {
        let path = "hub.providers.multicluster.children";
        wanting.push(format!("{path}.{}.serversTransport.spiffe", child.name));
    }
    if speaks(&fixed.servers_transport) {
        wanting.push("serversTransport.spiffe".to_owned());
    }
    for entry in fixed.uplink_entry_points.iter().filter(|entry| entry.callers.is_some()) {
        wanting.push(format!("hub.uplinkEntryPoints.{}.tieline.spiffe", entry.name));
    }
    if fixed.spiffe.is_some() || root.present("spiffe") {
        return;
    }
    for path in wanting {
        let key = if path.starts_with("hub") { "hub" } else { "serversTransport" };
        let text = "nothing says where identities come from";
        let problem = Diagnostic::error("missing", path, text);
        let help = "the root key spiffe, with workloadAPIAddr or tieline";
        root.report.add(root.place_of(key), problem.help(help));
    }
}

/// A child with an error is left out: it is not polled and nothing is sent to it.
fn child(outer: &Fields<'_>, member: &Named<'_>) -> Option<Child> {
    let mark = outer.report.mark();
    let mut fields = Fields::open(outer.report, &member.path, member.value)?;
    fields.at = member.at;
    if member.name.is_empty() || member.name.contains(['@', ',']) {
        let text = "a child's name is not empty and has neither @ nor comma";
        fields.report.error("bad-name", member.at, &member.path, text);
    }
    let address = address(&fields);
    let transport = fields.section("serversTransport").map(|section| {
        let transport = transport(&section);
        section.close();
        transport
    });
    let on_stale = fields.section("tieline").map(|own| {
        let on_stale = own.section("onStale").and_then(on_stale);
        own.close();
        on_stale.unwrap_or_default()
    });
    let over_tls = address.as_ref().is_some_and(|url| url.authority.scheme == Scheme::Https);
    if address.is_some() && !over_tls && transport.as_ref().is_some_and(|it| it.tls.is_some()) {
        let text = "these settings are for TLS, and the address is not";
        let help = "write https://, or leave them out";
        fields.error_with_help("serversTransport", "scheme-mismatch", text, help);
    }
    fields.close();
    let address = address?;
    outer.report.errors_since(mark).is_empty().then(|| Child {
        name: member.name.to_owned(),
        address: address.authority,
        transport: transport.unwrap_or_default(),
        on_stale: on_stale.unwrap_or_default(),
    })
}

fn address(fields: &Fields<'_>) -> Option<Url> {
    let help = "for example http://child.example.com:9443";
    fields.demand_with_help("address", "a child has an address", help);
    let url = fields.parsed("address", Url::parse)?;
    if !matches!(url.path.as_str(), "" | "/") {
        let text = format!("the path {} is not used", url.path);
        fields.warning("address", "no-effect", text);
    }
    Some(url)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    Keep,
    Demote,
    Decay,
    Withdraw,
}

fn on_stale(fields: Fields<'_>) -> Option<OnStale> {
    let words = [
        ("keep", Policy::Keep),
        ("demote", Policy::Demote),
        ("decay", Policy::Decay),
        ("withdraw", Policy::Withdraw),
    ];
    let policy = fields.word("policy", &words);
    let (after, over) = (fields.span("after"), fields.lasting("over"));
    fields.requires("policy");
    if !fields.present("policy") {
        let problem = Diagnostic::error("missing", fields.path_of("policy"), "name a policy");
        fields.report.add(fields.at, problem.help("keep, demote, decay or withdraw"));
    }
    if policy.is_some_and(|policy| policy != Policy::Keep) && !fields.present("after") {
        fields.error("after", "missing", "this policy needs to know after what time");
    }
    if policy == Some(Policy::Decay) && !fields.present("over") {
        fields.error("over", "missing", "decay needs to know over what time");
    }
    for (key, used) in [
        ("after", policy != Some(Policy::Keep)),
        ("over", matches!(policy, None | Some(Policy::Decay))),
    ] {
        if !used && fields.present(key) {
            fields.warning(key, "no-effect", "this policy does not use it");
        }
    }
    fields.close();
    Some(match (policy?, after, over) {
        (Policy::Demote, Some(after), _) => OnStale::Demote { after },
        (Policy::Decay, Some(after), Some(over)) => OnStale::Decay { after, over },
        (Policy::Withdraw, Some(after), _) => OnStale::Withdraw { after },
        _ => OnStale::Keep,
    })
}
