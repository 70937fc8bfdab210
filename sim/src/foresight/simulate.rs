//! One run of the user's documents under a scenario, or many with different chance.

use super::crowd::{Class, PATIENCE};
use super::documents::Documents;
use super::figures::Figures;
use super::report::{Reached, Report};
use super::sample::{Ask, samples};
use super::scenario::Scenario;
use super::stage::{CLIENT_IP, SETTLING, Stage};
use engine::base::time::{Span, Time};

/// How a run is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub seed: u64,
    /// Requests per second.
    pub rate: u64,
    pub length: Span,
}

/// After everybody is settled, for what was lately dialled.
const CALM: Span = Span::secs(5);
const INTERVALS: u64 = 60;
/// Failures allowed in a million, unless the scenario says.
const ALLOWED_PPM: u64 = 1_000;

/// Plays one run.
pub fn simulate(documents: &Documents, scenario: &Scenario, options: Options) -> Report {
    play(documents, scenario, options, false).1
}

/// The same, and the world as it ends, with what its workers recorded.
pub(super) fn play(
    documents: &Documents,
    scenario: &Scenario,
    options: Options,
    records: bool,
) -> (Stage, Report) {
    let mut stage = Stage::new(documents, scenario, options.seed, options.rate);
    stage.records = records;
    // Clients speak clear text.
    stage.found(&documents.in_the_clear());
    let settled = stage.settle();
    // Polls and probes have their rhythm, and clients come at any beat of it.
    let beat = Span::from_nanos(stage.chance.below(CALM.nanos()));
    stage.run_until(stage.net.now + CALM + beat, |_| false);
    stage.begin();
    let start = stage.start;
    let view = stage.processes[0].view.clone().expect("the parent has just begun");
    let found = samples(&view, |port| stage.processes[0].at(port), CLIENT_IP.into());
    let (mut classes, mut told) = (found.classes, found.told);
    if !scenario.requests.is_empty() {
        (classes, told) = asked_for(&stage, scenario);
    }
    let places = stage.places.len();
    let figures = Figures::new(start, options.length, INTERVALS, places);
    stage.crowd.start(&mut stage.net, classes, figures, options.length);
    stage.run_until(start + options.length, |_| false);
    let end = start + options.length + PATIENCE + Span::secs(2);
    stage.run_until(end, |stage| stage.crowd.is_done(stage.net.now));
    let reached = stage.places.iter().map(|place| Reached::of(place, start)).collect();
    let report = Report {
        options,
        settled,
        requests: told,
        missing: found.missing,
        places: stage.places.iter().map(super::report::PlaceTold::of).collect(),
        moments: stage.watch.moments.iter().filter(|it| it.at >= start).cloned().collect(),
        start,
        reached,
        allowed_ppm: scenario.allowed_ppm.unwrap_or(ALLOWED_PPM),
        steps: stage.steps,
        figures: stage.crowd.figures.clone(),
    };
    (stage, report)
}

impl Stage {
    /// Lets everybody find one another; whether they all did.
    pub(super) fn settle(&mut self) -> bool {
        let until = Time::ZERO + SETTLING;
        // Nothing has been read in the first instants.
        self.run_until(Time::ZERO + Span::secs(3), |_| false);
        self.run_until(until, Self::is_settled);
        self.is_settled()
    }
}

/// The requests that the scenario names, at the first entry point that takes them.
fn asked_for(stage: &Stage, scenario: &Scenario) -> (Vec<Class>, Vec<String>) {
    let (mut classes, mut told) = (Vec::new(), Vec::new());
    let process = &stage.processes[0];
    for (url, weight) in &scenario.requests {
        let ask = ask_of(url);
        let port = ask.host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        let entries = &process.fixed.entry_points;
        let entry = entries
            .iter()
            .find(|entry| Some(entry.address.port()) == port)
            .or_else(|| entries.iter().find(|entry| entry.name != "traefik"));
        if let Some(entry) = entry {
            let to = process.at(entry.address.port());
            classes.push(Class { bytes: ask.bytes(), to, weight: *weight });
            told.push(format!("{ask} at {} x{weight}", entry.name));
        }
    }
    (classes, told)
}

/// `http://host[:port]/path[?query]` as a request.
pub(super) fn ask_of(url: &str) -> Ask {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (host, target) = match rest.find('/') {
        Some(at) => (&rest[..at], &rest[at..]),
        None => (rest, "/"),
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ask { host: host.to_owned(), path: path.to_owned(), query: query.to_owned(), ..Ask::default() }
}

/// What many runs came to.
#[derive(Clone, Debug)]
pub struct Spread {
    pub runs: Vec<(u64, Report)>,
}

/// The same with other seeds, from the given one on.
pub fn spread(documents: &Documents, scenario: &Scenario, options: Options, seeds: u64) -> Spread {
    let seeds = (0..seeds).map(|at| options.seed.wrapping_add(at));
    let run = |seed| (seed, simulate(documents, scenario, Options { seed, ..options }));
    Spread { runs: seeds.map(run).collect() }
}
