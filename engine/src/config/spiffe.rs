//! SPIFFE in the configuration: where identities come from, and which of them are let in.

use super::fields::{Fields, bad_value};
use super::tls::{KeyPair, Pem};
use super::transport::{pair, pems};
use crate::base::spiffe::{SpiffeId, TrustDomain};
use std::net::SocketAddr;

/// Where this process gets its own identity and the bundles of trust domains.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// A Workload API tells, and tells anew.
    Workload(WorkloadApi),
    Files {
        pair: KeyPair,
        bundles: Vec<(TrustDomain, Vec<Pem>)>,
    },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WorkloadApi {
    Unix(String),
    Tcp(SocketAddr),
}

impl WorkloadApi {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            let absolute = path.starts_with('/') && !path.contains(['?', '#']);
            let wanted = || "expected an absolute path, as in unix:///run/agent.sock".to_owned();
            return absolute.then(|| Self::Unix(path.to_owned())).ok_or_else(wanted);
        }
        let address = text.strip_prefix("tcp://").and_then(|rest| rest.parse().ok());
        let wanted = "expected unix:///path or tcp://address:port, and no host name";
        address.map(Self::Tcp).ok_or_else(|| wanted.to_owned())
    }
}

/// Which SPIFFE ids are let in.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Allowed {
    /// Any that some bundle vouches for.
    Any,
    /// These. An empty list is nobody.
    Ids(Vec<SpiffeId>),
    Domain(TrustDomain),
}

/// The root key `spiffe` of a static configuration.
pub(super) fn source(fields: Fields<'_>) -> Option<Source> {
    let address = fields.parsed("workloadAPIAddr", WorkloadApi::parse);
    let own = fields.section("tieline");
    let asks = fields.present("workloadAPIAddr");
    if own.is_some() && asks {
        let text = "identities come from files or from a Workload API, not from both";
        fields.error_with_help("tieline", "several-kinds", text, "leave out one of them");
    }
    if own.is_none() && !asks {
        let help = "workloadAPIAddr, or certFile, keyFile and bundles under tieline";
        let text = "nothing says where identities come from";
        fields.error_with_help("workloadAPIAddr", "missing", text, help);
    }
    fields.close();
    address.map(Source::Workload).or_else(|| own.and_then(files))
}

fn files(fields: Fields<'_>) -> Option<Source> {
    let pair = pair(&fields);
    let mut bundles: Vec<(TrustDomain, Vec<Pem>)> = Vec::new();
    for (path, value) in fields.list("bundles").unwrap_or_default() {
        let Some(member) = Fields::open(fields.report, &path, value) else { continue };
        member.demand("trustDomain", "a bundle is of a trust domain");
        let domain = member.parsed("trustDomain", TrustDomain::parse);
        member.requires("caFiles");
        let roots = pems(&member, "caFiles");
        if roots.is_empty() {
            member.error("caFiles", "missing", "a bundle has certificates of those who sign");
        }
        if bundles.iter().any(|(known, _)| Some(known) == domain.as_ref()) {
            member.error("trustDomain", "name-clash", "this trust domain has a bundle already");
        }
        member.close();
        bundles.extend(domain.map(|domain| (domain, roots)));
    }
    fields.requires("bundles");
    if bundles.is_empty() && !fields.present("bundles") {
        let help = "bundles: [{trustDomain: example.org, caFiles: [/certs/bundle.pem]}]";
        let text = "without a bundle nobody can be verified";
        fields.error_with_help("bundles", "missing", text, help);
    }
    fields.close();
    Some(Source::Files { pair: pair?, bundles })
}

/// `ids` and `trustDomain`; `none` is what it means if there are none. Absent if something is
/// wrong with them.
pub(super) fn allowed(fields: &Fields<'_>, none: impl FnOnce() -> Allowed) -> Option<Allowed> {
    const IDS: &str = "ids";
    let mark = fields.report.mark();
    let domain = fields.parsed("trustDomain", |text| match text {
        "" => Ok(None),
        text => TrustDomain::parse(text).map(Some),
    });
    let domain = domain.flatten();
    let mut ids = Vec::new();
    for (at, text) in fields.texts(IDS).unwrap_or_default() {
        match SpiffeId::parse(text) {
            Ok(id) if domain.as_ref().is_some_and(|domain| id.domain() != domain) => {
                let wanted = "this id is of another trust domain than trustDomain says";
                bad_value(fields.report, at, &fields.path_of(IDS), text, wanted);
            }
            Ok(id) => ids.push(id),
            Err(wanted) => bad_value(fields.report, at, &fields.path_of(IDS), text, &wanted),
        }
    }
    if !fields.report.errors_since(mark).is_empty() {
        return None;
    }
    Some(match (ids.is_empty(), domain) {
        (false, _) => Allowed::Ids(ids),
        (true, Some(domain)) => Allowed::Domain(domain),
        (true, None) => none(),
    })
}

/// Who may call at an uplink entry point: `tieline.spiffe`. A list that is there and empty is
/// nobody.
pub(super) fn callers(fields: Fields<'_>) -> Option<Allowed> {
    let listed = fields.present("ids");
    if !listed && !fields.present("trustDomain") {
        let help = "ids: [spiffe://example.org/parent], or trustDomain: example.org";
        let problem = "it must be said who may call";
        fields.error_with_help("ids", "missing", problem, help);
    }
    let allowed = allowed(&fields, || Allowed::Ids(Vec::new()));
    if listed && allowed == Some(Allowed::Ids(Vec::new())) {
        fields.warning("ids", "nobody", "the list is empty, so nobody may call");
    }
    fields.close();
    allowed
}

#[cfg(test)]
mod tests;
