//! Everything at once, by chance: many clients, servers and faults, limits of every size. What
//! must hold is swept after every input; at the end nothing is left.

use crate::pair::{Dial, End, Pair};
use crate::plan::Plan;
use engine::base::limits::Limits;
use engine::base::prng::Prng;
use engine::base::time::Span;
use engine::config::typed::FailoverErrors;
use engine::view::{MirrorNode, MirroringNode, NodeKind, Side};
use engine::worker::Census;
use std::sync::Arc;

const REQUESTS: &[&str] = &[
    "GET /a HTTP/1.1\r\nHost: s\r\n\r\n",
    "GET /b HTTP/1.1\r\nHost: s\r\n\r\nGET /c HTTP/1.1\r\nHost: s\r\n\r\n",
    "HEAD /a HTTP/1.1\r\nHost: s\r\n\r\n",
    "POST /d HTTP/1.1\r\nHost: s\r\nContent-Length: 300\r\n\r\n",
    "PUT /m HTTP/1.1\r\nHost: s\r\nContent-Length: 300\r\n\r\n",
    "POST /m HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n",
    "PUT /f HTTP/1.1\r\nHost: s\r\nExpect: 100-continue\r\nContent-Length: 300\r\n\r\n",
    "GET /f HTTP/1.0\r\n\r\n",
    "GET /w HTTP/1.1\r\nHost: s\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "GET /nowhere HTTP/1.1\r\nHost: s\r\n\r\n",
    "POST /nowhere HTTP/1.1\r\nHost: s\r\nContent-Length: 300\r\n\r\n",
    "BAD\r\n\r\n",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "\r\n0\r\n\r\n",
];

const RESPONSES: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n",
    "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno",
    "HTTP/1.0 200 OK\r\n\r\nuntil the end",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "rubbish\r\n\r\n",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "\r\n0\r\n\r\n",
];

fn plan() -> Plan {
    let mut plan = Plan::bare();
    plan.transport.response_header_timeout = Span::secs(20);
    plan.transport.read_timeout = Span::secs(20);
    plan.transport.write_timeout = Span::secs(20);
    plan.settings.write_timeout = Span::secs(90);
    plan.passive = true;
    let [one, two, three] = [plan.origin_at(2), plan.origin(), plan.origin_at(3)];
    let errors = FailoverErrors {
        status: vec![500..=599],
        body_bytes_max: Some(200),
        replay_non_idempotent: true,
    };
    let failover = plan.service(NodeKind::Failover {
        main: one,
        fallback: two,
        side: Side::Main,
        errors: Some(errors),
    });
    let mirrors = Box::new([
        MirrorNode { service: three, percent: 100 },
        MirrorNode { service: failover, percent: 50 },
    ]);
    let mirroring = plan.service(NodeKind::Mirroring(MirroringNode {
        main: two,
        mirrors,
        mirror_body: true,
        body_bytes_max: None,
        ticket: Arc::default(),
    }));
    let both = plan.service(NodeKind::Weighted {
        turns: Plan::turns(&[0, 1, 0]),
        services: Box::new([one, mirroring]),
    });
    for (rule, service) in [
        ("Path(`/a`) || Path(`/b`) || Path(`/c`)", both),
        ("Path(`/d`) || Path(`/w`)", one),
        ("Path(`/m`)", mirroring),
        ("Path(`/f`)", failover),
    ] {
        plan.route(rule, service, &[]);
    }
    plan
}

/// Limits of every size, absurd ones included.
fn limits(chance: &mut Prng) -> Limits {
    let mut of = |choices: &[u32]| {
        choices[usize::try_from(chance.below(choices.len() as u64)).expect("few")]
    };
    Limits {
        clients_max: of(&[1, 3, 100]),
        upstreams_max: of(&[1, 3, 100]),
        accepts_per_listener: of(&[1, 8]),
        small_page_bytes: of(&[1, 16, 512]),
        large_page_bytes: of(&[1, 64, 17_408]),
        middle_page_bytes: of(&[1, 100, 2_048]),
        middle_pages_max: of(&[0, 3, 1_000]),
        large_pages_max: of(&[2, 40, 8_192]),
        idle_large_pages: of(&[0, 2, 128]),
        bulk_pages: of(&[1, 4, 16]),
        chunks_per_write: of(&[1, 3, 48]),
        outbox_bytes: of(&[1, 100, 524_288]),
        stream_outbox_bytes: of(&[1, 100, 65_536]),
        stream_bulk_pages: of(&[1, 4]),
        interim_max: of(&[0, 16]),
        waiters_per_target: of(&[0, 1, 100]),
        conns_per_target: of(&[1, 2, 100]),
        kept_bytes: of(&[0, 250, 100_000]),
        refused_bytes: of(&[0, 50, 16_384]),
        grown_head_bytes: of(&[1, 50, 100_000]),
        mirrors_max: of(&[0, 1, 100]),
        linger_bytes: of(&[1, 100_000]),
        log_bytes: of(&[1, 10_000]),
        service_depth: of(&[1, 2, 16]),
        ..Limits::default()
    }
}

fn storm(seed: u64) {
    let mut chance = Prng::new(seed);
    let limits = if chance.one_in(4) { Limits::default() } else { limits(&mut chance) };
    let plan = plan();
    let mut pair = Pair::with(&plan, limits);
    pair.chance = Some(chance.split(1));
    let faulty = chance.one_in(2);
    let mut clients: Vec<End> = Vec::new();
    for _ in 0..150 {
        clients.retain(|end| pair.is_open(*end));
        step(&mut pair, &mut chance, &mut clients, faulty);
    }
    pair.chance = None;
    pair.drain(Span::secs(5));
    pair.pass(Span::secs(6));
    assert_eq!(pair.finished, 1, "seed {seed}: the worker drains");
    assert_eq!(pair.census(), Census::default(), "seed {seed}: nothing is left");
}

fn step(pair: &mut Pair, chance: &mut Prng, clients: &mut Vec<End>, faulty: bool) {
    let mut one_of = |ends: &[End]| {
        let at = usize::try_from(chance.below(ends.len() as u64)).expect("few");
        ends.get(at).copied()
    };
    let client = one_of(clients);
    let origin = one_of(&pair.origins());
    let mut text = |texts: &[&'static str]| {
        texts[usize::try_from(chance.below(texts.len() as u64)).expect("few")]
    };
    let (request, response) = (text(REQUESTS), text(RESPONSES));
    match (chance.below(16), client, origin) {
        (0 | 1, ..) => clients.extend(pair.try_open()),
        (2..=6, Some(client), _) => pair.send(client, request),
        (7..=10, _, Some(origin)) => pair.send(origin, response),
        (11, ..) => pair.pass(Span::millis(chance.below(40_000))),
        (12, Some(client), _) => pair.deafen(client, chance.one_in(2)),
        (13, _, Some(origin)) => pair.deafen(origin, chance.one_in(2)),
        (14, Some(client), Some(origin)) if faulty => match chance.below(4) {
            0 => pair.fin(client),
            1 => pair.reset(client),
            2 => pair.fin(origin),
            _ => pair.reset(origin),
        },
        (15, ..) if faulty => {
            let dials = [Dial::Accept, Dial::Accept, Dial::Refuse, Dial::Hang, Dial::NoDescriptors];
            pair.dial = dials[usize::try_from(chance.below(5)).expect("few")];
        }
        _ => {}
    }
}

#[test]
fn nothing_breaks_and_nothing_is_left() {
    for seed in 0..300 {
        storm(seed);
    }
}
