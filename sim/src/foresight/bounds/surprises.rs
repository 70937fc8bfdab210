//! Settings that make a bound other than one would think.

use super::form::Timing;
use super::{Judged, Trouble};
use engine::base::time::Span;
use engine::config::fixed::OnStale;

/// What is surprising about one server, in sentences.
pub(super) fn surprises(judged: &Judged) -> Vec<String> {
    let timing = &judged.unit.timing;
    let mut all = Vec::new();
    match timing.check {
        None => all.push(unchecked(judged)),
        Some(check) => {
            if check.timeout >= check.interval {
                all.push(format!(
                    "healthCheck.timeout {} is no shorter than healthCheck.interval {}: while a \
                     probe hangs no other begins, and a server that hangs is found by the time-out",
                    check.timeout, check.interval
                ));
            }
            if timing.dial_timeout < check.timeout {
                all.push(format!(
                    "dialTimeout {} is shorter than healthCheck.timeout {}: a server that cannot \
                     be reached is found by the former, one that hangs by the latter",
                    timing.dial_timeout, check.timeout
                ));
            }
            if check.unhealthy_interval > check.interval {
                all.push(format!(
                    "healthCheck.unhealthyInterval {} is longer than healthCheck.interval {}: it \
                     takes longer to come back than to be found out",
                    check.unhealthy_interval, check.interval
                ));
            }
        }
    }
    all.extend(below(timing));
    all.extend(polls(timing));
    all.extend(passive(timing));
    all
}

fn below(timing: &Timing) -> Option<String> {
    let longest = timing.below.iter().map(|below| below.back).max()?;
    let checked = timing.check.filter(|_| longest > Span::ZERO);
    checked.map(|_| {
        format!(
            "the child has checks of its own: it answers again up to {longest} after its servers \
             do, and only then a probe finds it well"
        )
    })
}

fn unchecked(judged: &Judged) -> String {
    let timing = &judged.unit.timing;
    let stale =
        judged.bounds.iter().any(|it| it.trouble == Trouble::Refused && it.forms.found.is_some());
    match (&timing.passive, stale) {
        (Some(_), _) => "no healthCheck: only requests that fail find it out".to_owned(),
        (None, true) => "no healthCheck: it is found out by its child's polls alone, and never \
                         while those are answered"
            .to_owned(),
        (None, false) => "no healthCheck: no probe finds it out, its share of the requests fails \
                          until somebody changes the configuration"
            .to_owned(),
    }
}

fn polls(timing: &Timing) -> Vec<String> {
    let Some(poll) = timing.poll else { return Vec::new() };
    let mut all = Vec::new();
    if poll.timeout >= poll.interval {
        all.push(format!(
            "pollTimeout {} is no shorter than pollInterval {}: what a child that hangs offers \
             is up to their sum old before anybody knows",
            poll.timeout, poll.interval
        ));
    }
    match poll.on_stale {
        OnStale::Keep => {}
        OnStale::Demote { after } | OnStale::Withdraw { after } | OnStale::Decay { after, .. } => {
            if after <= poll.interval + poll.jitter() {
                all.push(format!(
                    "onStale.after {after} is no longer than pollInterval {}: one failed poll is \
                     enough",
                    poll.interval
                ));
            }
        }
    }
    all
}

fn passive(timing: &Timing) -> Vec<String> {
    let Some(passive) = &timing.passive else { return Vec::new() };
    let back = match timing.check {
        Some(_) => "a good probe brings it back".to_owned(),
        None => format!(
            "it is back after {}, twice as long each time that it fails again soon, {} at most",
            passive.failure_window,
            passive.failure_window.times(16)
        ),
    };
    vec![format!(
        "passiveHealthCheck: {} failed within {} eject it, unless nobody else is left; {back}; \
         how soon depends on who asks: --rps says",
        requests(passive.failed_attempts_max),
        passive.failure_window
    )]
}

fn requests(count: u32) -> String {
    if count == 1 { "1 request".to_owned() } else { format!("{count} requests") }
}
