//! Where the problems of one document are collected.

use super::document::At;
use super::fixed::Provider;
use super::outline::Mapping;
use super::template::Origin;
use super::typed::Place;
use crate::base::diag::{Diagnostic, Severity};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// More problems than this are one more: somebody has to read them.
const PROBLEMS_MAX: usize = 1_000;

/// The problems of one document, in the order they were found.
#[derive(Debug)]
pub(crate) struct Report {
    file: Arc<str>,
    found: RefCell<Vec<Diagnostic>>,
    /// Mappings by path, while there is no document and only questions are heard.
    outline: Option<RefCell<BTreeMap<String, Mapping>>>,
    /// If what is read is not what stands in the file.
    origin: Option<Origin>,
    /// Whose definitions these are.
    provider: Provider,
}

/// A point in a report: what was found after it belongs to one definition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(usize);

impl Report {
    pub(crate) fn new(file: &str) -> Self {
        Self {
            file: file.into(),
            found: RefCell::default(),
            outline: None,
            origin: None,
            provider: Provider::File,
        }
    }

    pub(super) fn of(file: &str, provider: Provider) -> Self {
        Self { provider, ..Self::new(file) }
    }

    /// The full name of what is defined here.
    pub(super) fn own(&self, name: &str) -> String {
        format!("{name}@{}", self.provider.name())
    }

    /// The full name of what `name` refers to here.
    pub(super) fn qualified(&self, name: &str) -> String {
        if name.is_empty() || name.contains('@') {
            return name.to_owned();
        }
        self.own(name)
    }

    /// The text was filled in: places are those of its source.
    pub(super) fn comes_from(&mut self, origin: Origin) {
        self.origin = Some(origin);
    }

    pub(super) fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    fn source(&self, at: At) -> At {
        self.origin.as_ref().map_or(at, |origin| origin.of(at))
    }

    /// For readers that are asked what they would ask.
    pub(super) fn listening() -> Self {
        Self { outline: Some(RefCell::default()), ..Self::new("") }
    }

    pub(super) fn listens(&self) -> bool {
        self.outline.is_some()
    }

    /// Hears a question about the mapping at `path`.
    pub(super) fn hear(&self, path: &str, question: impl FnOnce(&mut Mapping)) {
        if let Some(outline) = &self.outline {
            question(outline.borrow_mut().entry(path.to_owned()).or_default());
        }
    }

    pub(super) fn into_outline(self) -> BTreeMap<String, Mapping> {
        self.outline.map(RefCell::into_inner).unwrap_or_default()
    }

    pub(crate) fn error(&self, code: &'static str, at: At, path: &str, text: impl Into<String>) {
        self.add(at, Diagnostic::error(code, path, text));
    }

    pub(crate) fn warning(&self, code: &'static str, at: At, path: &str, text: impl Into<String>) {
        self.add(at, Diagnostic::warning(code, path, text));
    }

    pub(crate) fn add(&self, at: At, problem: Diagnostic) {
        let at = self.source(at);
        self.found.borrow_mut().push(problem.at(&self.file, at.line, at.column));
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark(self.found.borrow().len())
    }

    /// The errors found since `mark`, as text.
    pub(crate) fn errors_since(&self, mark: Mark) -> Vec<String> {
        let found = self.found.borrow();
        let errors = found[mark.0..].iter().filter(|problem| problem.severity == Severity::Error);
        errors.map(|problem| format!("{}: {}", problem.path, problem.text)).collect()
    }

    pub(crate) fn place(&self, at: At) -> Place {
        let at = self.source(at);
        Place { file: Arc::clone(&self.file), line: at.line, column: at.column }
    }

    /// By line, so that a reader can walk down the file.
    pub(crate) fn into_sorted(self) -> Vec<Diagnostic> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|problem| (problem.line, problem.column));
        let total = found.len();
        if total > PROBLEMS_MAX {
            found.truncate(PROBLEMS_MAX);
            let text = format!("{} more problems are not shown", total - PROBLEMS_MAX);
            found.push(Diagnostic::error("too-many", "", text).at(&self.file, 0, 0));
        }
        found
    }
}

/// Problems for machines: an array of objects, empty members left out.
pub fn json(problems: &[Diagnostic]) -> String {
    let object = |problem: &Diagnostic| {
        let mut object = serde_json::Map::new();
        let severity = if problem.is_error() { "error" } else { "warning" };
        let texts = [
            ("severity", severity),
            ("code", problem.code),
            ("file", &problem.file),
            ("path", &problem.path),
            ("text", &problem.text),
            ("help", &problem.help),
        ];
        for (key, text) in texts {
            if !text.is_empty() {
                object.insert(key.to_owned(), text.into());
            }
        }
        for (key, number) in [("line", problem.line), ("column", problem.column)] {
            if number != 0 {
                object.insert(key.to_owned(), number.into());
            }
        }
        serde_json::Value::Object(object)
    };
    serde_json::Value::Array(problems.iter().map(object).collect()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_for_machines_leave_out_what_is_unknown() {
        let place = At { line: 3, column: 5 };
        let report = Report::new("a.yml");
        report.add(place, Diagnostic::error("bad-rule", "http.routers.r", "no \"rule\"").help("h"));
        report.warning("no-effect", At::default(), "", "w");
        assert_eq!(
            json(&report.into_sorted()),
            "[{\"code\":\"no-effect\",\"file\":\"a.yml\",\"severity\":\"warning\",\"text\":\"w\"},\
             {\"code\":\"bad-rule\",\"column\":5,\"file\":\"a.yml\",\"help\":\"h\",\"line\":3,\
             \"path\":\"http.routers.r\",\"severity\":\"error\",\"text\":\"no \\\"rule\\\"\"}]"
        );
    }

    #[test]
    fn a_flood_of_problems_is_cut_off_and_counted() {
        let report = Report::new("a.yml");
        for _ in 0..PROBLEMS_MAX + 5 {
            report.error("x", At::default(), "", "x");
        }
        let found = report.into_sorted();
        assert_eq!(found.len(), PROBLEMS_MAX + 1);
        assert_eq!(found[PROBLEMS_MAX].text, "5 more problems are not shown");
    }
}
