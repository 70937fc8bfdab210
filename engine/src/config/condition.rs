//! The conditions of circuit breakers: a Go expression over ratios of answers and their latency,
//! such as `NetworkErrorRatio() > 0.30 || LatencyAtQuantileMS(50.0) > 100`. Numbers are decimals,
//! kept as whole billionths.

use std::fmt;

/// A condition, as it was written and as it is understood. Two are equal if they were written the
/// same.
#[derive(Clone, Debug)]
pub struct Condition {
    source: String,
    pub root: Node,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Node {
    Any(Box<Self>, Box<Self>),
    All(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Compare { measure: Measure, relation: Relation, bound: Decimal },
}

/// What is measured of the last answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Measure {
    /// The part of answers that are 502 or 504.
    NetworkErrors,
    /// Those from `from` up to `to` among those from `of_from` up to `of_to`; the ends excluded.
    Codes { from: u16, to: u16, of_from: u16, of_to: u16 },
    /// The time, in milliseconds, within which this percentage of answers came.
    Latency { quantile: Decimal },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Relation {
    Above,
    AtLeast,
    Below,
    AtMost,
    Is,
    IsNot,
}

/// A decimal in billionths.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Decimal(u64);

impl Decimal {
    pub const ONE: u64 = 1_000_000_000;
    const DIGITS_MAX: usize = 9;

    pub const fn billionths(self) -> u64 {
        self.0
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.len() + part.len() == 0 || !digits(whole) || !digits(part) {
            return Err(format!("`{text}` is not a decimal number"));
        }
        if part.len() > Self::DIGITS_MAX {
            return Err(format!("`{text}` has more than nine decimals"));
        }
        let number = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u64>().ok() };
        let whole = number(whole).and_then(|whole| whole.checked_mul(Self::ONE));
        let part = number(&format!("{part:0<9}"));
        whole
            .zip(part)
            .and_then(|(whole, part)| whole.checked_add(part))
            .map(Self)
            .ok_or_else(|| format!("`{text}` is too large"))
    }
}

impl Condition {
    /// The error is one line of text.
    pub fn parse(source: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: source.trim_start(), depth: 0 };
        let root = parser.any()?;
        if !parser.rest.is_empty() {
            return Err(format!("expected && or || or the end, not `{}`", parser.word()));
        }
        Ok(Self { source: source.to_owned(), root })
    }

    pub fn source(&self) -> &str {
        &self.source
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Condition {}

/// Levels of parentheses and negations.
const DEPTH_MAX: u32 = 32;

struct Parser<'a> {
    rest: &'a str,
    depth: u32,
}

impl<'a> Parser<'a> {
    fn any(&mut self) -> Result<Node, String> {
        let mut left = self.all()?;
        while self.takes("||") {
            left = Node::Any(Box::new(left), Box::new(self.all()?));
        }
        Ok(left)
    }

    fn all(&mut self) -> Result<Node, String> {
        let mut left = self.one()?;
        while self.takes("&&") {
            left = Node::All(Box::new(left), Box::new(self.one()?));
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("more than {DEPTH_MAX} levels"));
        }
        let node = if self.rest.starts_with("!=") {
            Err("expected a condition, not `!=`".to_owned())
        } else if self.takes("!") {
            if !self.rest.starts_with(['(', '!']) {
                return Err("what ! is about stands in parentheses".to_owned());
            }
            self.one().map(|node| Node::Not(Box::new(node)))
        } else if self.takes("(") {
            let inner = self.any()?;
            self.needs(")")?;
            Ok(inner)
        } else {
            self.comparison()
        };
        self.depth -= 1;
        node
    }

    fn comparison(&mut self) -> Result<Node, String> {
        let measure = self.measure()?;
        let relations = [
            (">=", Relation::AtLeast),
            ("<=", Relation::AtMost),
            ("==", Relation::Is),
            ("!=", Relation::IsNot),
            (">", Relation::Above),
            ("<", Relation::Below),
        ];
        let found = relations.into_iter().find(|(sign, _)| self.takes(sign));
        let (_, relation) = found
            .ok_or_else(|| format!("expected a comparison such as > 0.5, not `{}`", self.word()))?;
        Ok(Node::Compare { measure, relation, bound: self.number()? })
    }

