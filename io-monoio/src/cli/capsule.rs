//! `tieline record` and `tieline replay`: what an instance decided lately, as a file, and decided
//! again.

use super::replayed::{as_json, text};
use super::status::API;
use super::{complain, fail, fetch, say, take_option, take_switch, usage};
use engine::config::{Part, part};
use engine::worker::capsule::{Capsule, read};
use engine::worker::replay::{Change, Stage, replay};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Longer files are no capsules: one tells a few megabytes of requests and configuration.
const BYTES_MAX: u64 = 256 << 20;

/// Writes what a running instance recorded into a file.
pub(super) fn record(arguments: &[String]) -> ExitCode {
    let mut words = arguments.to_vec();
    let url = match take_option(&mut words, "--url") {
        Ok(url) => url.unwrap_or_else(|| API.to_owned()),
        Err(problem) => return usage(&problem),
    };
    let [path] = words.as_slice() else {
        return usage("record needs the name of the file to write");
    };
    if path.starts_with('-') {
        return usage(&format!("record knows no flag {path}"));
    }
    let text = match taken(&url) {
        Ok(text) => text,
        Err(problem) => return fail(&problem),
    };
    match read(&text) {
        Ok(capsule) => match fs::write(path, &text) {
            Ok(()) => say(&format!("{path}: {}", about(&capsule))),
            Err(error) => return fail(&format!("{path}: {error}")),
        },
        Err(broken) => return fail(&format!("{url} answers what is no capsule: {broken}")),
    }
    ExitCode::SUCCESS
}

/// The capsule of a running instance.
pub(super) fn taken(url: &str) -> Result<String, String> {
    match fetch::get(url, "/api/tieline/capsule")? {
        (200, text) => Ok(text),
        (404, _) => Err(format!("{url} offers no API: set `api.insecure: true`")),
        (409, _) => Err(format!("{url} records nothing: set `tieline.recording: true`")),
        (status, _) => Err(format!("{url} answers {status}")),
    }
}

fn about(capsule: &Capsule) -> String {
    let (requests, headless) = engine::worker::replay::requests(capsule);
    let before = match capsule.header.before {
        0 => String::new(),
        before => format!(", {before} records before them"),
    };
    let ends = match headless {
        0 => String::new(),
        ends => format!(", and the ends of {ends}"),
    };
    let views = capsule.moments.len();
    format!("{} requests{ends}, {views} views{before}", requests.len())
}

struct Wish {
    capsule: String,
    with: Option<String>,
    json: bool,
}

pub(super) fn replayed(arguments: &[String]) -> ExitCode {
    let wish = match read_wish(arguments) {
        Ok(wish) => wish,
        Err(problem) => return usage(&problem),
    };
    let capsule = match load(&wish.capsule) {
        Ok(capsule) => capsule,
        Err(problem) => return fail(&problem),
    };
    let change = match wish.with.as_deref().map(change).transpose() {
        Ok(change) => change,
        Err(problem) => return fail(&problem),
    };
    let same = change.is_none();
    let stage = match Stage::new(&capsule, change.unwrap_or_default()) {
        Ok(stage) => stage,
        Err(problem) => return fail(&format!("{}: {problem}", wish.capsule)),
    };
    stage.problems.iter().for_each(|problem| complain(&problem.to_string()));
    if !stage.problems.is_empty() && !same {
        return ExitCode::FAILURE;
    }
    let told = match replay(&capsule, &stage, same) {
        Ok(told) => told,
        Err(problem) => return fail(&format!("{}: {problem}", wish.capsule)),
    };
    match wish.json {
        true => say(&as_json(&told, &stage, same).to_string()),
        false => say(text(&told, &stage, same).trim_end()),
    }
    match same && !told.different.is_empty() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

fn read_wish(arguments: &[String]) -> Result<Wish, String> {
    let mut words = arguments.to_vec();
    let json = take_switch(&mut words, "--json");
    let with = take_option(&mut words, "--with")?;
    if let Some(flag) = words.iter().find(|word| word.starts_with('-')) {
        return Err(format!("replay knows no flag {flag}"));
    }
    let [capsule] = <[String; 1]>::try_from(words)
        .map_err(|_| "replay needs one capsule, as `tieline record` writes it".to_owned())?;
    Ok(Wish { capsule, with, json })
}

/// A capsule from its file, or what is wrong with it and where.
pub(super) fn load(path: &str) -> Result<Capsule, String> {
    let about = |error: std::io::Error| format!("{path}: {error}");
    if fs::metadata(path).map_err(about)?.len() > BYTES_MAX {
        return Err(format!("{path}: larger than {} MiB: this is no capsule", BYTES_MAX >> 20));
    }
    let bytes = fs::read(path).map_err(about)?;
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
            return Err(format!("{path}: line {line}: this is not text"));
        }
    };
    read(&text).map_err(|broken| format!("{path}: {broken}"))
}

/// The other configuration: a static document, dynamic ones, or a folder with both.
fn change(path: &str) -> Result<Change, String> {
    let mut files = Vec::new();
    gather(Path::new(path), true, &mut files).map_err(|error| format!("{path}: {error}"))?;
    let mut change = Change::default();
    for file in files {
        let shown = file.display().to_string();
        let text = fs::read_to_string(&file).map_err(|error| format!("{shown}: {error}"))?;
        if part(&shown, &text) == Part::Dynamic {
            change.documents.get_or_insert_default().push((shown, text));
            continue;
        }
        if let Some((other, _)) = change.fixed.replace((shown.clone(), text)) {
            return Err(format!("{other} and {shown} are both static: replay takes one process"));
        }
    }
    match change {
        Change { fixed: None, documents: None } => Err(format!("{path}: no configuration there")),
        change => Ok(change),
    }
}

fn gather(path: &Path, named: bool, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if path.is_dir() {
        let mut inside: Vec<PathBuf> =
            fs::read_dir(path)?.flatten().map(|entry| entry.path()).collect();
        inside.sort();
        return inside.iter().try_for_each(|path| gather(path, false, files));
    }
    let ends = ["yml", "yaml", "toml"];
    if named || ends.iter().any(|end| path.extension().is_some_and(|it| it == *end)) {
        files.push(path.to_owned());
    }
    Ok(())
}
