//! Documents to the dynamic configuration.

mod health;
mod manner;
mod merge;
mod middlewares;
mod routers;
mod services;
mod tls;

pub use middlewares::BUILT as MIDDLEWARES;
pub use services::KINDS as SERVICES;

pub use merge::merged;

pub(super) use health::headers;
pub(super) use middlewares::client_tls;
pub(super) use routers::{SYNTAXES, observed};
pub(super) use services::statuses;
pub(super) use tls::router_tls;

use super::document::{self, Kind, Language, Value};
use super::fields::{Fields, Named, suggestion};
use super::fixed::{Fixed, Provider};
use super::report::Report;
use super::template::{self, Environment};
use super::typed::{Dynamic, Place, Router};
use crate::base::diag::Diagnostic;
use crate::rule::Syntax;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What was read from the files of one provider.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    pub dynamic: Dynamic,
    /// Every problem, by file in the given order, then by line.
    pub diagnostics: Vec<Diagnostic>,
    /// Whether each file could be read as a document. If one could not, for example because it
    /// was half-written, its definitions are missing here: keep the last good configuration.
    pub complete: bool,
}

/// Root keys of the static configuration, which may share a file with the dynamic one.
pub(super) const STATIC_ROOTS: [&str; 22] = [
    "accessLog",
    "additionalArguments",
    "api",
    "certificatesResolvers",
    "core",
    "entryPoints",
    "experimental",
    "global",
    "hostResolver",
    "hub",
    "log",
    "metrics",
    "ocsp",
    "pilot",
    "ping",
    "ports",
    "providers",
    "serversTransport",
    "spiffe",
    "tcpServersTransport",
    "tieline",
    "tracing",
];

pub(super) const DYNAMIC_ROOTS: [&str; 4] = ["http", "tcp", "tls", "udp"];

/// Reads all files of the file provider, in name order. A name that two files define belongs to
/// the first.
pub fn dynamic(files: &[(&str, &str)]) -> Reading {
    dynamic_in(files, &Setting::default())
}

/// What documents are read by, besides themselves.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Setting {
    /// Of rules where nothing else is said.
    pub syntax: Syntax,
    /// For templates, which only files have.
    pub environment: Environment,
    pub provider: Provider,
    /// Of its routers among those of equal priority: lower is asked first.
    pub rank: u8,
}

impl Setting {
    /// Of what this provider says in a process with these settings. Only files have templates,
    /// and what they see of the environment.
    pub fn of(fixed: &Fixed, provider: Provider) -> Self {
        let environment = match provider {
            Provider::File => fixed.environment.clone(),
            Provider::Http | Provider::Rest => Environment::default(),
        };
        Self { syntax: fixed.rule_syntax, environment, provider, rank: fixed.rank(provider) }
    }
}

/// As [`dynamic`], in a setting.
pub fn dynamic_in(files: &[(&str, &str)], setting: &Setting) -> Reading {
    let (syntax, rank) = (setting.syntax, setting.rank);
    let mut all = Definitions { syntax, rank, ..Definitions::default() };
    let mut reading = Reading { complete: true, ..Reading::default() };
    for (path, text) in files {
        let mut report = Report::of(path, setting.provider);
        match tree(path, text, setting, &mut report) {
            Some(root) => {
                reading.complete &= matches!(root.kind, Kind::Map(_));
                read_root(&report, &root, &mut all);
            }
            None => reading.complete = false,
        }
        reading.diagnostics.extend(report.into_sorted());
    }
    reading.dynamic = all.finish();
    reading
}

/// A document as a tree. Files have templates; what came otherwise is YAML, or JSON, which is YAML.
pub(super) fn tree(
    path: &str,
    text: &str,
    setting: &Setting,
    report: &mut Report,
) -> Option<Value> {
    if setting.provider != Provider::File {
        return document::read_as(Some(Language::Yaml), text, report);
    }
    if !template::has_actions(text) {
        return document::read(path, text, report);
    }
    let origin = template::fill(text, &setting.environment, report)?;
    report.comes_from(origin);
    document::read(path, report.origin()?.text(), report)
}

/// What is asked of a dynamic document, for a report that listens.
pub(super) fn outline(report: &Report, root: &Value) {
    read_root(report, root, &mut Definitions::default());
}

/// From a tree that no file holds.
#[cfg(test)]
pub(super) fn from_tree(report: &Report, root: &Value) -> Dynamic {
    let mut all = Definitions::default();
    read_root(report, root, &mut all);
    all.finish()
}

fn read_root(report: &Report, root: &Value, all: &mut Definitions) {
    let Some(root) = Fields::open(report, "", root) else { return };
    for key in ["tcp", "udp"] {
        root.unsupported(&[key]);
    }
    if let Some(section) = root.section("tls") {
        read_tls(&section, all);
        section.close();
    }
    if let Some(http) = root.section("http") {
        read_http(&http, all);
        http.close();
    }
    warn_of_unknown_roots(&root, &STATIC_ROOTS, &DYNAMIC_ROOTS);
}

