//! Everything changes at random, then calms down: nothing may break, and all must recover.

use super::desk::{Desk, Host, document, ok, status};
use super::discovery::{child, parent};
use engine::base::id::ServerId;
use engine::base::limits::ControlLimits;
use engine::base::mark::Mark;
use engine::base::prng::Prng;
use engine::base::time::Span;
use engine::boundary::{Input, Report};
use engine::config::fixed::{FileProvider, Fixed, OnStale};
use engine::view::status::{ChildPhase, Health};
use std::collections::BTreeMap;

const NAMES: [&str; 3] = ["a.example", "b.example", "c.example"];
const ADDRS: [&str; 5] = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"];

/// Rare places that so much change must reach.
const EXPECTED: [Mark; 18] = [
    Mark::ChildOverdue,
    Mark::ControlNextAddress,
    Mark::ControlShortWrite,
    Mark::Ejected,
    Mark::EjectedReturned,
    Mark::EjectionCapped,
    Mark::FilesRefused,
    Mark::HealthFlipped,
    Mark::KeptConnEnded,
    Mark::KeptConnWasDead,
    Mark::LastGoodFileUsed,
    Mark::PollFailed,
    Mark::PollSameWithoutTag,
    Mark::PollWaited,
    Mark::ProbeDropped,
    Mark::ProbeInconclusive,
    Mark::ProbeWaited,
    Mark::ResolveFailed,
];

