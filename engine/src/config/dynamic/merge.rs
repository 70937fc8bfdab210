//! What several providers say, as one.

use crate::base::diag::Diagnostic;
use crate::config::typed::{Dynamic, Place};
use std::sync::Arc;

/// One configuration of several, the one that comes first having precedence. Most names say whose
/// they are and cannot clash; where one does, the first definition stays.
pub fn merged(layers: &[&Dynamic]) -> (Dynamic, Vec<Diagnostic>) {
    let mut clashes = Clashes(Vec::new());
    let dynamic = Dynamic {
        routers: clashes.one(layers, "router", |it| &it.routers, |it| (&it.name, &it.place)),
        services: clashes.one(layers, "service", |it| &it.services, |it| (&it.name, &it.place)),
        middlewares: clashes.one(
            layers,
            "middleware",
            |it| &it.middlewares,
            |it| (&it.name, &it.place),
        ),
        uplinks: clashes.one(layers, "uplink", |it| &it.uplinks, |it| (&it.name, &it.place)),
        transports: clashes.one(
            layers,
            "transport",
            |it| &it.transports,
            |it| (&it.name, &it.place),
        ),
        options: clashes.one(layers, "TLS options", |it| &it.options, |it| (&it.name, &it.place)),
        certificates: layers.iter().flat_map(|it| it.certificates.iter().cloned()).collect(),
        default_certificate: layers.iter().find_map(|it| it.default_certificate.clone()),
    };
    (dynamic, clashes.0)
}

struct Clashes(Vec<Diagnostic>);

impl Clashes {
    fn one<T>(
        &mut self,
        layers: &[&Dynamic],
        kind: &str,
        pick: impl Fn(&Dynamic) -> &Vec<Arc<T>>,
        named: impl Fn(&T) -> (&String, &Place),
    ) -> Vec<Arc<T>> {
        let mut all: Vec<Arc<T>> =
            layers.iter().flat_map(|layer| pick(layer).iter().cloned()).collect();
        // Equal names stay in the order of their providers.
        all.sort_by(|a, b| named(a).0.cmp(named(b).0));
        all.dedup_by(|later, first| {
            let ((name, place), (known, other)) = (named(later), named(first));
            let clash = name == known;
            if clash {
                let text = format!(
                    "the {kind} `{name}` is already defined at {}:{}; this one is left out",
                    other.file, other.line
                );
                let problem = Diagnostic::error("defined-twice", "", text);
                self.0.push(problem.at(&place.file, place.line, place.column));
            }
            clash
        });
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fixed::Provider;
    use crate::config::{Setting, dynamic_in};

    const FILE: &str = "
http:
  routers: {a: {rule: Path(`/`), service: s}}
  uplinks: {u: {weight: 1}}
tls:
  options: {default: {sniStrict: true}, mine: {}}
  certificates: [{certFile: a, keyFile: a}]
";
    const HTTP: &str = "
http:
  routers: {a: {rule: Path(`/`), service: s@file, middlewares: [m]}}
  uplinks: {u: {weight: 2}, v: {}}
tls:
  options: {default: {}}
  certificates: [{certFile: b, keyFile: b}]
";

    fn read(text: &str, provider: Provider) -> Dynamic {
        let setting = Setting { provider, ..Setting::default() };
        dynamic_in(&[("f.yml", text)], &setting).dynamic
    }

    #[test]
    fn names_belong_to_their_provider_and_others_to_the_first() {
        let (file, http) = (read(FILE, Provider::File), read(HTTP, Provider::Http));
        let (dynamic, clashes) = merged(&[&file, &http]);
        let said: Vec<String> = clashes.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "f.yml:4:13: error: the uplink `u` is already defined at f.yml:4; this one is left out",
                "f.yml:6:13: error: the TLS options `default` is already defined at f.yml:6; \
                 this one is left out"
            ]
        );
        let routers: Vec<(&str, &str)> =
            dynamic.routers.iter().map(|it| (&*it.name, &*it.service)).collect();
        assert_eq!(routers, [("a@file", "s@file"), ("a@http", "s@file")]);
        assert_eq!(dynamic.routers[1].middlewares, ["m@http"]);
        let weights: Vec<u32> = dynamic.uplinks.iter().map(|it| it.weight.get()).collect();
        assert_eq!(weights, [1, 1], "u of the file and v");
        let options: Vec<(&str, bool)> =
            dynamic.options.iter().map(|it| (&*it.name, it.sni_strict)).collect();
        assert_eq!(options, [("default", true), ("mine@file", false)]);
        assert_eq!(dynamic.certificates.len(), 2);
        let (other, _) = merged(&[&http, &file]);
        assert!(!other.options[0].sni_strict, "the other one comes first");
    }
}
