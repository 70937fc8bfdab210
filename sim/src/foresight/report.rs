//! What a run came to, as text and as JSON.

use super::figures::Figures;
use super::simulate::{Options, Spread};
use super::stage::Place;
use super::watch::Moment;
use engine::base::time::{Span, Time};
use serde_json::{Value, json};
use std::fmt::Write;

/// Everything that one run showed.
#[derive(Clone, Debug)]
pub struct Report {
    pub options: Options,
    /// Everybody had found one another, and was up, before the first request.
    pub settled: bool,
    pub requests: Vec<String>,
    /// Routers for which no request was found.
    pub missing: Vec<String>,
    pub places: Vec<PlaceTold>,
    pub moments: Vec<Moment>,
    pub start: Time,
    pub reached: Vec<Reached>,
    pub allowed_ppm: u64,
    pub figures: Figures,
    /// Calls of machines, from the beginning of the world.
    pub steps: u64,
}

/// What a place was taken for.
#[derive(Clone, Debug)]
pub struct PlaceTold {
    pub name: String,
    pub played: bool,
    pub latency: Span,
    pub service: Span,
    pub capacity: Option<u64>,
}

impl PlaceTold {
    pub(super) fn of(place: &Place) -> Self {
        Self {
            name: place.name.clone(),
            played: place.process.is_none(),
            latency: place.latency,
            service: place.service,
            capacity: place.capacity,
        }
    }
}

/// The busiest second of a place: probes and mirrored requests count.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reached {
    pub most: u32,
    /// Seconds after the start.
    pub at: u64,
    /// Seconds in which more came than the declared capacity.
    pub over: u64,
}

impl Reached {
    pub(super) fn of(place: &Place, start: Time) -> Self {
        let first = start.nanos() / 1_000_000_000;
        let seconds = || (0_u64..).zip(&place.reached).filter(|(second, _)| *second >= first);
        let most = seconds().max_by_key(|(second, count)| (**count, u64::MAX - second));
        let capacity = place.capacity.unwrap_or(u64::MAX);
        Self {
            most: most.map_or(0, |(_, count)| *count),
            at: most.map_or(0, |(second, _)| second - first),
            over: seconds().filter(|(_, count)| u64::from(**count) > capacity).count() as u64,
        }
    }
}

/// `permille` of a whole as a percentage with one digit.
pub(super) fn percent(part: u64, whole: u64) -> String {
    let permille = (part * 1_000 + whole / 2).checked_div(whole).unwrap_or(0);
    format!("{}.{}", permille / 10, permille % 10)
}

/// Milliseconds with one digit.
pub(super) fn millis(span: Option<Span>) -> String {
    span.map_or_else(
        || "-".to_owned(),
        |span| {
            let tenths = (span.nanos() + 50_000) / 100_000;
            format!("{}.{}", tenths / 10, tenths % 10)
        },
    )
}

/// Seconds after `start` with three digits.
pub(super) fn seconds(at: Time, start: Time) -> String {
    let millis = at.since(start).as_millis();
    format!("{}.{:03}", millis / 1_000, millis % 1_000)
}

impl Report {
    pub fn failed(&self) -> u64 {
        self.figures.whole().failed
    }

    /// Failures that the objective allows.
    pub fn allowed(&self) -> u64 {
        let whole = self.figures.whole().requests;
        whole * self.allowed_ppm / 1_000_000
    }

    /// Who served: places with at least one request.
    pub(super) fn served(&self) -> Vec<usize> {
        let whole = self.figures.whole();
        (0..self.places.len()).filter(|at| whole.places[*at] > 0).collect()
    }

    pub fn text(&self) -> String {
        let mut out = String::new();
        self.assumed(&mut out);
        self.timeline(&mut out);
        self.chart(&mut out);
        self.sums(&mut out);
        out
    }

