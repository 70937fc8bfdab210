//! The language of `retryExpression`: when a request is to be sent again.
//!
//! ```text
//! either := both ('||' both)*        both := fact ('&&' fact)*
//! fact := '(' either ')' | IsNetworkError() | RequestMethod() ('==' | '!=') text
//!       | (Attempts() | ResponseCode()) ('==' | '!=' | '<' | '<=' | '>' | '>=') number
//! ```

use std::cmp::Ordering;

/// An expression of `retryExpression`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repeat {
    text: String,
    node: Node,
}

/// What is known of an attempt.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// From 1.
    pub number: u32,
    pub status: u16,
    pub method: &'a str,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Node {
    Either(Vec<Self>),
    Both(Vec<Self>),
    NetworkError,
    Method { is: bool, method: String },
    Number { of: Number, test: Test, than: u64 },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Number {
    Attempts,
    ResponseCode,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Test {
    Equal,
    Unequal,
    Below,
    AtMost,
    Above,
    AtLeast,
}

/// Levels of parentheses.
const DEPTH_MAX: u32 = 32;

impl Repeat {
    /// The error says what was expected, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { text, rest: text, depth: 0 };
        let node = reader.either()?;
        if reader.peek().is_empty() {
            return Ok(Self { text: text.to_owned(), node });
        }
        reader.expected("&&, || or the end")
    }

    pub fn source(&self) -> &str {
        &self.text
    }

    pub fn holds(&self, attempt: &Attempt<'_>) -> bool {
        self.node.holds(attempt)
    }
}

impl Node {
    fn holds(&self, attempt: &Attempt<'_>) -> bool {
        match self {
            Self::Either(nodes) => nodes.iter().any(|node| node.holds(attempt)),
            Self::Both(nodes) => nodes.iter().all(|node| node.holds(attempt)),
            Self::NetworkError => matches!(attempt.status, 502 | 504),
            Self::Method { is, method } => (attempt.method == method) == *is,
            Self::Number { of, test, than } => {
                let number = match of {
                    Number::Attempts => u64::from(attempt.number),
                    Number::ResponseCode => u64::from(attempt.status),
                };
                test.holds(number.cmp(than))
            }
        }
    }
}

