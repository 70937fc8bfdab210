//! Capsules that are damaged, each in one way.

use super::*;
use crate::worker::recording::event::{Done, Event};

fn capsule() -> Capsule {
    let header = Header {
        capsule: VERSION,
        tieline: "0.1.0".into(),
        instance: "edge".into(),
        workers: 1,
        started: 1,
        at: 2,
        before: 0,
        environment: vec!["cores: 4".into()],
        fixed: "{}".into(),
    };
    let server = Server {
        service: "s@file".into(),
        url: "http://127.0.0.1:1".into(),
        health: Health::Up,
        ejected: false,
    };
    let moment = Moment {
        epoch: 1,
        at: 1,
        documents: Some(vec![("d.yml".into(), "{}".into())]),
        too_large: false,
        adverts: vec![(0, "[]".into())],
        freshness: vec![(0, Freshness::Decayed(3)), (1, Freshness::Withdrawn)],
        servers: vec![server],
    };
    let done = Done { router: "r".into(), passed: 0, status: 200, server_status: 0, retries: 0 };
    let record = Record { worker: 0, request: 1, at: 2, event: Event::Done(done) };
    Capsule { header, moments: vec![moment], records: vec![record] }
}

#[test]
fn what_is_written_is_read_again() {
    assert_eq!(read(&text(&capsule())), Ok(capsule()));
}

/// The text after a change, and what is said of it.
#[track_caller]
fn check(change: impl FnOnce(String) -> String, expected: &str) {
    let changed = change(text(&capsule()));
    let told = read(&changed).map_err(|broken| broken.to_string());
    assert_eq!(told.map(|_| ()), Err(expected.to_owned()), "{changed}");
}

#[test]
fn damage_is_told_with_its_line() {
    let no = "line 1: this is no capsule: ";
    check(|_| String::new(), &format!("{no}it is empty"));
    check(|_| "http:\n".into(), &format!("{no}it does not begin with a checksum"));
    check(
        |it| it.replace("\"capsule\":1", "\"capsule\":2"),
        "line 1: a capsule of version 2, and this Tieline reads version 1",
    );
    let changed = "the checksum is not that of this line behind the one before: it was changed";
    check(|it| it.replace("edge", "egde"), &format!("line 1: {changed}"));
    check(|it| it.replace("\"up\"", "\"down\""), &format!("line 2: {changed}"));
    check(|it| it.replace("\"status\":200", "\"status\":500"), &format!("line 3: {changed}"));
    let lines = |it: &str, all: &[usize]| {
        all.iter().map(|at| format!("{}\n", it.lines().nth(*at).unwrap_or_default())).collect()
    };
    check(|it| lines(&it, &[0, 2, 3]), &format!("line 2: {changed}"));
    check(|it| lines(&it, &[1, 2, 3]), &format!("line 1: {changed}"));
    check(|it| lines(&it, &[0, 1, 2]), "line 4: the end is missing: the capsule was cut off");
    check(|it| it.trim_end().to_owned(), "line 4: the capsule was cut off in this line");
    check(|it| it[..it.len() / 2].to_owned(), "line 2: the capsule was cut off in this line");
    check(|it| it.clone() + &it, "line 5: there is more behind the end of the capsule");
    check(|it| it.replacen("\n", "\n\n", 1), "line 2: this line does not begin with a checksum");
}

/// Lines of another hand, each with the right checksum.
#[track_caller]
fn check_lines(all: &[&str], expected: &str) {
    let mut before = String::new();
    let mut text = String::new();
    for line in all {
        before = checksum(&before, line);
        text.push_str(&format!("{before} {line}\n"));
    }
    let Err(told) = read(&text) else { panic!("{text}") };
    let told = told.to_string();
    assert!(told.starts_with("line ") && told.ends_with(expected), "{told}");
}

#[test]
fn what_no_line_may_say_is_told_with_its_column() {
    let whole = text(&capsule());
    let header = whole.lines().next().and_then(|line| line.split_once(' ')).expect("a header").1;
    check_lines(&["{\"end\":{\"lines\":0}}"], "line 1: a capsule begins with its header");
    check_lines(&[header, header], "line 2: a second header");
    check_lines(
        &[header, "{\"end\":{\"lines\":7}}"],
        "line 2: 7 lines were written, and 1 are here",
    );
    check_lines(
        &[header, "{\"end\":{\"linse\":7}}"],
        "line 2: column 32: unknown field `linse`, expected `lines`",
    );
    check_lines(&[header, "nonsense"], ": expected value");
    check_lines(
        &[header, "{\"moment\":{\"epoch\":-1}}"],
        ": invalid value: integer `-1`, expected u64",
    );
}
