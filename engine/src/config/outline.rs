//! What the readers ask of a document, without one. A listening report hears every question, and
//! readers are shown a mapping that has nothing: they then ask for all there is. What they asked
//! for is the form of a document, and there is no second list of it that could be wrong.

use super::document::{At, Kind, Value};
use std::ops::RangeInclusive;

/// What stands for a member whose name the author chooses.
pub(super) const ANY_NAME: &str = "<name>";

/// The mapping that readers are shown.
pub(super) static NOTHING: Value =
    Value { at: At { line: 0, column: 0 }, kind: Kind::Map(Vec::new()) };

/// What a reader takes a key for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// Only whether it is there was asked.
    Anything,
    Text,
    Flag,
    Span,
    Number(RangeInclusive<i64>),
    /// One of these, in any case.
    Word(Vec<&'static str>),
    Texts,
    Section,
    /// From names to sections.
    Named,
    /// From names to texts.
    Pairs,
    List,
    /// Read over, with a warning.
    NoEffect,
    /// An error, unless it is `false`.
    Unsupported,
}

impl Form {
    /// Of two forms of one key the one that says more counts.
    fn says(&self) -> u8 {
        match self {
            Self::Anything => 0,
            Self::Text => 1,
            Self::NoEffect | Self::Unsupported => 2,
            Self::Flag
            | Self::Span
            | Self::Number(_)
            | Self::Word(_)
            | Self::Texts
            | Self::Section
            | Self::Named
            | Self::Pairs
            | Self::List => 3,
        }
    }
}

/// A key of a mapping.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Asked {
    pub(super) key: &'static str,
    pub(super) form: Form,
    pub(super) required: bool,
    /// One of several, of which exactly one is there.
    pub(super) alternative: bool,
}

/// A mapping by its path: `entryPoints.<name>.http`, `tls.certificates[0]`.
#[derive(Clone, Default, Debug)]
pub(super) struct Mapping {
    /// In the order of the questions.
    pub(super) asked: Vec<Asked>,
}

impl Mapping {
    pub(super) fn key(&mut self, key: &'static str, form: Form) -> &mut Asked {
        let at = self.asked.iter().position(|asked| asked.key == key).unwrap_or_else(|| {
            let new = Asked { key, form: Form::Anything, required: false, alternative: false };
            self.asked.push(new);
            self.asked.len() - 1
        });
        let asked = &mut self.asked[at];
        if form.says() > asked.form.says() {
            asked.form = form;
        }
        asked
    }
}