/// A root key that neither kind of document knows is read over, as in the dialect, but not
/// silently.
pub(super) fn warn_of_unknown_roots(root: &Fields<'_>, others: &[&str], own: &[&str]) {
    for entry in root.unasked() {
        if others.iter().any(|known| known.eq_ignore_ascii_case(&entry.key)) {
            continue;
        }
        let known = own.iter().chain(others).copied();
        let text = format!("the root key `{}` is not known and is read over", entry.key);
        let problem = Diagnostic::warning("unknown-root", &*entry.key, text);
        root.report.add(entry.at, problem.help(suggestion(&entry.key, known)));
    }
}

fn read_tls(section: &Fields<'_>, all: &mut Definitions) {
    all.certificates.extend(tls::certificates(section).into_iter().map(Arc::new));
    let default = tls::default_certificate(section);
    if all.default_certificate.is_none() {
        all.default_certificate = default.map(Arc::new);
    }
    for member in section.named("options") {
        let name = tls::options_name(section.report, member.name);
        let name = all.options.claim_as(section.report, &member, name);
        all.options.keep(name, |name| Some(tls::options(section.report, &member, &name)));
    }
}

fn read_http(http: &Fields<'_>, all: &mut Definitions) {
    http.without_effect(&["models"]);
    for member in http.named("serversTransports") {
        let name = all.transports.claim(http.report, &member, true);
        all.transports.keep(name, |name| services::transport(http.report, &member, name));
    }
    for member in http.named("routers") {
        let name = all.routers.claim(http.report, &member, true);
        let (syntax, rank) = (all.syntax, all.rank);
        all.routers.keep(name, |name| {
            let read = routers::read(http.report, &member, name, syntax);
            read.map(|router| Router { rank, ..router })
        });
    }
    for member in http.named("services") {
        let name = all.services.claim(http.report, &member, true);
        all.services.keep(name, |name| services::read(http.report, &member, name));
    }
    for member in http.named("middlewares") {
        let name = all.middlewares.claim(http.report, &member, true);
        all.middlewares.keep(name, |name| middlewares::read(http.report, &member, name));
    }
    for member in http.named("uplinks") {
        let name = all.uplinks.claim(http.report, &member, false);
        all.uplinks.keep(name, |name| routers::read_uplink(http.report, &member, name));
    }
}

#[derive(Default)]
struct Definitions {
    /// Of rules where nothing else is said.
    syntax: Syntax,
    rank: u8,
    routers: Kept<Router>,
    services: Kept<super::typed::Service>,
    middlewares: Kept<super::typed::Middleware>,
    uplinks: Kept<super::typed::Uplink>,
    transports: Kept<super::typed::NamedTransport>,
    options: Kept<super::tls::ServerTls>,
    certificates: Vec<Arc<super::tls::Certificate>>,
    default_certificate: Option<Arc<super::tls::Certificate>>,
}

impl Definitions {
    fn finish(self) -> Dynamic {
        Dynamic {
            routers: self.routers.finish(),
            services: self.services.finish(),
            middlewares: self.middlewares.finish(),
            uplinks: self.uplinks.finish(),
            transports: self.transports.finish(),
            options: self.options.finish(),
            certificates: self.certificates,
            default_certificate: self.default_certificate,
        }
    }
}

/// Definitions of one kind by name. A name whose definition could not be kept stays claimed.
struct Kept<T>(BTreeMap<String, (Place, Option<Arc<T>>)>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Kept<T> {
    /// The full name of a definition, unless another file has it already.
    fn claim(&mut self, report: &Report, member: &Named<'_>, qualify: bool) -> Option<String> {
        let name = if qualify { report.own(member.name) } else { member.name.to_owned() };
        self.claim_as(report, member, name)
    }

    fn claim_as(&mut self, report: &Report, member: &Named<'_>, name: String) -> Option<String> {
        if let Some((first, _)) = self.0.get(&name) {
            let text = format!(
                "`{}` is already defined at {}:{}; this one is left out",
                member.name, first.file, first.line
            );
            report.warning("defined-twice", member.at, &member.path, text);
            return None;
        }
        self.0.insert(name.clone(), (report.place(member.at), None));
        Some(name)
    }

    fn keep(&mut self, name: Option<String>, read: impl FnOnce(String) -> Option<T>) {
        let Some(name) = name else { return };
        let value = read(name.clone()).map(Arc::new);
        if let Some((_, slot)) = self.0.get_mut(&name) {
            *slot = value;
        }
    }

    fn finish(self) -> Vec<Arc<T>> {
        self.0.into_values().filter_map(|(_, value)| value).collect()
    }
}

fn check_name(report: &Report, member: &Named<'_>) {
    if member.name.is_empty() || member.name.contains('@') {
        let text = "a name is not empty and has no @, which separates it from its provider";
        report.error("bad-name", member.at, &member.path, text);
    }
}

#[cfg(test)]
mod tests;
