//! `tieline simulate` on the example, as its page shows it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn tieline(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tieline"));
    command.current_dir(ROOT).args(arguments).output().expect("the program starts")
}

/// What it prints, when all is well.
#[track_caller]
fn said(arguments: &[&str]) -> String {
    let output = tieline(arguments);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{arguments:?}: {complaint}");
    String::from_utf8(output.stdout).expect("it is text")
}

/// What it complains of, and how it ends.
#[track_caller]
fn refused(arguments: &[&str]) -> (String, Option<i32>) {
    let output = tieline(arguments);
    assert!(output.stdout.is_empty(), "{arguments:?}");
    (String::from_utf8_lossy(&output.stderr).into_owned(), output.status.code())
}

/// Every transcript of a page, command by command, is what is printed.
#[track_caller]
fn check_page(name: &str) {
    let path = Path::new(ROOT).join("docs/foresight").join(name);
    let page = fs::read_to_string(&path).expect("the page exists");
    let mut new = String::new();
    let mut commands = 0;
    let mut rest = page.as_str();
    while let Some(at) = rest.find("```text\n$ tieline ") {
        let (before, block) = rest.split_at(at);
        let end = 8 + block[8..].find("```").expect("the block ends");
        let command = block[8..end].lines().next().expect("a block has its command");
        let words: Vec<&str> = command.split(' ').skip(2).collect();
        // What ends with 1 because of what it found has said so, and complains of nothing.
        let output = tieline(&words);
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8(output.stdout).expect("it is text");
        new.push_str(&format!("{before}```text\n{command}\n{printed}"));
        rest = &block[end..];
        commands += 1;
    }
    new.push_str(rest);
    if std::env::var_os("REGENERATE").is_some() {
        fs::write(&path, &new).expect("the page is writable");
    }
    assert!(commands >= 1, "{name} has no transcript");
    assert_eq!(page, new, "run it again with REGENERATE=1 and look at the difference");
}

#[test]
fn the_page_of_simulate_shows_what_is_printed() {
    check_page("simulate.md");
}

#[test]
fn the_page_of_bounds_shows_what_is_printed() {
    check_page("bounds.md");
}

#[test]
fn the_page_of_rehearse_shows_what_is_printed() {
    check_page("rehearse.md");
}

#[test]
fn rehearse_ends_with_whether_something_stops() {
    let example = |at: &'static str| ["rehearse", "--at", at, "--for", "10d", "examples/rehearse"];
    let quiet = said(&example("2026-12-01"));
    assert!(quiet.contains("nothing runs out"), "{quiet}");
    let output = tieline(&example("2027-01-15"));
    let text = String::from_utf8(output.stdout).expect("it is text");
    let falls = "2027-01-20T09:30:01Z  parent -> eu: STOPS, no handshake: ";
    assert!(output.status.code() == Some(1) && text.contains(falls), "{text}");
    assert!(!text.contains("answers 503"), "the other child takes over: {text}");
    let document = std::env::temp_dir().join(format!("tieline-unread-{}.yml", std::process::id()));
    let text = "entryPoints: {web: {address: ':8000'}}\nserversTransport: {rootCAs: [none.crt]}\n";
    fs::write(&document, text).expect("written");
    let path = document.to_str().expect("it is text");
    let missing = format!("{path}: none.crt: No such file or directory (os error 2)\n");
    assert_eq!(refused(&["rehearse", path]), (missing, Some(1)));
    fs::remove_file(document).expect("it is ours");
    for (arguments, complaint) in [
        (&["rehearse"][..], "rehearse needs configuration files, or folders with them\n"),
        (&["rehearse", "x", "--soon"], "rehearse knows no flag --soon\n"),
        (
            &["rehearse", "x", "--at", "2027-02-30"],
            "--at: 2027-02-30 is no instant: write 2026-11-21T00:00:00Z\n",
        ),
        (
            &["rehearse", "x", "--for", "9999d"],
            "--for: 9999d is no length from 1s to 3660d: write 90d or 12h\n",
        ),
    ] {
        assert_eq!(refused(arguments), (complaint.to_owned(), Some(64)));
    }
}

