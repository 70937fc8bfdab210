//! Lists of any length: what a page shows of them, and how much it looks at, is bounded, so that a
//! hundred thousand definitions hold no worker up.

use super::html::{Grouped, Html, Percent};
use crate::worker::api::list::pairs;

/// Rows of one page.
pub(super) const ROWS_MAX: usize = 50;
/// Definitions that one page looks at.
pub(super) const LOOKS_MAX: usize = 20_000;

/// What is looked for; empty means anything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Wish {
    /// As it was typed.
    pub(super) search: String,
    pub(super) status: String,
    /// Position of the first definition that is looked at.
    pub(super) from: usize,
}

impl Wish {
    pub(super) fn of(query: &[u8]) -> Self {
        let mut wish = Self::default();
        for (name, value) in pairs(query) {
            match name.as_str() {
                "search" => wish.search = value.trim().chars().take(200).collect(),
                "status" => wish.status = value,
                "from" => wish.from = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        wish
    }

    pub(super) fn is_anything(&self) -> bool {
        self.search.is_empty() && self.status.is_empty()
    }

    pub(super) fn admits(&self, status: &str, texts: &[&str]) -> bool {
        let status = self.status.is_empty() || self.status == status;
        status && (self.search.is_empty() || texts.iter().any(|text| has(text, &self.search)))
    }

    /// The positions of the rows of this page among `len` definitions.
    pub(super) fn page(&self, len: usize, admits: impl Fn(usize) -> bool) -> Page {
        let from = self.from.min(len);
        let mut page = Page { rows: Vec::new(), from, next: from, len };
        while page.next < len && page.next - from < LOOKS_MAX && page.rows.len() < ROWS_MAX {
            if admits(page.next) {
                page.rows.push(page.next);
            }
            page.next += 1;
        }
        page
    }
}

/// Whether `text` has `part` in it; ASCII letters in any case.
fn has(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Page {
    pub(super) rows: Vec<usize>,
    from: usize,
    /// Where the next page begins.
    next: usize,
    len: usize,
}

impl Page {
    /// The form above a list.
    pub(super) fn form(&self, html: &mut Html, wish: &Wish, statuses: &[&'static str]) {
        html.raw("<form class=\"filter\" role=\"search\"><input type=\"search\" name=\"search\"");
        html.raw(" aria-label=\"Search\"");
        html.attr("value", &wish.search).raw(">");
        if !statuses.is_empty() {
            html.raw("<select name=\"status\" aria-label=\"Status\">");
            html.raw("<option value=\"\">any status</option>");
            for status in statuses {
                html.raw("<option");
                if wish.status == *status {
                    html.raw(" selected");
                }
                html.raw(">").text(status).raw("</option>");
            }
            html.raw("</select>");
        }
        html.raw("<button>Search</button>");
        if !wish.is_anything() {
            html.raw("<a class=\"clear\" href=\"?\">Clear</a>");
        }
        html.raw("</form>");
    }

    /// What is shown of how many, and the way to the rest.
    pub(super) fn pager(&self, html: &mut Html, wish: &Wish) {
        html.raw("<p class=\"pager\"><span>");
        let shown = self.rows.len() as u64;
        if wish.is_anything() {
            let first = if shown == 0 { 0 } else { self.from as u64 + 1 };
            html.text(Grouped(first)).raw("–").text(Grouped(self.next as u64));
            html.raw(" of ").text(Grouped(self.len as u64));
        } else {
            html.text(Grouped(shown)).raw(" found among the definitions ");
            html.text(Grouped(self.from as u64 + u64::from(self.len > self.from))).raw("–");
            html.text(Grouped(self.next as u64)).raw(" of ").text(Grouped(self.len as u64));
        }
        html.raw("</span>");
        if self.from > 0 && wish.is_anything() {
            let before = self.from.saturating_sub(ROWS_MAX);
            html.raw("<a rel=\"prev\"").attr("href", Turn(wish, before)).raw(">← Previous</a>");
        } else if self.from > 0 {
            html.raw("<a rel=\"first\"").attr("href", Turn(wish, 0)).raw(">← First</a>");
        }
        if self.next < self.len {
            html.raw("<a rel=\"next\"").attr("href", Turn(wish, self.next)).raw(">Next →</a>");
        }
        html.raw("</p>");
    }
}

/// The query of the page that begins elsewhere.
struct Turn<'a>(&'a Wish, usize);

impl std::fmt::Display for Turn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "?from={}", self.1)?;
        for (name, value) in [("search", &self.0.search), ("status", &self.0.status)] {
            if !value.is_empty() {
                write!(f, "&{name}={}", Percent(value))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_looks_at_so_many_and_the_next_goes_on_there() {
        let wish = Wish::of(b"search=x&from=7");
        let page = wish.page(100_000, |at| at == 20_006 || at == 20_007);
        assert_eq!((page.rows, page.next), (vec![20_006], 20_007));
        let page = Wish { from: 20_007, ..wish }.page(100_000, |at| at == 20_007);
        assert_eq!((page.rows, page.next), (vec![20_007], 40_007));
        let page = Wish::of(b"from=99990").page(100_000, |_| true);
        assert_eq!((page.rows.len(), page.next), (10, 100_000));
        let page = Wish::of(b"from=100001").page(100_000, |_| true);
        assert_eq!((page.rows.len(), page.next), (0, 100_000));
    }

    #[test]
    fn letters_are_found_in_any_case() {
        for (text, part, expected) in [
            ("Shop@file", "sHOP", true),
            ("shop", "shopx", false),
            ("", "a", false),
            ("ÄB", "b", true),
        ] {
            let wish = Wish { search: part.to_owned(), ..Wish::default() };
            assert_eq!(wish.admits("", &[text]), expected, "{text} {part}");
        }
    }
}
