//! Patience: R3. Whoever is told how long to wait waits no longer, as far as it can be seen from
//! outside.

use super::Oracle;
use crate::actors::Scene;
use crate::actors::server::Server;
use crate::fault::Kind;
use crate::ledger::{Arrival, Probe};
use crate::net::Net;
use crate::site::{Child, Site};
use engine::base::time::{Span, Time};

/// Faults that make a machine late, or what it hears.
const LATE: &[Kind] = &[
    Kind::LateTick,
    Kind::Pause,
    Kind::TimeJump,
    Kind::LateCompletion,
    Kind::Hold,
    Kind::Stall,
    Kind::SlowWire,
    Kind::TinyWindow,
    Kind::ByteByByte,
    Kind::Clumped,
];

/// More than bytes and calls take when nothing makes them late.
const SLACK: Span = Span::secs(2);

/// When the faults are about to cease: nobody waits for an answer for longer than the parent may,
/// and no request was served whose head took longer than that. `stalls`: since when somebody has
/// been sending a head that will not end.
pub fn judge_waits(scene: &mut Scene<'_>, site: &Site, stalls: Option<Time>) {
    let late = LATE.iter().any(|kind| scene.net.faults.last(*kind).is_some());
    if late || site.tight || !scene.book.stops.is_empty() {
        return;
    }
    let now = scene.net.now;
    let mut found = Vec::new();
    for probe in &scene.ledger.probes {
        if let Some(since) = awaits_since(probe, scene).filter(|_| waits_for_server(probe)) {
            let most = site.patience.response_head;
            if !most.is_zero() && since + most + SLACK < now {
                found.push(format!("probe {} has waited for its answer since {since}", probe.id));
            }
        }
        let most = site.patience.request.get(usize::from(probe.entry)).copied();
        if let Some((head_sent, most)) = probe.head_sent.zip(most)
            && probe.from == 0
            && !probe.arrivals.is_empty()
            && probe.started + most + SLACK < head_sent
        {
            let from = probe.started;
            found.push(format!("probe {} was served: its head took from {from} on", probe.id));
        }
    }
    // Who means harm comes in by the first entry point.
    let most = site.patience.request.first().copied().unwrap_or(Span::MAX);
    if let Some(since) = stalls.filter(|since| *since + most + SLACK < now) {
        found.push(format!("a head that does not end has been waited for since {since}"));
    }
    for text in found {
        scene.net.verdict.add(Oracle::R3, now, || text);
    }
}

/// Nobody but the server is late.
fn waits_for_server(probe: &Probe) -> bool {
    let Probe { meant, want, rude, answer, end, .. } = probe;
    let plain = want.interim == 0 && !want.early && !meant.upgrade;
    end.is_none() && rude.is_none() && answer.is_none() && plain
}

/// When the last of the servers that got it had it as a whole.
fn awaits_since(probe: &Probe, scene: &Scene<'_>) -> Option<Time> {
    let is_main = |arrival: &&Arrival| !scene.book.is_mirror(arrival.server);
    let last = probe.arrivals.iter().rfind(is_main).filter(|arrival| arrival.whole)?;
    Some(last.at.max(probe.all_sent?))
}

/// After a long silence: no connection to a server is kept that nobody has used for too long. What
/// children keep is their own business.
pub fn judge_idle(servers: &[Server], site: &Site, net: &mut Net) {
    let of_child = |server: &Server| {
        site.children.iter().any(|child| match child {
            Child::Ours(instance) => server.name == format!("{}-origin", instance.name),
            Child::Played { .. } => false,
        })
    };
    let now = net.now;
    let idle = site.patience.idle;
    // What was on its way when the clock leapt arrived after that.
    let leapt = net.faults.last(Kind::TimeJump).unwrap_or(Time::ZERO);
    for server in servers.iter().filter(|server| !of_child(server)) {
        let Some(since) = server.quiet_since().map(|since| since.max(leapt)) else { continue };
        if since + idle + SLACK < now {
            let name = &server.name;
            net.verdict.add(Oracle::R3, now, || {
                format!("{name} has heard nothing on a connection since {since}, and it is kept")
            });
        }
    }
}