    fn assumed(&self, out: &mut String) {
        let Options { seed, rate, length } = self.options;
        put(out, format_args!("{length} at {rate} requests/s, seed {seed}"));
        put(out, format_args!("\nTaken for granted:"));
        for place in &self.places {
            let how = if place.played { ", played: it has no documents" } else { "" };
            let capacity =
                place.capacity.map_or_else(|| "unlimited".to_owned(), |rate| format!("{rate}/s"));
            put(
                out,
                format_args!(
                    "  {:<16} {} away, answers in {}, capacity {capacity}{how}",
                    place.name, place.latency, place.service
                ),
            );
        }
        for request in &self.requests {
            put(out, format_args!("  asked            {request}"));
        }
        for router in &self.missing {
            put(out, format_args!("  not asked        {router}"));
        }
        if !self.settled {
            put(out, format_args!("  Not everybody was up when the first request came."));
        }
    }

    fn timeline(&self, out: &mut String) {
        put(out, format_args!("\nTimeline (seconds after the first request):"));
        for moment in &self.moments {
            let at = seconds(moment.at, self.start);
            put(out, format_args!("  {at:>9}  {:<16} {}", moment.place, moment.what));
        }
        if self.moments.is_empty() {
            put(out, format_args!("  nothing changed"));
        }
    }

    fn chart(&self, out: &mut String) {
        const LEVELS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let level = |part: u64, whole: u64| {
            let eighths = if whole == 0 { 0 } else { (part * 8).div_ceil(whole) };
            LEVELS[usize::try_from(eighths.min(8)).unwrap_or(8)]
        };
        let slots = &self.figures.slots;
        let width = self.figures.width;
        put(out, format_args!("\nShare of answers, {width} a column:"));
        for place in self.served() {
            let bars: String =
                slots.iter().map(|slot| level(slot.places[place], slot.requests)).collect();
            put(out, format_args!("  {:<16} |{bars}|", self.places[place].name));
        }
        let bars: String = slots.iter().map(|slot| level(slot.failed, slot.requests)).collect();
        put(out, format_args!("  {:<16} |{bars}|", "failed"));
    }

    fn sums(&self, out: &mut String) {
        let whole = self.figures.whole();
        put(out, format_args!("\n{} requests", whole.requests));
        for at in self.served() {
            let share = percent(whole.places[at], whole.requests);
            put(out, format_args!("  {:<16} {share:>5} %", self.places[at].name));
        }
        for (status, count) in &self.figures.statuses {
            let name = if *status == 0 { "no answer".to_owned() } else { status.to_string() };
            put(out, format_args!("  {name:<16} {count}"));
        }
        let quantile = |permille| millis(whole.durations.quantile(permille));
        let (p50, p99, p999) = (quantile(500), quantile(990), quantile(999));
        put(out, format_args!("  latency          p50 {p50} ms, p99 {p99} ms, p99.9 {p999} ms"));
        let (failed, allowed) = (whole.failed, self.allowed());
        let burn = percent(failed, allowed.max(1));
        put(
            out,
            format_args!("  error budget     {failed} failed, {allowed} allowed: {burn} % of it"),
        );
        for (place, reached) in self.places.iter().zip(&self.reached) {
            let Reached { most, at, over } = *reached;
            let verdict = match place.capacity {
                None if most == 0 => continue,
                None => "no capacity declared".to_owned(),
                Some(capacity) if over == 0 => format!("within its {capacity}/s"),
                Some(capacity) => format!("STAMPEDE: {over} s above its {capacity}/s"),
            };
            put(
                out,
                format_args!("  busiest second   {}: {most} at {at} s; {verdict}", place.name),
            );
        }
    }

