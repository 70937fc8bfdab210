//! `tieline rehearse`: what runs out in the days to come, and what stops serving then.

use super::simulate::read_documents;
use super::{complain, say, take_option, take_paths, take_switch, usage};
use engine::base::time::Span;
use engine::config::duration::span;
use sim::foresight::rehearse::{Window, rehearse};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

struct Wish {
    window: Window,
    json: bool,
    paths: Vec<String>,
}

const DAY: u64 = 24 * 3_600;
const LENGTH_MAX: u64 = 3_660 * DAY;

pub(super) fn run(arguments: &[String]) -> ExitCode {
    let wish = match read_wish(arguments) {
        Ok(wish) => wish,
        Err(problem) => return usage(&problem),
    };
    let Some(documents) = read_documents(&wish.paths) else { return ExitCode::FAILURE };
    match rehearse(&documents, wish.window) {
        Ok(told) => {
            if wish.json {
                say(&told.json().to_string());
            } else {
                say(told.text().trim_end());
            }
            if told.stops() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(problems) => {
            problems.iter().for_each(|problem| complain(problem));
            ExitCode::FAILURE
        }
    }
}

fn read_wish(arguments: &[String]) -> Result<Wish, String> {
    let mut words = arguments.to_vec();
    let json = take_switch(&mut words, "--json");
    let length = take_option(&mut words, "--for")?.unwrap_or_else(|| "90d".to_owned());
    let length = days(&length).ok_or_else(|| {
        format!("--for: {length} is no length from 1s to 3660d: write 90d or 12h")
    })?;
    let at = match take_option(&mut words, "--at")? {
        Some(word) => instant(&word)
            .ok_or_else(|| format!("--at: {word} is no instant: write 2026-11-21T00:00:00Z"))?,
        None => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
    };
    let paths = take_paths(words, "rehearse")?;
    Ok(Wish { window: Window { at, length }, json, paths })
}

/// `90d`, or a length of time as documents have it.
fn days(word: &str) -> Option<Span> {
    let length = match word.strip_suffix('d').map(str::parse::<u64>) {
        Some(days) => Span::secs(days.ok().filter(|days| *days <= LENGTH_MAX / DAY)? * DAY),
        None => span(word).ok()?,
    };
    (Span::secs(1)..=Span::secs(LENGTH_MAX)).contains(&length).then_some(length)
}

/// A date, or one with a time of day, in UTC: seconds since 1970.
fn instant(word: &str) -> Option<u64> {
    let (date, time) = match word.split_once('T') {
        Some((date, time)) => (date, time.strip_suffix('Z')?),
        None => (word, "00:00:00"),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let february = if leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let month = usize::try_from(month).ok()?.checked_sub(1)?;
    let good = (1970..=2200).contains(&year) && (1..=*lengths.get(month)?).contains(&day);
    if !good || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let years: u64 = (1970..year).map(|year| 365 + u64::from(leap(year))).sum();
    let days = years + lengths[..month].iter().sum::<u64>() + day - 1;
    Some(days * DAY + hour * 3_600 + minute * 60 + second)
}

fn numbers(text: &str, by: char, widths: [usize; 3]) -> Option<[u64; 3]> {
    let mut found = [0; 3];
    let mut parts = text.split(by);
    for (number, width) in found.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width)?;
        *number = part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_and_lengths_are_read() {
        for (word, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-03-01", Some(951_868_800)),
            ("2026-11-21T06:30:01Z", Some(1_795_242_601)),
            ("2100-03-01T00:00:00Z", Some(4_107_542_400)),
            ("2026-02-29", None),
            ("2026-13-01", None),
            ("2026-1-01", None),
            ("2026-11-21T24:00:00Z", None),
            ("2026-11-21T06:30:01", None),
            ("+026-11-21", None),
            ("2026-11-21-01", None),
            ("soon", None),
        ] {
            assert_eq!(instant(word), expected, "{word}");
        }
        for (word, expected) in [
            ("90d", Some(Span::secs(90 * DAY))),
            ("12h", Some(Span::secs(43_200))),
            ("0d", None),
            ("99999999999999999999d", None),
            ("4000d", None),
            ("d", None),
            ("-1d", None),
        ] {
            assert_eq!(days(word), expected, "{word}");
        }
    }
}
