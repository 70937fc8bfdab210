//! Every folder of `examples/real/`: its documents have no problem, and each request of its README
//! goes where the README says, by the engine's own choices.

use engine::config::{MIDDLEWARES, SERVICES};
use engine::view::stats::Stats;
use engine::view::{Internal, View};
use engine::worker::explain::Ask;
use engine::worker::internal::{self, Sight};
use serde_json::Value;
use sim::foresight::documents::{self, Documents};
use sim::foresight::explain::{Settled, Stop};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const REAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/real");

/// Another word for a kind.
const ALIASES: [&str; 1] = ["ipWhiteList"];

fn folders() -> Vec<PathBuf> {
    let inside = fs::read_dir(REAL).expect("there are examples");
    let mut all: Vec<PathBuf> = inside.map(|entry| entry.expect("it is readable").path()).collect();
    all.retain(|path| path.is_dir());
    all.sort();
    all
}

fn name(folder: &Path) -> String {
    folder.file_name().expect("a folder has a name").to_string_lossy().into_owned()
}

fn read(folder: &Path) -> Documents {
    let path = folder.to_string_lossy().into_owned();
    documents::read(&[path]).unwrap_or_else(|wrong| panic!("{}", wrong.join("\n")))
}

/// A request of a README and where it goes: a line for each process that it comes to.
#[derive(Debug)]
struct Row {
    ask: Ask,
    text: String,
    goes: Vec<String>,
}

