//! `tieline simulate`: the user's documents under a scenario, before anybody else meets it.

use super::settings::variables;
use super::{complain, say, take_option, take_paths, take_switch, usage};
use engine::base::time::Span;
use engine::boundary::Document;
use engine::config::Environment;
use engine::config::duration::span;
use sim::foresight::documents::{self, Documents};
use sim::foresight::scenario::{self, Known, Scenario};
use sim::foresight::stage::places;
use sim::foresight::{Options, simulate, spread};
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

struct Wish {
    options: Options,
    scenario: Option<String>,
    seeds: Option<u64>,
    json: bool,
    /// Tell on the side how fast it was.
    speed: bool,
    html: Option<String>,
    paths: Vec<String>,
}

/// Seconds of virtual time, requests per second and seeds have bounds, so that a slip of the
/// keyboard does not run for days.
const LENGTH_MAX: Span = Span::secs(24 * 3_600);
const RATE_MAX: u64 = 1_000_000;
const SEEDS_MAX: u64 = 100_000;

pub(super) fn run(arguments: &[String]) -> ExitCode {
    let wish = match read_wish(arguments) {
        Ok(wish) => wish,
        Err(problem) => return usage(&problem),
    };
    let Some(documents) = read_documents(&wish.paths) else { return ExitCode::FAILURE };
    let Some(scenario) = read_scenario(&wish, &documents) else { return ExitCode::FAILURE };
    match wish.seeds {
        Some(seeds) => tell_spread(&wish, &documents, &scenario, seeds),
        None => return tell_one(&wish, &documents, &scenario),
    }
    ExitCode::SUCCESS
}

fn read_wish(arguments: &[String]) -> Result<Wish, String> {
    let mut words = arguments.to_vec();
    let json = take_switch(&mut words, "--json");
    let speed = take_switch(&mut words, "--speed");
    let scenario = take_option(&mut words, "--scenario")?;
    let html = take_option(&mut words, "--html")?;
    let mut number = |name: &str, most: u64| -> Result<Option<u64>, String> {
        let Some(word) = take_option(&mut words, name)? else { return Ok(None) };
        let hex = word.strip_prefix("0x").map(|hex| u64::from_str_radix(hex, 16).ok());
        let number = hex.unwrap_or_else(|| word.parse().ok()).filter(|number| *number <= most);
        number.map(Some).ok_or_else(|| format!("{name}: {word} is no number up to {most}"))
    };
    let seed = number("--seed", u64::MAX)?.unwrap_or(1);
    let rate = number("--rps", RATE_MAX)?.unwrap_or(100);
    let seeds = number("--seeds", SEEDS_MAX)?;
    let length = take_option(&mut words, "--for")?.unwrap_or_else(|| "10m".to_owned());
    let length = span(&length)
        .ok()
        .filter(|length| (Span::secs(1)..=LENGTH_MAX).contains(length))
        .ok_or_else(|| format!("--for: {length} is no length from 1s to 24h"))?;
    let paths = take_paths(words, "simulate")?;
    if rate == 0 || seeds == Some(0) {
        return Err("--rps and --seeds begin at 1".to_owned());
    }
    if speed && seeds.is_some() {
        return Err("--speed is of one run, so it goes without --seeds".to_owned());
    }
    if html.is_some() && seeds.is_some() {
        return Err("--html shows one run, so it goes without --seeds".to_owned());
    }
    let options = Options { seed, rate, length };
    Ok(Wish { options, scenario, seeds, json, speed, html, paths })
}

/// Everything below the paths; complains of every problem.
pub(super) fn read_documents(paths: &[String]) -> Option<Documents> {
    match documents::read(paths) {
        Ok(mut documents) => {
            let environment = Environment::new(&variables());
            for process in &mut documents.processes {
                process.fixed.environment = environment.clone();
            }
            Some(documents)
        }
        Err(problems) => {
            problems.iter().for_each(|problem| complain(problem));
            None
        }
    }
}

fn read_scenario(wish: &Wish, documents: &Documents) -> Option<Scenario> {
    let Some(path) = &wish.scenario else { return Some(Scenario::default()) };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            complain(&format!("{path}: {error}"));
            return None;
        }
    };
    let all = places(documents);
    let names: Vec<String> = all.iter().map(|place| place.name.clone()).collect();
    let written: Vec<bool> = all.iter().map(|place| place.process.is_some()).collect();
    let secure: Vec<bool> = all.iter().map(|place| place.secure).collect();
    // Files that a script names lie beside it, or where it is run.
    let load = |name: &str| {
        let beside = Path::new(path).parent().unwrap_or_else(|| Path::new("")).join(name);
        let at = if beside.exists() { beside } else { name.into() };
        let text = fs::read_to_string(&at).map_err(|error| error.to_string())?;
        Ok(Document { path: at.display().to_string(), text: Ok(text) })
    };
    let length = wish.options.length;
    let (places, written, secure) = (&names[..], &written[..], &secure[..]);
    let known = Known { places, written, secure, length, load: &load };
    match scenario::parse(&text, &known) {
        Ok(scenario) => Some(scenario),
        Err(problems) => {
            problems.iter().for_each(|problem| complain(&format!("{path}: {problem}")));
            None
        }
    }
}

fn tell_one(wish: &Wish, documents: &Documents, scenario: &Scenario) -> ExitCode {
    let begun = Instant::now();
    let report = simulate(documents, scenario, wish.options);
    if wish.speed {
        let millis = begun.elapsed().as_millis().max(1);
        let per_second = u128::from(report.steps) * 1_000 / millis;
        complain(&format!("{} steps in {millis} ms: {per_second} a second", report.steps));
    }
    if let Some(path) = &wish.html
        && let Err(error) = fs::write(path, report.html())
    {
        complain(&format!("{path}: {error}"));
        return ExitCode::FAILURE;
    }
    if wish.json {
        say(&report.json().to_string());
    } else {
        say(report.text().trim_end());
    }
    ExitCode::SUCCESS
}

fn tell_spread(wish: &Wish, documents: &Documents, scenario: &Scenario, seeds: u64) {
    let spread = spread(documents, scenario, wish.options, seeds);
    let mut replay = format!("tieline simulate {}", wish.paths.join(" "));
    if let Some(scenario) = &wish.scenario {
        replay.push_str(&format!(" --scenario {scenario}"));
    }
    let Options { rate, length, .. } = wish.options;
    replay.push_str(&format!(" --rps {rate} --for {length}"));
    if wish.json {
        say(&spread.json(&replay).to_string());
    } else {
        say(spread.text(&replay).trim_end());
    }
}
