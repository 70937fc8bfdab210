//! Go templates in documents of the file provider: variables of the environment, conditions, and
//! loops over lists that stand in the document. Whatever else a template says is refused: a text
//! that was filled in wrongly may be a document still.

mod parse;
mod run;
mod source;

pub(super) use source::Origin;

use super::document::At;
use super::report::Report;
use crate::base::diag::Diagnostic;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Variables of the process.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Environment(Arc<BTreeMap<String, String>>);

impl Environment {
    pub fn new(variables: &[(String, String)]) -> Self {
        Self(Arc::new(variables.iter().cloned().collect()))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl fmt::Debug for Environment {
    /// Values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} variables", self.0.len())
    }
}

const HELP: &str = "what works: env, default, quote, list, tuple, until, splitList, add, eq, ne, \
    not, and, or; range, if, else, end, := and comments";

/// Why a template cannot be filled in, at a byte of the text.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Wrong {
    at: usize,
    text: String,
}

impl Wrong {
    fn new(at: usize, text: impl Into<String>) -> Self {
        Self { at, text: text.into() }
    }
}

/// The text with every action carried out, and where each part of it comes from. `None` after
/// reporting why that cannot be.
pub(super) fn fill(text: &str, environment: &Environment, report: &Report) -> Option<Origin> {
    let filled = parse::parse(text).and_then(|nodes| run::run(text, &nodes, environment));
    let lines = source::Lines::new(text.to_owned());
    let place = |at: usize| lines.place(at);
    match filled {
        Ok((filled, unset)) => {
            for (at, name) in unset {
                let name = name.escape_debug().to_string();
                let said = format!("the variable {name} is not set: nothing stands here");
                let problem = Diagnostic::warning("unset-variable", "", said);
                let help = format!("{{{{ env \"{name}\" | default \"...\" }}}}");
                report.add(place(at), problem.help(help));
            }
            Some(Origin::new(filled, text))
        }
        Err(wrong) => {
            let problem = Diagnostic::error("template", "", wrong.text);
            report.add(place(wrong.at), problem.help(HELP));
            None
        }
    }
}

/// Whether there is anything to fill in.
pub(super) fn has_actions(text: &str) -> bool {
    text.contains("{{")
}

#[cfg(test)]
mod tests;
