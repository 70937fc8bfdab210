//! Tokens to tree: `||` loosest, then `&&`, then `!`, parentheses, and calls of matchers.

use super::ast::{HostPattern, Matcher, Node};
use super::lex::{Spanned, Token, tokens};
use super::pattern::Pattern;
use super::{RuleError, Syntax, former};
use crate::base::cidr::Cidr;
use crate::base::nearest::nearest;

/// Levels of parentheses and negations. People write three; the stack holds many more.
const DEPTH_MAX: u32 = 64;

/// Name, fewest and most arguments.
pub(super) type Known = (&'static str, usize, usize);

const MATCHERS: [Known; 11] = [
    ("ClientIP", 1, 1),
    ("Header", 2, 2),
    ("HeaderRegexp", 2, 2),
    ("Host", 1, 1),
    ("HostRegexp", 1, 1),
    ("Method", 1, 1),
    ("Path", 1, 1),
    ("PathPrefix", 1, 1),
    ("PathRegexp", 1, 1),
    ("Query", 1, 2),
    ("QueryRegexp", 1, 2),
];

/// Names of the second version of the language, or of TCP, and what to write today.
const FORMER: [(&str, &str); 5] = [
    ("HeadersRegexp", "write HeaderRegexp"),
    ("Headers", "write Header"),
    ("HostHeader", "write Host"),
    ("HostSNIRegexp", "write HostRegexp; HostSNIRegexp belongs to TCP routers"),
    ("HostSNI", "write Host; HostSNI belongs to TCP routers"),
];

pub(super) fn parse(text: &str, syntax: Syntax) -> Result<Node, RuleError> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0, syntax };
    if parser.peek().token == Token::End {
        return Err(RuleError::new(0, text.len(), "the rule is empty")
            .help("a rule that takes every request is PathPrefix(`/`)"));
    }
    let node = parser.either()?;
    parser.expect(&Token::End, "&&, || or the end")?;
    Ok(node)
}

struct Parser {
    tokens: Vec<Spanned>,
    at: usize,
    depth: u32,
    syntax: Syntax,
}

impl Parser {
    fn peek(&self) -> &Spanned {
        &self.tokens[self.at]
    }

    /// Takes the next token; the end stays where it is.
    fn next(&mut self) -> Spanned {
        let token = self.tokens[self.at].clone();
        if token.token != Token::End {
            self.at += 1;
        }
        token
    }

    fn takes(&mut self, token: &Token) -> bool {
        let found = self.peek().token == *token;
        if found {
            self.next();
        }
        found
    }

    fn expect(&mut self, token: &Token, wanted: &str) -> Result<Spanned, RuleError> {
        let next = self.next();
        if next.token == *token { Ok(next) } else { Err(surprise(&next, wanted)) }
    }

    fn either(&mut self) -> Result<Node, RuleError> {
        let mut parts = vec![self.both()?];
        while self.takes(&Token::Or) {
            parts.push(self.both()?);
        }
        Ok(one_or(parts, Node::Or))
    }

    fn both(&mut self) -> Result<Node, RuleError> {
        let mut parts = vec![self.operand()?];
        while self.takes(&Token::And) {
            parts.push(self.operand()?);
        }
        Ok(one_or(parts, Node::And))
    }

    fn operand(&mut self) -> Result<Node, RuleError> {
        let first = self.next();
        match first.token {
            Token::Not => self.deeper(&first, |parser| Ok(Node::Not(Box::new(parser.operand()?)))),
            Token::Open => self.deeper(&first, |parser| {
                let node = parser.either()?;
                parser.expect(&Token::Close, "&&, || or )")?;
                Ok(node)
            }),
            Token::Name(ref name) => self.call(name, &first),
            Token::Text(_)
            | Token::And
            | Token::Or
            | Token::Close
            | Token::Comma
            | Token::Break
            | Token::End => Err(surprise(&first, "a matcher such as Host(`example.com`)")),
        }
    }

