//! Reading a mapping field by field. Each question names a key; when the reader is closed, every
//! key that nobody asked for is reported with the nearest one that was. Wrong values are reported
//! where they stand and count as absent.

use super::document::{At, Entry, Kind, Scalar, Value};
use super::duration;
use super::outline::{ANY_NAME, Form, NOTHING};
use super::report::Report;
use crate::base::diag::Diagnostic;
use crate::base::nearest::nearest;
use crate::base::time::Span;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// A mapping that is being read.
pub(crate) struct Fields<'d> {
    pub(crate) report: &'d Report,
    pub(crate) path: String,
    pub(crate) at: At,
    entries: &'d [Entry],
    asked: RefCell<Vec<&'static str>>,
}

/// A member of a mapping whose keys are names the author chose.
pub(crate) struct Named<'d> {
    pub(crate) name: &'d str,
    pub(crate) at: At,
    pub(crate) path: String,
    pub(crate) value: &'d Value,
}

impl<'d> Fields<'d> {
    /// Reports and gives up if `value` is not a mapping. `true` stands for an empty one, as on a
    /// command line.
    pub(crate) fn open(report: &'d Report, path: &str, value: &'d Value) -> Option<Self> {
        let entries: &[Entry] = match &value.kind {
            Kind::Map(entries) => entries,
            Kind::Scalar(scalar) if scalar.text == "true" => &[],
            Kind::Scalar(scalar) if scalar.text == "false" => return None,
            Kind::Null => return None,
            Kind::Scalar(_) | Kind::List(_) => {
                wrong_type(report, path, value, "a mapping");
                return None;
            }
        };
        let fields = Self {
            report,
            path: path.to_owned(),
            at: value.at,
            entries,
            asked: RefCell::default(),
        };
        report.hear(path, |_| {});
        fields.report_repeated();
        Some(fields)
    }

    /// Tells a listening report what `key` is taken for.
    fn hear(&self, key: &'static str, form: impl FnOnce() -> Form) {
        self.report.hear(&self.path, |mapping| {
            mapping.key(key, form());
        });
    }

    /// A key of the dialect that changes nothing, which whoever reads it says.
    pub(crate) fn reads_over(&self, key: &'static str) {
        self.hear(key, || Form::NoEffect);
    }

    /// A key of the dialect that whoever reads it refuses.
    pub(crate) fn refuses(&self, key: &'static str) {
        self.hear(key, || Form::Unsupported);
    }

    /// A key that has to be there.
    pub(crate) fn requires(&self, key: &'static str) {
        self.report.hear(&self.path, |mapping| mapping.key(key, Form::Anything).required = true);
    }

    /// Reports `key` unless it is there.
    pub(crate) fn demand(&self, key: &'static str, text: &str) -> bool {
        self.demand_with_help(key, text, "")
    }

    pub(crate) fn demand_with_help(&self, key: &'static str, text: &str, help: &str) -> bool {
        self.requires(key);
        let there = self.present(key);
        if !there {
            self.error_with_help(key, "missing", text, help);
        }
        there
    }

    /// Whoever listens is shown each of several keys, of which a document has one; otherwise
    /// nothing happens.
    pub(crate) fn each_alternative(&self, keys: &[&'static str], read: impl Fn(&'static str)) {
        if !self.report.listens() {
            return;
        }
        for key in keys {
            self.report.hear(&self.path, |mapping| {
                mapping.key(key, Form::Anything).alternative = true;
            });
            read(key);
        }
    }

    fn report_repeated(&self) {
        let mut seen = BTreeSet::new();
        for entry in self.entries {
            if !seen.insert(entry.key.to_ascii_lowercase()) {
                let path = join(&self.path, &entry.key);
                self.report.error("repeated-key", entry.at, &path, "this key is here twice");
            }
        }
    }

