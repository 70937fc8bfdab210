//! Runs simulated worlds: one, many, twice, smaller.

#![expect(clippy::print_stdout, reason = "printing is what a command is for")]

use engine::base::mutant::Mutant;
use sim::entropy::{Crew, RunId};
use sim::level2;
use sim::life::{Report, play};
use sim::mutants::{Hunt, hunt_all};
use sim::shrink::shrink;
use sim::swarm::{Tally, is_wired, swarm_of};
use sim::trace::Text;
use std::io::{BufRead, BufReader, Lines};
use std::process::{ChildStdout, Command, ExitCode, Stdio};
use std::time::Instant;

const USAGE: &str = "\
usage: sim run    --seed N [--size N] [--mask N] [--crew N] [--trace]   one run, or replay
       sim swarm  --seeds N [--from N] [--size N] [--mask N] [--jobs N] [--anyway] [--wired]
       sim shrink --seed N [--size N] [--mask N] [--crew N]  a smaller run that fails alike
       sim meta   [--seeds N] [--from N] [--level 2]         two processes, one trace
       sim marks  [--seeds N]                                what a swarm reaches
       sim level2 --seeds N [--from N] [--jobs N]            hosts, links and crashes
       sim level2 --seed N [--trace]                         one of these runs
       sim mutants [--seeds N] [--from N] [--jobs N]         planted faults, and who finds them
       sim mutants --of NAME                                 one of them, told in full";

