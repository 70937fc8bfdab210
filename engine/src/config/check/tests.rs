//! Sets of documents and what is said about them.

use super::*;

#[track_caller]
fn says(files: &[(&str, &str)], expected: &[&str]) {
    let found: Vec<String> = check(files).iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

const PARENT: &str = "
entryPoints:
  web: {address: ':80'}
hub:
  providers:
    multicluster:
      children:
        child-1: {address: http://c1:9443}
";

#[test]
fn names_that_lead_nowhere_are_reported_with_the_nearest() {
    says(
        &[
            ("parent.yml", PARENT),
            (
                "routes.yml",
                "http:
  routers:
    shop:
      rule: PathPrefix(`/shop`)
      entryPoints: [wep]
      middlewares: [strip]
      service: shp
  services:
    shop: {loadBalancer: {servers: [{url: http://a}]}}
    both:
      weighted:
        services:
          - name: shop-child-1@multicluster
          - name: shop@docker
  middlewares:
    stripe: {stripPrefix: {prefixes: [/shop]}}
",
            ),
        ],
        &[
            "routes.yml:3:5: error: http.routers.shop.entryPoints: there is no entry point wep \
             (did you mean web?)",
            "routes.yml:3:5: error: http.routers.shop.middlewares: there is no middleware \
             strip@file (did you mean stripe@file?)",
            "routes.yml:3:5: error: http.routers.shop.service: there is no service shp@file \
             (did you mean shop@file?)",
            "routes.yml:14:13: error: http.services.both.weighted.services[1].name: \
             there is no provider docker, so no service shop@docker",
        ],
    );
}

#[test]
fn services_and_chains_that_lead_back_are_named_whole() {
    says(
        &[(
            "routes.yml",
            "http:
  services:
    a: {failover: {service: b, fallback: c}}
    b: {weighted: {services: [{name: c}]}}
    c: {mirroring: {service: a}}
  middlewares:
    x: {chain: {middlewares: [y]}}
    y: {chain: {middlewares: [x]}}
",
        )],
        &[
            "routes.yml:3:5: error: http.services.a: services refer to each other: \
             a@file -> b@file -> c@file -> a@file",
            "routes.yml:7:5: error: http.middlewares.x.chain.middlewares: \
             chain x@file -> y@file -> x@file contains itself",
            "routes.yml:8:5: error: http.middlewares.y.chain.middlewares: \
             chain y@file -> x@file -> y@file contains itself",
        ],
    );
}

#[test]
fn services_of_children_need_children() {
    let routes = "http: {services: {s: {weighted: {services: [{name: u@multicluster}]}}}}";
    says(&[("routes.yml", routes)], &[]);
    says(&[("parent.yml", PARENT), ("routes.yml", routes)], &[]);
    says(
        &[("alone.yml", "log: {level: info}"), ("routes.yml", routes)],
        &["routes.yml:1:45: error: http.services.s.weighted.services[0].name: \
           u@multicluster comes from children, and none is configured"],
    );
}

#[test]
fn entry_points_of_uplinks_and_ordinary_ones_are_not_mixed() {
    says(
        &[
            (
                "child.yml",
                "entryPoints: {web: {address: ':80'}, safe: {address: ':443', http: {tls: {certResolver: x}}}}
hub: {uplinkEntryPoints: {up: {address: ':9443'}}}
",
            ),
            (
                "routes.yml",
                "http:
  routers:
    r: {rule: Path(`/`), service: noop@internal, entryPoints: [up, safe]}
    s: {rule: Path(`/`), service: noop@internal, uplinks: [offer, lost]}
  uplinks:
    offer: {entryPoints: [web]}
    off-er: {}
    off.er: {}
",
            ),
        ],
        &[
            "child.yml:1:75: error: entryPoints.safe.http.tls.certResolver: certificates are not \
             obtained by this version; name them under tls.certificates",
            "routes.yml:3:5: error: http.routers.r.entryPoints: up is an entry point of uplinks",
            "routes.yml:3:5: error: http.routers.r.entryPoints: \
             the entry point safe is refused, for the reason given there",
            "routes.yml:4:5: error: http.routers.s.uplinks: there is no uplink lost",
            "routes.yml:6:5: error: http.uplinks.offer.entryPoints: web is an ordinary entry point",
            "routes.yml:7:5: warning: http.uplinks.off-er: no router offers anything through \
             this uplink, so it is not advertised",
            "routes.yml:8:5: warning: http.uplinks.off.er: no router offers anything through \
             this uplink, so it is not advertised",
            "routes.yml:8:5: error: http.uplinks.off.er: \
             parents cannot tell it from the uplink off-er",
        ],
    );
}

#[test]
fn one_file_may_hold_both_kinds() {
    says(
        &[("all.yml", "log: {level: info}\nhttp: {routers: {}}\nhtpt: {}\n")],
        &["all.yml:3:1: warning: htpt: the root key `htpt` is not known and is read over \
           (did you mean http?)"],
    );
}

#[test]
fn children_with_names_that_look_alike_clash() {
    says(
        &[(
            "parent.yml",
            "hub: {providers: {multicluster: {children: {a-b: {address: http://a}, \
             a.b: {address: http://b}}}}}",
        )],
        &["error: hub.providers.multicluster.children.a.b: \
           services of this child have the same names as those of a-b"],
    );
}
