//! The rule language (semantics §2).

use crate::http::request::RequestInfo;

/// A parsed routing rule.
#[derive(Clone, PartialEq, Debug)]
pub struct Rule {
    text: String,
}

impl Rule {
    pub fn matches(&self, request: &RequestInfo<'_>) -> bool {
        self.text == request.path
    }
}
