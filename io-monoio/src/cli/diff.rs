//! `tieline diff`: what a change of the documents changes, and for whom.

use super::capsule::load;
use super::simulate::read_documents;
use super::{complain, fail, say, take_option, take_switch, usage};
use engine::worker::replay::{Request, requests};
use serde_json::{Value, json};
use sim::foresight::diff::{Change, Diff, diff, diff_of};
use std::process::ExitCode;

struct Wish {
    old: String,
    new: String,
    /// In parts per million.
    change_max: Option<u64>,
    seed: u64,
    json: bool,
    capsule: Option<String>,
}

pub(super) fn run(arguments: &[String]) -> ExitCode {
    let wish = match read_wish(arguments) {
        Ok(wish) => wish,
        Err(problem) => return usage(&problem),
    };
    let old = read_documents(std::slice::from_ref(&wish.old));
    let new = read_documents(std::slice::from_ref(&wish.new));
    let (Some(old), Some(new)) = (old, new) else { return ExitCode::FAILURE };
    let capsule = match wish.capsule.as_deref().map(load).transpose() {
        Ok(capsule) => capsule,
        Err(problem) => return fail(&problem),
    };
    let found = match &capsule {
        Some(capsule) => {
            let asks = requests(capsule).0;
            diff_of(&old, &new, asks.iter().map(Request::ask))
        }
        None => diff(&old, &new, wish.seed),
    };
    let found = match found {
        Ok(found) => found,
        Err(problem) => return fail(&problem),
    };
    if wish.json {
        say(&as_json(&found).to_string());
    } else {
        say(text(&found).trim_end());
    }
    match wish.change_max {
        Some(most) if found.moved() > most => {
            complain(&format!("{} changes, more than {}", percent(found.moved()), percent(most)));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

fn read_wish(arguments: &[String]) -> Result<Wish, String> {
    let mut words = arguments.to_vec();
    let json = take_switch(&mut words, "--json");
    let change_max = match take_option(&mut words, "--max-change")? {
        Some(word) => Some(parts(&word).ok_or_else(|| {
            format!("--max-change: {word} is no part of a whole: write 5% or 0.5%")
        })?),
        None => None,
    };
    let seed = match take_option(&mut words, "--seed")? {
        Some(word) => word.parse().map_err(|_| format!("--seed: {word} is no number"))?,
        None => 1,
    };
    let capsule = take_option(&mut words, "--capsule")?;
    if let Some(flag) = words.iter().find(|word| word.starts_with('-')) {
        return Err(format!("diff knows no flag {flag}"));
    }
    let [old, new] = <[String; 2]>::try_from(words)
        .map_err(|_| "diff needs two configurations: the old and the new".to_owned())?;
    Ok(Wish { old, new, change_max, seed, json, capsule })
}

/// `5%` and `0.25%` as parts per million.
fn parts(word: &str) -> Option<u64> {
    let number = word.strip_suffix('%')?;
    let (whole, rest) = number.split_once('.').unwrap_or((number, ""));
    if rest.len() > 4 || !rest.bytes().chain(whole.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let whole: u64 = whole.parse().ok().filter(|whole| *whole <= 100)?;
    let rest: u64 = format!("{rest:0<4}").parse().ok()?;
    Some(whole * 10_000 + rest).filter(|parts| *parts <= 1_000_000)
}

/// Hundredths, and what is less but not nothing as such.
fn percent(parts: u64) -> String {
    match parts {
        1..100 => "less than 0.01 %".to_owned(),
        parts => format!("{}.{:02} %", parts / 10_000, parts / 100 % 100),
    }
}

fn text(found: &Diff) -> String {
    let mut out = format!(
        "{} requests asked about, {}: {} change what they meet\n",
        found.asked,
        match found {
            Diff { recorded: true, .. } => "as they were recorded",
            Diff { whole: true, .. } => "every combination",
            Diff { .. } => "drawn at random",
        },
        percent(found.moved()),
    );
    for change in &found.changes {
        out.push_str(&format!("\n{}", change.example));
        if change.requests > 1 {
            out.push_str(&format!(", and {} like it", change.requests - 1));
        }
        out.push('\n');
        for (what, before, after) in change.lines() {
            out.push_str(&format!("  {what:<12} {before} -> {after}\n"));
        }
    }
    if !found.unseen.is_empty() {
        out.push_str("\nNo requests were made for these, so what only they meet is not seen:\n");
    }
    found.unseen.iter().for_each(|part| out.push_str(&format!("  {part}\n")));
    out
}

fn as_json(found: &Diff) -> Value {
    let changes = found.changes.iter().map(change_as_json);
    json!({
        "asked": found.asked,
        "everyCombination": found.whole,
        "recorded": found.recorded,
        "movedPerMillion": found.moved(),
        "changes": changes.collect::<Value>(),
        "unseen": found.unseen,
    })
}

fn change_as_json(change: &Change) -> Value {
    let lines = change.lines();
    let all = lines
        .iter()
        .map(|(what, before, after)| json!({ "what": what, "before": before, "after": after }));
    json!({
        "example": change.example,
        "requests": change.requests,
        "movedPerMillion": change.moved,
        "differences": all.collect::<Value>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_whole_are_read_and_told() {
        for (word, expected) in [
            ("5%", Some(50_000)),
            ("0.25%", Some(2_500)),
            ("100%", Some(1_000_000)),
            ("0%", Some(0)),
            ("100.1%", None),
            ("5", None),
            (".5%", None),
            ("-1%", None),
            ("0.00001%", None),
        ] {
            assert_eq!(parts(word), expected, "{word}");
        }
        for (parts, expected) in
            [(0, "0.00 %"), (99, "less than 0.01 %"), (1_234, "0.12 %"), (1_000_000, "100.00 %")]
        {
            assert_eq!(percent(parts), expected);
        }
    }
}
