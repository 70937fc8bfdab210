//! A template to a tree. Texts between actions stay where they are: nodes hold their ranges.

use super::Wrong;
use crate::rule::go_string;
use std::iter::Peekable;
use std::ops::Range;
use std::vec::IntoIter;

/// Blocks, or parentheses, inside one another.
const DEPTH_MAX: usize = 16;

const FUNCTIONS: [&str; 13] = [
    "add",
    "and",
    "default",
    "env",
    "eq",
    "list",
    "ne",
    "not",
    "or",
    "quote",
    "splitList",
    "tuple",
    "until",
];

#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(Range<usize>),
    /// What a pipeline gives, in the text.
    Say {
        at: usize,
        what: Pipeline,
    },
    /// `$name := pipeline`.
    Let {
        name: String,
        value: Pipeline,
    },
    Range(Box<Loop>),
    /// The first whose condition holds; the last may have none.
    If(Vec<(Option<Pipeline>, Vec<Self>)>),
}

#[derive(Clone, Debug)]
pub(super) struct Loop {
    pub(super) at: usize,
    pub(super) index: Option<String>,
    pub(super) element: Option<String>,
    pub(super) over: Pipeline,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// Commands; each gets what the one before it gives as its last argument.
#[derive(Clone, Debug)]
pub(super) struct Pipeline(pub(super) Vec<Command>);

#[derive(Clone, Debug)]
pub(super) struct Command {
    pub(super) at: usize,
    pub(super) words: Vec<Operand>,
}

#[derive(Clone, Debug)]
pub(super) enum Operand {
    Text(String),
    Number(i64),
    Flag(bool),
    Variable(String),
    Dot,
    Function(String),
    Group(Pipeline),
}

pub(super) fn parse(text: &str) -> Result<Vec<Node>, Wrong> {
    let mut parser = Parser { pieces: split(text)?.into_iter().peekable(), depth: 0 };
    let (nodes, end) = parser.block()?;
    match end {
        Stop::Text => Ok(nodes),
        Stop::End(at) => Err(Wrong::new(at, "this `end` ends nothing")),
        Stop::Else(at, _) => Err(Wrong::new(at, "this `else` belongs to nothing")),
    }
}

/// A piece of the text, or an action with its words.
#[derive(Debug)]
enum Piece {
    Text(Range<usize>),
    Action { at: usize, tokens: Vec<Token> },
}

#[derive(Clone, PartialEq, Debug)]
enum Sign {
    Text(String),
    Number(i64),
    Variable(String),
    Word(String),
    Dot,
    Pipe,
    Comma,
    Declare,
    Open,
    Close,
}

impl Sign {
    fn word(&self) -> &str {
        if let Self::Word(word) = self { word } else { "" }
    }
}

#[derive(Clone, PartialEq, Debug)]
struct Token {
    at: usize,
    sign: Sign,
}

fn split(text: &str) -> Result<Vec<Piece>, Wrong> {
    let mut pieces = Vec::new();
    let (mut start, mut trims) = (0, false);
    loop {
        let open = text[start..].find("{{").map(|found| start + found);
        let mut piece = start..open.unwrap_or(text.len());
        if trims {
            piece.start += leading(&text[piece.clone()]);
        }
        let Some(at) = open else {
            pieces.push(Piece::Text(piece));
            return Ok(pieces);
        };
        let mut inside = at + 2;
        let rest = &text[inside..];
        // A dash without a blank behind it is a sign of a number.
        if rest.starts_with('-') && rest[1..].starts_with(blank) {
            inside += 1;
            piece.end = piece.start + text[piece.clone()].trim_end_matches(blank).len();
        }
        pieces.push(Piece::Text(piece));
        let (tokens, end, trimming) = action(text, at, inside)?;
        if !tokens.is_empty() {
            pieces.push(Piece::Action { at, tokens });
        }
        (start, trims) = (end, trimming);
    }
}

fn blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn leading(text: &str) -> usize {
    text.len() - text.trim_start_matches(blank).len()
}

/// The words of an action, where the text goes on, and whether blanks there are left out.
fn action(text: &str, at: usize, inside: usize) -> Result<(Vec<Token>, usize, bool), Wrong> {
    let mut tokens = Vec::new();
    let mut here = inside;
    loop {
        let blanks = leading(&text[here..]);
        here += blanks;
        let rest = &text[here..];
        if let Some(comment) = rest.strip_prefix("/*") {
            let end = comment.find("*/").ok_or_else(|| Wrong::new(at, "a comment has no end"))?;
            here += end + 4;
        } else if rest.starts_with("}}") {
            return Ok((tokens, here + 2, false));
        } else if blanks > 0 && rest.starts_with("-}}") {
            return Ok((tokens, here + 3, true));
        } else if rest.is_empty() {
            return Err(Wrong::new(at, "this action has no end: `}}` is missing"));
        } else {
            let (sign, length) = sign(rest).map_err(|why| Wrong::new(here, why))?;
            tokens.push(Token { at: here, sign });
            here += length;
        }
    }
}

/// The first sign of a text that begins with one, and its length.
fn sign(text: &str) -> Result<(Sign, usize), String> {
    let first = text.chars().next().unwrap_or_default();
    if text.starts_with(":=") {
        return Ok((Sign::Declare, 2));
    }
    let single = match first {
        '|' => Some(Sign::Pipe),
        ',' => Some(Sign::Comma),
        '(' => Some(Sign::Open),
        ')' => Some(Sign::Close),
        _ => None,
    };
    if let Some(sign) = single {
        return Ok((sign, 1));
    }
    if first == '"' || first == '`' {
        let literal = go_string(text).map_err(|error| error.text)?;
        return Ok((Sign::Text(literal.0), literal.1));
    }
    let ends = |c: char| blank(c) || matches!(c, '|' | ',' | '(' | ')' | '}' | '"' | '`');
    let length = text.find(ends).filter(|length| *length > 0).unwrap_or_else(|| first.len_utf8());
    let word = &text[..length];
    let name = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let sign = if let Ok(number) = word.parse() {
        Sign::Number(number)
    } else if word == "." {
        Sign::Dot
    } else if word.strip_prefix('$').is_some_and(name) {
        Sign::Variable(word.to_owned())
    } else if name(word) {
        Sign::Word(word.to_owned())
    } else {
        return Err(format!("`{word}` is not supported in templates"));
    };
    Ok((sign, length))
}

struct Parser {
    pieces: Peekable<IntoIter<Piece>>,
    depth: usize,
}

/// What a block ends with; an `else` with what follows it.
enum Stop {
    Text,
    End(usize),
    Else(usize, Vec<Token>),
}

impl Parser {
    fn block(&mut self) -> Result<(Vec<Node>, Stop), Wrong> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (at, tokens) = match piece {
                Piece::Text(range) => {
                    nodes.push(Node::Text(range));
                    continue;
                }
                Piece::Action { at, tokens } => (at, tokens),
            };
            let word = tokens[0].sign.word();
            let rest = || Tokens::new(at, &tokens[1..]);
            match word {
                "end" => return rest().nothing().map(|()| (nodes, Stop::End(at))),
                "else" => return Ok((nodes, Stop::Else(at, tokens[1..].to_vec()))),
                "range" => nodes.push(self.range(at, rest())?),
                "if" => nodes.push(self.condition(at, rest())?),
                _ => nodes.push(statement(at, &tokens)?),
            }
        }
        Ok((nodes, Stop::Text))
    }

    fn nested(&mut self, at: usize) -> Result<(Vec<Node>, Stop), Wrong> {
        if self.depth == DEPTH_MAX {
            return Err(Wrong::new(at, format!("more than {DEPTH_MAX} blocks in one another")));
        }
        self.depth += 1;
        let block = self.block()?;
        self.depth -= 1;
        match block.1 {
            Stop::Text => Err(Wrong::new(at, "this block has no `end`")),
            Stop::End(_) | Stop::Else(..) => Ok(block),
        }
    }

    fn range(&mut self, at: usize, mut tokens: Tokens<'_>) -> Result<Node, Wrong> {
        let (index, element) = tokens.declared();
        let over = tokens.pipeline()?;
        tokens.nothing()?;
        let (body, end) = self.nested(at)?;
        let otherwise = match end {
            Stop::Else(at, rest) => {
                Tokens::new(at, &rest).nothing()?;
                self.last_block(at)?
            }
            Stop::End(_) | Stop::Text => Vec::new(),
        };
        Ok(Node::Range(Box::new(Loop { at, index, element, over, body, otherwise })))
    }

    fn last_block(&mut self, at: usize) -> Result<Vec<Node>, Wrong> {
        match self.nested(at)? {
            (nodes, Stop::End(_)) => Ok(nodes),
            (_, Stop::Else(at, _)) => Err(Wrong::new(at, "this is the second `else`")),
            (_, Stop::Text) => Err(Wrong::new(at, "this block has no `end`")),
        }
    }

    fn condition(&mut self, at: usize, mut tokens: Tokens<'_>) -> Result<Node, Wrong> {
        let mut branches = Vec::new();
        let mut holds = tokens.pipeline()?;
        tokens.nothing()?;
        loop {
            let (body, end) = self.nested(at)?;
            branches.push((Some(holds), body));
            let Stop::Else(at, rest) = end else { return Ok(Node::If(branches)) };
            let Some((first, rest)) = rest.split_first() else {
                branches.push((None, self.last_block(at)?));
                return Ok(Node::If(branches));
            };
            if first.sign != Sign::Word("if".to_owned()) {
                return Err(Wrong::new(first.at, "after `else` comes nothing, or `if`"));
            }
            let mut tokens = Tokens::new(at, rest);
            holds = tokens.pipeline()?;
            tokens.nothing()?;
        }
    }
}

