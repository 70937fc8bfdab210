//! Runs simulated worlds: one, many, twice, smaller.

#![expect(clippy::print_stdout, reason = "printing is what a command is for")]

use sim::entropy::RunId;
use sim::life::{Report, play};
use sim::shrink::shrink;
use sim::swarm::{Tally, swarm};
use sim::trace::Text;
use std::io::{BufRead, BufReader, Lines};
use std::process::{ChildStdout, Command, ExitCode, Stdio};
use std::time::Instant;

const USAGE: &str = "\
usage: sim run    --seed N [--size N] [--mask N] [--trace]   one run (replay is the same)
       sim swarm  --seeds N [--from N] [--size N] [--mask N] [--jobs N] [--anyway]
       sim shrink --seed N [--size N] [--mask N]             a smaller run that fails alike
       sim meta   [--seeds N] [--from N]                     two processes, one trace
       sim marks  [--seeds N]                                what a swarm reaches";

struct Options {
    run: RunId,
    seeds: u64,
    from: u64,
    jobs: usize,
    trace: bool,
    anyway: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, rest)) = arguments.split_first() else {
        println!("{USAGE}");
        return ExitCode::from(2);
    };
    let options = match parse(rest) {
        Ok(options) => options,
        Err(problem) => {
            println!("{problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match command.as_str() {
        "run" | "replay" => run(&options),
        "swarm" => run_swarm(&options, false),
        "marks" => run_swarm(&options, true),
        "shrink" => run_shrink(&options),
        "meta" => run_meta(&options),
        _ => {
            println!("no command {command}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let run = RunId::new(0);
    let mut options = Options { run, seeds: 1_000, from: 0, jobs, trace: false, anyway: false };
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        match name.as_str() {
            "--trace" => options.trace = true,
            "--anyway" => options.anyway = true,
            _ => {
                let value = rest.next().ok_or_else(|| format!("{name} needs a value"))?;
                set(&mut options, name, number(value)?)?;
            }
        }
    }
    Ok(options)
}

fn set(options: &mut Options, name: &str, value: u64) -> Result<(), String> {
    let small = |value: u64| u32::try_from(value).map_err(|_| format!("{name} is too large"));
    match name {
        "--seed" => options.run.seed = value,
        "--size" => options.run.size = small(value)?,
        "--mask" => options.run.mask = value,
        "--seeds" => options.seeds = value,
        "--from" => options.from = value,
        "--jobs" => options.jobs = small(value)?.max(1) as usize,
        _ => return Err(format!("no option {name}")),
    }
    Ok(())
}

fn number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("{text} is no number"))
}

fn run(options: &Options) -> ExitCode {
    let text = if options.trace { Text::Printed } else { Text::Off };
    let report = play(options.run, text);
    print_report(&report);
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_report(report: &Report) {
    let Report { run, hash, steps, requests, answered, records, polls, virtual_time, .. } = report;
    println!("{run}: trace {hash:016x}, {steps} steps, {virtual_time} of virtual time");
    println!("{requests} requests, {answered} answered, {records} log lines, {polls} polls");
    for violation in &report.violations {
        println!("  {violation}");
    }
    if !report.violations.is_empty() {
        println!("replay: sim replay {run}");
    }
}

fn run_swarm(options: &Options, table: bool) -> ExitCode {
    let began = Instant::now();
    let RunId { size, mask, .. } = options.run;
    let tally = swarm(options.from, options.seeds, size, mask, options.jobs);
    let seconds = began.elapsed().as_secs_f64();
    print_tally(&tally, seconds, options.jobs);
    if table {
        println!("marks\n{}", tally.marks_table());
    }
    println!("faults: kind, injected, observed\n{}", tally.faults.table());
    let (marks, faults) = (tally.missing_marks(), tally.missing_faults());
    if !marks.is_empty() {
        println!("marks never reached: {marks:?}");
    }
    if !faults.is_empty() {
        println!("faults never injected or never observed: {faults:?}");
    }
    for report in &tally.failures {
        print_report(report);
    }
    let complete = options.anyway || (marks.is_empty() && faults.is_empty());
    if tally.failures.is_empty() && complete { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_tally(tally: &Tally, seconds: f64, jobs: usize) {
    let Tally { runs, steps, requests, answered, records, bytes, .. } = tally;
    let rate = |count: u64| count as f64 / seconds;
    println!(
        "{runs} seeds in {seconds:.1} s on {jobs} threads: {:.0} seeds/s, {:.0} engine steps/s",
        rate(*runs),
        rate(*steps)
    );
    println!("{steps} steps, {requests} requests, {answered} answered, {records} log lines");
    println!("{bytes} bytes arrived, {} runs failed", tally.failures.len());
}

fn run_shrink(options: &Options) -> ExitCode {
    let Some(smallest) = shrink(options.run) else {
        println!("{} does not fail", options.run);
        return ExitCode::SUCCESS;
    };
    for line in &smallest.report.lines {
        println!("{line}");
    }
    println!("after {} runs:", smallest.runs);
    print_report(&smallest.report);
    ExitCode::FAILURE
}

/// Two processes play the same runs in different conditions; their traces are compared line by
/// line.
fn run_meta(options: &Options) -> ExitCode {
    for n in 0..options.seeds.min(64) {
        let run = RunId { seed: options.from + n, ..options.run };
        let plain = spawn(run, &[]);
        let odd = [("MALLOC_PERTURB_", "165"), ("SIM_PADDING", "x".repeat(5_000).leak())];
        let other = spawn(run, &odd);
        let (Some(plain), Some(other)) = (plain, other) else {
            println!("cannot start a second process");
            return ExitCode::FAILURE;
        };
        if let Some((line, left, right)) = first_difference(plain, other) {
            println!("{run}: line {line} differs\n  {left}\n  {right}");
            return ExitCode::FAILURE;
        }
    }
    println!("{} runs gave one trace in two processes each", options.seeds.min(64));
    ExitCode::SUCCESS
}

type Trace = Lines<BufReader<ChildStdout>>;

fn spawn(run: RunId, variables: &[(&str, &str)]) -> Option<Trace> {
    let own = std::env::current_exe().ok()?;
    let RunId { seed, size, mask } = run;
    let mut command = Command::new(own);
    command.args(["run", "--trace", "--seed", &seed.to_string(), "--size", &size.to_string()]);
    command.args(["--mask", &mask.to_string()]);
    command.envs(variables.iter().copied());
    let mut child = command.stdout(Stdio::piped()).spawn().ok()?;
    Some(BufReader::new(child.stdout.take()?).lines())
}

fn first_difference(mut left: Trace, mut right: Trace) -> Option<(u64, String, String)> {
    for line in 1.. {
        let next = |trace: &mut Trace| trace.next().map(Result::unwrap_or_default);
        match (next(&mut left), next(&mut right)) {
            (None, None) => return None,
            (a, b) if a == b => {}
            (a, b) => return Some((line, a.unwrap_or_default(), b.unwrap_or_default())),
        }
    }
    None
}
