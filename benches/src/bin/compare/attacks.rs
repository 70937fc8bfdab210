//! A normal client beside one that attacks: what becomes of its latency, and of the gateway's
//! memory.

use super::cases::{Case, Shape};
use super::peers::{Kind, LOAD_CPU, Peer, Process, itself};
use super::{attacker, table};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What the normal client asks for in a second, on eight connections.
const RATE: u32 = 2_000;

/// Words: how many seconds each attack lasts.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let seconds = words.first().map_or(Ok(10), |word| word.parse());
    let duration = Duration::from_secs(seconds.map_err(|_| "a number of seconds".to_owned())?);
    let origin = Process::origin()?;
    let mut case = Case::all()[0];
    (case.shape, case.connections) = (Shape::Paced(RATE), 8);
    table::tell(&format!(
        "{:14} {:>8} {:>8} {:>7} {:>9} {:>9} {:>8} {:>12}",
        "attack", "p50 µs", "p99 µs", "failed", "MiB held", "frames", "conns", "told to calm"
    ));
    for name in ["none"].iter().chain(&attacker::NAMES) {
        // A gateway of its own for each: what one attack has left behind is no part of the next.
        let peer = Peer::start(Kind::Tieline, origin.port)?;
        peer.measure(&case, Duration::from_secs(1), origin.port)?;
        let before = peer.memory();
        let port = peer.ports.http2.to_string();
        let millis = (duration.as_millis() + 1_000).to_string();
        let mut command = Command::new("taskset");
        command.args(["-c", LOAD_CPU, "nice", "-n", "19", &itself()?, "attacker", name, &port]);
        command.arg(millis).stdin(Stdio::null()).stdout(Stdio::piped());
        let attack = if *name == "none" { None } else { command.spawn().ok() };
        let figures = peer.measure(&case, duration, origin.port)?;
        let held = peer.memory().saturating_sub(before) >> 20;
        let told = match attack {
            Some(child) => {
                let output = child.wait_with_output().map_err(|error| error.to_string())?;
                String::from_utf8_lossy(&output.stdout).into_owned()
            }
            None => String::new(),
        };
        let mut told = told.split_ascii_whitespace();
        let mut next = || told.next().unwrap_or("–");
        let [p50, p99, _] = figures.latency_micros;
        let failed = figures.failed;
        table::tell(&format!(
            "{name:14} {p50:8} {p99:8} {failed:7} {held:9} {:>9} {:>8} {:>12}",
            next(),
            next(),
            next()
        ));
    }
    Ok(())
}
