//! `tieline simulate` against real processes: the same documents and the same misfortune, once in
//! virtual time and once on loopback. `docs/agreement.md` has what was measured last.

mod cases;
mod foreseen;
mod lived;
mod outcome;

use cases::{CASES, Case};
use outcome::Row;
use std::fmt::Write;
use std::{fs, thread};

/// Shares may be this many thousandths of all requests apart.
const SHARE_OFF_MAX: u64 = 50;
/// Times may be one interval of the checks and polls of [`cases`] apart.
const TIME_OFF_MAX: u64 = cases::INTERVAL_MILLIS;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/agreement.md");
const HEAD: &str = "| what happens | what is compared | foreseen | lived | apart |";

#[test]
fn what_is_foreseen_is_lived_through() {
    let rows: Vec<Row> = thread::scope(|scope| {
        let runs: Vec<_> = CASES.iter().map(|case| scope.spawn(|| compare(case))).collect();
        runs.into_iter().flat_map(|run| run.join().expect("a case runs to its end")).collect()
    });
    let table = table(&rows);
    let wrong: Vec<String> = rows.iter().filter_map(Row::problem).collect();
    assert!(wrong.is_empty(), "{}\n{table}", wrong.join("\n"));
    let page = fs::read_to_string(PAGE).expect("the page exists");
    if std::env::var_os("REGENERATE").is_some() {
        fs::write(PAGE, with_table(&page, &table)).expect("the page is writable");
    } else {
        check_page(&page, &rows);
    }
}

fn compare(case: &'static Case) -> Vec<Row> {
    let folder = cases::Folder::new(case);
    let foreseen = foreseen::run(case, &folder);
    let rows = outcome::rows(case, &foreseen, &lived::run(case, &folder));
    if rows.iter().all(|row| row.problem().is_none()) {
        return rows;
    }
    // A machine with much else to do lets checks time out that should not: once more.
    let folder = cases::Folder::new(case);
    outcome::rows(case, &foreseen, &lived::run(case, &folder))
}

fn table(rows: &[Row]) -> String {
    let mut text = format!("{HEAD}\n|---|---|---|---|---|\n");
    for row in rows {
        writeln!(text, "{row}").expect("writing to a string");
    }
    text
}

/// The lines of the table on the page, without its head.
fn lines(page: &str) -> impl Iterator<Item = &str> {
    let rest = page.split_once(HEAD).expect("the page has the table").1;
    rest.lines().skip(2).take_while(|line| line.starts_with('|'))
}

fn with_table(page: &str, table: &str) -> String {
    let (before, rest) = page.split_once(HEAD).expect("the page has the table");
    let after = rest.find("\n\n").map_or("", |at| &rest[at + 1..]);
    format!("{before}{table}{after}")
}

/// The page was written by an earlier run: it has the same comparisons, keeps the bounds, and what
/// was foreseen then is not far from what is foreseen today.
fn check_page(page: &str, rows: &[Row]) {
    let lines: Vec<&str> = lines(page).collect();
    assert_eq!(lines.len(), rows.len(), "run it again with REGENERATE=1");
    for (line, row) in lines.iter().zip(rows) {
        assert!(row.is_told_by(line), "{line}\n{row}\nrun it again with REGENERATE=1");
    }
}