struct Options {
    run: RunId,
    /// As it was given.
    seed: Option<u64>,
    level: u64,
    seeds: u64,
    seeds_said: bool,
    from: u64,
    jobs: usize,
    trace: bool,
    anyway: bool,
    /// Of the seeds only those of runs with TLS or HTTP/2 somewhere.
    wired: bool,
    /// The one fault to plant.
    mutant: Option<Mutant>,
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
        "swarm" | "run" | "replay" if options.level == 2 => run_level2(&options),
        "shrink" | "marks" if options.level == 2 => {
            println!("{command} knows level 1 only");
            ExitCode::from(2)
        }
        "run" | "replay" => run(&options),
        "swarm" => run_swarm(&options, false),
        "marks" => run_swarm(&options, true),
        "shrink" => run_shrink(&options),
        "meta" => run_meta(&options),
        "level2" => run_level2(&options),
        "mutants" => run_mutants(&options),
        _ => {
            println!("no command {command}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let run = RunId::new(0);
    let mut options = Options {
        run,
        seed: None,
        level: 1,
        seeds: 1_000,
        seeds_said: false,
        from: 0,
        jobs,
        trace: false,
        anyway: false,
        wired: false,
        mutant: None,
    };
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        match name.as_str() {
            "--trace" => options.trace = true,
            "--anyway" => options.anyway = true,
            "--wired" => options.wired = true,
            "--of" => {
                let value = rest.next().ok_or("--of needs the name of a fault")?;
                let found = Mutant::ALL.iter().find(|mutant| mutant.name() == value);
                options.mutant = Some(*found.ok_or_else(|| format!("no fault {value}"))?);
            }
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
        "--seed" => {
            options.run.seed = value;
            options.seed = Some(value);
        }
        "--level" if matches!(value, 1 | 2) => options.level = value,
        "--size" => options.run.size = small(value)?,
        "--mask" => options.run.mask = value,
        "--crew" => options.run.crew = Crew(small(value)?),
        "--seeds" => (options.seeds, options.seeds_said) = (value, true),
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
    let wanted = |run| !options.wired || is_wired(run);
    let tally = swarm_of(options.from, options.seeds, size, mask, options.jobs, wanted);
    let seconds = began.elapsed().as_secs_f64();
    print_tally(&tally, seconds, options.jobs);
    if table {
        println!("marks\n{}", tally.marks_table());
    }
    println!("faults: kind, injected, observed\n{}", tally.faults.table());
    println!("excuses\n{}", tally.excuses_table());
    println!("pairs: client, server, answered\n{}", tally.pairs.table());
    let pairs = tally.pairs.missing();
    if !pairs.is_empty() {
        println!("pairs never reached: {}", pairs.join(", "));
    }
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
    let complete = options.anyway || (marks.is_empty() && faults.is_empty() && pairs.is_empty());
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
    for (_, line) in &smallest.report.lines {
        println!("{line}");
    }
    println!("after {} runs:", smallest.runs);
    print_report(&smallest.report);
    ExitCode::FAILURE
}

/// Plants each fault in turn. Fails if one is not found within its bound.
fn run_mutants(options: &Options) -> ExitCode {
    // A machine that panics is caught, and counts as found.
    std::panic::set_hook(Box::new(|_| {}));
    let began = Instant::now();
    let one: Option<&[Mutant]> = options.mutant.as_ref().map(std::slice::from_ref);
    let most = options.seeds_said.then_some(options.seeds);
    let hunts = hunt_all(one.unwrap_or(Mutant::ALL), options.from, most, options.jobs);
    println!(
        "{:<22} {:<6} {:>6} {:>6} {:>6}  what the engine does wrong",
        "fault", "by", "seed", "seeds", "bound"
    );
    for Hunt { mutant, bound, runs, found } in &hunts {
        let (by, seed) = match found {
            Some(found) => (format!("{:?}", found.oracle), format!("{:#x}", found.seed)),
            None => ("NOBODY".to_owned(), "-".to_owned()),
        };
        let (name, about) = (mutant.name(), mutant.about());
        println!("{name:<22} {by:<6} {seed:>6} {runs:>6} {bound:>6}  {about}");
    }
    let missing = hunts.iter().filter(|hunt| hunt.found.is_none()).count();
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{} faults in {seconds:.1} s on {} threads, {missing} not found",
        hunts.len(),
        options.jobs
    );
    if options.mutant.is_some() {
        hunts
            .iter()
            .filter_map(|hunt| hunt.found.as_ref())
            .for_each(|found| println!("{}", found.text));
    }
    if missing == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_level2(options: &Options) -> ExitCode {
    let began = Instant::now();
    let tally = match options.seed {
        Some(seed) => {
            let text = if options.trace { Text::Printed } else { Text::Off };
            let report = level2::play(seed, text);
            print_level2(&report);
            let mut tally = level2::Tally::default();
            tally.add(report);
            tally
        }
        None => level2::sweep(options.from, options.seeds, options.jobs),
    };
    let (seconds, jobs) = (began.elapsed().as_secs_f64(), options.jobs);
    let level2::Tally { runs, requests, served, arrivals, probes, events, .. } = &tally;
    if options.seed.is_none() {
        let rate = *runs as f64 / seconds;
        println!("{runs} seeds in {seconds:.1} s on {jobs} threads: {rate:.1} seeds/s");
        println!("{requests} requests, {served} served, {arrivals} at origins, {probes} probes");
        println!("{events} inputs of machines, {} runs failed", tally.failures.len());
        println!("strokes {:?}\nexcused {:?}", tally.strokes, tally.excused);
        tally.failures.iter().for_each(print_level2);
        let missing = tally.missing();
        if !missing.is_empty() && !options.anyway {
            println!("strokes that never struck or were never felt: {missing:?}");
            return ExitCode::FAILURE;
        }
    }
    if tally.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_level2(report: &level2::Report) {
    let level2::Report { seed, hash, requests, served, excused, strokes, virtual_time, .. } =
        report;
    println!("--seed {seed:#x}: trace {hash:016x}, {virtual_time} of virtual time");
    println!("{requests} requests, {served} served, excused: {excused:?}");
    for stroke in strokes {
        println!("  {:?} of {:?} from {} to {}", stroke.kind, stroke.on, stroke.from, stroke.to);
    }
    report.violations.iter().for_each(|violation| println!("  {violation}"));
    if !report.violations.is_empty() {
        println!("replay: sim level2 --seed {seed:#x} --trace");
    }
}

/// Two processes play the same runs in different conditions; their traces are compared line by
/// line.
fn run_meta(options: &Options) -> ExitCode {
    for n in 0..options.seeds.min(64) {
        let run = RunId { seed: options.from + n, ..options.run };
        let spawn = |variables| match options.level {
            1 => spawn_run(run, variables),
            _ => spawn_level2(run.seed, variables),
        };
        let plain = spawn(&[]);
        let odd = [("MALLOC_PERTURB_", "165"), ("SIM_PADDING", "x".repeat(5_000).leak())];
        let other = spawn(&odd);
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

fn spawn_run(run: RunId, variables: &[(&str, &str)]) -> Option<Trace> {
    let run = run.to_string();
    let arguments: Vec<&str> = ["run", "--trace"].into_iter().chain(run.split(' ')).collect();
    spawn(&arguments, variables)
}

fn spawn_level2(seed: u64, variables: &[(&str, &str)]) -> Option<Trace> {
    spawn(&["level2", "--trace", "--seed", &seed.to_string()], variables)
}

fn spawn(arguments: &[&str], variables: &[(&str, &str)]) -> Option<Trace> {
    let mut command = Command::new(std::env::current_exe().ok()?);
    command.args(arguments);
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
