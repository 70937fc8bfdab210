//! What real processes recorded, replayed: a child dies under requests, and every decision comes out
//! alike from the capsule alone.

use super::stage::Stage;
use engine::view::status::Health;
use engine::worker::capsule::{read, text};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// In every secret that clients send here.
const HUSH: &str = "hush-4711";

fn tieline(stage: &Stage, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tieline"));
    command.current_dir(stage.folder()).args(arguments).output().expect("the program starts")
}

#[track_caller]
fn said(stage: &Stage, arguments: &[&str]) -> String {
    let output = tieline(stage, arguments);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    let told = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success() && complaint.is_empty(), "{arguments:?}: {complaint}{told}");
    told
}

fn json(stage: &Stage, arguments: &[&str]) -> Value {
    serde_json::from_str(&said(stage, arguments)).expect("JSON")
}

/// Requests before, while and after child 1 is gone, with secrets in them.
fn live(stage: &mut Stage) {
    let secrets = [
        format!("Authorization: Bearer {HUSH}"),
        format!("Cookie: session={HUSH}"),
        format!("X-Api-Key: {HUSH}"),
    ];
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    let path = format!("/cart?token={HUSH}&page=2");
    stage.until("child 1 serves", |stage| stage.served(5, "/", &[]) == (5, 0));
    assert_eq!(stage.served(10, &path, &secrets), (10, 0));
    stage.stop("child-1");
    stage.until("child 2 takes over", |stage| stage.served(5, "/cart", &[]) == (0, 5));
    assert_eq!(stage.served(10, &path, &secrets), (0, 10));
}

#[test]
fn what_a_parent_recorded_is_decided_again_alike() {
    let mut stage = Stage::set("failover", 4, "toml");
    live(&mut stage);
    let url = format!("--url=http://127.0.0.1:{}", stage.api_port());
    let told = said(&stage, &["record", "incident.capsule", &url]);
    assert!(told.starts_with("incident.capsule: "), "{told}");
    let path = stage.folder().join("incident.capsule");
    let capsule = fs::read_to_string(&path).expect("it was written");
    assert!(!capsule.contains(HUSH), "a secret is in the capsule");
    let told = json(&stage, &["replay", "incident.capsule", "--json"]);
    let count = |told: &Value, what: &str| told[what].as_u64().expect("a count");
    assert_eq!(told["different"], serde_json::json!([]), "{told:#}");
    assert!(count(&told, "identical") >= 30, "{told:#}");
    assert_eq!(count(&told, "unknowable"), 0, "{told:#}");
    let to = |port| format!("\"to\":{{\"server\":\"http://127.0.0.1:{port}\"}}");
    let both = [18411, 18412].map(|port| capsule.contains(&to(port)));
    assert_eq!(both, [true, true], "requests went to both children");
    another_past_is_seen(&stage, &capsule);
    what_another_configuration_decides(&stage);
    damage_is_told(&stage, &capsule);
    a_diff_is_weighed(&stage, count(&told, "requests"));
    doctor_writes_one_too(&stage, &url);
    if std::env::var_os("REGENERATE").is_some() {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/failover");
        fs::write(kept.join("incident.capsule"), capsule).expect("the tree is writable");
    }
}

/// A capsule that says, well sealed, that nobody was ever down.
fn another_past_is_seen(stage: &Stage, capsule: &str) {
    let mut told = read(capsule).expect("a capsule");
    let servers = told.moments.iter_mut().flat_map(|moment| &mut moment.servers);
    servers.for_each(|server| server.health = Health::Up);
    fs::write(stage.folder().join("other.capsule"), text(&told)).expect("the folder is writable");
    let output = tieline(stage, &["replay", "other.capsule"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("The first that differs, in its server:"), "{told}");
}

fn what_another_configuration_decides(stage: &Stage) {
    let old = fs::read_to_string(stage.folder().join("parent-dynamic.toml")).expect("a document");
    let new = old.replace("cluster-1@", "cluster-x@").replace("cluster-2@", "cluster-1@");
    fs::write(stage.folder().join("new.toml"), new.replace("cluster-x@", "cluster-2@"))
        .expect("the folder is writable");
    let told = json(stage, &["replay", "incident.capsule", "--with=new.toml", "--json"]);
    let different = told["different"].as_array().expect("a list");
    // While both were up, all would have gone to child 2; afterwards they did.
    assert!(different.len() >= 10 && told["identical"].as_u64() >= Some(10), "{told:#}");
    for difference in different {
        assert_eq!(difference["replayed"]["whom"], "cluster-2 (http://127.0.0.1:18412)");
    }
    let text = said(stage, &["replay", "incident.capsule", "--with=new.toml"]);
    let from = "cluster-1 (http://127.0.0.1:18411) -> cluster-2 (http://127.0.0.1:18412)\n";
    assert!(text.contains(from), "{text}");
}

#[track_caller]
fn refused(stage: &Stage, text: &str, expected: &str) {
    fs::write(stage.folder().join("broken.capsule"), text).expect("the folder is writable");
    let output = tieline(stage, &["replay", "broken.capsule"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(told, format!("broken.capsule: {expected}\n"));
}

fn damage_is_told(stage: &Stage, capsule: &str) {
    let lines = capsule.lines().count();
    let at = 1 + capsule.lines().position(|line| line.contains("\"down\"")).expect("a death");
    let changed = "the checksum is not that of this line behind the one before: it was changed";
    refused(stage, &capsule.replace("\"down\"", "\"up\""), &format!("line {at}: {changed}"));
    let cut = capsule.trim_end().rsplit_once('\n').expect("lines").0.to_owned() + "\n";
    let missing = "the end is missing: the capsule was cut off";
    refused(stage, &cut, &format!("line {lines}: {missing}"));
    let other = capsule.replacen("\"capsule\":1", "\"capsule\":9", 1);
    let version = "a capsule of version 9, and this Tieline reads version 1";
    refused(stage, &other, &format!("line 1: {version}"));
}

fn a_diff_is_weighed(stage: &Stage, requests: u64) {
    let new = stage.folder().join("other");
    fs::create_dir_all(&new).expect("the folder is writable");
    for file in ["parent.toml", "parent-dynamic.toml"] {
        let from = if file == "parent.toml" { file } else { "new.toml" };
        fs::copy(stage.folder().join(from), new.join(file)).expect("a copy");
    }
    let arguments = ["diff", "parent.toml", "other", "--capsule=incident.capsule", "--json"];
    let told = json(stage, &arguments);
    assert_eq!(told["asked"].as_u64(), Some(requests), "{told:#}");
    // Requests for pages of the process itself move nowhere.
    assert!(told["movedPerMillion"].as_u64() > Some(500_000), "{told:#}");
}

fn doctor_writes_one_too(stage: &Stage, url: &str) {
    let output = tieline(stage, &["doctor", "--capsule=report.capsule", url]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("kernel: ") && told.contains("report.capsule: "), "{told}");
    let report = fs::read_to_string(stage.folder().join("report.capsule")).expect("written");
    assert!(report.contains("\"environment\":[\"tieline: ") && !report.contains(HUSH));
    let told = said(stage, &["replay", "report.capsule"]);
    assert!(told.contains("Every decision is identical."), "{told}");
}
