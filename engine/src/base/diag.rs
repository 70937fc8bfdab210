//! What is wrong with a document, said so that its author can mend it.

use std::fmt;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// Worth knowing; everything takes effect.
    Warning,
    /// The named part is left out; the rest takes effect.
    Error,
}

/// One problem. `text` says what is wrong, `help` what to write instead.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Diagnostic {
    pub severity: Severity,
    /// The document, as the user named it; empty for what no file says (flags, children).
    pub file: String,
    /// 1-based; 0 when unknown.
    pub line: u32,
    /// 1-based; 0 when unknown.
    pub column: u32,
    /// Where in the document: `http.services.shop.weighted.services[1].weight`.
    pub path: String,
    /// A stable word for machines: `unknown-key`, `bad-rule`, `unknown-service`.
    pub code: &'static str,
    pub text: String,
    /// Empty when there is nothing to suggest.
    pub help: String,
}

impl Diagnostic {
    pub fn error(code: &'static str, path: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            file: String::new(),
            line: 0,
            column: 0,
            path: path.into(),
            code,
            text: text.into(),
            help: String::new(),
        }
    }

    pub fn warning(code: &'static str, path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, path, text) }
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    #[must_use]
    pub fn at(mut self, file: &str, line: u32, column: u32) -> Self {
        file.clone_into(&mut self.file);
        self.line = line;
        self.column = column;
        self
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    /// `file:line:column: error: path: text (help)`, leaving out what is unknown. One line,
    /// whatever the document holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", Visible(&self.file))?;
            if self.line != 0 {
                write!(f, "{}:{}:", self.line, self.column)?;
            }
            f.write_str(" ")?;
        }
        f.write_str(match self.severity {
            Severity::Warning => "warning: ",
            Severity::Error => "error: ",
        })?;
        if !self.path.is_empty() {
            write!(f, "{}: ", Visible(&self.path))?;
        }
        Visible(&self.text).fmt(f)?;
        if !self.help.is_empty() {
            write!(f, " ({})", Visible(&self.help))?;
        }
        Ok(())
    }
}

/// Text with its control characters escaped.
struct Visible<'a>(&'a str);

impl fmt::Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(char::is_control) {
            let (plain, from) = rest.split_at(at);
            let mut letters = from.chars();
            f.write_str(plain)?;
            letters.next().map_or(Ok(()), |control| control.escape_default().fmt(f))?;
            rest = letters.as_str();
        }
        f.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line_whatever_it_speaks_of() {
        let problem =
            Diagnostic::warning("x", "a.\u{1b}[2J", "ü\r\nb\n").help("\u{85}").at("f", 1, 2);
        assert_eq!(problem.to_string(), "f:1:2: warning: a.\\u{1b}[2J: ü\\r\\nb\\n (\\u{85})");
    }
}
