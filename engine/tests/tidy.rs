//! What lints cannot see, in one pass over the tree: layers, lengths, doc lines, words, files that
//! nothing reaches, marks that nothing hits, limits that nothing reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Folders of the engine from the ground up, and what each may use besides itself.
const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("http", &["base"]),
    ("h1", &["base", "http"]),
    ("rule", &["base", "http"]),
    ("config", &["base", "http", "rule"]),
    ("service", &["base", "http", "config", "rule"]),
    ("tls", &["base", "config"]),
    ("uplink", &["base", "config"]),
    ("view", &["base", "http", "config", "rule", "service", "tls", "uplink"]),
    ("boundary", &["base", "tls", "view"]),
    ("conformance", &["base", "boundary"]),
    ("net", &["base", "http", "h1", "tls", "boundary"]),
    ("h2", &["base", "http", "net"]),
    (
        "worker",
        &[
            "base", "http", "h1", "h2", "rule", "config", "service", "tls", "uplink", "view",
            "boundary", "net",
        ],
    ),
    (
        "control",
        &[
            "base", "http", "h1", "h2", "config", "service", "tls", "uplink", "view", "boundary",
            "net",
        ],
    ),
];

const LINE_MAX: usize = 100;
/// A text in quotes, or one that a test expects, is worse to read in pieces.
const LINE_OF_TEXT_MAX: usize = 130;
const FILE_LINES_MAX: usize = 800;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 8] =
    ["utils", "util", "common", "helpers", "types", "manager", "misc", "stuff"];

/// Words of unfinished or self-praising text. Spelled in two halves, so that this file may name
/// them.
const WORDS: [[&str; 2]; 8] = [
    ["TO", "DO"],
    ["FIX", "ME"],
    ["XX", "X"],
    ["HA", "CK"],
    ["for n", "ow,"],
    ["NO", "TE:"],
    ["blazing", "ly"],
    ["place", "holder"],
];

struct Source {
    /// From the root of the repository.
    path: PathBuf,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("engine is in the root").to_owned()
}