    fn measure(&mut self) -> Result<Measure, String> {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(self.rest.len());
        let name = &self.rest[..end];
        let arguments = match name {
            "NetworkErrorRatio" => 0,
            "LatencyAtQuantileMS" => 1,
            "ResponseCodeRatio" => 4,
            _ => {
                return Err(format!(
                    "expected NetworkErrorRatio, ResponseCodeRatio or LatencyAtQuantileMS, not `{}`",
                    self.word()
                ));
            }
        };
        self.advance(end);
        self.needs("(")?;
        let mut given = Vec::new();
        while !self.rest.starts_with(')') && given.len() <= arguments {
            given.push(self.number()?);
            if !self.takes(",") {
                break;
            }
        }
        self.needs(")")?;
        match *given.as_slice() {
            [] if arguments == 0 => Ok(Measure::NetworkErrors),
            [quantile] if arguments == 1 => {
                if quantile.0 > 100 * Decimal::ONE {
                    return Err("a quantile is a percentage, from 0 to 100".to_owned());
                }
                Ok(Measure::Latency { quantile })
            }
            [from, to, of_from, of_to] => Ok(Measure::Codes {
                from: code(from)?,
                to: code(to)?,
                of_from: code(of_from)?,
                of_to: code(of_to)?,
            }),
            _ => Err(format!("{name} takes {arguments} numbers, not {}", given.len())),
        }
    }

    fn number(&mut self) -> Result<Decimal, String> {
        let plain = |c: char| !c.is_ascii_alphanumeric() && c != '.';
        let end = self.rest.find(plain).unwrap_or(self.rest.len());
        if end == 0 {
            return Err(format!("expected a number, not `{}`", self.word()));
        }
        let number = Decimal::parse(&self.rest[..end])?;
        self.advance(end);
        Ok(number)
    }

    fn takes(&mut self, sign: &str) -> bool {
        let takes = self.rest.starts_with(sign);
        if takes {
            self.advance(sign.len());
        }
        takes
    }

    fn needs(&mut self, sign: &str) -> Result<(), String> {
        if self.takes(sign) {
            Ok(())
        } else {
            Err(format!("expected {sign}, not `{}`", self.word()))
        }
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = self.rest[bytes..].trim_start();
    }

    /// What stands here, for people.
    fn word(&self) -> &'a str {
        if self.rest.is_empty() {
            return "the end";
        }
        let end = self.rest.find(char::is_whitespace).unwrap_or(self.rest.len());
        &self.rest[..end]
    }
}

fn code(number: Decimal) -> Result<u16, String> {
    let whole = number.0.is_multiple_of(Decimal::ONE).then_some(number.0 / Decimal::ONE);
    let code = whole.and_then(|code| u16::try_from(code).ok()).filter(|code| *code <= 1_000);
    code.ok_or_else(|| format!("`{number}` is not a status"))
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / Self::ONE, self.0 % Self::ONE);
        let digits = format!("{part:09}");
        match digits.trim_end_matches('0') {
            "" => write!(f, "{whole}"),
            part => write!(f, "{whole}.{part}"),
        }
    }
}

impl fmt::Display for Node {
    /// With every parenthesis.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any(left, right) => write!(f, "({left} || {right})"),
            Self::All(left, right) => write!(f, "({left} && {right})"),
            Self::Not(inner) => write!(f, "!({inner})"),
            Self::Compare { measure, relation, bound } => write!(f, "{measure} {relation} {bound}"),
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NetworkErrors => f.write_str("NetworkErrorRatio()"),
            Self::Codes { from, to, of_from, of_to } => {
                write!(f, "ResponseCodeRatio({from}, {to}, {of_from}, {of_to})")
            }
            Self::Latency { quantile } => write!(f, "LatencyAtQuantileMS({quantile})"),
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::AtMost => "<=",
            Self::Is => "==",
            Self::IsNot => "!=",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(source: &str, expected: &str) {
        let shown = match Condition::parse(source) {
            Ok(condition) => condition.root.to_string(),
            Err(error) => error,
        };
        assert_eq!(shown, expected, "{source}");
    }

