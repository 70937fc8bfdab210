//! Lists with their filters and pages.

use super::{Answer, decode, with};
use serde_json::{Value, json};

/// What a list may be asked for; empty means no wish.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Query {
    page: Option<String>,
    per_page: Option<String>,
    search: String,
    status: String,
    pub(super) service: String,
    pub(super) middleware: String,
    pub(super) sort_by: String,
    descending: bool,
}

/// Entries in order. Only those of the page that is asked for are written out.
pub(super) struct List<'a> {
    pub(super) len: usize,
    pub(super) object: Box<dyn Fn(usize) -> Value + 'a>,
}

/// Names and values of a query, decoded.
pub(in crate::worker) fn pairs(query: &[u8]) -> Vec<(String, String)> {
    let spaced = |text: &[u8]| {
        let plain: Vec<u8> = text.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
        decode(&plain)
    };
    let halves = |pair: &[u8]| {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let mut half = || spaced(halves.next().unwrap_or_default());
        (half(), half())
    };
    query.split(|byte| *byte == b'&').map(halves).collect()
}

impl Query {
    pub(super) fn of(query: &[u8]) -> Self {
        let mut all = Self::default();
        for (name, value) in pairs(query) {
            match name.as_str() {
                "page" => all.page = Some(value),
                "per_page" => all.per_page = Some(value),
                "search" => all.search = value.to_lowercase(),
                "status" => all.status = value.to_lowercase(),
                "serviceName" => all.service = value,
                "middlewareName" => all.middleware = value,
                "sortBy" => all.sort_by = value,
                "direction" => all.descending = value == "desc",
                _ => {}
            }
        }
        all
    }

    /// Whether one of the texts contains what is searched for and the status is the wanted one.
    pub(super) fn admits(&self, status: &str, texts: &[&str]) -> bool {
        let searched = self.search.is_empty()
            || texts.iter().any(|text| text.to_lowercase().contains(&self.search));
        searched && (self.status.is_empty() || self.status == status)
    }

    /// Sorts by `key`, then by name; backwards as a whole when asked to.
    pub(super) fn sort<T>(&self, all: &mut [T], key: impl Fn(&T) -> Value) {
        all.sort_by_cached_key(|entry| Order(key(entry)));
        if self.descending {
            all.reverse();
        }
    }
}

/// Numbers before texts; each among themselves as one would expect.
#[derive(PartialEq, Eq)]
struct Order(Value);

impl Ord for Order {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        match (self.0.as_i64(), other.0.as_i64()) {
            (Some(a), Some(b)) => a.cmp(&b),
            (a, b) => {
                b.is_some().cmp(&a.is_some()).then_with(|| self.0.as_str().cmp(&other.0.as_str()))
            }
        }
    }
}

impl PartialOrd for Order {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl List<'_> {
    /// The page that is asked for; `X-Next-Page` is the next one, or 1 on the last.
    pub(super) fn page(&self, query: &Query) -> Answer {
        let number = |text: &Option<String>, unset: usize| {
            text.as_ref().map_or(Some(unset), |text| text.parse().ok()).filter(|n| *n > 0)
        };
        let (Some(page), Some(size)) = (number(&query.page, 1), number(&query.per_page, 100))
        else {
            return bad("page and per_page must be whole numbers above zero");
        };
        let start = (page - 1).saturating_mul(size);
        if start > 0 && start >= self.len {
            return bad(&format!("page {page} of {size} each is beyond the last of {}", self.len));
        }
        let end = start.saturating_add(size).min(self.len);
        let objects: Value = (start..end).map(|at| (self.object)(at)).collect();
        let next = if end < self.len { page + 1 } else { 1 };
        let mut answer = with(200, &objects);
        answer.fields.push(("X-Next-Page", next.to_string()));
        answer
    }
}

fn bad(message: &str) -> Answer {
    with(400, &json!({ "message": message }))
}
