//! `tieline check`: every problem of configuration files, at once.

use super::settings::variables;
use super::{USAGE, complain, say, take_switch};
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
    let mut unreadable = false;
    let mut files = Vec::new();
    for path in words {
        match fs::read_to_string(&path) {
            Ok(text) => files.push((path, text)),
            Err(error) => {
                complain(&format!("{path}: {error}"));
                unreadable = true;
            }
        }
    }
    let borrowed: Vec<(&str, &str)> =
        files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let problems = check_in(&borrowed, &Environment::new(&variables()));
    if as_json {
        say(&json(&problems));
    } else {
        problems.iter().for_each(|problem| say(&problem.to_string()));
    }
    let wrong = unreadable || problems.iter().any(engine::base::diag::Diagnostic::is_error);
    if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