    fn entry(&self, key: &'static str) -> Option<&'d Entry> {
        self.asked.borrow_mut().push(key);
        self.hear(key, || Form::Anything);
        self.entries
            .iter()
            .find(|entry| entry.key.eq_ignore_ascii_case(key) && !entry.value.is_null())
    }

    pub(crate) fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// Where `key` stands, or else the mapping.
    pub(crate) fn place_of(&self, key: &str) -> At {
        let entry = self.entries.iter().find(|entry| entry.key.eq_ignore_ascii_case(key));
        entry.map_or(self.at, |entry| entry.at)
    }

    pub(crate) fn error(&self, key: &str, code: &'static str, text: impl Into<String>) {
        self.report.error(code, self.place_of(key), &self.path_of(key), text);
    }

    pub(crate) fn error_with_help(
        &self,
        key: &str,
        code: &'static str,
        text: impl Into<String>,
        help: impl Into<String>,
    ) {
        let problem = Diagnostic::error(code, self.path_of(key), text).help(help);
        self.report.add(self.place_of(key), problem);
    }

    pub(crate) fn warning(&self, key: &str, code: &'static str, text: impl Into<String>) {
        self.report.warning(code, self.place_of(key), &self.path_of(key), text);
    }

    /// Whether the key is there and not `false`.
    pub(crate) fn has(&self, key: &'static str) -> bool {
        self.entry(key).is_some_and(|entry| !is_false(&entry.value))
    }

    pub(crate) fn warning_with_help(
        &self,
        key: &str,
        code: &'static str,
        text: impl Into<String>,
        help: impl Into<String>,
    ) {
        let problem = Diagnostic::warning(code, self.path_of(key), text).help(help);
        self.report.add(self.place_of(key), problem);
    }

    /// Whether the key is there and says anything, `false` included.
    pub(crate) fn present(&self, key: &'static str) -> bool {
        self.entry(key).is_some()
    }

    pub(crate) fn scalar(&self, key: &'static str) -> Option<(At, &'d Scalar)> {
        self.hear(key, || Form::Text);
        let entry = self.entry(key)?;
        match &entry.value.kind {
            Kind::Scalar(scalar) => Some((entry.value.at, scalar)),
            Kind::Null | Kind::List(_) | Kind::Map(_) => {
                wrong_type(self.report, &self.path_of(key), &entry.value, "a single value");
                None
            }
        }
    }

    pub(crate) fn text(&self, key: &'static str) -> Option<String> {
        self.scalar(key).map(|(_, scalar)| scalar.text.clone())
    }

    /// A scalar that `parse` understands; its error says what was wanted.
    pub(crate) fn parsed<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (at, scalar) = self.scalar(key)?;
        parse(&scalar.text)
            .map_err(|wanted| bad_value(self.report, at, &self.path_of(key), &scalar.text, &wanted))
            .ok()
    }

    pub(crate) fn flag(&self, key: &'static str) -> Option<bool> {
        self.hear(key, || Form::Flag);
        self.parsed(key, flag)
    }

    pub(crate) fn span(&self, key: &'static str) -> Option<Span> {
        self.hear(key, || Form::Span);
        self.parsed(key, |text| duration::span(text).map_err(str::to_owned))
    }

    /// A length of time above zero.
    pub(crate) fn lasting(&self, key: &'static str) -> Option<Span> {
        self.hear(key, || Form::Span);
        self.parsed(key, |text| match duration::span(text) {
            Ok(Span::ZERO) => Err("it must be above 0".to_owned()),
            other => other.map_err(str::to_owned),
        })
    }

    pub(crate) fn number(&self, key: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        self.hear(key, || Form::Number(range.clone()));
        self.parsed(key, |text| number(text, range))
    }

    /// One of a few words, in any case.
    pub(crate) fn word<T: Copy>(
        &self,
        key: &'static str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        self.hear(key, || Form::Word(words.iter().map(|(word, _)| *word).collect()));
        self.parsed(key, |text| word(text, words))
    }