/// Every Rust file of the repository, in order of path.
fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for folder in ["engine", "io-monoio", "sim", "benches", "fuzz"] {
        walk(&root().join(folder), &mut found);
    }
    found.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a source file is readable");
        Source { path: path.strip_prefix(root()).expect("below the root").to_owned(), text }
    };
    found.into_iter().map(read).collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a folder is readable").path();
        if path.is_dir() && !path.ends_with("target") {
            walk(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

#[track_caller]
fn nothing(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} findings:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn lines_and_files_are_short_and_files_say_what_they_are() {
    let mut wrong = Vec::new();
    for Source { path, text } in sources() {
        let in_test = path.iter().any(|name| name == "tests" || name == "tests.rs");
        let path = path.display();
        if text.lines().count() > FILE_LINES_MAX {
            wrong.push(format!("{path}: longer than {FILE_LINES_MAX} lines"));
        }
        let first = text.lines().find(|line| !line.starts_with("#![") && !line.is_empty());
        if !first.is_some_and(|line| line.starts_with("//! ")) {
            wrong.push(format!("{path}:1: does not begin with a doc line"));
        }
        for (at, line) in text.lines().enumerate() {
            let is_text = in_test || line.contains('"');
            let columns_max = if is_text { LINE_OF_TEXT_MAX } else { LINE_MAX };
            if line.chars().count() > columns_max {
                wrong.push(format!("{path}:{}: longer than {columns_max} columns", at + 1));
            }
        }
    }
    nothing(&wrong);
}

#[test]
fn names_and_words_say_something() {
    let mut wrong = Vec::new();
    for Source { path, text } in sources() {
        let empty = |name: &std::ffi::OsStr| EMPTY_NAMES.iter().any(|empty| name == *empty);
        let stem = path.file_stem();
        if stem.is_some_and(empty) || path.iter().any(empty) {
            wrong.push(format!("{}: the name says nothing", path.display()));
        }
        for (at, line) in text.lines().enumerate() {
            for [first, second] in WORDS {
                if line.contains(&format!("{first}{second}")) {
                    let word = format!("{first}{second}");
                    wrong.push(format!("{}:{}: {word}", path.display(), at + 1));
                }
            }
        }
    }
    nothing(&wrong);
}

/// The folder or file of the engine that a path names: `engine/src/worker/log/json.rs` is in
/// `worker`.
fn layer(path: &Path) -> Option<String> {
    let inside = path.strip_prefix("engine/src").ok()?;
    let first = inside.iter().next()?.to_str()?;
    Some(first.trim_end_matches(".rs").to_owned())
}

/// Names after `crate::`, groups included.
fn uses(text: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let names = match rest.strip_prefix('{') {
            Some(group) => group.split('}').next().unwrap_or_default(),
            None => rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(""),
        };
        for name in names.split(',') {
            found.insert(name.trim().split("::").next().unwrap_or_default());
        }
    }
    found.remove("");
    found
}

#[test]
fn layers_use_only_what_is_below_them() {
    let layers: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    let mut wrong = Vec::new();
    for Source { path, text } in sources() {
        let Some(layer) = layer(&path).filter(|layer| layer != "lib") else { continue };
        let Some(below) = layers.get(&*layer) else {
            wrong.push(format!("{}: {layer} has no place among the layers", path.display()));
            continue;
        };
        for used in uses(&text) {
            if used != layer && !below.contains(&used) {
                wrong.push(format!("{}: {layer} must not use {used}", path.display()));
            }
        }
    }
    nothing(&wrong);
}

/// Where `mod name;` in `file` points to: two candidates.
fn targets(file: &Path, name: &str) -> [PathBuf; 2] {
    let folder = file.parent().expect("a file is in a folder");
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let in_tests = folder.ends_with("tests") || folder.ends_with("fuzz_targets");
    let root = matches!(stem, "lib" | "main" | "mod") || in_tests || folder.ends_with("bin");
    let folder = if root { folder.to_owned() } else { folder.join(stem) };
    [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")]
}

/// Whether cargo finds this file by itself.
fn is_root(path: &Path) -> bool {
    let folder = path.parent().expect("a file is in a folder");
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let crate_root = folder.ends_with("src") && matches!(name, "lib.rs" | "main.rs");
    let grand = folder.parent();
    let grand = grand.is_some_and(|grand| grand.ends_with("tests") || grand.ends_with("src/bin"));
    crate_root
        || name == "build.rs"
        || (grand && name == "main.rs")
        || folder.components().count() == 2
            && ["tests", "benches", "examples", "fuzz_targets"].iter().any(|f| folder.ends_with(f))
        || folder.ends_with("src/bin")
        || folder == Path::new("benches/benches")
}

#[test]
fn every_file_is_reached() {
    let all = sources();
    let mut reached: BTreeSet<PathBuf> =
        all.iter().map(|source| source.path.clone()).filter(|path| is_root(path)).collect();
    for Source { path, text } in &all {
        for line in text.lines() {
            let line = line.trim_start();
            let line = line.strip_prefix("pub ").unwrap_or(line);
            let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
            let line = line.strip_prefix("pub(super) ").unwrap_or(line);
            if let Some(name) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
                reached.extend(targets(path, name));
            }
        }
    }
    let dead = all.iter().filter(|source| !reached.contains(&source.path));
    nothing(&dead.map(|source| source.path.display().to_string()).collect::<Vec<_>>());
}

fn is_document(path: &Path) -> bool {
    path.extension().is_some_and(|end| ["toml", "yaml", "yml"].iter().any(|it| end == *it))
}

#[test]
fn documents_of_the_examples_have_no_problem() {
    let mut wrong = Vec::new();
    let folders = fs::read_dir(root().join("examples")).expect("there are examples");
    let folders = folders.map(|entry| entry.expect("a folder is readable").path());
    let documents = folders.filter(|path| path.is_dir()).flat_map(|folder| {
        let files = fs::read_dir(folder).expect("an example is readable");
        files.map(|entry| entry.expect("a file is readable").path())
    });
    let mut count = 0;
    for path in documents.filter(|path| is_document(path)) {
        let name = path.to_string_lossy();
        let text = fs::read_to_string(&path).expect("a document is readable");
        let found = if name.contains("-dynamic.") {
            engine::config::dynamic(&[(&*name, &*text)]).diagnostics
        } else {
            engine::config::fixed_from_file(&name, &text).1
        };
        count += 1;
        wrong.extend(found.iter().map(ToString::to_string));
    }
    assert!(count >= 48, "eight folders of six documents");
    nothing(&wrong);
}
/// The engine's own code outside `except`.
fn engine_outside(except: &str) -> String {
    let kept =
        |source: &&Source| source.path.starts_with("engine/src") && !source.path.ends_with(except);
    sources().iter().filter(kept).map(|source| source.text.as_str()).collect()
}

#[test]
fn every_mark_is_hit_somewhere() {
    let text = engine_outside("base/mark.rs");
    let dead = engine::base::mark::Mark::ALL.iter().filter(|mark| {
        let name = format!("Mark::{}", mark.name());
        !text.match_indices(&name).any(|(at, _)| {
            text[at + name.len()..].chars().next().is_some_and(|c| !c.is_alphanumeric())
        })
    });
    nothing(&dead.map(|mark| mark.name().to_owned()).collect::<Vec<_>>());
}

#[test]
fn every_limit_is_read_somewhere() {
    let limits = root().join("engine/src/base/limits.rs");
    let limits = fs::read_to_string(limits).expect("limits are readable");
    let names = limits.lines().filter_map(|line| {
        let line = line.trim().strip_prefix("pub ")?.strip_suffix(',')?;
        line.split_once(": ").map(|(name, _)| name)
    });
    let text = engine_outside("base/limits.rs");
    let unread = |name: &&str| {
        let read = format!(".{name}");
        !text.match_indices(&read).any(|(at, _)| {
            let next = text[at + read.len()..].chars().next();
            next.is_some_and(|c| !c.is_alphanumeric() && c != '_')
        })
    };
    let unread: Vec<String> = names.filter(unread).map(str::to_owned).collect();
    nothing(&unread);
}
