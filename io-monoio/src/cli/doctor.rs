//! `tieline doctor`: what a bug report needs: how this machine is, what is configured and what was
//! decided lately, without secrets.

use super::status::API;
use super::{capsule, complain, fail, say, take_option, usage};
use engine::base::prng::Prng;
use engine::base::sip::SipKey;
use engine::config::fixed::{Fixed, Provider};
use engine::config::{Part, Setting, check, fixed_from_file, part, redact};
use engine::worker::capsule::{Capsule, Header, Moment, VERSION, read, text};
use io_monoio::runtime::{self, Runtime};
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::process::ExitCode;

pub(super) fn run(arguments: &[String]) -> ExitCode {
    let mut words = arguments.to_vec();
    let options = take_option(&mut words, "--capsule")
        .and_then(|path| Ok((path, take_option(&mut words, "--url")?)));
    let (path, url) = match options {
        Ok((path, url)) => (path, url.unwrap_or_else(|| API.to_owned())),
        Err(problem) => return usage(&problem),
    };
    if let Some(flag) = words.iter().find(|word| word.starts_with('-')) {
        return usage(&format!("doctor knows no flag {flag}"));
    }
    let mut wrong = false;
    let environment = environment(&mut wrong);
    environment.iter().for_each(|line| say(line));
    let mut files = Vec::new();
    for path in words {
        match fs::read_to_string(&path) {
            Ok(text) => files.push((path, text)),
            Err(error) => return fail(&format!("{path}: {error}")),
        }
    }
    let borrowed: Vec<(&str, &str)> = files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let problems = check(&borrowed);
    problems.iter().for_each(|problem| say(&problem.to_string()));
    wrong |= problems.iter().any(engine::base::diag::Diagnostic::is_error);
    if let Some(path) = path {
        let found = match capsule::taken(&url) {
            Ok(text) => read(&text).map_err(|broken| format!("{url}: {broken}")),
            Err(why) if files.is_empty() => Err(why),
            Err(why) => {
                complain(&format!("{why}: the capsule has the configuration of the files alone"));
                Ok(of_files(&files))
            }
        };
        let mut capsule = match found {
            Ok(capsule) => capsule,
            Err(why) => return fail(&why),
        };
        capsule.header.environment = environment;
        if let Err(error) = fs::write(&path, text(&capsule)) {
            return fail(&format!("{path}: {error}"));
        }
        say(&format!(
            "{path}: {} records, {} views, written without secrets: look it through before you \
             pass it on",
            capsule.records.len(),
            capsule.moments.len()
        ));
    }
    if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What of this machine may be the matter.
fn environment(wrong: &mut bool) -> Vec<String> {
    let mut lines = vec![format!("tieline: {}", env!("CARGO_PKG_VERSION"))];
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    lines.push(format!("kernel: {}", kernel.trim()));
    lines.push(format!("architecture: {}", std::env::consts::ARCH));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    lines.push(format!("cores: {cores}"));
    lines.push(format!("open files: {}", runtime::open_files()));
    lines.push(format!("locked memory: {}", runtime::locked_memory()));
    lines.push(match runtime::try_out(Runtime::Uring) {
        Ok(()) => "io_uring: works".to_owned(),
        Err(why) => {
            *wrong = true;
            format!("io_uring: {why}")
        }
    });
    lines
}

/// A capsule of an instance that does not run.
fn of_files(files: &[(String, String)]) -> Capsule {
    let random = std::hash::RandomState::new().build_hasher().finish();
    let key = SipKey::new(&mut Prng::new(random));
    let fixed = files.iter().find(|(path, text)| part(path, text) != Part::Dynamic);
    let fixed = fixed.map_or_else(Fixed::default, |(path, text)| fixed_from_file(path, text).0);
    let setting = Setting::of(&fixed, Provider::File);
    let documents = files.iter().filter(|(path, text)| part(path, text) == Part::Dynamic);
    let documents = documents
        .filter_map(|(path, text)| Some((path.clone(), redact::text(path, text, key, &setting)?)));
    let moment = Moment {
        epoch: 0,
        at: 0,
        documents: Some(documents.collect()),
        too_large: false,
        adverts: Vec::new(),
        freshness: Vec::new(),
        servers: Vec::new(),
    };
    let header = Header {
        capsule: VERSION,
        tieline: env!("CARGO_PKG_VERSION").to_owned(),
        instance: fixed.tieline.instance.clone(),
        workers: 0,
        started: 0,
        at: 0,
        before: 0,
        environment: Vec::new(),
        fixed: fixed.written.0.to_string(),
    };
    Capsule { header, moments: vec![moment], records: Vec::new() }
}
