//! `tieline bounds`: worst cases of the user's documents, proved, and a gate for them.

use super::simulate::read_documents;
use super::{complain, say, take_option, take_paths, take_switch, usage};
use engine::base::time::Span;
use engine::config::duration::span;
use sim::foresight::bounds::bounds;
use std::process::ExitCode;

struct Wish {
    failover_max: Option<Span>,
    rate: Option<u64>,
    json: bool,
    paths: Vec<String>,
}

const RATE_MAX: u64 = 1_000_000_000;

pub(super) fn run(arguments: &[String]) -> ExitCode {
    let wish = match read_wish(arguments) {
        Ok(wish) => wish,
        Err(problem) => return usage(&problem),
    };
    let Some(documents) = read_documents(&wish.paths) else { return ExitCode::FAILURE };
    let found = bounds(&documents, wish.rate);
    if wish.json {
        say(&found.json(wish.rate).to_string());
    } else {
        say(found.text(wish.rate).trim_end());
    }
    let beyond = wish.failover_max.map_or_else(Vec::new, |most| found.beyond(most));
    beyond.iter().for_each(|line| complain(line));
    if beyond.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn read_wish(arguments: &[String]) -> Result<Wish, String> {
    let mut words = arguments.to_vec();
    let json = take_switch(&mut words, "--json");
    let failover_max = match take_option(&mut words, "--max-failover")? {
        Some(word) => Some(span(&word).map_err(|why| format!("--max-failover: {word}: {why}"))?),
        None => None,
    };
    let rate = match take_option(&mut words, "--rps")? {
        Some(word) => {
            let rate = word.parse().ok().filter(|rate| (1..=RATE_MAX).contains(rate));
            Some(rate.ok_or_else(|| format!("--rps: {word} is no rate from 1 to {RATE_MAX}"))?)
        }
        None => None,
    };
    let paths = take_paths(words, "bounds")?;
    Ok(Wish { failover_max, rate, json, paths })
}
