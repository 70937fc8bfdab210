//! TLS and HTTP/2 in worlds: every pair of ways to be met, certificates that are replaced or wrong,
//! and clients that do cheap work.

use engine::base::mark::Mark;
use sim::entropy::{Entropy, RunId};
use sim::fault::{Kind, Plan};
use sim::life::Report;
use sim::secure::wardrobe::Leg;
use sim::site;
use sim::trace::Text;
use sim::wiring::Wiring;
use sim::world::World;

fn play(seed: u64, plan: &Plan, wiring: &Wiring, text: Text) -> Report {
    let run = RunId::new(seed);
    let mut entropy = Entropy::new(run);
    let site = site::draw_wired(&mut entropy.topology, false, wiring);
    let mut world = World::of_site(run, site, plan.clone(), entropy, text);
    world.live();
    world.report()
}

#[track_caller]
fn clean(seed: u64, plan: &Plan, wiring: &Wiring) -> Report {
    let report = play(seed, plan, wiring, Text::Off);
    let found: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "seed {seed}, {wiring:?}:\n{}", found.join("\n"));
    report
}

const TLS: Leg = Leg { tls: true, two: true };
const CLEAR: Leg = Leg { tls: false, two: true };

#[test]
fn every_pair_of_ways_to_be_met_serves() {
    for client in Leg::ALL {
        for server in Leg::ALL {
            let wiring = Wiring::of(client, server);
            let mut served = 0;
            for seed in 20.. {
                let report = clean(seed, &Plan::QUIET, &wiring);
                served += report.pairs.servers.count(client, server);
                if served > 0 {
                    break;
                }
                assert!(seed < 30, "{client:?} to {server:?} is never served");
            }
        }
    }
}

#[test]
fn certificates_and_roots_are_replaced_and_nobody_notices() {
    let plan = Plan::QUIET.with(Kind::Rotated, 1);
    for seed in 0..4 {
        let report = clean(seed, &plan, &Wiring::of(TLS, TLS));
        assert!(report.answered > 0 && report.excused.keys().all(|why| why == "Starting"));
        assert_eq!(report.marks[Mark::HandshakeTimedOut as usize], 0);
    }
}

/// Requests that would go to somebody with a wrong certificate go nowhere: whoever is trusted in
/// spite of one says so.
#[test]
fn nothing_is_sent_to_whoever_shows_a_wrong_certificate() {
    for kind in [Kind::Unsigned, Kind::Misnamed, Kind::Expired] {
        let mut refused = 0;
        for seed in 0..6 {
            let report = clean(seed, &Plan::QUIET.with(kind, 2), &Wiring::of(TLS, TLS));
            refused += report.marks[Mark::HandshakeRefused as usize];
            refused += report.marks[Mark::ControlHandshakeRefused as usize];
        }
        assert!(refused > 0, "{kind:?}");
    }
}

/// A record that is broken, cut off or no record at all ends its connection, and nothing of it is
/// heard; so does somebody who speaks what was not agreed on. Everybody else is served.
#[test]
fn what_breaks_the_rules_behind_a_handshake_costs_its_own_connection() {
    for kind in [
        Kind::RecordBroken,
        Kind::RecordCut,
        Kind::RecordPlain,
        Kind::ProtocolUnknown,
        Kind::ProtocolBroken,
    ] {
        let plan = Plan::QUIET.with(kind, 10);
        let (mut seen, mut broken, mut refused, mut answered) = (0, 0, 0, 0);
        for seed in 0..6 {
            let report = clean(seed, &plan, &Wiring::of(TLS, TLS));
            seen += report.faults.seen(kind);
            broken += report.marks[Mark::TlsBroken as usize];
            refused += report.marks[Mark::HandshakeRefused as usize];
            answered += report.answered;
        }
        assert!(seen > 0 && answered > 0, "{kind:?}: {seen} seen, {answered} answered");
        let tls_broken = matches!(kind, Kind::RecordBroken | Kind::RecordPlain);
        assert!(!tls_broken || broken > 0, "{kind:?}");
        assert!(kind != Kind::ProtocolUnknown || refused > 0);
    }
}

/// Parent and children know one another by ids: of all that is signed well, only the right one
/// opens a door, and bundles may be swapped under load.
#[test]
fn ids_of_spiffe_decide_who_calls_whom() {
    let mut wiring = Wiring::of(TLS, TLS);
    wiring.spiffe = true;
    let wrong = Plan::QUIET.with(Kind::Misnamed, 2);
    let (mut refused, mut of_children) = (0, 0);
    for seed in 0..8 {
        let report = clean(seed, &wrong, &wiring);
        refused += report.marks[Mark::HandshakeRefused as usize];
        refused += report.marks[Mark::ControlHandshakeRefused as usize];
        let report = clean(seed, &Plan::QUIET.with(Kind::Rotated, 1), &wiring);
        assert!(report.excused.keys().all(|why| why == "Starting"), "{:?}", report.excused);
        of_children += report.pairs.children.count(TLS, TLS);
    }
    assert!(refused > 0 && of_children > 0, "{refused} refused, {of_children} served");
}

#[test]
fn whoever_does_cheap_work_is_sent_away_and_nobody_else_notices() {
    for (kind, mark) in [
        (Kind::RapidReset, Mark::SessionAbused),
        (Kind::PingFlood, Mark::SessionAbused),
        (Kind::SettingsFlood, Mark::SessionAbused),
        (Kind::EmptyFlood, Mark::SessionAbused),
        (Kind::FieldsFlood, Mark::SessionOpened),
        (Kind::FieldBomb, Mark::SessionOpened),
        (Kind::WindowAbuse, Mark::SessionOpened),
    ] {
        let plan = Plan::QUIET.with(kind, 1);
        for client in [CLEAR, TLS] {
            // Not every world has somebody who attacks.
            let mut reports =
                (3..12).map(|seed| clean(seed, &plan, &Wiring::of(client, Leg::default())));
            let ended = reports
                .any(|report| report.marks[mark as usize] > 0 && report.faults.seen(kind) > 0);
            assert!(ended, "{kind:?} over {} ends", client.name());
        }
    }
}

/// A worker without a page to greet an HTTP/2 client with began to greet it over and over, for ever
/// (seed 0x2c).
#[test]
fn a_client_that_cannot_be_greeted_for_want_of_pages_is_given_up() {
    let run = RunId::new(0);
    let mut starved = 0;
    for seed in 0..8 {
        let mut entropy = Entropy::new(RunId { seed, ..run });
        let wiring = Wiring::of(CLEAR, Leg::default());
        let mut site = site::draw_wired(&mut entropy.topology, false, &wiring);
        let limits = &mut site.limits;
        (limits.small_page_bytes, limits.middle_pages_max) = (20, 0);
        (limits.large_pages_max, limits.clients_max) = (1, 2);
        (limits.upstreams_max, limits.streams_max) = (1, 0);
        (site.tight, site.control_tight) = (true, true);
        let mut world = World::of_site(run, site, Plan::QUIET, entropy, Text::Off);
        world.live();
        starved += world.report().marks[Mark::PagesExhausted as usize];
    }
    assert!(starved > 0, "no page was ever missing");
}

#[test]
fn a_run_over_tls_repeats_itself_exactly() {
    let plan = Plan::all(60);
    for seed in [5, 6] {
        let lines = || play(seed, &plan, &Wiring::of(TLS, TLS), Text::Kept(Vec::new())).lines;
        let (first, second) = (lines(), lines());
        let differs = first.iter().zip(&second).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert!(first.len() == second.len() && first.len() > 100, "seed {seed}");
    }
}