fn any(prng: &mut Prng, list: &[&'static str]) -> &'static str {
    let at = prng.below(list.len() as u64);
    list[usize::try_from(at).expect("within the list")]
}

fn limits(prng: &mut Prng) -> ControlLimits {
    let mut small = |usual: u32, bound: u64| {
        if prng.one_in(2) { usual } else { u32::try_from(1 + prng.below(bound)).expect("small") }
    };
    let usual = ControlLimits::default();
    ControlLimits {
        polls_max: small(usual.polls_max, 3),
        probes_max: small(usual.probes_max, 3),
        conns_max: small(usual.conns_max, 8),
        kept_max: small(usual.kept_max, 2),
        small_page_bytes: small(usual.small_page_bytes, 40),
        large_page_bytes: small(usual.large_page_bytes, 90),
        large_pages_max: small(usual.large_pages_max, 2),
        resolves_max: small(usual.resolves_max, 2),
        addresses_per_name: small(usual.addresses_per_name, 2),
        failures_kept: small(usual.failures_kept, 3),
        log_lines: small(usual.log_lines, 3),
        ..usual
    }
}

fn fixed(prng: &mut Prng) -> Fixed {
    let mut children = vec![
        child("east", "10.0.0.1:80"),
        child("north", "a.example:80"),
        child("west", "b.example:80"),
    ];
    for child in &mut children {
        let after = Span::secs(prng.below(60));
        child.on_stale = match prng.below(4) {
            0 => OnStale::Keep,
            1 => OnStale::Demote { after },
            2 => OnStale::Decay { after, over: Span::secs(prng.below(40)) },
            _ => OnStale::Withdraw { after },
        };
    }
    Fixed {
        file: Some(FileProvider { path: "/etc/tieline".into(), watch: true }),
        throttle: Span::secs(prng.below(3)),
        ..parent(children)
    }
}

fn advert(prng: &mut Prng) -> String {
    let one = |n: u64, prng: &mut Prng| {
        let mut members = format!(r#""name":"up{n}","weight":{}"#, prng.below(4));
        if prng.one_in(2) {
            let interval = 1 + prng.below(9);
            members += &format!(r#","healthCheck":{{"path":"/h","interval":"{interval}s"}}"#);
        }
        if prng.one_in(2) {
            members += r#","passiveHealthCheck":{"failureWindow":"5s"}"#;
        }
        format!("{{{members}}}")
    };
    let list: Vec<String> = (0..prng.below(4)).map(|n| one(n, prng)).collect();
    format!("[{}]", list.join(","))
}

fn good_host(prng: &mut Prng) -> Host {
    let advert = advert(prng);
    let pages: BTreeMap<String, String> =
        [("/api/uplinks".into(), ok("", &advert)), ("/h".into(), ok("", ""))].into();
    Host::Site(pages)
}

fn any_host(prng: &mut Prng) -> Host {
    match prng.below(10) {
        0 => Host::Refuse,
        1 => Host::BlackHole,
        2 => Host::Silent,
        3 => Host::HangUp,
        4 => Host::Says(status(503)),
        5 => Host::SaysAndEnds("HTTP/1.1 200 OK\r\nContent-".into()),
        6 => Host::Says(ok("", "[{\"name\":")),
        _ => good_host(prng),
    }
}

fn text(prng: &mut Prng) -> String {
    let mut text = String::from("http:\n  services:\n");
    for n in 0..1 + prng.below(3) {
        text += &format!("    s{n}:\n      loadBalancer:\n");
        if prng.one_in(2) {
            let (interval, timeout) = (1 + prng.below(5), 1 + prng.below(3));
            text += &format!(
                "        healthCheck:\n          path: /h\n          interval: {interval}s\n          \
                 timeout: {timeout}s\n"
            );
        }
        if prng.one_in(2) {
            text += "        passiveHealthCheck:\n          failureWindow: 5s\n";
        }
        text += "        servers:\n";
        for server in 0..1 + prng.below(3) {
            let host = if prng.one_in(2) { ADDRS[4] } else { any(prng, &NAMES) };
            text += &format!("        - url: http://{host}/{server}\n");
        }
    }
    text
}

fn files(prng: &mut Prng) -> Result<Vec<engine::boundary::Document>, String> {
    match prng.below(8) {
        0 => Err("gone".into()),
        1 => Ok(vec![]),
        2 => Ok(vec![document("a.yml", "http: [")]),
        3 => Ok(vec![document("a.yml", "")]),
        4 => Ok(vec![document("a.yml", &text(prng)), document("b.yml", &text(prng))]),
        _ => Ok(vec![document("a.yml", &text(prng))]),
    }
}

fn disturb(desk: &mut Desk, prng: &mut Prng) {
    match prng.below(8) {
        0 | 1 => {
            let at = any(prng, &ADDRS);
            let host = any_host(prng);
            desk.host(&format!("{at}:80"), host);
            if prng.one_in(2) {
                desk.end_conns(&format!("{at}:80"));
            }
        }
        2 => {
            desk.files = files(prng);
            desk.input(Input::Changed);
        }
        3 => resolve(desk, prng),
        4 | 5 => {
            let server = ServerId(u32::try_from(prng.below(9)).expect("small"));
            let at = desk.now;
            let failed = prng.below(3) > 0;
            desk.report(if failed {
                Report::Failed { server, at }
            } else {
                Report::Recovered { server, at }
            });
        }
        6 => {
            desk.read_max = usize::try_from(1 + prng.below(2_000)).expect("small");
            desk.write_max = usize::try_from(1 + prng.below(200)).expect("small");
        }
        _ => desk.descriptors = if prng.one_in(3) { 2 } else { usize::MAX },
    }
}

fn resolve(desk: &mut Desk, prng: &mut Prng) {
    let name = any(prng, &NAMES);
    let answer = match prng.below(4) {
        0 => Err("server failure".to_owned()),
        1 => Ok(vec![]),
        _ => {
            let count = 1 + prng.below(3);
            let addr = |_| any(prng, &ADDRS).parse().expect("an address");
            Ok((0..count).map(addr).collect())
        }
    };
    desk.names.insert(name.into(), answer);
}

/// Everybody behaves from now on.
fn calm(desk: &mut Desk, prng: &mut Prng) {
    for at in ADDRS {
        let host = good_host(prng);
        desk.host(&format!("{at}:80"), host);
    }
    for name in NAMES {
        desk.names.insert(name.into(), Ok(vec!["10.0.0.3".parse().expect("an address")]));
    }
    desk.files = Ok(vec![document("a.yml", &text(prng))]);
    (desk.descriptors, desk.read_max, desk.write_max) = (usize::MAX, usize::MAX, usize::MAX);
    desk.input(Input::Changed);
}

#[test]
fn after_any_disturbance_everything_recovers() {
    let mut reached = [0; Mark::ALL.len()];
    for seed in 0..60 {
        let mut prng = Prng::new(seed);
        let fixed = fixed(&mut prng);
        let limits = limits(&mut prng);
        let mut desk = Desk::with_limits(fixed, limits);
        for _ in 0..60 {
            disturb(&mut desk, &mut prng);
            desk.run(Span::millis(prng.below(3_000)));
        }
        calm(&mut desk, &mut prng);
        desk.run_secs(150);
        let status = std::sync::Arc::clone(&desk.view().status);
        let log = desk.log.clone();
        let about = || format!("seed {seed}, {:?}\n{}", status.diagnostics, log);
        for child in status.children.iter() {
            assert_eq!(child.phase, ChildPhase::Fresh, "{}", about());
        }
        for server in status.servers.iter() {
            assert_eq!((server.health, server.ejected), (Health::Up, false), "{}", about());
        }
        assert!(!status.reloads.last_refused, "{}", about());
        let by = desk.now + Span::secs(1);
        desk.input(Input::Drain { by });
        assert!(desk.finished && desk.open_conns() == 0, "{}", about());
        for (count, mark) in reached.iter_mut().zip(Mark::ALL) {
            *count += desk.hits(*mark);
        }
    }
    for mark in EXPECTED {
        assert!(reached[mark as usize] > 0, "{} was never reached", mark.name());
    }
}
