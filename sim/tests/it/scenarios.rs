//! Plays that found a mistake once, told again with a plan of their own: each asserts that the
//! rare place is reached and that nothing is broken there.

use engine::base::mark::Mark;
use sim::entropy::{Entropy, RunId};
use sim::fault::{Kind, Plan};
use sim::life::Report;
use sim::plan::Key;
use sim::site::{self, Site};
use sim::trace::Text;
use sim::world::World;

/// Plays some seeds with one plan and a changed cast, until the mark has been hit in one.
#[track_caller]
fn reaches(mark: Mark, plan: &Plan, change: impl Fn(&mut Site)) {
    let mut hits = 0;
    for seed in 0..40 {
        let report = play(seed, plan, &change);
        let found: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
        assert!(found.is_empty(), "seed {seed}:\n{}", found.join("\n"));
        hits += report.marks[mark as usize];
        if hits > 0 {
            return;
        }
    }
    panic!("{} was never reached", mark.name());
}

/// Plays seeds with one plan: none may violate anything.
#[track_caller]
fn is_clean(seeds: std::ops::Range<u64>, plan: &Plan) {
    for seed in seeds {
        let report = play(seed, plan, |_| {});
        let found: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
        assert!(found.is_empty(), "seed {seed}:\n{}", found.join("\n"));
    }
}

fn play(seed: u64, plan: &Plan, change: impl Fn(&mut Site)) -> Report {
    let run = RunId::new(seed);
    let mut entropy = Entropy::new(run);
    let mut site = site::draw(&mut entropy.topology, false);
    change(&mut site);
    let mut world = World::of_site(run, site, plan.clone(), entropy, Text::Off);
    world.live();
    world.report()
}

/// A head that arrives in several reads was copied after it had been read, and everything that
/// was remembered by its place in the bytes was lost: path, host, the protocol of an upgrade.
#[test]
fn a_head_in_pieces_is_remembered_as_it_was_read() {
    let plan = Plan::QUIET.with(Kind::ByteByByte, 2);
    reaches(Mark::HeadInPieces, &plan, |site| site.asking.upgrades = true);
}

/// A client whose wait for a connection was over kept the old deadline in the wheel.
#[test]
fn a_client_that_waited_for_a_connection_has_its_own_deadline() {
    reaches(Mark::WaitedForConnection, &Plan::QUIET, |site| {
        site.limits.conns_per_target = 1;
        site.tight = true;
    });
}

/// Bytes of a poll's answer stayed counted when the connection ended within the answer.
#[test]
fn an_answer_cut_by_the_end_of_the_connection_is_given_back() {
    is_clean(0..12, &Plan::QUIET.with(Kind::PollCut, 2).with(Kind::PollGarbage, 5));
}

#[test]
fn a_short_write_goes_on_where_it_stopped() {
    let plan = Plan::QUIET.with(Kind::ShortWrite, 2).with(Kind::ShortRead, 3);
    reaches(Mark::ShortWriteResumed, &plan, |_| {});
}

#[test]
fn an_instance_that_drains_leaves_nothing_behind() {
    is_clean(0..10, &Plan::QUIET.with(Kind::Drain, 3));
}

/// A mirrored request whose body was never sent, because the main service answered at once, went
/// to the mirror with a length and no body: the next request was read as its body.
#[test]
fn a_request_without_the_end_of_its_body_is_not_mirrored() {
    let report = sim::life::play(RunId::new(0x1_9077), Text::Off);
    assert!(report.violations.is_empty(), "{:?}", report.violations);
}

/// The control machine, draining, kept a deadline that had passed while its connections closed: a
/// driver that believed it would have called it without end.
#[test]
fn a_drain_whose_time_is_over_waits_for_its_connections() {
    is_clean(0..12, &Plan::QUIET.with(Kind::Drain, 2).with(Kind::LateCompletion, 3));
}

/// A machine that was paused just before the faults ceased stayed so for as long as everything
/// has to recover: its parent had yet to poll it when it was judged.
#[test]
fn a_pause_ends_when_faults_cease() {
    is_clean(228..240, &Plan::QUIET.with(Kind::Pause, 1));
}

/// A name that was one child's alias and becomes an uplink of its own draws tickets from nought.
#[test]
fn a_service_that_changes_its_kind_begins_anew() {
    is_clean(140..150, &Plan::QUIET.with(Kind::AdvertLies, 2));
}

/// What was checked was no longer kept in mind once a server had said more than it was asked.
#[test]
fn checks_come_and_go_where_servers_say_too_much() {
    let plan = Plan::QUIET.with(Kind::AdvertLies, 1).with(Kind::AdvertFlaps, 1);
    is_clean(85..95, &plan.with(Kind::OriginExtraBytes, 3));
}

/// An answer of the gateway itself is taken back as those of servers are, by the reset that says
/// that a later answer of the connection was cut.
#[test]
fn an_answer_overtaken_by_a_reset_is_excused_by_what_was_on_its_way() {
    let report = sim::life::play(RunId::new(0x500_36a7), Text::Off);
    assert!(report.violations.is_empty(), "{:?}", report.violations);
}

/// Of a mirror that was given up to make room for its own head, a response was expected.
#[test]
fn a_mirror_without_a_page_is_not_given_up_for_itself() {
    let report = sim::life::play(RunId::new(0x800_b2dc), Text::Off);
    assert!(report.violations.is_empty(), "{:?}", report.violations);
}

/// A client that goes on and on after it was told off is not listened to without end: what it was
/// told may be taken back.
#[test]
fn a_client_that_never_stops_may_lose_its_answer() {
    let report = sim::life::play(RunId::new(0xa00_af7f), Text::Off);
    assert!(report.violations.is_empty(), "{:?}", report.violations);
}

/// A poll that arrived after its asker had given it up counted as the newest.
#[test]
fn a_poll_that_was_given_up_tells_nothing_of_what_is_known() {
    let report = sim::life::play(RunId::new(0x800_b066), Text::Off);
    assert!(report.violations.is_empty(), "{:?}", report.violations);
}

/// A request whose end was waited for in vain is answered 408 and mirrored nowhere, even where
/// mirrors get no body.
#[test]
fn a_request_that_timed_out_is_not_mirrored() {
    let report = sim::life::play(RunId::new(0x800_b3b9), Text::Off);
    assert!(report.violations.is_empty(), "{:?}", report.violations);
}

/// What a cookie for all levels had said was not restored from a recording, and later only if its
/// key stood in the document.
#[test]
fn a_session_that_a_signed_cookie_keeps_is_decided_again_alike() {
    let mut replayed = 0;
    let seeds = (0..8).map(|n| n * sim::life::RECORDED_ONE_IN);
    for (seed, key) in seeds.zip([Key::Told, Key::Filed].into_iter().cycle()) {
        let report = play(seed, &Plan::QUIET, |site| {
            let document = &mut site.parent.document;
            document.services[0].signed = Some(key);
            let root = document.services[0].name.clone();
            site.asking.cookies = sim::oracle::signed::cookies(document, &root);
        });
        let found: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
        assert!(found.is_empty(), "seed {seed}:\n{}", found.join("\n"));
        replayed += report.replayed;
    }
    assert!(replayed > 200, "{replayed}");
}