    fn deeper(
        &mut self,
        opened_by: &Spanned,
        inside: impl FnOnce(&mut Self) -> Result<Node, RuleError>,
    ) -> Result<Node, RuleError> {
        if self.depth == DEPTH_MAX {
            let text = format!("this is nested more than {DEPTH_MAX} levels deep");
            return Err(RuleError::new(opened_by.start, opened_by.end, text));
        }
        self.depth += 1;
        let node = inside(self);
        self.depth -= 1;
        node
    }

    fn call(&mut self, name: &str, at: &Spanned) -> Result<Node, RuleError> {
        let (canonical, fewest, most) = match self.syntax {
            Syntax::V3 => known(name, &MATCHERS).ok_or_else(|| unknown(name, at))?,
            Syntax::V2 => {
                known(name, &former::MATCHERS).ok_or_else(|| former::unknown(name, at))?
            }
        };
        self.expect(&Token::Open, &format!("( after {name}"))?;
        let mut arguments = Vec::new();
        while self.peek().token != Token::Close {
            arguments.push(self.argument()?);
            if !self.takes(&Token::Comma) {
                break;
            }
        }
        let close = self.expect(&Token::Close, "a comma or )")?;
        if !(fewest..=most).contains(&arguments.len()) {
            let wanted = match (fewest, most) {
                (fewest, usize::MAX) => format!("{fewest} or more"),
                (fewest, most) if fewest == most => format!("{most}"),
                _ => "1 or 2".to_owned(),
            };
            let noun = if wanted == "1" { "argument" } else { "arguments" };
            let text = format!("{canonical} takes {wanted} {noun}, not {}", arguments.len());
            let error = RuleError::new(at.start, close.end, text);
            let alternatives = format!("for alternatives write {canonical}(…) || {canonical}(…)");
            return Err(if arguments.len() > most { error.help(alternatives) } else { error });
        }
        match self.syntax {
            Syntax::V3 => matcher(canonical, &arguments).map(Node::Match),
            Syntax::V2 => former::node(canonical, &arguments),
        }
    }

    fn argument(&mut self) -> Result<Argument, RuleError> {
        let token = self.next();
        match token.token {
            Token::Text(ref text) if text.is_empty() => {
                Err(RuleError::new(token.start, token.end, "an argument must not be empty"))
            }
            Token::Text(text) => Ok(Argument { text, start: token.start, end: token.end }),
            Token::Name(_)
            | Token::Not
            | Token::And
            | Token::Or
            | Token::Open
            | Token::Close
            | Token::Comma
            | Token::Break
            | Token::End => Err(surprise(&token, "a string between backquotes")),
        }
    }
}

pub(super) fn one_or(mut parts: Vec<Node>, many: fn(Vec<Node>) -> Node) -> Node {
    if parts.len() > 1 {
        return many(parts);
    }
    parts.pop().expect("a list of operands has at least one")
}

fn surprise(found: &Spanned, wanted: &str) -> RuleError {
    let shown = match &found.token {
        Token::Name(name) => format!("`{name}`"),
        Token::Text(_) => "a string".to_owned(),
        Token::Not => "`!`".to_owned(),
        Token::And => "`&&`".to_owned(),
        Token::Or => "`||`".to_owned(),
        Token::Open => "`(`".to_owned(),
        Token::Close => "`)`".to_owned(),
        Token::Comma => "a comma".to_owned(),
        Token::Break => "a line break".to_owned(),
        Token::End => "the end".to_owned(),
    };
    let error = RuleError::new(found.start, found.end, format!("expected {wanted}, found {shown}"));
    if found.token == Token::Break {
        return error.help("a line may only end after an operator, ( or a comma");
    }
    error
}

/// Each name has four spellings: `PathPrefix`, `pathprefix`, `PATHPREFIX` and `Pathprefix`.
fn known(name: &str, all: &[Known]) -> Option<Known> {
    all.iter().copied().find(|(canonical, _, _)| {
        let lower = canonical.to_ascii_lowercase();
        let title = format!("{}{}", &canonical[..1], &lower[1..]);
        name == *canonical || name == lower || name == title || name == canonical.to_uppercase()
    })
}

