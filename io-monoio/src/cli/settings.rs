//! The static configuration of this invocation.

use super::complain;
use engine::config::fixed::Fixed;
use engine::config::{file_flag, fixed, search_paths};
use std::env;
use std::fs;

/// Reads it from a file, else from flags, else from the environment, and prints every problem.
/// Nothing comes back if one of them is an error.
pub(super) fn read(arguments: &[String]) -> Option<Fixed> {
    let file = match file_flag(arguments) {
        Some(path) => Some(path),
        None => found_file(),
    };
    let text = match &file {
        Some(path) => match fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(error) => {
                complain(&format!("{path}: {error}"));
                return None;
            }
        },
        None => None,
    };
    let variables = variables();
    let document = file.as_deref().zip(text.as_deref());
    let (fixed, problems) = fixed(document, arguments, &variables);
    for problem in &problems {
        complain(&problem.to_string());
    }
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    if errors > 0 {
        let errors = if errors == 1 { "1 error".into() } else { format!("{errors} errors") };
        complain(&format!("{errors} in the static configuration: not started"));
        return None;
    }
    Some(fixed)
}

/// What the environment says, as far as it is text.
pub(super) fn variables() -> Vec<(String, String)> {
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn found_file() -> Option<String> {
    let folder = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let (xdg, home) = (folder("XDG_CONFIG_HOME"), folder("HOME"));
    let places = search_paths(xdg.as_deref(), home.as_deref());
    places.into_iter().find(|path| fs::metadata(path).is_ok_and(|found| found.is_file()))
}