/// Which of two certificates for one address clients are shown, and what that means when the
/// first to end is at an end.
#[test]
fn a_certificate_that_no_client_is_shown_stops_nothing() {
    let folder = std::env::temp_dir().join(format!("tieline-shown-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let write = |file: &str, text: String| fs::write(folder.join(file), text).expect("written");
    let fixed = "entryPoints: {web: {address: ':8443', http: {tls: {}}}}\n\
                 providers: {file: {filename: two-dynamic.yml}}\n";
    write("two.yml", fixed.to_owned());
    let path = folder.join("two.yml").display().to_string();
    let rehearse = |names: [&str; 2]| {
        let pair = |name: &str| {
            let file = format!("{ROOT}/examples/rehearse/{name}");
            format!("{{certFile: {file}.crt, keyFile: {file}.key}}")
        };
        let [first, second] = names.map(pair);
        write("two-dynamic.yml", format!("tls: {{certificates: [{first}, {second}]}}\n"));
        let output = tieline(&["rehearse", "--at", "2027-01-15", "--for", "10d", &path]);
        (String::from_utf8(output.stdout).expect("it is text"), output.status.code())
    };
    let (text, code) = rehearse(["eu", "us"]);
    let stops = "eu.crt (127.0.0.1) at web\n";
    assert!(text.contains("STOPS for clients that are shown") && text.contains(stops), "{text}");
    assert_eq!(code, Some(1));
    let (text, code) = rehearse(["us", "eu"]);
    assert!(text.contains("eu.crt (127.0.0.1) expires") && !text.contains("STOPS"), "{text}");
    assert!(text.contains("eu.crt (127.0.0.1): another certificate comes first"), "{text}");
    assert_eq!(code, Some(0));
    fs::remove_dir_all(folder).expect("it is ours");
}

/// Whoever dials the child finds no handshake that stands; connections that stand go on, so
/// that no request fails while the other child takes over.
#[test]
fn a_certificate_that_expires_moves_everything_and_fails_nothing() {
    let scenario = std::env::temp_dir().join(format!("tieline-expires-{}", std::process::id()));
    fs::write(&scenario, "cert-expires eu 20s..60s\n").expect("written");
    let path = scenario.to_str().expect("it is text");
    let run = ["simulate", "examples/rehearse", "--scenario", path, "--for", "2m", "--rps", "50"];
    let told = said(&run);
    fs::remove_file(&scenario).expect("it is ours");
    let at = |what: &str| {
        let line = told.lines().find(|line| line.ends_with(what));
        let line = line.unwrap_or_else(|| panic!("no {what}: {told}"));
        line.split_whitespace().next().and_then(|at| at.parse::<f64>().ok()).expect("an instant")
    };
    assert!((at("[cert-expires eu 20s..60s]") - 20.0).abs() < 0.001, "{told}");
    // Probes dial each time, so the next one notices.
    let (gone, back) = (at("main -> fallback"), at("fallback -> main"));
    assert!((20.0..26.0).contains(&gone) && (60.0..66.0).contains(&back), "{told}");
    assert!(told.contains("error budget     0 failed"), "{told}");
}

#[test]
fn the_page_of_explain_shows_what_is_printed() {
    check_page("explain.md");
}

#[test]
fn the_page_of_capsules_shows_what_is_printed() {
    check_page("../capsules.md");
}

#[test]
fn the_page_of_diff_shows_what_is_printed() {
    check_page("diff.md");
}

#[test]
fn bounds_are_a_gate_and_refuse_what_they_do_not_know() {
    let document = std::env::temp_dir().join(format!("tieline-lone-{}.yml", std::process::id()));
    let text = "entryPoints: {web: {address: ':8000'}}\nproviders: {file: {filename: none.yml}}\n";
    fs::write(&document, text).expect("written");
    let path = document.to_str().expect("it is text");
    let missing = format!(
        "{path}: providers.file: none.yml: no such file, neither here nor beside the static \
         document\n"
    );
    assert_eq!(refused(&["bounds", path]), (missing, Some(1)));
    fs::remove_file(document).expect("it is ours");
    for (arguments, complaint) in [
        (&["bounds"][..], "bounds needs configuration files, or folders with them\n"),
        (&["bounds", "x", "--horizon"], "bounds knows no flag --horizon\n"),
        (&["bounds", "x", "--rps", "0"], "--rps: 0 is no rate from 1 to 1000000000\n"),
        (&["bounds", "x", "--rps"], "--rps needs a value\n"),
    ] {
        assert_eq!(refused(arguments), (complaint.to_owned(), Some(64)));
    }
    let (complaint, code) = refused(&["bounds", "x", "--max-failover", "soon"]);
    assert!(complaint.starts_with("--max-failover: soon: ") && code == Some(64), "{complaint}");
}

const EXAMPLE: [&str; 4] =
    ["simulate", "examples/foresight", "--scenario", "examples/foresight/scenario.txt"];

fn example<'a>(more: &[&'a str]) -> Vec<&'a str> {
    EXAMPLE.iter().chain(more).copied().collect()
}

