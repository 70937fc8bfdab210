//! Log lines of the process, as opposed to those of requests: what happened, with its facts beside
//! it, written as text or as JSON.

use super::time::{Time, Wall};
use std::fmt::Write as _;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// One event. `text` is a fixed sentence; what varies stands in `fields`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogLine {
    pub level: Level,
    pub at: Time,
    pub text: &'static str,
    pub fields: Vec<(&'static str, String)>,
}

impl Level {
    /// The level of this name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        let levels = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error];
        levels.into_iter().find(|level| level.name().eq_ignore_ascii_case(name))
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    const fn short(self) -> &'static str {
        match self {
            Self::Trace => "TRC",
            Self::Debug => "DBG",
            Self::Info => "INF",
            Self::Warn => "WRN",
            Self::Error => "ERR",
        }
    }
}

impl LogLine {
    pub fn new(level: Level, at: Time, text: &'static str) -> Self {
        Self { level, at, text, fields: Vec::new() }
    }

    #[must_use]
    pub fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// `2026-11-21T06:30:00Z WRN text name=value`, with a line feed.
    pub fn write_text(&self, wall: Wall, out: &mut String) {
        write_rfc3339(wall.at(self.at), out);
        let _ = write!(out, " {} {}", self.level.short(), self.text);
        for (name, value) in &self.fields {
            let _ = write!(out, " {name}=");
            if value.is_empty() || value.contains(|c: char| c <= ' ' || c == '"' || c == '=') {
                write_json_string(value, out);
            } else {
                out.push_str(value);
            }
        }
        out.push('\n');
    }

    /// One JSON object, with a line feed.
    pub fn write_json(&self, wall: Wall, out: &mut String) {
        let _ = write!(out, "{{\"level\":\"{}\",\"time\":\"", self.level.name());
        write_rfc3339(wall.at(self.at), out);
        out.push_str("\",\"message\":");
        write_json_string(self.text, out);
        for (name, value) in &self.fields {
            let _ = write!(out, ",\"{name}\":");
            write_json_string(value, out);
        }
        out.push_str("}\n");
    }
}

/// Appends `text` as a JSON string with its quotes.
pub fn write_json_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Appends nanoseconds since 1970 as UTC in whole seconds.
pub fn write_rfc3339(nanos: u64, out: &mut String) {
    let secs = nanos / 1_000_000_000;
    let (year, month, day) = civil(secs / 86_400);
    let of_day = secs % 86_400;
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    let _ = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
}

/// Year, month and day of a number of days since 1970, in the proleptic Gregorian calendar.
pub fn civil(days: u64) -> (u64, u64, u64) {
    // Years begin in March here, so that the leap day is the last of its year.
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, turn) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + turn, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        for (days, date) in [
            (0, (1970, 1, 1)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (19_782, (2024, 2, 29)),
            (20_778, (2026, 11, 21)),
        ] {
            assert_eq!(civil(days), date);
        }
    }

    #[test]
    fn a_line_is_written_as_text_and_as_json() {
        let line = LogLine::new(Level::Warn, Time::from_nanos(1_000_000_000), "poll failed")
            .field("child", "east")
            .field("error", "it said \"no\"");
        let mut text = String::new();
        line.write_text(Wall(0), &mut text);
        assert_eq!(
            text,
            "1970-01-01T00:00:01Z WRN poll failed child=east error=\"it said \\\"no\\\"\"\n"
        );
        let mut json = String::new();
        line.write_json(Wall(0), &mut json);
        let expected = r#"{"level":"warn","time":"1970-01-01T00:00:01Z",
            "message":"poll failed","child":"east","error":"it said \"no\""}"#;
        assert_eq!(json.trim_end(), expected.replace("\n            ", ""));
    }

    #[test]
    fn levels_are_found_by_name() {
        assert_eq!(Level::named("WARN"), Some(Level::Warn));
        assert_eq!(Level::named("loud"), None);
    }
}
