//! What simulated processes record is decided again alike: over the configurations of
//! `examples/real`, while their servers fail, and over services with middlewares of their own.

use super::documents::{Documents, read};
use super::scenario::{Scenario, Stroke, What, Window};
use super::simulate::{Options, play};
use engine::base::time::Span;
use engine::config::fixed::Scheme;
use engine::worker::capsule;
use engine::worker::recording::event::To;
use engine::worker::replay::{Change, Request, Stage, Told, replay, requests};
use std::fs;

const REAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/real");

/// Servers answer with this status from the fourth second to the eighth.
fn failing(status: u16) -> Scenario {
    let window = Window { from: Span::secs(4), until: Span::secs(8) };
    let what = What::Error { status };
    let stroke = Stroke { line: 1, text: "error".to_owned(), place: 0, window, what };
    Scenario { strokes: vec![stroke], ..Scenario::default() }
}

/// All that was recorded in ten seconds, and what replaying it found.
fn recorded(documents: &Documents, scenario: &Scenario, seed: u64) -> (Vec<Request>, Told) {
    let options = Options { seed, rate: 30, length: Span::secs(10) };
    let (stage, _) = play(documents, scenario, options, true);
    let process = &stage.processes[0];
    let (view, stats) = (process.view.as_ref(), process.stats.as_ref());
    let (view, stats) = view.zip(stats).expect("the parent runs");
    let written = capsule::write(view, stats, stage.net.now).expect("it records");
    let capsule = capsule::read(&written).expect("what is written is sound");
    let views = Stage::new(&capsule, Change::default()).expect("its views can be made");
    let told = replay(&capsule, &views, true).expect("its requests can be read");
    (requests(&capsule).0, told)
}

#[track_caller]
fn check(name: &str, documents: &Documents, status: u16, seed: u64) -> Vec<Request> {
    let (requests, told) = recorded(documents, &failing(status), seed);
    let first = told.different.first();
    assert!(
        first.is_none(),
        "{name}, {status}, {seed}: {} differ: {first:#?}",
        told.different.len()
    );
    requests
}

#[test]
fn what_configurations_as_people_run_them_record_is_decided_again_alike() {
    let mut requests = 0;
    for folder in fs::read_dir(REAL).expect("the examples are here") {
        let folder = folder.expect("it can be listed").path();
        let name = folder.display().to_string();
        let Ok(documents) = read(std::slice::from_ref(&name)) else { continue };
        if is_clear(&documents) {
            requests += check(&name, &documents, 502, 1).len();
        }
    }
    assert!(requests > 2_000, "{requests} requests were recorded");
}

/// Here everything goes in the clear, and a capsule tells what is written.
fn is_clear(documents: &Documents) -> bool {
    let fixed = documents.processes.iter().map(|written| &written.fixed);
    fixed.into_iter().all(|fixed| {
        let mut entries = fixed.entry_points.iter().chain(&fixed.uplink_entry_points);
        let mut children = fixed.multicluster.iter().flat_map(|it| &it.children);
        entries.all(|entry| entry.tls.is_none())
            && children.all(|child| child.address.scheme != Scheme::Https)
    })
}

const STATIC: &str = "entryPoints: {web: {address: ':8000'}}
providers: {file: {filename: guarded-dynamic.yml}}
";

/// Services with middlewares that pass, rewrite, refuse by the address, count, break and repeat,
/// below failovers and shares.
const GUARDED: &str = r"
http:
  routers:
    side: {rule: 'Path(`/side`)', service: side}
    share: {rule: 'Path(`/share`)', service: share, middlewares: [again]}
    inner: {rule: 'Path(`/inner`)', service: inner}
    deep: {rule: 'Path(`/deep`)', service: deep, middlewares: [prefix]}
    broken: {rule: 'Path(`/broken`)', service: broken}
    shut: {rule: 'Path(`/shut`)', service: closed}
    rates: {rule: 'Path(`/rates`)', service: rates}
  services:
    side: {failover: {service: closed, fallback: plain, errors: {status: [403]}}}
    share: {weighted: {services: [{name: closed}, {name: open}]}}
    inner: {middlewares: [again], weighted: {services: [{name: open}, {name: other}]}}
    deep:
      middlewares: [prefix]
      failover: {service: inner, fallback: plain, errors: {status: [500-599]}}
    broken: {weighted: {services: [{name: breaks}, {name: plain, weight: 2}]}}
    rates: {failover: {service: limited, fallback: plain, errors: {status: ['429']}}}
    closed: {middlewares: [nobody], loadBalancer: {servers: [{url: 'http://10.9.0.1'}]}}
    open: {middlewares: [prefix], loadBalancer: {servers: [{url: 'http://10.9.0.2'}]}}
    other: {loadBalancer: {servers: [{url: 'http://10.9.0.3'}, {url: 'http://10.9.0.4'}]}}
    breaks: {middlewares: [breaker, prefix], loadBalancer: {servers: [{url: 'http://10.9.0.5'}]}}
    limited: {middlewares: [few], loadBalancer: {servers: [{url: 'http://10.9.0.6'}]}}
    plain: {loadBalancer: {servers: [{url: 'http://10.9.0.7'}]}}
  middlewares:
    nobody: {ipAllowList: {sourceRange: ['192.0.2.1/32']}}
    prefix: {addPrefix: {prefix: /in}}
    again: {retry: {attempts: 3, status: ['403', 500-599]}}
    few: {rateLimit: {average: 1, burst: 1}}
    breaker: {circuitBreaker: {expression: 'ResponseCodeRatio(500, 600, 0, 600) > 0.3'}}
";

fn guarded() -> Documents {
    let folder = std::env::temp_dir().join(format!("tieline-guarded-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("guarded.yml"), STATIC).expect("written");
    fs::write(folder.join("guarded-dynamic.yml"), GUARDED).expect("written");
    let documents = read(&[folder.display().to_string()]).expect("sound documents");
    fs::remove_dir_all(folder).expect("it is ours");
    documents
}

#[test]
fn the_middlewares_of_services_are_followed() {
    let documents = guarded();
    let (mut behind, mut elsewhere, mut refused) = (0, 0, 0);
    for (seed, status) in [(1, 502), (2, 503), (3, 403), (4, 200)] {
        for request in check("guarded", &documents, status, seed) {
            let is_guarded = |to: &To| matches!(to, To::Guarded(_));
            let guarded = request.sent.iter().filter(|sent| is_guarded(&sent.to)).count();
            let served = request.sent.last().is_some_and(|sent| !is_guarded(&sent.to));
            behind += usize::from(guarded > 0 && served);
            elsewhere += usize::from(guarded > 0 && !request.again.is_empty());
            refused += usize::from(guarded > 0 && !served);
        }
    }
    assert!(behind > 100 && elsewhere > 50 && refused > 20, "{behind} {elsewhere} {refused}");
}