#[test]
fn one_seed_prints_the_same_bytes_twice_and_another_does_not() {
    let run = |seed| said(&example(&["--for", "150s", "--rps", "40", "--json", "--seed", seed]));
    let first = run("7");
    assert_eq!(first, run("7"));
    assert_ne!(first, run("8"));
    let told: serde_json::Value = serde_json::from_str(&first).expect("it is JSON");
    assert_eq!(told["settled"], true);
    let sum: u64 = told["statuses"].as_object().expect("an object").values().map(count).sum();
    assert_eq!(sum, count(&told["requests"]), "every request has one end");
    let moved = told["timeline"].as_array().expect("a list").iter().any(|moment| {
        let what = moment["what"].as_str().unwrap_or_default();
        what.starts_with("failover") && what.ends_with("main -> fallback")
    });
    assert!(moved, "{}", told["timeline"]);
}

/// Servers that speak HTTP/2, and say by gRPC that they serve.
#[test]
fn servers_of_grpc_are_played_too() {
    let run = ["simulate", "examples/grpc", "--for", "20s", "--rps", "20", "--json"];
    let told: serde_json::Value = serde_json::from_str(&said(&run)).expect("it is JSON");
    assert_eq!((count(&told["failed"]), &told["settled"]), (0, &true.into()));
    assert!(count(&told["requests"]) > 300);
}

fn count(value: &serde_json::Value) -> u64 {
    value.as_u64().expect("a count")
}

#[test]
fn the_page_is_one_file_with_its_plots_inside() {
    let path = std::env::temp_dir().join(format!("tieline-foresight-{}.html", std::process::id()));
    let shown = path.display().to_string();
    said(&example(&["--for", "150s", "--rps", "40", "--html", &shown]));
    let page = fs::read_to_string(&path).expect("it was written");
    fs::remove_file(&path).expect("it is ours");
    assert_eq!(page.matches("<svg").count(), 3);
    assert!(!page.contains("href=") && !page.contains("src="), "it needs nothing else");
}

#[test]
fn many_seeds_name_the_worst_and_how_to_see_it() {
    let many = said(&example(&["--for", "150s", "--rps", "20", "--seeds", "4"]));
    let (_, replay) = many.rsplit_once("worst: tieline ").expect("a line to replay");
    let words: Vec<&str> = replay.split_whitespace().chain(["--json"]).collect();
    let worst: serde_json::Value = serde_json::from_str(&said(&words)).expect("it is JSON");
    let most = many.lines().find(|line| line.trim_start().starts_with("failed"));
    let most = most.and_then(|line| line.split_whitespace().last()).expect("a row of failures");
    assert_eq!(worst["failed"].to_string(), most);
}