/// An action that stands alone.
fn statement(at: usize, tokens: &[Token]) -> Result<Node, Wrong> {
    if let [
        Token { sign: Sign::Variable(name), .. },
        Token { sign: Sign::Declare, .. },
        rest @ ..,
    ] = tokens
    {
        let mut rest = Tokens::new(at, rest);
        let value = rest.pipeline()?;
        rest.nothing()?;
        return Ok(Node::Let { name: name.clone(), value });
    }
    let mut tokens = Tokens::new(at, tokens);
    let what = tokens.pipeline()?;
    tokens.nothing()?;
    Ok(Node::Say { at, what })
}

struct Tokens<'t> {
    at: usize,
    left: &'t [Token],
    /// Parentheses that are open.
    depth: usize,
}

impl<'t> Tokens<'t> {
    fn new(at: usize, left: &'t [Token]) -> Self {
        Self { at, left, depth: 0 }
    }

    fn take(&mut self, sign: &Sign) -> bool {
        let is = self.left.first().is_some_and(|token| token.sign == *sign);
        if is {
            self.left = &self.left[1..];
        }
        is
    }

    fn nothing(&self) -> Result<(), Wrong> {
        match self.left.first() {
            None => Ok(()),
            Some(token) => Err(Wrong::new(token.at, "this is not expected here")),
        }
    }

