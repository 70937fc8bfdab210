//! Where the parts of a filled-in text come from.

use super::At;

/// A text that was filled in.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct Filled {
    pub(in crate::config) text: String,
    parts: Vec<Part>,
}

/// A piece of the text, up to the next one.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// Where it begins in the text.
    start: usize,
    /// Where it begins in the source.
    source: usize,
    /// Its letters stand in the source as they are here.
    verbatim: bool,
}

impl Filled {
    pub(super) fn verbatim(&mut self, source: usize, text: &str) {
        self.push(source, text, true);
    }

    /// What an action at `source` says.
    pub(super) fn said(&mut self, source: usize, text: &str) {
        self.push(source, text, false);
    }

    fn push(&mut self, source: usize, text: &str, verbatim: bool) {
        if !text.is_empty() {
            self.parts.push(Part { start: self.text.len(), source, verbatim });
            self.text.push_str(text);
        }
    }
}

/// From places of a filled-in text to places of its source.
#[derive(Debug)]
pub(in crate::config) struct Origin {
    text: Lines,
    source: Lines,
    parts: Vec<Part>,
}

impl Origin {
    pub(in crate::config) fn new(filled: Filled, source: &str) -> Self {
        let Filled { text, parts } = filled;
        Self { text: Lines::new(text), source: Lines::new(source.to_owned()), parts }
    }

    pub(in crate::config) fn text(&self) -> &str {
        &self.text.text
    }

    pub(in crate::config) fn of(&self, at: At) -> At {
        if at.line == 0 {
            return at;
        }
        let offset = self.text.offset(at);
        let after = self.parts.partition_point(|part| part.start <= offset);
        let Some(part) = after.checked_sub(1).map(|index| self.parts[index]) else { return at };
        let inside = if part.verbatim { offset - part.start } else { 0 };
        self.source.place(part.source + inside)
    }
}

/// A text that knows where its lines begin.
#[derive(Debug)]
pub(super) struct Lines {
    text: String,
    starts: Vec<usize>,
}

impl Lines {
    pub(super) fn new(text: String) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { starts: std::iter::once(0).chain(ends).collect(), text }
    }

    /// The byte at a line and column.
    fn offset(&self, at: At) -> usize {
        let line = (at.line as usize).saturating_sub(1);
        let Some(start) = self.starts.get(line).copied() else { return self.text.len() };
        let end = self.starts.get(line + 1).copied().unwrap_or(self.text.len());
        let column = (at.column as usize).saturating_sub(1);
        let inside = self.text[start..end].char_indices().nth(column);
        inside.map_or(end, |(byte, _)| start + byte)
    }

    /// The line and column of a byte.
    pub(super) fn place(&self, byte: usize) -> At {
        let line = self.starts.partition_point(|start| *start <= byte);
        let start = self.starts[line.saturating_sub(1)];
        let before = self.text.get(start..byte).unwrap_or_default();
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        At { line: number(line), column: number(before.chars().count() + 1) }
    }
}