#[test]
fn what_cannot_be_simulated_is_told_with_its_place() {
    let folder = std::env::temp_dir().join(format!("tieline-script-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for scripts");
    let script = folder.join("script.txt");
    fs::write(&script, "crash eu 1s..2s\npartition us2 1s..2s\nslow us 9s\n").expect("written");
    let shown = script.display().to_string();
    let (told, code) = refused(&["simulate", "examples/foresight", "--scenario", &shown]);
    fs::remove_dir_all(&folder).expect("it is ours");
    let expected = format!(
        "{shown}: line 2: there is no child us2; did you mean us?\n\
         {shown}: line 3: 9s is no time: write `slow CHILD 40s..100s by 800ms`\n"
    );
    assert_eq!((told, code), (expected, Some(1)));
    let (told, code) = refused(&["simulate", "docs"]);
    assert_eq!(told, "there is no static document among the files\n");
    assert_eq!(code, Some(1));
    let (told, code) = refused(&["simulate", "examples/foresight", "--for", "soon"]);
    assert_eq!(told, "--for: soon is no length from 1s to 24h\n");
    assert_eq!(code, Some(64));
}

#[test]
fn a_change_beyond_its_bound_fails() {
    let gate = |most: &str| {
        let most = format!("--max-change={most}");
        tieline(&["diff", "examples/weighted", "examples/header-steered", &most])
    };
    assert_eq!(gate("25%").status.code(), Some(0));
    let failed = gate("24.9%");
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&failed.stderr), "25.00 % changes, more than 24.90 %\n");
    for (arguments, told) in [
        (
            &["diff", "examples/weighted"][..],
            "diff needs two configurations: the old and the new\n",
        ),
        (
            &["diff", "a", "b", "--max-change=lots"],
            "--max-change: lots is no part of a whole: write 5% or 0.5%\n",
        ),
    ] {
        assert_eq!(refused(arguments), (told.to_owned(), Some(64)));
    }
}

#[test]
fn what_cannot_be_explained_is_told() {
    for (arguments, told, code) in [
        (&["explain"][..], "explain needs a request: --request='GET https://host/path'\n", 64),
        (
            &["explain", "--request", "ftp://x/"],
            "ftp:// is not HTTP: write http:// or https://\n",
            64,
        ),
        (&["explain", "--request=/", "-H", "X"], "`X` is no field: write `Name: value`\n", 64),
        (&["explain", "--request=/", "--from=me"], "--from: me is no address\n", 64),
        (
            &["explain", "examples/foresight", "--request=/", "--entryPoint=wbe"],
            "there is no entry point wbe: there are web\n",
            1,
        ),
        (
            &["explain", "--request=/", "--url=http://127.0.0.1:9"],
            "127.0.0.1:9: Connection refused (os error 111)\n",
            1,
        ),
    ] {
        assert_eq!(refused(arguments), (told.to_owned(), Some(code)), "{arguments:?}");
    }
}

#[test]
fn a_longer_crash_costs_no_more_than_detection_and_partition_holds_what_was_sent() {
    let folder = std::env::temp_dir().join(format!("tieline-crash-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for scripts");
    let failed = |line: &str| {
        let script = folder.join("script.txt");
        fs::write(&script, line).expect("written");
        let shown = script.display().to_string();
        let told = said(&[
            "simulate",
            "examples/failover",
            "--scenario",
            &shown,
            "--for",
            "60s",
            "--json",
        ]);
        let told: serde_json::Value = serde_json::from_str(&told).expect("it is JSON");
        count(&told["failed"])
    };
    assert_eq!(failed(""), 0);
    // The check is once a second and what is refused is known at once: at most 1.1 s of 100/s.
    let (short, long) = (failed("crash cluster-1 10s..20s"), failed("crash cluster-1 10s..50s"));
    assert!(short <= 125 && long <= 125, "{short} {long}");
    // Who is not in use may go.
    assert_eq!(failed("crash cluster-2 10s..20s"), 0);
    fs::remove_dir_all(&folder).expect("it is ours");
}
