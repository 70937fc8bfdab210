//! Medians, ratios, and whether they hold.

use super::Figures;
use super::cases::{Case, Field, Shape};
use std::fmt;

#[expect(clippy::print_stdout, reason = "a program whose product is its output")]
pub(crate) fn tell(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "a program whose product is its output")]
pub(crate) fn complain(text: &str) {
    eprintln!("{text}");
}

/// One case: the median of each peer.
pub(crate) struct Row {
    case: Case,
    medians: Vec<(&'static str, Median)>,
}

/// The median of each figure, taken one by one.
#[derive(Clone, Copy)]
struct Median {
    cpu_micros: f64,
    user_micros: f64,
    busy: f64,
    per_second: f64,
    latency_micros: [u64; 3],
    idle_bytes: u64,
    failed: u64,
}

impl Row {
    pub(crate) fn new(
        case: &Case,
        peers: impl Iterator<Item = (&'static str, Vec<Figures>)>,
    ) -> Self {
        let medians = peers.map(|(name, rounds)| (name, Median::of(&rounds))).collect();
        Self { case: *case, medians }
    }

    /// Who is held to the promises.
    fn own(&self) -> Option<&Median> {
        self.of(match self.case.field {
            Field::Proxies => "tieline",
            Field::Pairs => "hop-h2-tls",
        })
    }

    fn of(&self, peer: &str) -> Option<&Median> {
        self.medians.iter().find(|(name, _)| *name == peer).map(|(_, median)| median)
    }
}

impl Median {
    fn of(rounds: &[Figures]) -> Self {
        let middle = |pick: &dyn Fn(&Figures) -> f64| {
            let mut values: Vec<f64> = rounds.iter().map(pick).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(0.0)
        };
        let whole = |pick: &dyn Fn(&Figures) -> u64| {
            let mut values: Vec<u64> = rounds.iter().map(pick).collect();
            values.sort_unstable();
            values.get(values.len() / 2).copied().unwrap_or(0)
        };
        let cpu = |figures: &Figures| {
            #[expect(clippy::cast_precision_loss, reason = "figures for people")]
            let micros = figures.cpu_nanos as f64 / figures.requests.max(1) as f64 / 1e3;
            micros
        };
        Self {
            cpu_micros: middle(&cpu),
            user_micros: middle(&|figures| cpu(figures) * figures.user_share),
            busy: middle(&|figures| figures.busy),
            per_second: middle(&|figures| figures.per_second),
            latency_micros: [0, 1, 2].map(|at: usize| whole(&|figures| figures.latency_micros[at])),
            idle_bytes: whole(&|figures| figures.idle_bytes),
            failed: rounds.iter().map(|figures| figures.failed).sum(),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{} ({} connections)", self.case.name, self.case.connections)?;
        if self.case.shape == Shape::Idle {
            for (name, median) in &self.medians {
                let Median { idle_bytes, failed, .. } = median;
                writeln!(
                    f,
                    "  {name:10} {idle_bytes:6} bytes per idle connection, {failed} failed"
                )?;
            }
            return Ok(());
        }
        writeln!(
            f,
            "  {:10} {:>9} {:>8} {:>5} {:>9} {:>24} {:>7}",
            "", "CPU µs", "user µs", "busy", "req/s", "p50 / p99 / p99.9 µs", "failed"
        )?;
        for (name, median) in &self.medians {
            let [p50, p99, p999] = median.latency_micros;
            writeln!(
                f,
                "  {name:10} {:9.2} {:8.2} {:4.0}% {:9.0} {:>24} {:7}",
                median.cpu_micros,
                median.user_micros,
                median.busy * 100.0,
                median.per_second,
                format!("{p50} / {p99} / {p999}"),
                median.failed
            )?;
        }
        Ok(())
    }
}

/// What the project promises: case, against whom, at most this ratio.
const PROMISES: [(&str, &[&str], f64); 15] = [
    ("128 B", &["haproxy"], 0.75),
    ("128 B", &["nginx"], 0.80),
    ("128 B", &["relay"], 1.25),
    ("16 KiB", &["haproxy"], 1.0),
    ("1 MiB", &["nginx", "haproxy"], 0.65),
    ("upload 10 MiB", &["nginx", "haproxy"], 0.80),
    ("new connection", &["haproxy"], 0.95),
    ("paced 5000/s", &["haproxy"], 1.0),
    ("idle", &[], 2048.0),
    ("TLS 128 B", &["nginx"], 0.90),
    // At least 0.9 times as many handshakes in the same time.
    ("TLS handshake", &["nginx"], 1.11),
    ("TLS 1 MiB", &["nginx"], 1.10),
    ("HTTP/2 128 B", &["haproxy"], 0.80),
    ("HTTP/2 128 B", &["nginx"], 0.60),
    ("hop 128 B", &["hop"], 1.30),
];

/// One line for each promise that was measured.
pub(crate) fn verdicts(rows: &[Row]) -> String {
    let mut text = String::new();
    for (case, rivals, bound) in PROMISES {
        let Some(row) = rows.iter().find(|row| row.case.name == case) else { continue };
        let Some(own) = row.own() else { continue };
        let (what, value) = match row.case.shape {
            Shape::Idle => {
                #[expect(clippy::cast_precision_loss, reason = "figures for people")]
                let bytes = own.idle_bytes as f64;
                ("bytes".to_owned(), Some(bytes))
            }
            Shape::Paced(_) => ratio(row, rivals, |median| {
                #[expect(clippy::cast_precision_loss, reason = "figures for people")]
                let p99 = median.latency_micros[1] as f64;
                p99
            }),
            Shape::Closed | Shape::Fresh | Shape::Streams(_) => {
                ratio(row, rivals, |median| median.cpu_micros)
            }
        };
        let Some(value) = value else { continue };
        let held = if value <= bound { "held" } else { "MISSED" };
        text += &format!("{case:16} {what:20} {value:8.2} at most {bound:8.2}  {held}\n");
    }
    text
}

/// Our figure divided by the best rival's.
fn ratio(row: &Row, rivals: &[&str], pick: impl Fn(&Median) -> f64) -> (String, Option<f64>) {
    let best = rivals
        .iter()
        .filter_map(|rival| row.of(rival).map(|median| (*rival, pick(median))))
        .min_by(|a, b| a.1.total_cmp(&b.1));
    match (row.own(), best) {
        (Some(own), Some((rival, value))) => (format!("of {rival}'s"), Some(pick(own) / value)),
        _ => (String::new(), None),
    }
}
