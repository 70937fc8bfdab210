//! Tieline beside nginx, HAProxy and a bare byte relay, on one core each, in one run. Prints CPU
//! time per request of the proxy process, throughput, latency, memory per idle connection, and the
//! ratios that the project is held to.
//!
//! Needs the binaries `nginx`, `haproxy` and `taskset` (Debian packages nginx-light, haproxy,
//! util-linux) and a release build of `tieline`. Peers that are missing are left out, and said so.
//!
//! `cargo run --release -p benches --bin compare -- [--rounds N] [--case NAME] [--peer NAME]
//! [--seconds S]`. With `--features glommio` the same machines on glommio are a peer of their own.
//!
//! `compare attacks [SECONDS]` shows a client's latency beside one that attacks instead.

mod attacker;
mod attacks;
mod cases;
mod frames;
#[cfg(feature = "glommio")]
mod glommio;
mod latency;
mod load;
mod origin;
mod pairs;
mod peers;
mod pipe;
mod proc;
mod relay;
mod ring;
mod setups;
mod streams;
mod table;

use cases::Case;
use peers::Peer;
use std::process::ExitCode;
use std::time::Duration;

/// What one round of one peer in one case measured.
#[derive(Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) cpu_nanos: u64,
    pub(crate) user_share: f64,
    /// How much of the time the proxy ran or was ready to: 1 is a saturated core.
    pub(crate) busy: f64,
    pub(crate) per_second: f64,
    /// p50, p99 and p99.9 in microseconds.
    pub(crate) latency_micros: [u64; 3],
    /// Of the proxy's anonymous memory, per idle connection, in bytes.
    pub(crate) idle_bytes: u64,
}

struct Options {
    rounds: usize,
    case: Option<String>,
    peer: Option<String>,
    duration: Duration,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let result = match words.first().map(String::as_str) {
        Some("origin") => origin::run(&words[1..]),
        Some("relay") => relay::run(&words[1..]),
        #[cfg(feature = "glommio")]
        Some("glommio") => glommio::run(&words[1..]),
        Some("load") => load::run(&words[1..]),
        Some("attacker") => attacker::run(&words[1..]),
        Some("attacks") => attacks::run(&words[1..]),
        _ => options(&words).and_then(|options| compare(&options)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            table::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn options(words: &[String]) -> Result<Options, String> {
    let mut options =
        Options { rounds: 5, case: None, peer: None, duration: Duration::from_secs(1) };
    for pair in words.chunks(2) {
        let [key, value] = pair else { return Err(format!("{} needs a value", pair[0])) };
        let number = || value.parse::<u32>().map_err(|_| format!("{key} needs a number"));
        match key.as_str() {
            "--rounds" => options.rounds = number()? as usize,
            "--seconds" => options.duration = Duration::from_secs(number()?.into()),
            "--case" => options.case = Some(value.clone()),
            "--peer" => options.peer = Some(value.clone()),
            _ => return Err(format!("{key}: known are --rounds, --seconds, --case, --peer")),
        }
    }
    Ok(options)
}

fn compare(options: &Options) -> Result<(), String> {
    let origin = peers::Process::origin()?;
    let mut cases = Case::all();
    cases.retain(|case| options.case.as_ref().is_none_or(|name| case.name.starts_with(name)));
    let mut peers = Vec::new();
    for &kind in peers::Kind::ALL {
        if options.peer.as_ref().is_some_and(|name| name != kind.name()) {
            continue;
        }
        match Peer::start(kind, origin.port) {
            Ok(peer) => peers.push(peer),
            Err(why) => table::complain(&format!("{}: left out: {why}", kind.name())),
        }
    }
    let mut rows = Vec::new();
    for case in &cases {
        let mut rounds: Vec<Vec<Figures>> = peers.iter().map(|_| Vec::new()).collect();
        for _ in 0..options.rounds {
            for (peer, figures) in peers.iter().zip(&mut rounds) {
                if !peer.kind.plays(case) {
                    continue;
                }
                figures.push(peer.measure(case, options.duration, origin.port)?);
            }
        }
        let names = peers.iter().map(|peer| peer.kind.name());
        let played = names.zip(rounds).filter(|(_, rounds)| !rounds.is_empty());
        let row = table::Row::new(case, played);
        table::tell(&row.to_string());
        rows.push(row);
    }
    table::tell(&table::verdicts(&rows));
    Ok(())
}
