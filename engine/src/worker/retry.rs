//! Requests that a middleware sends again: to somebody else first, after a pause, and no more of
//! them than the service has earned by its answers.

use super::Worker;
use super::exchange::{Again, Exchange, Phase};
use crate::base::id::ServiceId;
use crate::base::mark::Mark;
use crate::base::prng::Prng;
use crate::base::slab::Key;
use crate::base::time::{Span, Time};
use crate::net::wire::Due;
use crate::rule::Attempt;
use crate::view::{Destination, Step};

/// How often an expression may have a request sent again.
const REPEATS_MAX: u32 = 10;

/// What happened to a request that got a bad answer, or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cause {
    /// Nothing of it reached a server.
    Unreached,
    /// The server went away instead of answering.
    Lost,
    /// The server answered, or took too long to.
    Answered,
    /// Middlewares of a service kept it from the servers.
    Barred,
}

/// What one service may still have sent again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    left: u32,
    /// When it was last added to for the time that went by.
    at: Time,
}

impl Worker {
    /// Sends a request again if a middleware asks for it and no harm can come of it.
    pub(super) fn retry(&mut self, key: Key, cause: Cause, status: u16) -> bool {
        let Some(exchange) = self.exchanges.get(key) else { return false };
        if exchange.client.is_none() || exchange.has_answered() || exchange.paging.is_some() {
            return false;
        }
        let failures = exchange.again.as_ref().map_or(0, |again| again.failures) + 1;
        let Some(asked) = asked(exchange, cause, status, failures) else { return false };
        let met = exchange.resends().and_then(|(at, _)| exchange.met_at(at)).copied();
        let service = match (met, exchange.route().map(|route| &route.to)) {
            (Some(met), _) => met.service,
            (None, Some(&Destination::Service(service))) => service,
            (None, _) => return false,
        };
        if !asked.again {
            if status < 500 && cause != Cause::Barred {
                self.earn(service);
            }
            return false;
        }
        let unseen = matches!(cause, Cause::Unreached | Cause::Barred);
        let harmless = unseen || exchange.asking.idempotent || asked.non_idempotent;
        if !harmless || !exchange.can_replay() {
            self.mark(Mark::ReplayImpossible);
            return false;
        }
        let since = exchange.again.as_ref().map_or(exchange.sent_at, |again| again.since);
        let wait = varied(asked.pause, failures, exchange.serial);
        let at = self.now + wait;
        let late = !asked.timeout.is_zero() && at > since + asked.timeout;
        if late || self.drains_by().is_some_and(|by| at >= by) {
            return false;
        }
        if !self.spend(service) {
            self.mark(Mark::RetriesExhausted);
            return false;
        }
        self.record_again(key, Some(cause), status);
        let choices = met.map_or(0, |met| usize::from(met.choices));
        let guards = met.map_or(0, |met| self.guards_down_to(key, usize::from(met.choices)));
        self.retreat(key, guards, status);
        self.send_elsewhere(key, service, choices, wait);
        true
    }

    /// To a service of which this many choices stand above, and whose own middlewares it passed
    /// if it was one of them that asked for this.
    fn send_elsewhere(&mut self, key: Key, service: ServiceId, choices: usize, wait: Span) {
        self.mark(Mark::Retried);
        self.counts().retries.add(1);
        self.drop_response(key);
        let exchange = self.exchanges.get_mut(key).expect("just seen");
        let since = exchange.sent_at;
        let mut again = exchange.again.take().unwrap_or_else(|| {
            Box::new(Again { tried: Vec::new(), before: exchange.choices, failures: 0, since })
        });
        let ways = exchange.choices.as_slice().iter();
        again.tried.extend(ways.map(|choice| (choice.service, choice.turn)));
        again.before = exchange.choices;
        again.failures += 1;
        exchange.again = Some(again);
        exchange.choices.truncate(choices);
        exchange.load = None;
        exchange.retried = false;
        exchange.retries += 1;
        exchange.interims = 0;
        exchange.origin_status = 0;
        if wait.is_zero() {
            exchange.phase = Phase::Waiting;
            self.switching.push((key, service));
            return;
        }
        exchange.phase = Phase::Held;
        let client = exchange.client.expect("only a client's request is sent again");
        self.set_due(client, Due::Dial, self.now + wait);
    }

