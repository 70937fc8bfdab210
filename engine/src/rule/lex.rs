//! Text to tokens. A rule is a Go expression, so literals, comments and line breaks are Go's: a
//! line break after a name, a string or a closing parenthesis ends the expression.

use super::RuleError;

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Token {
    Name(String),
    Text(String),
    Not,
    And,
    Or,
    Open,
    Close,
    Comma,
    /// A line break where Go inserts a semicolon.
    Break,
    End,
}

/// A token and the bytes it came from.
#[derive(Clone, Debug)]
pub(super) struct Spanned {
    pub(super) token: Token,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The string that `text` begins with, and the number of bytes that it takes.
pub fn go_string(text: &str) -> Result<(String, usize), RuleError> {
    let mut lexer = Lexer { text, at: 0 };
    let token = if text.starts_with('`') { lexer.raw(0)? } else { lexer.quoted(0)? };
    let Token::Text(inside) = token else { unreachable!("both read texts") };
    Ok((inside, lexer.at))
}

/// All tokens of `text`; the last one is [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Spanned>, RuleError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens: Vec<Spanned> = Vec::new();
    loop {
        let breaks = tokens.last().is_some_and(|last| ends_an_operand(&last.token));
        let token = lexer.next(breaks)?;
        let done = token.token == Token::End;
        tokens.push(token);
        if done {
            return Ok(tokens);
        }
    }
}

fn ends_an_operand(token: &Token) -> bool {
    matches!(token, Token::Name(_) | Token::Text(_) | Token::Close)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn next(&mut self, breaks: bool) -> Result<Spanned, RuleError> {
        let broken_at = self.skip_space()?;
        if let Some(at) = broken_at.filter(|_| breaks) {
            let token = if self.at == self.text.len() { Token::End } else { Token::Break };
            return Ok(Spanned { token, start: at, end: at + 1 });
        }
        let start = self.at;
        let token = self.token(start)?;
        Ok(Spanned { token, start, end: self.at })
    }

    fn token(&mut self, start: usize) -> Result<Token, RuleError> {
        let rest = &self.text[start..];
        let fixed = [
            ("&&", Token::And),
            ("||", Token::Or),
            ("!", Token::Not),
            ("(", Token::Open),
            (")", Token::Close),
            (",", Token::Comma),
        ];
        if let Some((text, token)) = fixed.into_iter().find(|(text, _)| rest.starts_with(text)) {
            self.at += text.len();
            return Ok(token);
        }
        match rest.chars().next() {
            None => Ok(Token::End),
            Some('`') => self.raw(start),
            Some('"') => self.quoted(start),
            Some(c) if c == '_' || c.is_alphabetic() => Ok(self.name(start)),
            Some(c) => Err(unexpected(c, start)),
        }
    }

    /// Skips blanks and comments; says where the first line break among them was.
    fn skip_space(&mut self) -> Result<Option<usize>, RuleError> {
        let mut broken_at = None;
        loop {
            let rest = &self.text[self.at..];
            let length = if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("/*") {
                let end = rest.find("*/").ok_or_else(|| {
                    RuleError::new(self.at, self.at + 2, "this comment is not closed")
                })?;
                end + 2
            } else if rest.starts_with([' ', '\t', '\r', '\n']) {
                1
            } else {
                return Ok(broken_at);
            };
            if broken_at.is_none() {
                broken_at = rest[..length].find('\n').map(|offset| self.at + offset);
            }
            self.at += length;
        }
    }

    fn name(&mut self, start: usize) -> Token {
        let rest = &self.text[start..];
        let end = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
        self.at = start + end;
        Token::Name(rest[..end].to_owned())
    }

    /// Between backquotes nothing is special, except that carriage returns are dropped.
    fn raw(&mut self, start: usize) -> Result<Token, RuleError> {
        let inside = &self.text[start + 1..];
        let Some(end) = inside.find('`') else {
            return Err(RuleError::new(start, self.text.len(), "this string is not closed")
                .help("add a closing backquote"));
        };
        self.at = start + 1 + end + 1;
        Ok(Token::Text(inside[..end].chars().filter(|c| *c != '\r').collect()))
    }

    fn quoted(&mut self, start: usize) -> Result<Token, RuleError> {
        let mut bytes = Vec::new();
        self.at = start + 1;
        loop {
            let rest = &self.text[self.at..];
            match rest.chars().next() {
                None | Some('\n') => {
                    return Err(RuleError::new(start, self.at, "this string is not closed")
                        .help("add a closing double quote"));
                }
                Some('"') => break,
                Some('\\') => self.escape(&mut bytes)?,
                Some(c) => {
                    self.at += c.len_utf8();
                    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        }
        self.at += 1;
        String::from_utf8(bytes).map(Token::Text).map_err(|_| {
            RuleError::new(start, self.at, "the escapes in this string do not make UTF-8")
        })
    }

    /// One Go escape sequence.
    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), RuleError> {
        let start = self.at;
        let rest = &self.text[start + 1..];
        let kind = rest.chars().next().unwrap_or('\n');
        let simple = "abfnrtv\\\"".find(kind).map(|i| b"\x07\x08\x0c\n\r\t\x0b\\\""[i]);
        if let Some(byte) = simple {
            self.at += 2;
            bytes.push(byte);
            return Ok(());
        }
        let (skipped, digits, radix) = match kind {
            'x' => (1, 2, 16),
            'u' => (1, 4, 16),
            'U' => (1, 8, 16),
            '0'..='7' => (0, 3, 8),
            _ => return Err(bad_escape(start, kind)),
        };
        let digits = rest.get(skipped..skipped + digits).ok_or_else(|| bad_escape(start, kind))?;
        let all_digits = digits.chars().all(|c| c.is_digit(radix));
        let value = u32::from_str_radix(digits, radix).ok().filter(|_| all_digits);
        self.at += 1 + skipped + digits.len();
        let value = value.ok_or_else(|| bad_escape(start, kind))?;
        if matches!(kind, 'u' | 'U') {
            let c = char::from_u32(value).ok_or_else(|| bad_escape(start, kind))?;
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            bytes.push(u8::try_from(value).map_err(|_| bad_escape(start, kind))?);
        }
        Ok(())
    }
}

fn unexpected(c: char, at: usize) -> RuleError {
    let error = RuleError::new(at, at + c.len_utf8(), format!("`{c}` does not belong in a rule"));
    match c {
        '\'' => error.help("put the argument between backquotes"),
        '&' => error.help("write && for and"),
        '|' => error.help("write || for or"),
        '0'..='9' | '-' | '+' => error.help("an argument is a string between backquotes"),
        _ => error,
    }
}

fn bad_escape(at: usize, kind: char) -> RuleError {
    let shown = if kind == '\n' { String::new() } else { kind.to_string() };
    RuleError::new(at, at + 1 + shown.len(), format!("`\\{shown}` is not an escape that Go knows"))
        .help("between backquotes a backslash means itself")
}
