//! HPACK (RFC 7541) as plainly as it reads. Only the Huffman code is shared with the engine, whose
//! tests judge it.

use engine::h2::huffman;
use std::collections::VecDeque;

pub type Fields = Vec<(String, String)>;

#[rustfmt::skip]
const STATIC: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"),
    (":path", "/index.html"), (":scheme", "http"), (":scheme", "https"), (":status", "200"),
    (":status", "204"), (":status", "206"), (":status", "304"), (":status", "400"),
    (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""),
    ("accept", ""), ("access-control-allow-origin", ""), ("age", ""), ("allow", ""),
    ("authorization", ""), ("cache-control", ""), ("content-disposition", ""),
    ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""),
    ("date", ""), ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""),
    ("if-match", ""), ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""),
    ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""), ("location", ""),
    ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""),
    ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
    ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""),
    ("via", ""), ("www-authenticate", ""),
];

/// What both sides remember, newest first.
#[derive(Debug)]
struct Table {
    entries: VecDeque<(String, String)>,
    max: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self { entries: VecDeque::new(), max: 4_096 }
    }
}

impl Table {
    fn size(&self) -> usize {
        self.entries.iter().map(|(name, value)| name.len() + value.len() + 32).sum()
    }

    fn add(&mut self, name: &str, value: &str) {
        self.entries.push_front((name.to_owned(), value.to_owned()));
        self.evict();
    }

    fn evict(&mut self) {
        while self.size() > self.max {
            self.entries.pop_back();
        }
    }

    fn get(&self, index: usize) -> Option<(String, String)> {
        let at = index.checked_sub(1)?;
        if let Some((name, value)) = STATIC.get(at) {
            return Some(((*name).to_owned(), (*value).to_owned()));
        }
        self.entries.get(at - STATIC.len()).cloned()
    }

    fn find(&self, name: &str, value: &str) -> Option<usize> {
        let known = STATIC.iter().position(|(n, v)| (*n, *v) == (name, value));
        let own = || {
            let at = self.entries.iter().position(|(n, v)| n == name && v == value)?;
            Some(STATIC.len() + at)
        };
        known.or_else(own).map(|at| at + 1)
    }
}

#[derive(Debug, Default)]
pub struct Decoder(Table);

impl Decoder {
    pub fn decode(&mut self, block: &[u8]) -> Result<Fields, String> {
        let mut rest = block;
        let mut fields = Vec::new();
        while let Some(first) = rest.first().copied() {
            if first & 0x80 != 0 {
                let index = number(&mut rest, 7)?;
                fields.push(self.0.get(index).ok_or("an index of nothing")?);
            } else if first & 0xe0 == 0x20 {
                if !fields.is_empty() {
                    return Err("a table that changes its size behind a field".into());
                }
                self.0.max = number(&mut rest, 5)?;
                if self.0.max > 4_096 {
                    return Err("a table larger than was allowed".into());
                }
                self.0.evict();
            } else {
                let kept = first & 0x40 != 0;
                let index = number(&mut rest, if kept { 6 } else { 4 })?;
                let name = match index {
                    0 => string(&mut rest)?,
                    index => self.0.get(index).ok_or("an index of nothing")?.0,
                };
                let value = string(&mut rest)?;
                if kept {
                    self.0.add(&name, &value);
                }
                fields.push((name, value));
            }
        }
        Ok(fields)
    }
}

fn number(rest: &mut &[u8], bits: u32) -> Result<usize, String> {
    let mut take = || {
        let (first, behind) = rest.split_first().ok_or("a number without an end")?;
        *rest = behind;
        Ok::<usize, String>(usize::from(*first))
    };
    let most = (1 << bits) - 1;
    let mut value = take()? & most;
    if value < most {
        return Ok(value);
    }
    for shift in (0..28).step_by(7) {
        let byte = take()?;
        value += (byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("a number beyond reason".into())
}

fn string(rest: &mut &[u8]) -> Result<String, String> {
    let coded = rest.first().is_some_and(|first| first & 0x80 != 0);
    let length = number(rest, 7)?;
    let (text, behind) = rest.split_at_checked(length).ok_or("a string without an end")?;
    *rest = behind;
    let mut out = text.to_vec();
    if coded {
        out.clear();
        huffman::decode(text, &mut out).map_err(|_| "a string that is no Huffman code")?;
    }
    String::from_utf8(out).map_err(|_| "a field that is no text".into())
}

/// Writes every field in one of the ways there are, one after another.
#[derive(Debug, Default)]
pub struct Encoder {
    table: Table,
    turn: u32,
    /// The other side keeps no table.
    pub bare: bool,
}

impl Encoder {
    /// One that remembers nothing.
    pub fn bare() -> Self {
        Self { bare: true, ..Self::default() }
    }

    pub fn encode(&mut self, fields: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in fields {
            self.turn += 1;
            let known = self.table.find(name, value).filter(|_| !self.bare);
            if let Some(index) = known {
                put_number(&mut out, 0x80, 7, index);
                continue;
            }
            let kept = !self.bare && self.turn.is_multiple_of(2);
            out.push(if kept { 0x40 } else { 0 });
            for text in [name, value] {
                put_number(&mut out, 0, 7, text.len());
                out.extend_from_slice(text.as_bytes());
            }
            if kept {
                self.table.add(name, value);
            }
        }
        out
    }
}

fn put_number(out: &mut Vec<u8>, first: u8, bits: u32, value: usize) {
    let byte = |value: usize| u8::try_from(value).expect("masked");
    let most = (1 << bits) - 1;
    if value < most {
        return out.push(first | byte(value));
    }
    out.push(first | byte(most));
    let mut rest = value - most;
    while rest >= 0x80 {
        out.push(byte(rest & 0x7f) | 0x80);
        rest >>= 7;
    }
    out.push(byte(rest));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        let long = "v".repeat(3_000);
        for round in 0..40 {
            let number = round.to_string();
            let fields = [(":method", "GET"), ("x-long", long.as_str()), ("x-round", &number)];
            let block = encoder.encode(&fields);
            let decoded = decoder.decode(&block).expect("a fine block");
            let same = decoded
                .iter()
                .zip(fields)
                .all(|((n, v), (name, value))| (n.as_str(), v.as_str()) == (name, value));
            assert!(same && decoded.len() == fields.len(), "round {round}");
        }
    }

    #[test]
    fn the_first_example_of_the_rfc() {
        let block = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
        let fields = Decoder::default().decode(block).expect("a fine block");
        assert_eq!(fields.last(), Some(&(":authority".into(), "www.example.com".into())));
    }
}