impl Test {
    fn holds(self, found: Ordering) -> bool {
        match self {
            Self::Equal => found.is_eq(),
            Self::Unequal => found.is_ne(),
            Self::Below => found.is_lt(),
            Self::AtMost => found.is_le(),
            Self::Above => found.is_gt(),
            Self::AtLeast => found.is_ge(),
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    depth: u32,
}

impl<'a> Reader<'a> {
    fn either(&mut self) -> Result<Node, String> {
        let mut nodes = vec![self.both()?];
        while self.takes("||") {
            nodes.push(self.both()?);
        }
        Ok(Node::Either(nodes))
    }

    fn both(&mut self) -> Result<Node, String> {
        let mut nodes = vec![self.fact()?];
        while self.takes("&&") {
            nodes.push(self.fact()?);
        }
        Ok(Node::Both(nodes))
    }

    fn fact(&mut self) -> Result<Node, String> {
        const KNOWN: &str = "IsNetworkError(), RequestMethod(), Attempts() or ResponseCode()";
        if self.takes("(") {
            self.depth += 1;
            if self.depth > DEPTH_MAX {
                return Err(format!("more than {DEPTH_MAX} levels of parentheses"));
            }
            let node = self.either()?;
            self.depth -= 1;
            self.wants(")")?;
            return Ok(node);
        }
        let before = self.rest;
        match self.word() {
            "IsNetworkError" => self.call().map(|()| Node::NetworkError),
            "RequestMethod" => {
                self.call()?;
                let is = match (self.takes("=="), self.rest) {
                    (true, _) => true,
                    _ if self.takes("!=") => false,
                    _ => return self.expected("== or !="),
                };
                Ok(Node::Method { is, method: self.quoted()? })
            }
            "Attempts" => self.number(Number::Attempts),
            "ResponseCode" => self.number(Number::ResponseCode),
            _ => {
                self.rest = before;
                self.expected(KNOWN)
            }
        }
    }

    fn number(&mut self, of: Number) -> Result<Node, String> {
        const TESTS: [(&str, Test); 6] = [
            ("==", Test::Equal),
            ("!=", Test::Unequal),
            ("<=", Test::AtMost),
            (">=", Test::AtLeast),
            ("<", Test::Below),
            (">", Test::Above),
        ];
        self.call()?;
        let Some((_, test)) = TESTS.into_iter().find(|(sign, _)| self.takes(sign)) else {
            return self.expected("==, !=, <, <=, > or >=");
        };
        let before = self.peek();
        match self.word().parse() {
            Ok(than) => Ok(Node::Number { of, test, than }),
            Err(_) => {
                self.rest = before;
                self.expected("a whole number")
            }
        }
    }

    fn call(&mut self) -> Result<(), String> {
        self.wants("(")?;
        self.wants(")")
    }

    fn quoted(&mut self) -> Result<String, String> {
        for quote in ["\"", "`"] {
            if self.takes(quote) {
                let Some((text, rest)) = self.rest.split_once(quote) else {
                    return self.expected("the end of the text");
                };
                self.rest = rest;
                return Ok(text.to_owned());
            }
        }
        self.expected("a text in quotes")
    }

    fn word(&mut self) -> &'a str {
        let rest = self.peek();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        self.rest = &rest[end..];
        &rest[..end]
    }

    fn wants(&mut self, sign: &str) -> Result<(), String> {
        if self.takes(sign) { Ok(()) } else { self.expected(sign) }
    }

    fn takes(&mut self, sign: &str) -> bool {
        let rest = self.peek().strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn peek(&self) -> &'a str {
        self.rest.trim_start()
    }

    fn expected<T>(&self, what: &str) -> Result<T, String> {
        let at = self.text.len() - self.peek().len();
        Err(format!("expected {what} at {}", at + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, number: u32, status: u16, method: &str, holds: bool) {
        let repeat = Repeat::parse(text).expect("it is fine");
        assert_eq!(repeat.source(), text);
        assert_eq!(repeat.holds(&Attempt { number, status, method }), holds, "{text}");
    }

    #[test]
    fn expressions_hold_or_not() {
        let usual = "IsNetworkError() && Attempts() < 2";
        check(usual, 1, 502, "GET", true);
        check(usual, 1, 504, "GET", true);
        check(usual, 1, 503, "GET", false);
        check(usual, 2, 502, "GET", false);
        let more = "Attempts() <= 3 && (ResponseCode() >= 500 || ResponseCode() == 429)";
        check(more, 3, 429, "PUT", true);
        check(more, 3, 404, "PUT", false);
        check(more, 4, 500, "PUT", false);
        check("RequestMethod()==\"GET\"||ResponseCode()!=500", 1, 500, "GET", true);
        check("RequestMethod() != `GET`", 1, 500, "GET", false);
        check("ResponseCode()>499&&ResponseCode()<600", 1, 599, "GET", true);
        check("Attempts() < 2 || IsNetworkError() && Attempts() < 4", 3, 502, "A", true);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, wrong) in [
            ("", "expected IsNetworkError(), RequestMethod(), Attempts() or ResponseCode() at 1"),
            ("IsNetworkError", "expected ( at 15"),
            (
                "IsNetworkError() &&",
                "expected IsNetworkError(), RequestMethod(), Attempts() or ResponseCode() at 20",
            ),
            ("IsNetworkError() Attempts()", "expected &&, || or the end at 18"),
            ("Attempts() < two", "expected a whole number at 14"),
            ("Attempts() = 2", "expected ==, !=, <, <=, > or >= at 12"),
            ("RequestMethod() == GET", "expected a text in quotes at 20"),
            ("RequestMethod() == \"GET", "expected the end of the text at 21"),
            ("(IsNetworkError()", "expected ) at 18"),
        ] {
            assert_eq!(Repeat::parse(text), Err(wrong.to_owned()), "{text}");
        }
        let deep = "(".repeat(1_000);
        let wrong = Err("more than 32 levels of parentheses".to_owned());
        assert_eq!(Repeat::parse(&deep), wrong);
    }
}