    /// The same, where an empty text says what its absence says.
    pub(crate) fn word_or_empty<T: Copy>(
        &self,
        key: &'static str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        self.hear(key, || {
            let words = words.iter().map(|(word, _)| *word);
            Form::Word(words.chain([""]).collect())
        });
        let parse =
            |text: &str| if text.is_empty() { Ok(None) } else { word(text, words).map(Some) };
        self.parsed(key, parse).flatten()
    }

    /// Texts of a list, or of one value split at commas.
    pub(crate) fn texts(&self, key: &'static str) -> Option<Vec<(At, &'d str)>> {
        self.hear(key, || Form::Texts);
        let entry = self.entry(key)?;
        let path = self.path_of(key);
        let items = match &entry.value.kind {
            Kind::Scalar(scalar) => {
                let parts = scalar.text.split(',').map(str::trim).filter(|part| !part.is_empty());
                return Some(parts.map(|part| (entry.value.at, part)).collect());
            }
            Kind::Null | Kind::List(_) | Kind::Map(_) => self.items_of(&entry.value, &path)?,
        };
        let mut texts = Vec::with_capacity(items.len());
        for (path, item) in items {
            match &item.kind {
                Kind::Scalar(scalar) => texts.push((item.at, scalar.text.as_str())),
                Kind::Null => {}
                Kind::List(_) | Kind::Map(_) => {
                    wrong_type(self.report, &path, item, "a single value");
                }
            }
        }
        Some(texts)
    }

    pub(crate) fn strings(&self, key: &'static str) -> Option<Vec<String>> {
        let texts = self.texts(key)?;
        Some(texts.into_iter().map(|(_, text)| text.to_owned()).collect())
    }

    /// Members of a list with their paths; a mapping with the keys `0`, `1`, … is a list too, as
    /// an environment has no brackets.
    pub(crate) fn list(&self, key: &'static str) -> Option<Vec<(String, &'d Value)>> {
        self.hear(key, || Form::List);
        if self.report.listens() {
            return Some(vec![(format!("{}[0]", self.path_of(key)), &NOTHING)]);
        }
        let entry = self.entry(key)?;
        self.items_of(&entry.value, &self.path_of(key))
    }

    fn items_of(&self, value: &'d Value, path: &str) -> Option<Vec<(String, &'d Value)>> {
        let numbered = |entries: &[Entry]| {
            entries.iter().enumerate().all(|(i, entry)| entry.key == i.to_string())
        };
        let items: Vec<&Value> = match &value.kind {
            Kind::List(items) => items.iter().collect(),
            Kind::Map(entries) if numbered(entries) => entries.iter().map(|e| &e.value).collect(),
            Kind::Null | Kind::Scalar(_) | Kind::Map(_) => {
                wrong_type(self.report, path, value, "a list");
                return None;
            }
        };
        Some(items.into_iter().enumerate().map(|(i, v)| (format!("{path}[{i}]"), v)).collect())
    }

    pub(crate) fn section(&self, key: &'static str) -> Option<Self> {
        self.hear(key, || Form::Section);
        if self.report.listens() {
            return Self::open(self.report, &self.path_of(key), &NOTHING);
        }
        let entry = self.entry(key)?;
        let mut section = Self::open(self.report, &self.path_of(key), &entry.value)?;
        section.at = entry.at;
        Some(section)
    }

    /// A section whose presence alone switches something on: an author who leaves it empty in
    /// YAML has written nothing, and is told so.
    pub(crate) fn switch(&self, key: &'static str) -> Option<Self> {
        let empty = self
            .entries
            .iter()
            .any(|entry| entry.key.eq_ignore_ascii_case(key) && entry.value.is_null());
        if empty {
            self.warning(
                key,
                "empty-key",
                "an empty key changes nothing; write {} to switch it on",
            );
        }
        self.section(key)
    }

    /// Members of a mapping from names to anything. A repeated name is reported; the first stays.
    pub(crate) fn named(&self, key: &'static str) -> Vec<Named<'d>> {
        self.hear(key, || Form::Named);
        if self.report.listens() {
            let path = join(&self.path_of(key), ANY_NAME);
            return vec![Named { name: ANY_NAME, at: self.at, path, value: &NOTHING }];
        }
        let Some(entry) = self.entry(key) else { return Vec::new() };
        let path = self.path_of(key);
        let entries: &[Entry] = match &entry.value.kind {
            Kind::Map(entries) => entries,
            Kind::Null | Kind::Scalar(_) | Kind::List(_) => {
                wrong_type(self.report, &path, &entry.value, "a mapping from names");
                return Vec::new();
            }
        };
        let mut seen = BTreeSet::new();
        let mut members = Vec::with_capacity(entries.len());
        for entry in entries {
            let path = join(&path, &entry.key);
            if !seen.insert(entry.key.as_str()) {
                self.report.error("repeated-key", entry.at, &path, "this name is here twice");
            } else if !entry.value.is_null() {
                members.push(Named { name: &entry.key, at: entry.at, path, value: &entry.value });
            }
        }
        members
    }

    /// Names to texts, for header fields.
    pub(crate) fn pairs(&self, key: &'static str) -> Vec<(At, String, String)> {
        if self.report.listens() {
            self.hear(key, || Form::Pairs);
            return Vec::new();
        }
        let mut pairs = Vec::new();
        for member in self.named(key) {
            match &member.value.kind {
                Kind::Scalar(scalar) => {
                    pairs.push((member.at, member.name.to_owned(), scalar.text.clone()));
                }
                Kind::Null | Kind::List(_) | Kind::Map(_) => {
                    wrong_type(self.report, &member.path, member.value, "a single value");
                }
            }
        }
        pairs
    }

    /// Keys of the dialect that this version reads over; each is reported if it is there.
    pub(crate) fn without_effect(&self, keys: &[&'static str]) {
        for key in keys {
            self.hear(key, || Form::NoEffect);
            if self.entry(key).is_some() {
                self.warning(key, "no-effect", "this is not supported yet and has no effect");
            }
        }
    }

    /// Keys of the dialect that must not be read over: what they ask for is not built yet.
    pub(crate) fn unsupported(&self, keys: &[&'static str]) {
        for key in keys {
            self.hear(key, || Form::Unsupported);
            if self.has(key) {
                self.error(key, "unsupported", "this is not supported by this version");
            }
        }
    }

    /// Keys that may be there and change nothing.
    pub(crate) fn accept(&self, keys: &[&'static str]) {
        self.asked.borrow_mut().extend_from_slice(keys);
        for key in keys {
            self.hear(key, || Form::Anything);
        }
    }

    /// Reports every key that nobody asked for.
    pub(crate) fn close(self) {
        for entry in self.unasked() {
            let path = join(&self.path, &entry.key);
            let problem =
                Diagnostic::error("unknown-key", path, format!("unknown key `{}`", entry.key));
            self.report.add(entry.at, problem.help(self.suggestion(&entry.key)));
        }
    }

    pub(crate) fn unasked(&self) -> Vec<&'d Entry> {
        let asked = self.asked.borrow();
        let is_asked =
            |entry: &&Entry| asked.iter().any(|key| key.eq_ignore_ascii_case(&entry.key));
        self.entries.iter().filter(|entry| !is_asked(entry)).collect()
    }

    fn suggestion(&self, key: &str) -> String {
        let asked = self.asked.borrow();
        suggestion(key, asked.iter().copied())
    }
}

fn is_false(value: &Value) -> bool {
    matches!(&value.kind, Kind::Scalar(scalar) if scalar.text == "false")
}

pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The nearest known word, or all of them if they are few.
pub(crate) fn suggestion<'k>(word: &str, known: impl Iterator<Item = &'k str> + Clone) -> String {
    if let Some(near) = nearest(word, known.clone()) {
        return format!("did you mean {near}?");
    }
    let mut all: Vec<&str> = known.collect();
    all.sort_unstable();
    all.dedup();
    if all.is_empty() || all.len() > 12 {
        return String::new();
    }
    format!("known here: {}", all.join(", "))
}

pub(crate) fn wrong_type(report: &Report, path: &str, value: &Value, wanted: &str) {
    let text = format!("expected {wanted}, found {}", value.noun());
    report.error("wrong-type", value.at, path, text);
}

pub(crate) fn bad_value(report: &Report, at: At, path: &str, text: &str, wanted: &str) {
    let shown: String = text.chars().take(80).collect();
    report.error("bad-value", at, path, format!("`{shown}`: {wanted}"));
}

fn flag(text: &str) -> Result<bool, String> {
    match text {
        "true" | "True" | "TRUE" | "t" | "T" | "1" => Ok(true),
        "false" | "False" | "FALSE" | "f" | "F" | "0" => Ok(false),
        "yes" | "Yes" | "on" | "On" => Err("write true".to_owned()),
        "no" | "No" | "off" | "Off" => Err("write false".to_owned()),
        _ => Err("expected true or false".to_owned()),
    }
}

/// A whole number: decimal, or `0x`, `0o`, `0b`, with `_` between digits.
pub(crate) fn number(text: &str, range: RangeInclusive<i64>) -> Result<i64, String> {
    let (low, high) = (*range.start(), *range.end());
    let value = whole(text).ok_or_else(|| "expected a whole number".to_owned())?;
    if value < i128::from(low) {
        return Err(format!("it is below {low}"));
    }
    if value > i128::from(high) {
        return Err(format!("it is above {high}"));
    }
    i64::try_from(value).map_err(|_| "expected a whole number".to_owned())
}

fn whole(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let prefixed = |prefix| digits.strip_prefix(prefix);
    let (digits, radix) = if let Some(digits) = prefixed("0x") {
        (digits, 16)
    } else if let Some(digits) = prefixed("0o") {
        (digits, 8)
    } else if let Some(digits) = prefixed("0b") {
        (digits, 2)
    } else {
        (digits, 10)
    };
    // A leading zero is octal in YAML 1.1 and decimal in 1.2.
    if radix == 10 && digits.len() > 1 && digits.starts_with('0') {
        return None;
    }
    let plain: String = digits.chars().filter(|c| *c != '_').collect();
    if !plain.chars().all(|c| c.is_digit(radix)) || plain.len() > 32 {
        return None;
    }
    i128::from_str_radix(&plain, radix).ok().map(|value| sign * value)
}

pub(crate) fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    if let Some((_, value)) = words.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
        return Ok(*value);
    }
    let names = words.iter().map(|(name, _)| *name);
    let all: Vec<&str> = names.clone().collect();
    let near =
        nearest(text, names).map_or_else(String::new, |near| format!("; did you mean {near}?"));
    Err(format!("expected one of {}{near}", all.join(", ")))
}
