//! What a regular expression demands of the ends of a text, as far as that can be seen without
//! running it.

/// Letters that every match begins and ends with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ends {
    /// From the very beginning of the text; empty if nothing is known.
    pub start: String,
    /// To the very end of the text; empty if nothing is known.
    pub end: String,
    /// Nothing else matches than `start`, which is `end`.
    pub whole: bool,
}

/// Nothing is known of what is too clever for this: alternatives, flags, escapes by number.
pub(super) fn ends(source: &str) -> Ends {
    let mut reader = Reader { rest: source.as_bytes(), atoms: Vec::new(), depth: 0 };
    reader.read().unwrap_or_default()
}

struct Reader<'a> {
    rest: &'a [u8],
    /// At the outermost level: a letter that stands for itself, or anything else.
    atoms: Vec<Option<u8>>,
    depth: u32,
}

impl Reader<'_> {
    fn read(&mut self) -> Option<Ends> {
        let anchored = self.rest.first() == Some(&b'^');
        self.rest = self.rest.get(usize::from(anchored)..)?;
        let mut closed = false;
        while let Some((&letter, rest)) = self.rest.split_first() {
            self.rest = rest;
            match letter {
                b'$' if rest.is_empty() && self.depth == 0 => closed = true,
                b'|' if self.depth == 0 => return None,
                b'*' | b'+' | b'?' => self.repeated()?,
                b'{' if self.counts() => self.repeated()?,
                b'(' => self.open()?,
                b')' => self.close()?,
                b'[' => self.class()?,
                b'\\' => self.escape()?,
                b'.' | b'^' | b'$' | b'|' => self.put(None),
                letter if letter.is_ascii() => self.put(Some(letter)),
                _ => self.put(None),
            }
        }
        let text = |atoms: &mut dyn Iterator<Item = &Option<u8>>| -> Vec<u8> {
            atoms.map_while(|atom| *atom).collect()
        };
        let start = if anchored { text(&mut self.atoms.iter()) } else { Vec::new() };
        let mut end = if closed { text(&mut self.atoms.iter().rev()) } else { Vec::new() };
        end.reverse();
        let whole = anchored && closed && start.len() == self.atoms.len();
        let string = |bytes: Vec<u8>| String::from_utf8(bytes).ok();
        Some(Ends { start: string(start)?, end: string(end)?, whole })
    }

    fn put(&mut self, atom: Option<u8>) {
        if self.depth == 0 {
            self.atoms.push(atom);
        }
    }

    /// What came last may be there more often, or not at all.
    fn repeated(&mut self) -> Option<()> {
        if self.depth == 0 {
            *self.atoms.last_mut()? = None;
        }
        Some(())
    }

    /// Whether this brace opens a repetition; the reader is then behind it.
    fn counts(&mut self) -> bool {
        let end = self.rest.iter().position(|b| *b == b'}').unwrap_or(0);
        let inside = &self.rest[..end];
        let counts = inside.first().is_some_and(u8::is_ascii_digit)
            && inside.iter().all(|b| b.is_ascii_digit() || *b == b',');
        if counts {
            self.rest = &self.rest[end + 1..];
        }
        counts
    }

    fn open(&mut self) -> Option<()> {
        if let Some(marked) = self.rest.strip_prefix(b"?") {
            let named = marked.starts_with(b"P<") || marked.starts_with(b"<");
            if !named && !marked.starts_with(b":") {
                return None;
            }
            self.rest = marked;
        }
        self.put(None);
        self.depth += 1;
        Some(())
    }

    fn close(&mut self) -> Option<()> {
        self.depth = self.depth.checked_sub(1)?;
        Some(())
    }

    fn class(&mut self) -> Option<()> {
        self.put(None);
        let negated = usize::from(self.rest.first() == Some(&b'^'));
        let mut at = negated;
        loop {
            match self.rest.get(at)? {
                b']' if at > negated => break,
                b'\\' => at += 2,
                b'[' if self.rest[at..].starts_with(b"[:") => {
                    let end = self.rest[at..].windows(2).position(|pair| pair == b":]");
                    at += end.map_or(1, |end| end + 2);
                }
                _ => at += 1,
            }
        }
        self.rest = &self.rest[at + 1..];
        Some(())
    }

    fn escape(&mut self) -> Option<()> {
        let (&letter, rest) = self.rest.split_first()?;
        self.rest = rest;
        match letter {
            b'd' | b'D' | b's' | b'S' | b'w' | b'W' | b'b' | b'B' | b'A' | b'z' => self.put(None),
            letter if letter.is_ascii_punctuation() => self.put(Some(letter)),
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::Pattern;

    #[track_caller]
    fn check(source: &str, start: &str, end: &str) {
        let found = ends(source);
        assert_eq!((&*found.start, &*found.end), (start, end), "{source}");
    }

    #[test]
    fn the_ends_of_expressions_are_seen_where_they_stand_for_themselves() {
        check(r"^/api/v\d+/", "/api/v", "");
        check(r"^[a-z]+\.example\.com$", "", ".example.com");
        check(r"^/shop/(a|b)/x$", "/shop/", "/x");
        check(r"^/a/?$", "/a", "");
        check(r"^a\.b$", "a.b", "a.b");
        check(r"^(?P<x>a)b$", "", "b");
        check("api", "", "");
        check("^a{2,3}b$", "", "b");
        check("^/x{id}$", "/x{id}", "/x{id}");
        check("^/[]x]y$", "/", "y");
        check("^/[[:alpha:]]y$", "/", "y");
    }

    #[test]
    fn of_what_is_too_clever_nothing_is_said() {
        for source in
            ["^a|^b", "(?i)^abc$", "^(?i:a)b", r"^\x41b$", r"^\Qa.b\E$", r"^\pLa$", "^*a$", "^a)"]
        {
            check(source, "", "");
        }
    }

    #[test]
    fn whole_is_only_what_nothing_else_matches() {
        assert!(ends(r"^a\.b$").whole);
        for source in ["^a.b$", "^ab", "ab$", "^a*$", "^(a)$", "^$x"] {
            assert!(!ends(source).whole, "{source}");
        }
    }

    #[test]
    fn every_match_has_the_ends_that_were_promised() {
        let parts = ["^", "$", "a", "b", r"\.", ".", "*", "?", "(", ")", "|", "[ab]", "{2}", "+"];
        let texts = ["", "a", "b", "ab", "aab", "a.b", "b.a", "aa", "bb.", ".a", "abab"];
        let mut prng = crate::base::prng::Prng::new(3);
        for _ in 0..20_000 {
            let mut pick = || {
                let at = usize::try_from(prng.below(parts.len() as u64)).expect("small");
                parts[at]
            };
            let source: String = (0..6).map(|_| pick()).collect();
            let Ok(pattern) = Pattern::new(&source) else { continue };
            let found = ends(&source);
            for text in texts.iter().filter(|text| pattern.is_match(text.as_bytes())) {
                assert!(text.starts_with(&found.start), "{source} matches {text}: {found:?}");
                assert!(text.ends_with(&found.end), "{source} matches {text}: {found:?}");
                assert!(!found.whole || *text == found.start, "{source} matches {text}");
            }
        }
    }
}
