//! What Control has to say: one line per change of state, never one per poll or probe.

use crate::base::line::{Level, LogLine};
use crate::base::time::{Time, Wall};
use std::collections::VecDeque;

#[derive(Debug)]
pub(super) struct Journal {
    wall: Wall,
    level: Level,
    json: bool,
    lines: VecDeque<LogLine>,
    lines_max: usize,
    dropped: u64,
    asked: bool,
}

impl Journal {
    pub(super) fn new(wall: Wall, log: &crate::config::fixed::Log, lines_max: u32) -> Self {
        Self {
            wall,
            level: Level::named(&log.level).unwrap_or(Level::Info),
            json: log.json,
            lines: VecDeque::new(),
            lines_max: lines_max.max(1) as usize,
            dropped: 0,
            asked: false,
        }
    }

    pub(super) fn say(&mut self, line: LogLine) {
        if line.level < self.level {
            return;
        }
        if self.lines.len() == self.lines_max {
            self.lines.pop_front();
            self.dropped += 1;
        }
        self.lines.push_back(line);
    }

    pub(super) fn info(&mut self, at: Time, text: &'static str, fields: &[(&'static str, &str)]) {
        self.say(with(LogLine::new(Level::Info, at, text), fields));
    }

    pub(super) fn warn(&mut self, at: Time, text: &'static str, fields: &[(&'static str, &str)]) {
        self.say(with(LogLine::new(Level::Warn, at, text), fields));
    }

    /// Whether the driver is to be told that lines are ready; true once until they are taken.
    pub(super) fn rings(&mut self) -> bool {
        let rings = !self.lines.is_empty() && !self.asked;
        self.asked |= rings;
        rings
    }

    /// Moves the lines, rendered, to `out`.
    pub(super) fn take(&mut self, out: &mut Vec<u8>) {
        let mut text = String::new();
        if self.dropped > 0 {
            let at = self.lines.front().map_or(Time::ZERO, |line| line.at);
            let line = LogLine::new(Level::Warn, at, "log lines were dropped")
                .field("count", self.dropped.to_string());
            self.render(&line, &mut text);
            self.dropped = 0;
        }
        for line in std::mem::take(&mut self.lines) {
            self.render(&line, &mut text);
        }
        self.asked = false;
        out.extend_from_slice(text.as_bytes());
    }

    fn render(&self, line: &LogLine, out: &mut String) {
        if self.json {
            line.write_json(self.wall, out);
        } else {
            line.write_text(self.wall, out);
        }
    }

    pub(super) fn check(&self) {
        assert!(self.lines.len() <= self.lines_max, "the journal is bounded");
    }
}

fn with(line: LogLine, fields: &[(&'static str, &str)]) -> LogLine {
    fields.iter().fold(line, |line, (name, value)| line.field(name, *value))
}
