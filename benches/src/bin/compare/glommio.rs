//! The machines of the gateway on glommio, with the configuration that Tieline gets.

use benches::on_glommio;
use engine::config;
use std::fs;
use std::sync::mpsc;

/// Words: the static configuration.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let [path] = words else { return Err("glommio CONFIGURATION".to_owned()) };
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let (fixed, problems) = config::fixed_from_file(path, &text);
    if let Some(problem) = problems.iter().find(|problem| problem.is_error()) {
        return Err(problem.to_string());
    }
    // It serves until its process is ended.
    let (_stop, stopping) = mpsc::channel();
    on_glommio::serve(fixed, stopping).map_err(|error| error.to_string())
}
