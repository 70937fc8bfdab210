//! `tieline check`: every problem of configuration files, at once.

use super::settings::variables;
use super::{USAGE, complain, say, take_switch};
use engine::base::diag::Diagnostic;
use engine::config::{Environment, check_in, json};
use std::fs;
use std::process::ExitCode;

pub(super) fn run(arguments: &[String]) -> ExitCode {
    let mut words = arguments.to_vec();
    let as_json = take_switch(&mut words, "--json");
    if let Some(flag) = words.iter().find(|word| word.starts_with('-')) {
        complain(&format!("check knows no flag {flag}"));
        return ExitCode::from(USAGE);
    }
    if words.is_empty() {
        complain("check needs the names of configuration files");
        return ExitCode::from(USAGE);
    }
    let mut problems = Vec::new();
    let mut files = Vec::new();
    for path in words {
        match fs::read_to_string(&path) {
            Ok(text) => files.push((path, text)),
            Err(error) => {
                let problem = Diagnostic::error("unreadable", "", error.to_string());
                problems.push(problem.at(&path, 0, 0));
            }
        }
    }
    let borrowed: Vec<(&str, &str)> =
        files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    problems.extend(check_in(&borrowed, &Environment::new(&variables())));
    if as_json {
        say(&json(&problems));
    } else {
        problems.iter().for_each(|problem| say(&problem.to_string()));
    }
    if problems.iter().any(Diagnostic::is_error) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
