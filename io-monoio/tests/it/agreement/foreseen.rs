//! What `tieline simulate` says will happen.

use super::cases::{Case, FROM, Folder, LENGTH, RATE, Sign, UNTIL};
use super::outcome::{Outcome, Slot};
use serde_json::Value;
use std::process::Command;

/// When a check comes is chance: these many runs say what is usual.
const SEEDS: u64 = 7;

/// All runs of a case.
pub(super) fn run(case: &Case, folder: &Folder) -> Vec<Outcome> {
    (1..=SEEDS).map(|seed| one(case, folder, seed)).collect()
}

fn one(case: &Case, folder: &Folder, seed: u64) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_tieline"))
        .current_dir(&folder.path)
        .arg("simulate")
        .args(folder.documents())
        .args(["--scenario", "scenario.txt", "--json"])
        .args(["--for", &format!("{LENGTH}s"), "--rps", &RATE.to_string()])
        .args(["--seed", &seed.to_string()])
        .output()
        .expect("the program starts");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaint}", case.name);
    let told: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(told["settled"], true, "{}", case.name);
    let slots = told["intervals"].as_array().expect("a list").iter().map(slot).collect();
    let noticed = (case.sign == Sign::Phase).then(|| phases(&told));
    Outcome { slots, noticed }
}

fn slot(told: &Value) -> Slot {
    let served = |child: &str| told["served"][child].as_u64().unwrap_or(0);
    Slot {
        requests: told["requests"].as_u64().expect("a count"),
        served: [served("eu"), served("us")],
        median_millis: told["p50Micros"].as_u64().map(|micros| micros / 1_000),
    }
}

/// From the change, and from its end, to when the parent said so.
fn phases(told: &Value) -> [u64; 2] {
    let at = |what: &str, from: u64| {
        let timeline = told["timeline"].as_array().expect("a list");
        let moment = timeline.iter().find(|moment| {
            moment["what"].as_str().is_some_and(|text| text.starts_with(what))
                && moment["place"] == "parent"
        });
        let millis = moment.and_then(|moment| moment["millis"].as_u64());
        millis.unwrap_or_else(|| panic!("{what} is not among {timeline:?}")) - from * 1_000
    };
    [at("child eu: fresh -> stale", FROM), at("child eu: stale -> fresh", UNTIL)]
}