/// The block of requests: a line begins one, and what is indented below belongs to it.
fn rows(readme: &str) -> Vec<Row> {
    let block = readme.split("```requests\n").nth(1).expect("a README lists requests");
    let block = block.split("```").next().expect("a block ends");
    let mut rows: Vec<Row> = Vec::new();
    for line in block.lines() {
        let Some(more) = line.strip_prefix("  ") else {
            let ask = Ask::read(line).unwrap_or_else(|wrong| panic!("{line}: {wrong}"));
            rows.push(Row { ask, text: line.to_owned(), goes: Vec::new() });
            continue;
        };
        let row = rows.last_mut().expect("a request stands first");
        if let Some(field) = more.strip_prefix("with ") {
            row.ask.add_field(field).expect("a field");
        } else if let Some(address) = more.strip_prefix("from ") {
            row.ask.from = address.parse().expect("an address");
        } else {
            row.goes.push(more.to_owned());
        }
    }
    rows
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Router, middlewares, service, what stands before services below it, the one that serves, and
/// what its server is asked for.
fn way(stop: &Stop) -> String {
    let told = &stop.told;
    let answer = &told["answer"];
    let mut words = Vec::new();
    words.extend(told["router"].as_str().map(str::to_owned));
    let steps = told["middlewares"].as_array().into_iter().flatten();
    words.extend(steps.map(|step| text(&step["kind"]).to_owned()));
    if let Some(status) = answer["status"].as_u64() {
        let location = answer["location"].as_str().map(|to| format!(" {to}"));
        words.push(format!("{status}{}", location.unwrap_or_default()));
        return words.join(" > ");
    }
    let (root, leaf) = (text(&told["services"]["service"]), text(&answer["service"]));
    if leaf != root {
        words.push(root.to_owned());
    }
    let guards = told["middlewaresOfServices"].as_array().into_iter().flatten();
    let steps = guards.filter_map(|guard| guard["middlewares"].as_array()).flatten();
    words.extend(steps.map(|step| text(&step["kind"]).to_owned()));
    words.push(leaf.to_owned());
    if answer["internal"].is_null() {
        let url = text(&answer["url"]);
        let path_at =
            url.find("://").and_then(|at| url[at + 3..].find('/').map(|end| at + 3 + end));
        words.push(format!("{}{}", &url[..path_at.unwrap_or(url.len())], text(&answer["path"])));
    }
    words.join(" > ")
}

/// Whether a text is as expected, where `*` is anything.
fn fits(found: &str, expected: &str) -> bool {
    let mut parts = expected.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = found.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    rest.is_empty() || last == Some("")
}

#[test]
fn a_star_is_anything() {
    for (found, expected, is) in [
        ("abc", "abc", true),
        ("abc", "ab", false),
        ("abc", "a*c", true),
        ("abc", "a*", true),
        ("abcd", "a*c", false),
        ("ac", "a*b*c", false),
        ("axbyc", "a*b*c", true),
    ] {
        assert_eq!(fits(found, expected), is, "{found} by {expected}");
    }
}

#[test]
fn requests_go_where_the_readme_says() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for folder in folders() {
        let documents = read(&folder);
        let settled = Settled::new(&documents);
        let readme = fs::read_to_string(folder.join("README.md")).expect("a folder has a README");
        let rows = rows(&readme);
        assert!(!rows.is_empty(), "{}", folder.display());
        for row in rows {
            count += 1;
            let found = match settled.stops(&row.ask) {
                Ok(stops) => stops.iter().map(way).collect(),
                Err(why) => vec![why],
            };
            let same = found.len() == row.goes.len()
                && found.iter().zip(&row.goes).all(|(found, goes)| fits(found, goes));
            if !same {
                let (found, goes) = (found.join("\n    "), row.goes.join("\n    "));
                let name = name(&folder);
                wrong.push(format!("{name}: {}\n    {found}\n  and not\n    {goes}", row.text));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(folders().len() >= 30 && count >= 100, "{count} requests");
}

/// As somebody would on the command line, process by process.
#[test]
fn documents_have_no_problem() {
    let mut wrong = Vec::new();
    for folder in folders() {
        for process in read(&folder).processes {
            let files = process.dynamic.iter().map(|document| document.path.clone());
            let mut command = Command::new(env!("CARGO_BIN_EXE_tieline"));
            command.arg("check").arg(&process.file).args(files);
            let output = command.output().expect("the program starts");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            if !output.status.success() || !said.is_empty() || !complaint.is_empty() {
                wrong.push(format!("{}: {said}{complaint}", name(&folder)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What `/api/rawdata` says.
fn raw(view: &View, now: engine::base::time::Time) -> Value {
    let stats = Stats::new(1, 0, engine::base::time::Wall(0));
    let ask = internal::Ask { method: b"GET", path: b"/api/rawdata", query: b"" };
    let sight = Sight { view, stats: &stats, now, draining: false };
    let answer = internal::answer(Internal::Api, &ask, &sight);
    serde_json::from_slice(&answer.body).expect("it is JSON")
}

#[test]
fn every_kind_of_middleware_and_service_is_used_somewhere() {
    let mut used: BTreeSet<String> = BTreeSet::new();
    let mut idle = Vec::new();
    for folder in folders() {
        let documents = read(&folder);
        let settled = Settled::new(&documents);
        for process in 0..documents.processes.len() {
            let (view, now) = settled.view(process).expect("it has begun");
            let raw = raw(view, now);
            for part in ["middlewares", "services", "routers"] {
                for (name, object) in raw[part].as_object().expect("an object") {
                    if object["status"] != "enabled" {
                        idle.push(format!("{}: {name} is {object}", folder.display()));
                    }
                    used.extend(
                        object.as_object().into_iter().flatten().map(|(key, _)| key.clone()),
                    );
                }
            }
            let middlewares = raw["middlewares"].as_object().expect("an object");
            for (name, _) in
                middlewares.iter().filter(|(_, it)| it["usedBy"] == Value::Array(vec![]))
            {
                idle.push(format!("{}: nobody uses {name}", folder.display()));
            }
        }
    }
    assert!(idle.is_empty(), "{}", idle.join("\n"));
    let kinds = MIDDLEWARES.iter().chain(&SERVICES).filter(|kind| !ALIASES.contains(kind));
    let unused: Vec<&str> = kinds.copied().filter(|kind| !used.contains(*kind)).collect();
    assert!(unused.is_empty(), "no example has {unused:?}");
}
