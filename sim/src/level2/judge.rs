//! What must hold between clients and origins, seen from outside. Whatever went wrong is excused by
//! a stroke that was felt at that time on the way of that request, or by nothing.

use super::plan::{self, ANSWER_MAX, IDLE, Kind, Plan, Route, SLACK, Stroke, Target};
use super::stage::{Asked, End, Stage};
use crate::oracle::Oracle;
use engine::base::time::{Span, Time};
use std::collections::{BTreeMap, BTreeSet};

/// How often the parent asks children, and how long it waits for them.
const POLL: Span = Span::secs(2);
/// A host that starts is ready by then.
const START: Span = Span::millis(500);

/// Requests that were not served, by the kind of stroke that excuses them.
pub(super) type Excused = BTreeMap<Kind, u64>;

/// Judges everything that was seen.
pub(super) fn judge(stage: &Stage, now: Time) -> Excused {
    let mut court = Court { stage, now, excused: Excused::new() };
    stage.asked.borrow().iter().for_each(|asked| court.request(asked));
    court.arrivals();
    court.shares();
    court.excused
}

struct Court<'a> {
    stage: &'a Stage,
    now: Time,
    excused: Excused,
}

impl Route {
    /// Whether what happens to `target` can be felt by these requests.
    fn passes(self, target: Target) -> bool {
        let child = |child| match self {
            Self::Local => false,
            Self::All => true,
            Self::Failover => child == 0,
            Self::Only(only) => child == only,
        };
        match target {
            Target::Parent => true,
            Target::Local => matches!(self, Self::Local | Self::Failover),
            Target::Uplink(at) | Target::Backend(at) | Target::Child(at) => child(at),
        }
    }
}

fn child_of(target: Target) -> Option<usize> {
    match target {
        Target::Uplink(child) | Target::Backend(child) | Target::Child(child) => Some(child),
        Target::Local | Target::Parent => None,
    }
}

/// The longest that the parent takes to see a change of this child, if it looks.
fn detection(plan: &Plan, child: usize) -> Option<Span> {
    let (interval, timeout) = plan.children[child].check?;
    Some(interval + timeout + plan.children[child].latency.times(4) + SLACK)
}

/// When a stroke has been forgotten by everybody.
fn forgotten(plan: &Plan, stroke: &Stroke) -> Time {
    let all = (0..plan.children.len()).filter_map(|child| detection(plan, child)).max();
    let after = match child_of(stroke.on) {
        Some(child) => (START + IDLE + SLACK).max(detection(plan, child).unwrap_or_default()),
        None if stroke.on == Target::Local => IDLE + SLACK,
        None => START + POLL + all.unwrap_or_default() + SLACK,
    };
    stroke.to + after
}

/// Whether a route can do without what was struck, once the parent knows.
fn detour(plan: &Plan, stroke: &Stroke, route: Route) -> bool {
    let Some(struck) = child_of(stroke.on) else { return false };
    let free = |child: usize| {
        let felt = |other: &&Stroke| {
            let on = other.on == Target::Parent || child_of(other.on) == Some(child);
            on && other.from <= forgotten(plan, stroke) && stroke.from <= forgotten(plan, other)
        };
        !plan.strokes.iter().any(|other| felt(&other))
    };
    match route {
        Route::Failover => true,
        Route::All => (0..plan.children.len()).any(|child| child != struck && free(child)),
        Route::Local | Route::Only(_) => false,
    }
}

/// When requests of `route` may feel a stroke.
fn felt(plan: &Plan, stroke: &Stroke, route: Route) -> Vec<(Time, Time)> {
    let end = forgotten(plan, stroke);
    let known = child_of(stroke.on).and_then(|child| detection(plan, child));
    match known {
        Some(detection) if detour(plan, stroke, route) && stroke.from + detection < stroke.to => {
            vec![(stroke.from, stroke.from + detection), (stroke.to, end)]
        }
        Some(_) | None => vec![(stroke.from, end)],
    }
}