    /// A good answer allows its service one more.
    fn earn(&mut self, service: ServiceId) {
        let stock = self.limits.retries_stock;
        let budget = self.budget(service);
        budget.left = budget.left.saturating_add(1).min(stock);
    }

    fn spend(&mut self, service: ServiceId) -> bool {
        let budget = self.budget(service);
        let left = budget.left.checked_sub(1);
        budget.left = left.unwrap_or(0);
        left.is_some()
    }

    fn budget(&mut self, service: ServiceId) -> &mut Budget {
        let (stock, rate) = (self.limits.retries_stock, self.limits.retries_per_second);
        let now = self.now;
        let index = service.0 as usize;
        if index >= self.budgets.len() {
            self.budgets.resize(index + 1, Budget { left: stock, at: now });
        }
        let budget = &mut self.budgets[index];
        if let Some(gap) = 1_000_000_000u64.checked_div(rate.into()) {
            let gap = gap.max(1);
            let grown = now.since(budget.at).nanos() / gap;
            budget.at = budget.at + Span::from_nanos(grown * gap);
            let grown = u32::try_from(grown).unwrap_or(u32::MAX);
            budget.left = budget.left.saturating_add(grown).min(stock);
        }
        budget
    }
}

/// What the middlewares say of an attempt that failed.
#[derive(Clone, Copy, Default)]
pub(super) struct Wanted {
    pub(super) again: bool,
    /// Even if the method cannot be repeated.
    non_idempotent: bool,
    pause: Span,
    timeout: Span,
}

/// Nothing if no middleware sends requests again.
fn asked(exchange: &Exchange, cause: Cause, status: u16, failures: u32) -> Option<Wanted> {
    wanted(exchange.steps(), exchange.asking.method(), cause, status, failures)
}

/// What these middlewares say of a request that failed so often.
pub(super) fn wanted(
    steps: &[Step],
    method: &str,
    cause: Cause,
    status: u16,
    failures: u32,
) -> Option<Wanted> {
    let inner = || steps.iter().rev();
    let retry = inner().find_map(|step| if let Step::Retry(it) = step { Some(it) } else { None });
    let limits =
        inner().find_map(|step| if let Step::Buffering(it) = step { Some(it) } else { None });
    let repeat = limits.and_then(|limits| limits.repeat.as_ref());
    if let Some(retry) = retry.filter(|retry| failures < retry.attempts) {
        let listed = retry.status.iter().any(|range| range.contains(&status));
        let unanswered = matches!(cause, Cause::Unreached | Cause::Lost);
        let network = unanswered && retry.on_network_error;
        if listed || network {
            return Some(Wanted {
                again: true,
                non_idempotent: listed && retry.non_idempotent,
                pause: retry.pause(failures),
                timeout: retry.timeout,
            });
        }
    }
    if let Some(repeat) = repeat.filter(|_| failures <= REPEATS_MAX) {
        let attempt = Attempt { number: failures, status, method };
        return Some(Wanted { again: repeat.holds(&attempt), ..Wanted::default() });
    }
    (retry.is_some() || repeat.is_some()).then(Wanted::default)
}

/// As long as was said, give or take half of it, so that requests that failed together do not come
/// again together.
fn varied(pause: Span, failures: u32, serial: u64) -> Span {
    if pause.is_zero() {
        return pause;
    }
    let mut chance = Prng::new(serial ^ u64::from(failures).rotate_right(8));
    Span::from_nanos(pause.nanos() / 2 + chance.below(pause.nanos()))
}
