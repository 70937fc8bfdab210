//! Strategies against their own naive twins, and against answers worked out elsewhere.

use super::*;
use crate::base::time::Span;
use crate::config::typed::StickyCookie;
use crate::service::load::InFlight;
use crate::service::sticky::value_of;

const NOW: Time = Time::from_nanos(5_000_000_000);

struct World {
    choosing: Choosing,
    rotation: Rotation,
    ticket: Ticket,
}

impl World {
    fn new(strategy: Strategy, weights: &[u32]) -> Self {
        let name = |at: usize| Arc::from(format!("http://10.0.0.{}:80", at + 1));
        let candidates = (0..)
            .zip(weights)
            .filter(|(_, weight)| **weight > 0)
            .map(|(position, weight)| Candidate { position, weight: *weight });
        let choosing = Choosing {
            strategy,
            candidates: candidates.collect(),
            names: (0..weights.len()).map(name).collect(),
            loads: weights.iter().map(|_| Arc::default()).collect(),
            sticky: None,
            signed: None,
        };
        Self { choosing, rotation: Rotation::new(weights), ticket: Ticket::default() }
    }

    fn asked_by(&self, ip: &str, fields: &[Field<'_>], now: Time) -> Option<Chosen> {
        let ip = ip.parse().expect("an address");
        self.choosing.choose(
            &self.rotation,
            &self.ticket,
            &Asker { fields, ip, now, peeks: false },
            None,
            None,
        )
    }

    fn next(&self) -> Option<u16> {
        self.asked_by("192.0.2.1", &[], NOW).map(|chosen| chosen.position)
    }
}

#[test]
fn rendezvous_agrees_with_traefiks_formula() {
    for (weights, expected) in [
        ([1, 1, 1, 1, 1], "411033042121301432424323"),
        ([1, 2, 3, 4, 5], "431433444343303434424323"),
        ([100, 1, 1, 1, 1], "000000000000000000000000"),
        ([0, 7, 0, 3, 1_048_576], "444444444444444444444444"),
        ([5, 3, 0, 0, 4], "411001044141101404004000"),
    ] {
        let world = World::new(Strategy::Hrw, &weights);
        let winner = |i: u32| {
            let ip = if i.is_multiple_of(3) {
                format!("2001:db8::{:x}", i + 1)
            } else {
                format!("192.0.2.{}", i * 7)
            };
            world.asked_by(&ip, &[], NOW).expect("somebody").position.to_string()
        };
        assert_eq!((0..24).map(winner).collect::<String>(), expected, "{weights:?}");
        assert_eq!(world.ticket.drawn(), 0);
    }
}

#[test]
fn an_ipv4_client_is_itself_on_a_socket_of_both_families() {
    let world = World::new(Strategy::Hrw, &[1; 9]);
    for last in 0..50 {
        let plain = world.asked_by(&format!("192.0.2.{last}"), &[], NOW);
        assert_eq!(plain, world.asked_by(&format!("::ffff:192.0.2.{last}"), &[], NOW));
    }
}

#[test]
fn rendezvous_moves_only_the_clients_of_who_left() {
    let all = World::new(Strategy::Hrw, &[3, 1, 2, 5]);
    let less = World::new(Strategy::Hrw, &[3, 1, 0, 5]);
    let (mut moved, mut counts) = (0, [0u32; 4]);
    for a in 0..=255 {
        for b in 0..16 {
            let ip = format!("10.9.{b}.{a}");
            let before = all.asked_by(&ip, &[], NOW).expect("somebody").position;
            let after = less.asked_by(&ip, &[], NOW).expect("somebody").position;
            counts[usize::from(before)] += 1;
            assert!(before == after || before == 2, "{ip}");
            moved += u32::from(before != after);
        }
    }
    assert_eq!(moved, counts[2]);
    // 4,096 clients over weights that sum to 11. The hash is Traefik's, and mixes neighbouring
    // addresses less than well.
    for (count, weight) in counts.into_iter().zip([3, 1, 2, 5]) {
        let share = 4_096 * weight / 11;
        assert!(count.abs_diff(share) < share / 4, "{counts:?}");
    }
}

#[test]
fn the_logarithm_is_exact_where_it_can_be_and_falls_everywhere() {
    for whole in 0..64u64 {
        assert_eq!(fall(1 << whole), (64 - whole) << FALL_BITS);
    }
    assert_eq!(fall(0), u64::MAX);
    // 64 - log2(3 * 2^62), worked out to 60 digits elsewhere.
    assert!(fall(3 << 62).abs_diff(116_822_670_443_561) <= 1);
    let mut chance = Prng::new(11);
    for _ in 0..1_000 {
        let (a, b) = (chance.next_u64(), chance.next_u64());
        assert_eq!(a.cmp(&b), fall(b).cmp(&fall(a)), "{a} {b}");
    }
}

#[test]
fn of_two_the_less_busy_takes_it_and_weights_do_not_count() {
    let world = World::new(Strategy::P2c, &[1, 9, 1, 1, 0]);
    let loads = &world.choosing.loads;
    let _busy: Vec<InFlight> = [1, 2, 2, 3, 3, 3].map(|at| InFlight::at(&loads[at])).into();
    let mut counts = [0u32; 5];
    for ticket in 0..12_000 {
        // The twin draws the same two and compares them: whoever is further back is busier here.
        let mut chance = Prng::new(ticket);
        let (one, two) = (chance.below(4), chance.below(4));
        let two = if one == two { (two + 1) % 4 } else { two };
        let found = world.next().expect("somebody");
        assert_eq!(u64::from(found), one.min(two));
        counts[usize::from(found)] += 1;
    }
    // Of sixteen pairs eight hold the first, and the last one never wins.
    assert!(counts[0].abs_diff(6_000) < 250 && counts[3] + counts[4] == 0, "{counts:?}");
    assert_eq!(World::new(Strategy::P2c, &[0, 5]).next(), Some(1));
    assert_eq!(World::new(Strategy::P2c, &[0, 0]).next(), None);
}

#[test]
fn without_measurements_the_quickest_is_whoever_has_the_turn() {
    let world = World::new(Strategy::LeastTime, &[1, 1, 1]);
    let order: Vec<Option<u16>> = (0..6).map(|_| world.next()).collect();
    assert_eq!(order, [0, 1, 2, 0, 1, 2].map(Some));
    assert_eq!(World::new(Strategy::LeastTime, &[0]).next(), None);
}

#[test]
fn time_and_requests_under_way_are_divided_by_weight() {
    let world = World::new(Strategy::LeastTime, &[1, 4, 1]);
    let loads = &world.choosing.loads;
    loads[0].answered(Span::millis(2), NOW);
    loads[1].answered(Span::millis(6), NOW);
    loads[2].answered(Span::millis(3), NOW);
    assert_eq!(world.next(), Some(1), "1.5 against 2 and 3");
    let one = InFlight::at(&loads[1]);
    assert_eq!(world.next(), Some(0), "3 against 2 and 3");
    let two = InFlight::at(&loads[0]);
    assert!(matches!(world.next(), Some(1 | 2)), "3 against 4 and 3");
    drop((one, two));
    assert_eq!(world.next(), Some(1));
}

#[test]
fn who_was_slow_once_is_tried_again_and_who_is_new_is_not_flooded() {
    let world = World::new(Strategy::LeastTime, &[1, 1]);
    let loads = &world.choosing.loads;
    loads[0].answered(Span::millis(1), NOW);
    loads[1].answered(Span::secs(1), NOW);
    assert!((0..100).all(|_| world.next() == Some(0)));
    let later = NOW + Span::secs(100);
    loads[0].answered(Span::millis(1), later);
    let tried = world.asked_by("192.0.2.1", &[], later).expect("somebody");
    assert_eq!(tried.position, 1, "a second has faded to less than a millisecond");
    let fresh = World::new(Strategy::LeastTime, &[1, 1]);
    fresh.choosing.loads[0].answered(Span::millis(1), NOW);
    let mut under_way = Vec::new();
    for _ in 0..10 {
        let at = usize::from(fresh.next().expect("somebody"));
        under_way.push(InFlight::at(&fresh.choosing.loads[at]));
    }
    assert_eq!(fresh.choosing.loads[0].in_flight(), 5);
}

/// A naive reading of the rules, over many small cases.
#[test]
fn the_quickest_agrees_with_sorting_by_fractions() {
    let mut chance = Prng::new(5);
    for _ in 0..2_000 {
        let n = 1 + usize::try_from(chance.below(5)).expect("small");
        let weights: Vec<u32> =
            (0..n).map(|_| u32::try_from(chance.below(5)).expect("small")).collect();
        let world = World::new(Strategy::LeastTime, &weights);
        let mut under_way = Vec::new();
        let mut paces = Vec::new();
        for load in &world.choosing.loads {
            let micros = chance.below(4);
            if micros > 0 {
                load.answered(Span::micros(micros), NOW);
            }
            paces.push(micros);
            under_way.extend((0..chance.below(3)).map(|_| InFlight::at(load)));
        }
        let taking = || (0..n).filter(|at| weights[*at] > 0);
        let least = taking().map(|at| paces[at]).filter(|pace| *pace > 0).min().unwrap_or(1);
        let score = |at: usize| {
            let pace = if paces[at] == 0 { least } else { paces[at] };
            // 12 is divisible by every weight here.
            pace * u64::from(1 + world.choosing.loads[at].in_flight()) * 12 / u64::from(weights[at])
        };
        let turn = usize::from(world.rotation.turn(0).unwrap_or(0));
        let expected = taking().min_by_key(|at| (score(*at), (at + 65_536 - turn) % 65_536));
        assert_eq!(world.next().map(usize::from), expected, "{weights:?} {paces:?}");
    }
}

#[test]
fn a_cookie_draws_no_ticket_and_all_others_share_exactly() {
    let mut world = World::new(Strategy::Wrr, &[3, 0, 1]);
    let cookie = StickyCookie { name: "c".into(), ..StickyCookie::default() };
    let names: Vec<Arc<str>> = world.choosing.names.to_vec();
    world.choosing.sticky = Some(Sticking {
        cookie: Arc::new(Sticky::new(&cookie, names.iter().map(|name| &**name))),
        stays: Box::new([true, true, false]),
    });
    let asks = |text: &str| {
        let fields = [Field { name: "cookie", value: text.as_bytes() }];
        world.asked_by("192.0.2.1", &fields, NOW).expect("somebody")
    };
    let named = |at: usize| format!("c={}", value_of(&names[at]));
    for _ in 0..5 {
        // Without weight it takes no new requests, and keeps its sessions.
        let kept = Chosen { position: 1, ticket: 0, session: Session::Kept, instead: false };
        assert_eq!(asks(&named(1)), kept);
        assert_eq!(asks(&format!("c={}", names[1])), Chosen { session: Session::Renewed, ..kept });
    }
    assert_eq!(world.ticket.drawn(), 0);
    let mut counts = [0; 3];
    for ticket in 0..400 {
        // A session at the third does not stay, and a cookie that nobody knows is like none.
        let text = if ticket % 2 == 0 { named(2) } else { "c=nobody".to_owned() };
        let chosen = asks(&text);
        assert_eq!((chosen.ticket, chosen.session), (ticket, Session::Begun));
        counts[usize::from(chosen.position)] += 1;
        asks(&named(0));
    }
    assert_eq!(counts, [300, 0, 100]);
}

#[test]
fn a_member_that_failed_is_asked_again_before_one_that_is_out() {
    let (rotation, ticket) = (Rotation::new(&[1, 1, 1]), Ticket::default());
    let rest = Rest::new(&[1, 1, 1], Arc::default());
    let ip = "192.0.2.1".parse().expect("an address");
    let asker = Asker { fields: &[], ip, now: NOW, peeks: false };
    let service = ServiceId(4);
    for out in 0..8_u16 {
        for failed in 0..64_u16 {
            let ways = [failed % 4, failed / 4 % 4, failed / 16].map(|way| (service, way));
            let tried = Tried { service, ways: &ways };
            let is_out = |member: u16| out >> member & 1 == 1;
            let kept = Kept { is_out: &is_out, rest: &rest };
            let chosen = by_turns(&rotation, &ticket, &asker, Some(tried), Some(&kept));
            let cost = |member: u16| (is_out(member), tried.times(member));
            let least = (0..3).map(cost).min().expect("three members");
            let chosen = chosen.expect("somebody has the turn").position;
            assert_eq!(cost(chosen), least, "{chosen} out of {out:03b} after {ways:?}");
        }
    }
}

#[test]
fn choices_are_the_same_only_if_nothing_tells_them_apart() {
    let loads: [Arc<Load>; 2] = Default::default();
    let sticking = |stays: [bool; 2]| {
        let cookie = StickyCookie { name: "c".into(), ..StickyCookie::default() };
        Some(Sticking { cookie: Arc::new(Sticky::new(&cookie, ["a", "b"])), stays: stays.into() })
    };
    let made = |change: &dyn Fn(&mut Choosing)| {
        let mut choosing = World::new(Strategy::P2c, &[1, 2]).choosing;
        choosing.loads = loads.clone().into();
        change(&mut choosing);
        choosing
    };
    let changes: [&dyn Fn(&mut Choosing); 8] = [
        &|it| it.strategy = Strategy::Hrw,
        &|it| it.candidates[1].weight = 3,
        &|it| it.candidates = it.candidates[..1].into(),
        &|it| it.names = it.names[..1].into(),
        &|it| it.loads[1] = Arc::default(),
        &|it| it.loads = it.loads[..1].into(),
        &|it| it.sticky = sticking([true, true]),
        &|it| it.sticky = sticking([true, false]),
    ];
    assert_eq!(made(&|_| {}), made(&|_| {}));
    for (at, one) in changes.iter().enumerate() {
        for (other, with) in changes.iter().enumerate() {
            assert_ne!(made(*one), made(&|_| {}), "{at}");
            assert_eq!(made(*one) == made(*with), at == other && at != 4, "{at} {other}");
        }
    }
}
