//! `tieline schema`: what an editor needs to complete and check documents.

use super::{USAGE, complain, say};
use engine::config;
use std::process::ExitCode;

pub(super) fn run(words: &[String]) -> ExitCode {
    let schema = match words {
        [kind] if kind == "static" => config::static_schema(),
        [kind] if kind == "dynamic" => config::dynamic_schema(),
        _ => {
            complain("tieline schema static, or tieline schema dynamic");
            return ExitCode::from(USAGE);
        }
    };
    say(&schema);
    ExitCode::SUCCESS
}
