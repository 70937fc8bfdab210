//! A capsule from its text, or where it is wrong.

use super::{Capsule, DIGITS, Line, VERSION, checksum};
use std::fmt;

/// Why a text is no capsule that can be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// From 1.
    pub line: u64,
    pub text: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

/// Reads a capsule.
///
/// # Errors
/// The first line that is wrong, and what about it is.
pub fn read(text: &str) -> Result<Capsule, Broken> {
    let broken = |line: u64, text: &str| Err(Broken { line, text: text.to_owned() });
    let mut before = String::new();
    let mut header = None;
    let (mut moments, mut records) = (Vec::new(), Vec::new());
    let mut ended = false;
    let mut last = 0;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        last = number;
        let Some(line) = line.strip_suffix('\n') else {
            return broken(number, "the capsule was cut off in this line");
        };
        if ended {
            return broken(number, "there is more behind the end of the capsule");
        }
        let json = content(line, &before, number)?;
        line[..DIGITS].clone_into(&mut before);
        match (parse(json, number)?, &header) {
            (Line::Header(found), None) => header = Some(*found),
            (Line::Header(_), Some(_)) => return broken(number, "a second header"),
            (_, None) => return broken(number, "a capsule begins with its header"),
            (Line::Moment(moment), _) if !records.is_empty() => {
                let text = format!("the moment of epoch {} stands behind records", moment.epoch);
                return broken(number, &text);
            }
            (Line::Moment(moment), _) => moments.push(moment),
            (Line::Record(record), _) => records.push(record),
            (Line::End(end), _) if end.lines == number - 1 => ended = true,
            (Line::End(end), _) => {
                let text = format!("{} lines were written, and {} are here", end.lines, number - 1);
                return broken(number, &text);
            }
        }
    }
    match header {
        Some(header) if ended => Ok(Capsule { header, moments, records }),
        Some(_) => broken(last + 1, "the end is missing: the capsule was cut off"),
        None => broken(1, "this is no capsule: it is empty"),
    }
}

/// What stands behind the checksum, which must be right.
fn content<'t>(line: &'t str, before: &str, number: u64) -> Result<&'t str, Broken> {
    let is_sum = |sum: &str| sum.len() == DIGITS && sum.bytes().all(|b| b.is_ascii_hexdigit());
    let parts = line.split_once(' ').filter(|(sum, _)| is_sum(sum));
    let Some((sum, json)) = parts else {
        let text = match number {
            1 => "this is no capsule: it does not begin with a checksum",
            _ => "this line does not begin with a checksum",
        };
        return Err(Broken { line: number, text: text.to_owned() });
    };
    if number == 1 {
        // Another version may count otherwise.
        check_version(json)?;
    }
    if checksum(before, json) != sum {
        let text = "the checksum is not that of this line behind the one before: it was changed";
        return Err(Broken { line: number, text: text.to_owned() });
    }
    Ok(json)
}

fn check_version(json: &str) -> Result<(), Broken> {
    let value: Option<serde_json::Value> = serde_json::from_str(json).ok();
    let version = value.as_ref().and_then(|value| value["header"]["capsule"].as_u64());
    match version {
        Some(VERSION) | None => Ok(()),
        Some(other) => Err(Broken {
            line: 1,
            text: format!("a capsule of version {other}, and this Tieline reads version {VERSION}"),
        }),
    }
}

fn parse(json: &str, number: u64) -> Result<Line, Broken> {
    serde_json::from_str(json).map_err(|error| {
        let column = error.column() + DIGITS + 1;
        let what = error.to_string();
        let what = what.split(" at line ").next().unwrap_or_default();
        Broken { line: number, text: format!("column {column}: {what}") }
    })
}
