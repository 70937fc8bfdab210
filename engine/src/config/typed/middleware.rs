//! Middlewares, each as far as it can be carried out.

use super::Place;
use crate::rule::{Pattern, Replacement};

#[derive(Clone, PartialEq, Debug)]
pub struct Middleware {
    pub name: String,
    pub place: Place,
    pub kind: MiddlewareKind,
}

#[derive(Clone, PartialEq, Debug)]
pub enum MiddlewareKind {
    StripPrefix {
        prefixes: Vec<String>,
    },
    StripPrefixRegex {
        patterns: Vec<Pattern>,
    },
    AddPrefix {
        prefix: String,
    },
    ReplacePath {
        path: String,
    },
    ReplacePathRegex(Rewrite),
    Headers(HeadersEdit),
    /// Qualified names.
    Chain(Vec<String>),
    /// Could not be read, or its kind is not built yet; routers that use it answer 503.
    Broken(String),
}

/// An expression, and what stands for what it matches.
#[derive(Clone, PartialEq, Debug)]
pub struct Rewrite {
    pub pattern: Pattern,
    pub replacement: Replacement,
}

/// Custom fields: an empty value deletes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HeadersEdit {
    pub request: Vec<(String, String)>,
    pub response: Vec<(String, String)>,
}