    pub fn json(&self) -> Value {
        let whole = self.figures.whole();
        let start = self.start;
        let micros = |span: Option<Span>| span.map(|span| span.nanos() / 1_000);
        let shares = |places: &[u64]| -> Value {
            let named = self.served().into_iter();
            let named = named.map(|at| (self.places[at].name.clone(), json!(places[at])));
            Value::Object(named.collect())
        };
        let slots = self.figures.slots.iter().map(|slot| {
            json!({
                "requests": slot.requests,
                "failed": slot.failed,
                "served": shares(&slot.places),
                "p50Micros": micros(slot.durations.quantile(500)),
                "p99Micros": micros(slot.durations.quantile(990)),
            })
        });
        let moments = self.moments.iter().map(|moment| {
            json!({
                "millis": moment.at.since(start).as_millis(),
                "place": moment.place,
                "what": moment.what,
            })
        });
        let statuses = self.figures.statuses.iter();
        let statuses = statuses.map(|(status, count)| (status.to_string(), json!(count)));
        let places = self.places.iter().zip(&self.reached).map(|(place, reached)| {
            json!({
                "name": place.name,
                "played": place.played,
                "latencyMicros": place.latency.nanos() / 1_000,
                "serviceMicros": place.service.nanos() / 1_000,
                "capacity": place.capacity,
                "busiestSecond": { "requests": reached.most, "at": reached.at },
                "secondsOverCapacity": reached.over,
            })
        });
        json!({
            "seed": self.options.seed,
            "rate": self.options.rate,
            "lengthMillis": self.options.length.as_millis(),
            "settled": self.settled,
            "asked": self.requests,
            "notAsked": self.missing,
            "places": places.collect::<Vec<_>>(),
            "timeline": moments.collect::<Vec<_>>(),
            "intervalMillis": self.figures.width.as_millis(),
            "intervals": slots.collect::<Vec<_>>(),
            "requests": whole.requests,
            "failed": whole.failed,
            "allowed": self.allowed(),
            "served": shares(&whole.places),
            "statuses": statuses.collect::<serde_json::Map<_, _>>(),
            "p50Micros": micros(whole.durations.quantile(500)),
            "p99Micros": micros(whole.durations.quantile(990)),
            "p999Micros": micros(whole.durations.quantile(999)),
        })
    }
}

pub(super) fn put(out: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(out, "{line}").expect("writing to a string");
}

impl Spread {
    /// The run with the most failures, and of these the slowest.
    pub fn worst(&self) -> Option<&(u64, Report)> {
        self.runs.iter().max_by_key(|(seed, report)| {
            let whole = report.figures.whole();
            (whole.failed, whole.durations.quantile(990), std::cmp::Reverse(*seed))
        })
    }

    fn columns(&self) -> [(&'static str, Vec<u64>); 3] {
        let of = |value: &dyn Fn(&Report) -> u64| {
            let mut all: Vec<u64> = self.runs.iter().map(|(_, report)| value(report)).collect();
            all.sort_unstable();
            all
        };
        let quantile = |report: &Report, permille| {
            let span = report.figures.whole().durations.quantile(permille);
            span.map_or(0, |span| span.nanos() / 1_000)
        };
        [
            ("failed", of(&|report| report.failed())),
            ("p99 micros", of(&|report| quantile(report, 990))),
            ("p99.9 micros", of(&|report| quantile(report, 999))),
        ]
    }

    /// Distributions over seeds, and how to see the worst again.
    pub fn text(&self, replay: &str) -> String {
        let mut out = String::new();
        put(&mut out, format_args!("{} seeds", self.runs.len()));
        let head = ["", "least", "median", "9 in 10", "most"];
        let [name, least, median, most_of, most] = head;
        put(&mut out, format_args!("  {name:<14}{least:>10}{median:>10}{most_of:>10}{most:>10}"));
        for (name, values) in self.columns() {
            let at = |permille: usize| {
                let rank = (values.len() * permille).div_ceil(1_000).max(1) - 1;
                values.get(rank).copied().unwrap_or(0)
            };
            let (least, median, tenth, most) = (at(1), at(500), at(900), at(1_000));
            put(&mut out, format_args!("  {name:<14}{least:>10}{median:>10}{tenth:>10}{most:>10}"));
        }
        if let Some((seed, _)) = self.worst() {
            put(&mut out, format_args!("worst: {replay} --seed {seed}"));
        }
        out
    }

    pub fn json(&self, replay: &str) -> Value {
        let columns =
            self.columns().into_iter().map(|(name, values)| (name.to_owned(), json!(values)));
        let worst = self.worst().map(|(seed, _)| format!("{replay} --seed {seed}"));
        json!({
            "seeds": self.runs.iter().map(|(seed, _)| *seed).collect::<Vec<_>>(),
            "sorted": columns.collect::<serde_json::Map<_, _>>(),
            "worst": worst,
        })
    }
}
