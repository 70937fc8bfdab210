//! Configurations of any size, for benchmarks of the control plane.

use engine::base::id::ChildId;
use engine::base::limits::ControlLimits;
use engine::base::prng::Prng;
use engine::base::time::{Span, Wall};
use engine::config::fixed::{Authority, Child, EntryPoint, Fixed, Multicluster, OnStale};
use engine::config::fixed::{Scheme, Transport};
use engine::config::typed::{
    Balancer, Dynamic, HealthCheck, Manner, Place, Router, Server, Service, ServiceKind, Weight,
};
use engine::rule::Rule;
use engine::uplink::advert::Advert;
use engine::view::compile::Compiler;
use engine::view::stats::Stats;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// A parent of this many children.
pub fn parent(children: u16) -> Compiler {
    let child = |n: u16| Child {
        name: format!("child-{n:04}"),
        address: address(n),
        transport: Transport::default(),
        on_stale: OnStale::Keep,
    };
    let fixed = Fixed {
        entry_points: vec![EntryPoint::new("web", SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80)))],
        multicluster: Some(Multicluster {
            poll_interval: Span::secs(5),
            poll_timeout: Span::secs(5),
            children: (0..children).map(child).collect(),
        }),
        ..Fixed::default()
    };
    let stats = Arc::new(Stats::new(1, 1, Wall::default()));
    Compiler::new(Arc::new(fixed), ControlLimits::default(), stats, &mut Prng::new(1))
}

/// What a child with `uplinks` uplinks offers; `weight` tells two offers apart.
pub fn adverts(uplinks: u16, weight: u32) -> Vec<Advert> {
    let check = HealthCheck { path: "/health".into(), ..HealthCheck::of_uplink() };
    let advert = |n: u16| Advert {
        name: format!("uplink-{n:03}").into(),
        entry_points: vec!["multicluster".into()],
        weight: Weight::new(weight.into()).expect("a small weight"),
        health_check: Some(check.clone()),
        passive: None,
    };
    (0..uplinks).map(advert).collect()
}

/// A parent that has heard of all its children.
pub fn informed_parent(children: u16, uplinks: u16) -> Compiler {
    let mut compiler = parent(children);
    for child in 0..children {
        compiler.set_adverts(ChildId(child), adverts(uplinks, 1 + u32::from(child % 7)));
    }
    compiler.build().expect("the first view");
    compiler
}

/// Routers of as many hosts, ten to a host, each with a balancer of its own.
pub fn document(routers: u32) -> Dynamic {
    written(routers, rule)
}

/// Routers of every kind of rule that people write, and for each a request that it takes.
pub fn mixed(routers: u32) -> (Dynamic, Vec<(String, String)>) {
    let places = (0..routers).map(|n| {
        let (host, path) = place(n);
        match n % 5 {
            0 => (host, format!("{path}/and/more")),
            1 => (format!("alone-{n}.example"), "/".to_owned()),
            2 => (format!("any.wild-{n}.example"), format!("{path}/x")),
            3 => ("nobody-knows.example".to_owned(), format!("/tenant-{n}/x")),
            _ => (format!("abc.pattern-{n}.example"), format!("/v1/part-{n}")),
        }
    });
    (written(routers, mixed_rule), places.collect())
}

fn mixed_rule(n: u32) -> String {
    let (host, path) = place(n);
    match n % 5 {
        0 => format!("Host(`{host}`) && PathPrefix(`{path}`)"),
        1 => format!("Host(`alone-{n}.example`)"),
        2 => format!("Host(`*.wild-{n}.example`) && PathPrefix(`{path}`)"),
        3 => format!("PathPrefix(`/tenant-{n}/`)"),
        _ => format!("HostRegexp(`^[a-z]+\\.pattern-{n}\\.example$`) && PathPrefix(`/v1`)"),
    }
}

fn written(routers: u32, rule: fn(u32) -> String) -> Dynamic {
    let mut dynamic = Dynamic::default();
    for n in 0..routers {
        let name = format!("r{n:06}@file");
        dynamic.routers.push(router(&name, &rule(n), &name));
        let server = Server {
            url: format!("http://10.1.{}.{}", n >> 8 & 255, n & 255),
            authority: address(u16::try_from(n % 65_536).expect("below")),
            path: String::new(),
            preserve_path: false,
            weight: Weight::ONE,
        };
        let balancer = Balancer {
            servers: vec![server],
            health_check: None,
            passive: None,
            pass_host: true,
            transport: String::new(),
            manner: Manner::default(),
        };
        let kind = ServiceKind::Balancer(balancer);
        dynamic.services.push(Arc::new(Service {
            name,
            place: Place::default(),
            middlewares: Vec::new(),
            kind,
        }));
    }
    dynamic
}

/// One router.
pub fn router(name: &str, rule: &str, service: &str) -> Arc<Router> {
    Arc::new(Router {
        name: name.to_owned(),
        priority: i64::try_from(rule.len()).expect("short"),
        rule: Some(Arc::new(Rule::parse(rule).expect("a valid rule"))),
        rule_text: rule.to_owned(),
        service: service.to_owned(),
        ..Router::default()
    })
}

/// Host and path of the router number `n`.
pub fn place(n: u32) -> (String, String) {
    (format!("host-{:05}.example", n / 10), format!("/part-{}", n % 10))
}

fn rule(n: u32) -> String {
    let (host, path) = place(n);
    format!("Host(`{host}`) && PathPrefix(`{path}`)")
}

fn address(n: u16) -> Authority {
    let host = format!("10.0.{}.{}", n >> 8, n & 255);
    Authority { scheme: Scheme::Http, host, port: 9_443 }
}