impl Court<'_> {
    fn blame(&mut self, oracle: Oracle, text: impl FnOnce() -> String) {
        self.stage.verdict.borrow_mut().add(oracle, self.now, text);
    }

    /// A stroke that explains why this request was not served.
    fn excuse(&self, asked: &Asked, on: impl Fn(Target) -> bool) -> Option<Kind> {
        let plan = &self.stage.plan;
        let strokes = plan.strokes.iter().filter(|stroke| on(stroke.on));
        let explains = |stroke: &&Stroke| {
            let windows = felt(plan, stroke, asked.route);
            windows.iter().any(|(from, to)| asked.begun <= *to && *from <= asked.ended)
        };
        strokes.filter(|stroke| asked.route.passes(stroke.on)).find(explains).map(|it| it.kind)
    }

    fn request(&mut self, asked: &Asked) {
        let excuse = match &asked.end {
            End::Answered { status: 200, origin } => {
                return self.origin(asked, origin.as_deref());
            }
            End::Answered { status: 502..=504, .. } => {
                if asked.ended.since(asked.begun) > ANSWER_MAX + SLACK {
                    self.blame(Oracle::H1, || format!("a late refusal: {asked:?}"));
                }
                self.excuse(asked, |_| true)
            }
            End::Answered { .. } => None,
            End::Cut { status: None, .. } => self.excuse(asked, |on| on == Target::Parent),
            End::Cut { status: Some(_), .. } | End::Stuck => self.excuse(asked, |_| true),
        };
        if let Some(kind) = excuse {
            *self.excused.entry(kind).or_default() += 1;
            return;
        }
        let oracle = match asked {
            Asked { calm: true, .. } => Oracle::L1,
            Asked { route: Route::Failover | Route::All, .. } => Oracle::P2,
            _ => Oracle::H1,
        };
        self.blame(oracle, || format!("nothing excuses {asked:?}"));
    }

    /// Whoever answered had to be asked.
    fn origin(&mut self, asked: &Asked, origin: Option<&str>) {
        let child = origin.and_then(|name| name.strip_prefix("origin-"));
        let child = child.and_then(|number| number.parse::<usize>().ok());
        let right = match asked.route {
            Route::Local => origin == Some("local"),
            Route::All => child.is_some(),
            Route::Only(only) => child == Some(only),
            Route::Failover => child == Some(0) || origin == Some("local"),
        };
        if !right {
            self.blame(Oracle::H2, || format!("the wrong origin answered: {asked:?}"));
        }
        let strokes = &self.stage.plan.strokes;
        let near = |stroke: &&Stroke| {
            let felt = (stroke.from, forgotten(&self.stage.plan, stroke));
            asked.route.passes(stroke.on) && asked.begun <= felt.1 && felt.0 <= asked.ended
        };
        let falls = asked.route == Route::Failover && origin == Some("local");
        if falls && !strokes.iter().any(|stroke| near(&stroke)) {
            self.blame(Oracle::P2, || format!("a fallback without a reason: {asked:?}"));
        }
    }

    /// What must not be repeated is not; nothing arrives that nobody sent; who answers was asked.
    fn arrivals(&mut self) {
        let all = self.stage.asked.borrow();
        let asked: BTreeMap<u64, &Asked> = all.iter().map(|asked| (asked.id, asked)).collect();
        let mut seen = BTreeSet::new();
        let mut places = BTreeSet::new();
        for arrival in self.stage.arrivals.borrow().iter() {
            let meant = asked.get(&arrival.id).map(|asked| asked.method);
            if meant != Some(&arrival.method) {
                self.blame(Oracle::H3, || format!("{arrival:?} was sent as {meant:?}"));
            }
            if !seen.insert(arrival.id) && arrival.method == "POST" {
                self.blame(Oracle::H5, || format!("sent again: {arrival:?}"));
            }
            places.insert((arrival.id, arrival.origin.clone()));
        }
        for asked in all.iter() {
            let End::Answered { origin: Some(origin), .. } = &asked.end else { continue };
            if !places.contains(&(asked.id, origin.clone())) {
                self.blame(Oracle::H2, || format!("an answer by who was not asked: {asked:?}"));
            }
        }
    }

    /// In calm, each child gets exactly its weight of a whole number of rounds.
    fn shares(&mut self) {
        let plan = &self.stage.plan;
        let mut counts = vec![0_u32; plan.children.len()];
        let all = self.stage.asked.borrow();
        for asked in all.iter().filter(|asked| asked.calm && asked.route == Route::All) {
            let End::Answered { origin: Some(name), .. } = &asked.end else { continue };
            let child = name.strip_prefix("origin-").and_then(|at| at.parse::<usize>().ok());
            if let Some(count) = child.and_then(|child| counts.get_mut(child)) {
                *count += 1;
            }
        }
        let right = plan.children.iter().zip(&counts);
        if right.clone().any(|(child, count)| child.weight * plan::ROUNDS != *count) {
            let weights: Vec<u32> = plan.children.iter().map(|child| child.weight).collect();
            self.blame(Oracle::C2, || format!("{counts:?} requests for the weights {weights:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Child;
    use super::super::stage::Arrival;
    use super::*;
    use crate::trace::Text;

    fn at(millis: u64) -> Time {
        Time::ZERO + Span::millis(millis)
    }

    /// Two children of one weight, the first of which is cut off for five seconds.
    fn cut_off() -> Stage {
        let child = || Child {
            workers: 1,
            weight: 1,
            check: Some((Span::secs(1), Span::millis(500))),
            latency: Span::ZERO,
            two: false,
            origin_two: false,
        };
        let (from, to) = (at(5_000), at(10_000));
        let stroke = Stroke { kind: Kind::Partition, on: Target::Uplink(0), from, to };
        let plan = Plan {
            seed: 0,
            tick: Span::millis(1),
            workers: 1,
            children: vec![child(), child()],
            clients: 1,
            strokes: vec![stroke],
            two: false,
        };
        let stage = Stage::new(plan, Text::Off);
        for id in [1, 2, 3, 4] {
            see(&stage, id, Route::All, 20_000, answer(200, &format!("origin-{}", id % 2)), true);
        }
        stage
    }

    fn answer(status: u16, origin: &str) -> End {
        let origin = (status == 200).then(|| origin.to_owned());
        End::Answered { status, origin }
    }

    fn see(stage: &Stage, id: u64, route: Route, begun: u64, end: End, calm: bool) {
        let (begun, ended) = (at(begun), at(begun + 10));
        if let End::Answered { origin: Some(origin), .. } = &end {
            arrive(stage, id, origin);
        }
        let asked = Asked { id, route, method: "POST", begun, ended, end, calm };
        stage.asked.borrow_mut().push(asked);
    }

    fn arrive(stage: &Stage, id: u64, origin: &str) {
        let arrival = Arrival { id, method: "POST".into(), origin: origin.into() };
        stage.arrivals.borrow_mut().push(arrival);
    }

    #[track_caller]
    fn finds(stage: &Stage, expected: &[Oracle]) {
        judge(stage, at(30_000));
        let verdict = stage.verdict.borrow();
        let found: Vec<Oracle> = verdict.all().iter().map(|violation| violation.oracle).collect();
        assert_eq!(found, expected, "{:?}", verdict.all());
    }

    /// One more request, and what is to be thought of it.
    #[track_caller]
    fn check(route: Route, begun: u64, end: End, expected: &[Oracle]) {
        let stage = cut_off();
        see(&stage, 9, route, begun, end, false);
        finds(&stage, expected);
    }

    #[test]
    fn a_refusal_is_excused_by_what_its_route_feels_and_by_nothing_else() {
        check(Route::Only(0), 7_000, answer(504, ""), &[]);
        check(Route::Only(0), 4_000, answer(504, ""), &[Oracle::H1]);
        check(Route::Only(0), 14_000, answer(504, ""), &[Oracle::H1]);
        check(Route::Only(1), 7_000, answer(504, ""), &[Oracle::H1]);
        check(Route::Local, 7_000, answer(502, ""), &[Oracle::H1]);
        check(Route::Only(0), 7_000, answer(404, ""), &[Oracle::H1]);
        check(Route::Only(0), 7_000, End::Cut { status: None, why: "".into() }, &[Oracle::H1]);
        check(Route::Only(0), 7_000, End::Stuck, &[]);
    }

    #[test]
    fn whoever_has_a_detour_takes_it_once_the_probes_have_failed() {
        for route in [Route::Failover, Route::All] {
            check(route, 6_000, answer(502, ""), &[]);
            check(route, 8_000, answer(502, ""), &[Oracle::P2]);
        }
        check(Route::Failover, 8_000, answer(200, "local"), &[]);
        check(Route::Failover, 4_000, answer(200, "local"), &[Oracle::P2]);
    }

    #[test]
    fn an_answer_comes_from_whoever_was_asked() {
        check(Route::Local, 1_000, answer(200, "origin-0"), &[Oracle::H2]);
        check(Route::Only(1), 1_000, answer(200, "origin-0"), &[Oracle::H2]);
        let stage = cut_off();
        stage.arrivals.borrow_mut().retain(|arrival| arrival.id != 3);
        finds(&stage, &[Oracle::H2]);
    }

    #[test]
    fn what_is_not_idempotent_arrives_once() {
        let stage = cut_off();
        arrive(&stage, 3, "origin-0");
        finds(&stage, &[Oracle::H5]);
    }

    #[test]
    fn shares_are_exact_and_everything_is_served_in_calm() {
        let stage = cut_off();
        see(&stage, 9, Route::All, 21_000, answer(200, "origin-1"), true);
        finds(&stage, &[Oracle::C2]);
        let stage = cut_off();
        see(&stage, 9, Route::Only(0), 21_000, answer(504, ""), true);
        finds(&stage, &[Oracle::L1]);
    }
}
