//! Subcommands, and what a command line without one means: `run`.

mod bounds;
mod capsule;
mod check;
mod demo;
mod diff;
mod doctor;
mod explain;
mod fetch;
mod rehearse;
mod replayed;
mod run;
mod schema;
mod settings;
mod simulate;
mod status;

use std::io::{self, Write};
use std::process::ExitCode;

const HELP: &str = "\
Tieline, a multi-cluster HTTP gateway.

Usage: tieline [run] [--configFile=FILE | --section.key=value ...] [--runtime=uring|legacy]
                     [--danger-write-secrets-of-all-tls-sessions-to=FILE]
       tieline check [--json] FILE...
       tieline simulate DIR|FILE... [--scenario FILE] [--seed N] [--rps R] [--for 10m]
                        [--json] [--html FILE] [--seeds N] [--speed]
       tieline bounds DIR|FILE... [--max-failover=10s] [--rps=R] [--json]
       tieline rehearse --for 90d DIR|FILE... [--at=2026-11-21T00:00:00Z] [--json]
       tieline diff OLD NEW [--capsule=FILE] [--max-change=5%] [--seed=N] [--json]
       tieline explain [DIR|FILE... | --url=URL] --request='GET https://host/path'
                       [-H 'Name: value'] [--from=IP] [--entryPoint=NAME] [--json]
       tieline schema static|dynamic
       tieline record FILE [--url=URL]
       tieline replay CAPSULE [--with=DIR|FILE] [--json]
       tieline doctor [--capsule=FILE] [--url=URL] [FILE...]
       tieline status [--json] [--url=URL]
       tieline healthcheck [--url=URL | the flags of run]
       tieline demo [--once]
       tieline version

  run          Serve. The static configuration comes from a file, else from flags, else from the
               environment (TIELINE_... or TRAEFIK_...). SIGHUP reloads the dynamic configuration,
               SIGUSR1 opens log files anew, SIGTERM drains, a second SIGTERM exits at once.
  check        Report every problem of configuration files. Exits 1 if one is an error.
  simulate     Run the documents of a parent and its children forward in virtual time under
               clients and a script of faults: who serves, what fails, what flips, and when.
  bounds       Prove how long it takes at most, by the settings of the documents, to find out that a
               server is in trouble, to move its requests, and to come back. Exits 1 beyond
               --max-failover.
  rehearse     Tell what runs out in the days to come, certificates and identities above all, in
               which order, and what stops serving then. Exits 1 if something does.
  diff         Ask two configurations, each a folder or file, about every combination of what
               their rules name, or about the requests of a capsule, and show what changes for whom.
               Exits 1 beyond --max-change.
  explain      Tell where a request would go and why, of documents or of a running instance: routes
               that match or do not, middlewares, services, health, whose turn it is, and what
               would have to change.
  schema       Print the JSON Schema of a kind of documents, for editors.
  record       Write what a running instance decided lately, and by what, into a capsule.
  replay       Decide again what a capsule tells, and say whether it comes out alike; or by
               another configuration, and show what it would have decided otherwise.
  doctor       Check this machine and configuration files; write what a bug report needs.
  status       Show the children of a running parent, from its API (http://127.0.0.1:8080).
  healthcheck  Ask a running instance whether it is well. Exits 1 if it is not.
  demo         A parent, two children and their origins in one process, to play with. With --once:
               walk through the use cases, check each, exit 1 if one is off.
  version      Print the version.
";

/// Wrong usage, as `sysexits` has it.
const USAGE: u8 = 64;

pub(crate) fn main(arguments: &[String]) -> ExitCode {
    let (command, rest) = match arguments.split_first() {
        Some((first, rest)) if !first.starts_with('-') => (first.as_str(), rest),
        _ => ("", arguments),
    };
    let asks = |long: &str, short: &str| rest.iter().any(|word| word == long || word == short);
    match command {
        "help" => help(),
        _ if asks("--help", "-h") => help(),
        "version" => version(),
        "" if asks("--version", "-V") => version(),
        "" | "run" => run::run(rest),
        "bounds" => bounds::run(rest),
        "check" => check::run(rest),
        "demo" => demo::run(rest),
        "diff" => diff::run(rest),
        "doctor" => doctor::run(rest),
        "explain" => explain::run(rest),
        "schema" => schema::run(rest),
        "rehearse" => rehearse::run(rest),
        "record" => capsule::record(rest),
        "replay" => capsule::replayed(rest),
        "simulate" => simulate::run(rest),
        "status" => status::run(rest),
        "healthcheck" => status::healthcheck(rest),
        other => {
            complain(&format!("`{other}` is no command"));
            complain(HELP.trim_end());
            ExitCode::from(USAGE)
        }
    }
}

fn help() -> ExitCode {
    say(HELP.trim_end());
    ExitCode::SUCCESS
}

fn version() -> ExitCode {
    say(concat!("tieline ", env!("CARGO_PKG_VERSION")));
    ExitCode::SUCCESS
}

/// A line to standard output. A closed pipe has no reader to tell.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// A line to standard error.
fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The end of a command that was asked for wrongly.
fn usage(problem: &str) -> ExitCode {
    complain(problem);
    ExitCode::from(USAGE)
}

fn fail(problem: &str) -> ExitCode {
    complain(problem);
    ExitCode::FAILURE
}

/// What is left of the words when every flag has been taken: where the documents are.
fn take_paths(words: Vec<String>, command: &str) -> Result<Vec<String>, String> {
    if let Some(flag) = words.iter().find(|word| word.starts_with('-')) {
        return Err(format!("{command} knows no flag {flag}"));
    }
    if words.is_empty() {
        return Err(format!("{command} needs configuration files, or folders with them"));
    }
    Ok(words)
}

/// Takes `--name=value`, or `--name value`, out of `words`.
fn take_option(words: &mut Vec<String>, name: &str) -> Result<Option<String>, String> {
    let with_value = format!("{name}=");
    let found = words.iter().position(|word| word == name || word.starts_with(&with_value));
    let Some(at) = found else { return Ok(None) };
    let word = words.remove(at);
    match word.strip_prefix(&with_value) {
        Some(value) => Ok(Some(value.to_owned())),
        None if at < words.len() => Ok(Some(words.remove(at))),
        None => Err(format!("{name} needs a value")),
    }
}

/// Takes the switch `name` out of `words`.
fn take_switch(words: &mut Vec<String>, name: &str) -> bool {
    let before = words.len();
    words.retain(|word| word != name);
    words.len() < before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_taken_in_both_forms() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (line, value, rest) in [
            ("--url=http://a --json", Some("http://a"), "--json"),
            ("--json --url http://a", Some("http://a"), "--json"),
            ("--urls=x", None, "--urls=x"),
        ] {
            let mut line = words(line);
            let taken = take_option(&mut line, "--url").expect("it has a value");
            assert_eq!((taken.as_deref(), line), (value, words(rest)));
        }
        take_option(&mut words("--url"), "--url").expect_err("the value is missing");
    }
}
