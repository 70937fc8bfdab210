//! Where the problems of one document are collected.

use super::document::At;
use super::typed::Place;
use crate::base::diag::{Diagnostic, Severity};
use std::cell::RefCell;
use std::sync::Arc;

/// More problems than this are one more: somebody has to read them.
const PROBLEMS_MAX: usize = 1_000;

/// The problems of one document, in the order they were found.
#[derive(Debug)]
pub(crate) struct Report {
    file: Arc<str>,
    found: RefCell<Vec<Diagnostic>>,
}

/// A point in a report: what was found after it belongs to one definition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(usize);

impl Report {
    pub(crate) fn new(file: &str) -> Self {
        Self { file: file.into(), found: RefCell::default() }
    }

    pub(crate) fn error(&self, code: &'static str, at: At, path: &str, text: impl Into<String>) {
        self.add(at, Diagnostic::error(code, path, text));
    }

    pub(crate) fn warning(&self, code: &'static str, at: At, path: &str, text: impl Into<String>) {
        self.add(at, Diagnostic::warning(code, path, text));
    }

    pub(crate) fn add(&self, at: At, problem: Diagnostic) {
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