    /// `$e :=` or `$i, $e :=` of a loop.
    fn declared(&mut self) -> (Option<String>, Option<String>) {
        let signs: Vec<&Sign> = self.left.iter().take(4).map(|token| &token.sign).collect();
        let (taken, names) = match signs.as_slice() {
            [Sign::Variable(element), Sign::Declare, ..] => (2, (None, Some(element.clone()))),
            [Sign::Variable(index), Sign::Comma, Sign::Variable(element), Sign::Declare] => {
                (4, (Some(index.clone()), Some(element.clone())))
            }
            _ => return (None, None),
        };
        self.left = &self.left[taken..];
        names
    }

    fn pipeline(&mut self) -> Result<Pipeline, Wrong> {
        let mut commands = Vec::new();
        loop {
            commands.push(self.command()?);
            if !self.take(&Sign::Pipe) {
                return Ok(Pipeline(commands));
            }
        }
    }

    fn command(&mut self) -> Result<Command, Wrong> {
        let at = self.left.first().map_or(self.at, |token| token.at);
        let mut words = Vec::new();
        while let Some(Token { at, sign }) = self.left.first() {
            let operand = match sign {
                Sign::Pipe | Sign::Close => break,
                Sign::Comma | Sign::Declare => {
                    return Err(Wrong::new(*at, "this is not expected here"));
                }
                Sign::Open => {
                    self.left = &self.left[1..];
                    words.push(Operand::Group(self.group(*at)?));
                    continue;
                }
                Sign::Text(text) => Operand::Text(text.clone()),
                Sign::Number(number) => Operand::Number(*number),
                Sign::Variable(name) => Operand::Variable(name.clone()),
                Sign::Dot => Operand::Dot,
                Sign::Word(word) if word == "true" => Operand::Flag(true),
                Sign::Word(word) if word == "false" => Operand::Flag(false),
                Sign::Word(word) if FUNCTIONS.contains(&word.as_str()) => {
                    Operand::Function(word.clone())
                }
                Sign::Word(word) => {
                    let text = format!("`{word}` is not supported in templates");
                    return Err(Wrong::new(*at, text));
                }
            };
            words.push(operand);
            self.left = &self.left[1..];
        }
        if words.is_empty() {
            return Err(Wrong::new(at, "something is missing here"));
        }
        Ok(Command { at, words })
    }

    fn group(&mut self, at: usize) -> Result<Pipeline, Wrong> {
        if self.depth == DEPTH_MAX {
            let text = format!("more than {DEPTH_MAX} parentheses in one another");
            return Err(Wrong::new(at, text));
        }
        self.depth += 1;
        let inside = self.pipeline()?;
        self.depth -= 1;
        if self.take(&Sign::Close) { Ok(inside) } else { Err(Wrong::new(at, "`)` is missing")) }
    }
}