    #[test]
    fn conditions_are_read_as_go_reads_them() {
        check("NetworkErrorRatio() > 0.30", "NetworkErrorRatio() > 0.3");
        check("LatencyAtQuantileMS(50.0)>100", "LatencyAtQuantileMS(50) > 100");
        check(
            " ResponseCodeRatio(500, 600, 0, 600,) >= .25 ",
            "ResponseCodeRatio(500, 600, 0, 600) >= 0.25",
        );
        let (a, b) = ("NetworkErrorRatio() > 1", "NetworkErrorRatio() < 2");
        check(&format!("{a} || {b} && {a}"), &format!("({a} || ({b} && {a}))"));
        check(&format!("({a} || {b}) && !({a})"), &format!("(({a} || {b}) && !({a}))"));
        check(&format!("!!({a})"), &format!("!(!({a}))"));
    }

    #[test]
    fn what_is_no_condition_is_explained() {
        let measures = "expected NetworkErrorRatio, ResponseCodeRatio or LatencyAtQuantileMS";
        for (source, expected) in [
            ("", &*format!("{measures}, not `the end`")),
            ("networkErrorRatio() > 1", &format!("{measures}, not `networkErrorRatio()`")),
            ("1 > 2", &format!("{measures}, not `1`")),
            ("NetworkErrorRatio", "expected (, not `the end`"),
            ("NetworkErrorRatio()", "expected a comparison such as > 0.5, not `the end`"),
            ("NetworkErrorRatio() > x", "`x` is not a decimal number"),
            ("NetworkErrorRatio() > 1e-3", "`1e` is not a decimal number"),
            ("NetworkErrorRatio() > -1", "expected a number, not `-1`"),
            ("NetworkErrorRatio() > 0.1234567891", "`0.1234567891` has more than nine decimals"),
            ("NetworkErrorRatio() > 99999999999999999999", "`99999999999999999999` is too large"),
            ("NetworkErrorRatio(1) > 1", "NetworkErrorRatio takes 0 numbers, not 1"),
            ("ResponseCodeRatio(1,2) > 1", "ResponseCodeRatio takes 4 numbers, not 2"),
            ("ResponseCodeRatio(1,2,3,4.5) > 1", "`4.5` is not a status"),
            ("LatencyAtQuantileMS(101) > 1", "a quantile is a percentage, from 0 to 100"),
            ("(NetworkErrorRatio() > 1", "expected ), not `the end`"),
            ("NetworkErrorRatio() > 1 5", "expected && or || or the end, not `5`"),
            ("!NetworkErrorRatio() > 1", "what ! is about stands in parentheses"),
        ] {
            check(source, expected);
        }
        check(&"(".repeat(100), "more than 32 levels");
    }

    fn measures() -> impl Strategy<Value = Measure> {
        prop_oneof![
            Just(Measure::NetworkErrors),
            (0..=1_000u16, 0..=1_000u16, 0..=1_000u16, 0..=1_000u16)
                .prop_map(|(from, to, of_from, of_to)| Measure::Codes { from, to, of_from, of_to }),
            (0..=100 * Decimal::ONE).prop_map(|q| Measure::Latency { quantile: Decimal(q) }),
        ]
    }

    fn nodes() -> impl Strategy<Value = Node> {
        use Relation::{Above, AtLeast, AtMost, Below, Is, IsNot};
        let relations = prop::sample::select(vec![Above, AtLeast, AtMost, Below, Is, IsNot]);
        let leaf = (measures(), relations, any::<u64>()).prop_map(|(measure, relation, bound)| {
            Node::Compare { measure, relation, bound: Decimal(bound) }
        });
        leaf.prop_recursive(5, 32, 2, |inner| {
            let two = (inner.clone(), inner.clone());
            prop_oneof![
                two.clone().prop_map(|(a, b)| Node::Any(Box::new(a), Box::new(b))),
                two.prop_map(|(a, b)| Node::All(Box::new(a), Box::new(b))),
                inner.prop_map(|node| Node::Not(Box::new(node))),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(node in nodes()) {
            let read = Condition::parse(&node.to_string()).map(|condition| condition.root);
            prop_assert_eq!(read, Ok(node));
        }

        #[test]
        fn no_text_is_too_much(text in "[NLR()!&|<>=0-9., a-z]{0,60}") {
            let _ = Condition::parse(&text);
        }
    }
}
