//! Lines of the process itself, in the configured form.

use crate::clock::Clock;
use crate::helper::{Helper, Line};
use engine::base::line::{Level, LogLine};
use engine::config::fixed::Log;

/// How lines look, and from which level on there are any.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    clock: Clock,
    json: bool,
    level: Level,
}

impl Style {
    pub(crate) fn new(clock: Clock, settings: &Log) -> Self {
        let level = Level::named(&settings.level).unwrap_or(Level::Info);
        Self { clock, json: settings.json, level }
    }

    /// A line as of now; `None` below the configured level.
    pub(crate) fn line(
        &self,
        level: Level,
        text: &'static str,
        fields: &[(&'static str, &str)],
    ) -> Option<Vec<u8>> {
        if level < self.level {
            return None;
        }
        let line = LogLine::new(level, self.clock.now(), text);
        let line = fields.iter().fold(line, |line, (name, value)| line.field(name, *value));
        let mut text = String::new();
        if self.json {
            line.write_json(self.clock.wall(), &mut text);
        } else {
            line.write_text(self.clock.wall(), &mut text);
        }
        Some(text.into_bytes())
    }
}

/// Where the driver itself writes.
#[derive(Clone)]
pub(crate) struct Journal {
    pub(crate) helper: Helper,
    pub(crate) style: Style,
}

impl Journal {
    pub(crate) fn say(&self, level: Level, text: &'static str, fields: &[(&'static str, &str)]) {
        if let Some(line) = self.style.line(level, text, fields) {
            self.helper.log(Line::Event, line);
        }
    }
}
