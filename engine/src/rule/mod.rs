//! The rule language of routers: text to a tree of matchers, and the question whether a request is
//! meant.
//!
//! ```text
//! (Host(`shop.example.com`) || Host(`*.shop.example.com`)) && !PathPrefix(`/admin`)
//! ```

mod ast;
mod former;
mod lex;
mod literal;
mod matcher;
mod parse;
mod pattern;
mod repeat;
mod replace;

pub use ast::{HostPattern, Matcher, Node};
pub use lex::go_string;
pub use literal::Ends;
pub use pattern::{Captures, Pattern};
pub use repeat::{Attempt, Repeat};
pub use replace::Replacement;

use crate::http::request::RequestInfo;

/// A rule that means something.
#[derive(Clone, PartialEq, Debug)]
pub struct Rule {
    text: String,
    root: Node,
}

/// Why a text is not a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleError {
    /// The offending bytes of the rule, from `start` up to `end`.
    pub start: usize,
    pub end: usize,
    pub text: String,
    /// Empty when there is nothing to suggest.
    pub help: String,
}

impl RuleError {
    fn new(start: usize, end: usize, text: impl Into<String>) -> Self {
        Self { start, end, text: text.into(), help: String::new() }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }
}

/// Versions of the language.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Syntax {
    #[default]
    V3,
    /// Matchers take several alternatives, and paths and hosts have patterns in braces.
    V2,
}

impl Syntax {
    pub const fn name(self) -> &'static str {
        match self {
            Self::V3 => "v3",
            Self::V2 => "v2",
        }
    }
}

impl Rule {
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        Self::parse_as(text, Syntax::V3)
    }

    pub fn parse_as(text: &str, syntax: Syntax) -> Result<Self, RuleError> {
        Ok(Self { text: text.to_owned(), root: parse::parse(text, syntax)? })
    }

    /// As written.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn ast(&self) -> &Node {
        &self.root
    }

    /// Hosts that it asks for, in lower case; `*.` stands for one label.
    pub fn hosts(&self) -> Vec<String> {
        let mut hosts = Vec::new();
        self.root.collect_hosts(&mut hosts);
        hosts
    }

    /// What a rule without a priority of its own has: its length in bytes.
    pub fn default_priority(&self) -> i64 {
        i64::try_from(self.text.len()).unwrap_or(i64::MAX)
    }

    #[inline]
    pub fn matches(&self, request: &RequestInfo<'_>) -> bool {
        self.root.matches(request)
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