fn unknown(name: &str, at: &Spanned) -> RuleError {
    let error = RuleError::new(at.start, at.end, format!("there is no matcher `{name}`"));
    if let Some((_, help)) = FORMER.iter().find(|(former, _)| former.eq_ignore_ascii_case(name)) {
        return error.help(*help);
    }
    match nearest(name, MATCHERS.iter().map(|(name, _, _)| *name)) {
        Some(near) => error.help(format!("did you mean {near}?")),
        None => error.help(
            "the matchers are Host, HostRegexp, Path, PathPrefix, PathRegexp, Header, \
             HeaderRegexp, Query, QueryRegexp, Method and ClientIP",
        ),
    }
}

pub(super) struct Argument {
    pub(super) text: String,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Argument {
    pub(super) fn wrong(&self, text: impl Into<String>) -> RuleError {
        RuleError::new(self.start, self.end, text)
    }

    pub(super) fn pattern(&self) -> Result<Pattern, RuleError> {
        Pattern::new(&self.text).map_err(|reason| {
            self.wrong(format!("this is not a regular expression: {reason}"))
                .help("the syntax is RE2's: no look-around, no backreferences")
        })
    }

    pub(super) fn path(&self) -> Result<String, RuleError> {
        if !self.text.starts_with('/') {
            return Err(self.wrong("a path starts with /").help(format!("write `/{}`", self.text)));
        }
        Ok(self.text.clone())
    }

    pub(super) fn ascii(&self) -> Result<&str, RuleError> {
        if !self.text.is_ascii() {
            return Err(self
                .wrong("a host has only ASCII letters")
                .help("write an international name in punycode: xn--…"));
        }
        Ok(&self.text)
    }

    pub(super) fn host(&self) -> Result<HostPattern, RuleError> {
        let lower = self.ascii()?.to_ascii_lowercase();
        let host = lower.strip_suffix('.').unwrap_or(&lower);
        Ok(match host.strip_prefix("*.") {
            Some(under) if !under.is_empty() => HostPattern::OneLabelUnder(under.to_owned()),
            _ if host == "*" => HostPattern::Any,
            _ => HostPattern::Exactly(host.to_owned()),
        })
    }

    pub(super) fn range(&self) -> Result<Cidr, RuleError> {
        Cidr::parse(&self.text).ok_or_else(|| {
            self.wrong("this is neither an address nor a range of addresses")
                .help("write `10.1.2.3`, `10.0.0.0/8` or `2001:db8::/32`")
        })
    }
}

fn matcher(name: &str, arguments: &[Argument]) -> Result<Matcher, RuleError> {
    let first = &arguments[0];
    let key = || first.text.clone();
    let query = |value| Matcher::Query { key: key(), value };
    Ok(match (name, arguments.get(1)) {
        ("Host", _) => Matcher::Host(first.host()?),
        ("HostRegexp", _) => {
            first.ascii()?;
            Matcher::HostRegexp(first.pattern()?)
        }
        ("Path", _) => Matcher::Path(first.path()?),
        ("PathPrefix", _) => Matcher::PathPrefix(first.path()?),
        ("PathRegexp", _) => Matcher::PathRegexp(first.pattern()?),
        ("Header", Some(value)) => Matcher::Header { name: key(), value: value.text.clone() },
        ("HeaderRegexp", Some(value)) => {
            Matcher::HeaderRegexp { name: key(), pattern: value.pattern()? }
        }
        ("QueryRegexp", Some(value)) => {
            Matcher::QueryRegexp { key: key(), pattern: value.pattern()? }
        }
        ("Query", Some(value)) => query(Some(value.text.clone())),
        ("Query" | "QueryRegexp", None) => query(None),
        ("Method", _) => Matcher::Method(first.text.to_uppercase()),
        ("ClientIP", _) => Matcher::ClientIp(first.range()?),
        (name, _) => unreachable!("{name} with {} arguments passed the table", arguments.len()),
    })
}
