//! Header compression (RFC 7541): blocks to fields and back.

use super::huffman;
use super::table::{Found, Table};

/// The size both tables have before anything is said, and the most we give either.
pub const TABLE_SIZE: u32 = 4_096;
/// A field that takes more of the table than this is not worth what it evicts.
const INDEXED_MAX: usize = 512;
/// Values remembered per name: one that changes with each message would evict all others.
const VALUES_PER_NAME: u32 = 2;

/// The block is not one that an encoder can make. The state of the connection is lost with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken;

#[derive(Debug)]
pub struct Decoder {
    table: Table,
    name: Vec<u8>,
    value: Vec<u8>,
}

#[derive(Debug)]
pub struct Encoder {
    table: Table,
    /// The smallest and the last size of the table that the other side was not told of yet.
    resized: Option<(usize, usize)>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { table: Table::new(TABLE_SIZE as usize), name: Vec::new(), value: Vec::new() }
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self { table: Table::new(TABLE_SIZE as usize), resized: None }
    }
}

impl Decoder {
    /// Reads a whole block and shows its fields in order.
    pub fn decode(
        &mut self,
        mut block: &[u8],
        mut each: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), Broken> {
        let mut fresh = true;
        while let [first, ..] = *block {
            match first {
                0x80.. => {
                    let index = integer(&mut block, 7)?;
                    let (name, value) = self.table.get(index).ok_or(Broken)?;
                    each(name, value);
                }
                0x40.. => {
                    self.literal(&mut block, 6)?;
                    each(&self.name, &self.value);
                    self.table.insert(&self.name, &self.value);
                }
                0x20.. => {
                    let size = integer(&mut block, 5)?;
                    if !fresh || size > TABLE_SIZE as usize {
                        return Err(Broken);
                    }
                    self.table.resize(size);
                    continue;
                }
                _ => {
                    self.literal(&mut block, 4)?;
                    each(&self.name, &self.value);
                }
            }
            fresh = false;
        }
        Ok(())
    }

    fn literal(&mut self, block: &mut &[u8], prefix: u32) -> Result<(), Broken> {
        let index = integer(block, prefix)?;
        self.name.clear();
        if index == 0 {
            string(block, &mut self.name)?;
        } else {
            let (name, _) = self.table.get(index).ok_or(Broken)?;
            self.name.extend_from_slice(name);
        }
        self.value.clear();
        string(block, &mut self.value)
    }
}

/// RFC 7541 §5.1. Nothing that is counted here needs more than 28 bits.
fn integer(block: &mut &[u8], prefix: u32) -> Result<usize, Broken> {
    let (first, mut rest) = block.split_first().ok_or(Broken)?;
    let mask = (1u32 << prefix) - 1;
    let mut value = u32::from(*first) & mask;
    if value == mask {
        let mut shift = 0;
        loop {
            let (next, behind) = rest.split_first().ok_or(Broken)?;
            rest = behind;
            if shift > 21 {
                return Err(Broken);
            }
            value += u32::from(next & 0x7f) << shift;
            shift += 7;
            if next & 0x80 == 0 {
                break;
            }
        }
    }
    *block = rest;
    Ok(value as usize)
}

fn string(block: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    let coded = block.first().ok_or(Broken)? & 0x80 != 0;
    let len = integer(block, 7)?;
    let (text, rest) = block.split_at_checked(len).ok_or(Broken)?;
    *block = rest;
    if coded {
        return huffman::decode(text, out).map_err(|_| Broken);
    }
    out.extend_from_slice(text);
    Ok(())
}

impl Encoder {
    /// The other side allows its copy of our table this size.
    pub fn allow(&mut self, size: u32) {
        let size = size.min(TABLE_SIZE) as usize;
        if self.resized.is_none() && size == self.table.size_max() {
            return;
        }
        let least = self.resized.map_or(size, |(least, _)| least.min(size));
        self.table.resize(size);
        self.resized = Some((least, size));
    }

    /// Begins a block: says what changed about the table.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        let Some((least, last)) = self.resized.take() else { return };
        if least < last {
            put_integer(out, 0x20, 5, least);
        }
        put_integer(out, 0x20, 5, last);
    }

    /// Adds a field, whose name is in lower case.
    pub fn field(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        let secret = is_secret(name);
        let (index, others) = match self.table.find(name, value) {
            Found::Whole(index) if !secret => return put_integer(out, 0x80, 7, index),
            Found::Whole(index) => (index, 0),
            Found::Name(index, others) => (index, others),
            Found::Nowhere => (0, 0),
        };
        let small = name.len() + value.len() <= INDEXED_MAX.min(self.table.size_max() / 2);
        let indexed = !secret && small && others < VALUES_PER_NAME && !is_fleeting(name);
        match (secret, indexed) {
            (true, _) => put_integer(out, 0x10, 4, index),
            (false, true) => put_integer(out, 0x40, 6, index),
            (false, false) => put_integer(out, 0, 4, index),
        }
        if index == 0 {
            put_string(out, name);
        }
        put_string(out, value);
        if indexed {
            self.table.insert(name, value);
        }
    }
}

/// Never put into a table, here or further on: RFC 7541 §7.1.3.
fn is_secret(name: &[u8]) -> bool {
    matches!(name, b"authorization" | b"cookie" | b"set-cookie" | b"proxy-authorization")
}

/// Hardly ever the same twice.
fn is_fleeting(name: &[u8]) -> bool {
    matches!(
        name,
        b":path"
            | b"content-length"
            | b"etag"
            | b"age"
            | b"location"
            | b"if-none-match"
            | b"range"
            | b"content-range"
            | b"if-modified-since"
            | b"last-modified"
    )
}

fn put_integer(out: &mut Vec<u8>, pattern: u8, prefix: u32, value: usize) {
    let mask = (1 << prefix) - 1;
    if value < mask {
        out.push(pattern | low(value));
        return;
    }
    out.push(pattern | low(mask));
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.push(low(rest) | 0x80);
        rest >>= 7;
    }
    out.push(low(rest));
}

fn low(value: usize) -> u8 {
    value.to_le_bytes()[0]
}

fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    let coded = huffman::coded_len(text);
    if coded < text.len() {
        put_integer(out, 0x80, 7, coded);
        huffman::encode(text, out);
    } else {
        put_integer(out, 0, 7, text.len());
        out.extend_from_slice(text);
    }
}

#[cfg(test)]
mod tests;
