//! Where dynamic documents come from.

use super::children::poll_interval;
use crate::base::diag::Diagnostic;
use crate::base::time::Span;
use crate::config::address::Url;
use crate::config::dynamic::{client_tls, headers};
use crate::config::fields::{Fields, bad_value};
use crate::config::fixed::{FileProvider, Fixed, HttpProvider, RestProvider, Scheme, Transport};
use std::sync::Arc;

const LATER: [&str; 18] = [
    "consul",
    "consulCatalog",
    "docker",
    "ecs",
    "etcd",
    "knative",
    "kubernetesCRD",
    "kubernetesGateway",
    "kubernetesIngress",
    "kubernetesIngressNGINX",
    "marathon",
    "microcks",
    "nomad",
    "plugin",
    "rancher",
    "redis",
    "swarm",
    "zooKeeper",
];

/// As `precedence` names them.
const NAMES: [&str; 17] = [
    "consul",
    "consulcatalog",
    "docker",
    "ecs",
    "etcd",
    "file",
    "http",
    "knative",
    "kubernetes",
    "kubernetescrd",
    "kubernetesgateway",
    "kubernetesingressnginx",
    "nomad",
    "redis",
    "rest",
    "swarm",
    "zookeeper",
];

pub(super) fn read(providers: &Fields<'_>, fixed: &mut Fixed) {
    fixed.throttle = providers.span("providersThrottleDuration").unwrap_or(fixed.throttle);
    providers.without_effect(&LATER);
    if providers.present("multicluster") {
        let help = "write it under hub: providers:";
        providers.error_with_help("multicluster", "unknown-key", "this key belongs to hub", help);
    }
    fixed.file = providers.switch("file").and_then(file);
    fixed.http = providers.section("http").and_then(http);
    fixed.rest = providers.switch("rest").map(rest);
    if let Some(precedence) = precedence(providers) {
        fixed.precedence = precedence;
    }
}

/// Providers that are not there may be named: nothing comes from them.
fn precedence(providers: &Fields<'_>) -> Option<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for (at, text) in providers.texts("precedence")? {
        let name = text.to_ascii_lowercase();
        let path = providers.path_of("precedence");
        if !NAMES.contains(&name.as_str()) {
            let wanted = format!("expected providers, each one of {}", NAMES.join(", "));
            bad_value(providers.report, at, &path, text, &wanted);
        } else if names.contains(&name) {
            providers.report.error("repeated-key", at, &path, format!("{name} is here twice"));
        } else {
            names.push(name);
        }
    }
    Some(names)
}

fn file(fields: Fields<'_>) -> Option<FileProvider> {
    let (directory, filename) = (fields.text("directory"), fields.text("filename"));
    let watch = fields.flag("watch").unwrap_or(true);
    fields.accept(&["debugLogGeneratedTemplate"]);
    if directory.is_some() && filename.is_some() {
        let text = "filename is not read beside directory";
        fields.error_with_help("filename", "several-kinds", text, "leave out one of them");
    }
    let path = directory.or(filename).filter(|path| !path.is_empty());
    if path.is_none() {
        let help = "name one of directory and filename";
        let problem = Diagnostic::error("missing", &*fields.path, "nothing says what to read");
        fields.report.add(fields.at, problem.help(help));
    }
    fields.close();
    path.map(|path| FileProvider { path, watch })
}

fn rest(fields: Fields<'_>) -> RestProvider {
    let insecure = fields.flag("insecure").unwrap_or(false);
    fields.close();
    RestProvider { insecure }
}

fn http(fields: Fields<'_>) -> Option<HttpProvider> {
    let help = "for example https://config.example.com/dynamic";
    fields.demand_with_help("endpoint", "the provider has an endpoint to ask", help);
    let endpoint = fields.parsed("endpoint", |text| {
        let url = Url::parse(text)?;
        match url.authority.scheme {
            Scheme::Http | Scheme::Https => Ok(url),
            Scheme::H2c => Err("expected a URL with http:// or https://".to_owned()),
        }
    });
    let mut transport = Transport::default();
    if let Some(section) = fields.section("tls") {
        transport.tls = Some(Arc::new(client_tls(&section)));
        if endpoint.as_ref().is_some_and(|url| url.authority.scheme != Scheme::Https) {
            fields.warning("tls", "no-effect", "the endpoint is not one of https");
        }
        section.close();
    }
    let mut host = None;
    let mut sent = Vec::new();
    for (name, value) in headers(&fields, "headers") {
        let of_connection = ["connection", "content-length", "transfer-encoding", "upgrade"];
        if name.eq_ignore_ascii_case("host") {
            host = Some(value);
        } else if of_connection.iter().any(|known| name.eq_ignore_ascii_case(known)) {
            let text = format!("{name} belongs to the connection and cannot be set");
            fields.error("headers", "bad-header", text);
        } else {
            sent.push((name, value));
        }
    }
    let provider = HttpProvider {
        endpoint: endpoint.clone().unwrap_or_default(),
        poll_interval: poll_interval(&fields).unwrap_or(Span::secs(5)),
        poll_timeout: fields.lasting("pollTimeout").unwrap_or(Span::secs(5)),
        host,
        headers: sent,
        transport,
    };
    fields.close();
    endpoint.map(|_| provider)
}
