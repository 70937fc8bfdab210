//! A page in the making. What is markup was written beforehand; whatever else comes in is escaped,
//! and there is no third way.

use std::fmt::{self, Display, Write};

#[derive(Debug, Default)]
pub(super) struct Html {
    out: String,
    /// In front of every link: `../` for each level below the overview.
    pub(super) up: String,
}

impl Html {
    pub(super) fn new(up: String) -> Self {
        Self { out: String::with_capacity(16 << 10), up }
    }

    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.out.push_str(markup);
        self
    }

    pub(super) fn text(&mut self, text: impl Display) -> &mut Self {
        write!(Escaped(&mut self.out), "{text}").expect("a string takes everything");
        self
    }

    /// As much of a text as a row has room for.
    pub(super) fn clipped(&mut self, text: &str, chars_max: usize) -> &mut Self {
        match text.char_indices().nth(chars_max) {
            None => self.text(text),
            Some((end, _)) => self.text(&text[..end]).raw("…"),
        }
    }

    /// Inside a tag.
    pub(super) fn attr(&mut self, name: &'static str, value: impl Display) -> &mut Self {
        self.raw(" ").raw(name).raw("=\"").text(value).raw("\"")
    }

    /// `<tag class="class">text</tag>`.
    pub(super) fn element(
        &mut self,
        tag: &'static str,
        class: &'static str,
        text: impl Display,
    ) -> &mut Self {
        self.raw("<").raw(tag);
        if !class.is_empty() {
            self.attr("class", class);
        }
        self.raw(">").text(text).raw("</").raw(tag).raw(">")
    }

    /// A cell; on a narrow page the label stands before it.
    pub(super) fn cell(&mut self, label: &'static str) -> &mut Self {
        self.raw("<td").attr("data-label", label).raw(">")
    }

    /// A word on coloured ground.
    pub(super) fn pill(&mut self, tone: Tone, text: impl Display) -> &mut Self {
        self.element("span", tone.class(), text)
    }

    /// To the page of one definition.
    pub(super) fn link(&mut self, list: &'static str, name: &str) -> &mut Self {
        self.link_as(list, name, name)
    }

    pub(super) fn link_as(&mut self, list: &'static str, name: &str, label: &str) -> &mut Self {
        self.raw("<a href=\"");
        let up = std::mem::take(&mut self.up);
        self.text(&up).raw(list).raw("/").text(Percent(name)).raw("\">");
        self.up = up;
        self.clipped(label, NAME_CHARS_MAX).raw("</a>")
    }

    /// To a page, with what stands behind its name.
    pub(super) fn href(&mut self, page: impl Display) -> &mut Self {
        self.raw(" href=\"");
        let up = std::mem::take(&mut self.up);
        self.text(&up).text(page).raw("\"");
        self.up = up;
        self
    }

    /// A number that moves; scripts know it by its name.
    pub(super) fn count(&mut self, name: impl Display, value: u64) -> &mut Self {
        self.raw("<data").attr("data-of", name).attr("value", value).raw(">");
        self.text(Grouped(value)).raw("</data>")
    }

    /// How much of a thousand, and where it should be.
    pub(super) fn bar(&mut self, per_mille: u64, wanted: Option<u64>) -> &mut Self {
        self.raw("<svg class=\"bar\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\"");
        self.raw(" aria-hidden=\"true\"><rect class=\"track\" width=\"1000\" height=\"10\"/>");
        self.raw("<rect class=\"fill\" height=\"10\"").attr("width", per_mille.min(1_000));
        self.raw("/>");
        if let Some(wanted) = wanted {
            self.raw("<rect class=\"wanted\" width=\"6\" height=\"10\"");
            self.attr("x", wanted.min(994)).raw("/>");
        }
        self.raw("</svg>")
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.out.into_bytes()
    }
}

pub(super) const NAME_CHARS_MAX: usize = 120;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tone {
    Good,
    Warning,
    Bad,
    Quiet,
}

impl Tone {
    const fn class(self) -> &'static str {
        match self {
            Self::Good => "pill good",
            Self::Warning => "pill warning",
            Self::Bad => "pill bad",
            Self::Quiet => "pill quiet",
        }
    }
}

struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(c),
                c if c.is_control() => self.0.push('\u{FFFD}'),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

/// A name as one segment of a path, or as a value of a query.
pub(super) struct Percent<'a>(pub(super) &'a str);

impl Display for Percent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => {
                    f.write_char(char::from(byte))?;
                }
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

/// `1,234,567`.
pub(super) struct Grouped(pub(super) u64);

impl Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >= 1_000 {
            Self(self.0 / 1_000).fmt(f)?;
            return write!(f, ",{:03}", self.0 % 1_000);
        }
        write!(f, "{}", self.0)
    }
}

/// `12.5 %` of a number of thousandths.
pub(super) struct PerMille(pub(super) u64);

impl Display for PerMille {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} %", self.0 / 10, self.0 % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(write: impl FnOnce(&mut Html), expected: &str) {
        let mut html = Html::new("../".to_owned());
        write(&mut html);
        assert_eq!(String::from_utf8(html.finish()).expect("text"), expected);
    }

    #[test]
    fn nothing_that_comes_in_is_markup() {
        let escaped = "&lt;b a=&quot;&#39;&amp;\u{FFFD}&gt;";
        check(
            |html| {
                html.text("<b a=\"'&\0>");
            },
            escaped,
        );
        check(
            |html| {
                html.element("td", "", "a\"><b>");
            },
            "<td>a&quot;&gt;&lt;b&gt;</td>",
        );
        check(
            |html| {
                html.attr("title", "\"x");
            },
            " title=\"&quot;x\"",
        );
        check(
            |html| {
                html.link("routers", "a/b\"?<é");
            },
            "<a href=\"../routers/a%2Fb%22%3F%3C%C3%A9\">a/b&quot;?&lt;é</a>",
        );
        check(
            |html| {
                html.clipped("äöü", 2);
            },
            "äö…",
        );
        check(
            |html| {
                html.clipped("äöü", 3);
            },
            "äöü",
        );
    }

    #[test]
    fn numbers_read_well() {
        for (value, expected) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (1_020_034, "1,020,034")]
        {
            assert_eq!(Grouped(value).to_string(), expected);
        }
        assert_eq!(PerMille(7).to_string(), "0.7 %");
    }
}
