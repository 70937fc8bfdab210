//! The tables of HPACK (RFC 7541 §2.3): the static one, and a dynamic one in bounded memory whose
//! entries lie one behind the other.

use std::collections::VecDeque;

/// What an entry counts beside its bytes (RFC 7541 §4.1).
const OVERHEAD: usize = 32;

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

const NAME_MAX: usize = 27;

/// Positions in `STATIC` by length of name, and where each length begins among them.
const BY_LENGTH: ([u8; STATIC.len()], [u8; NAME_MAX + 2]) = by_length();

const fn by_length() -> ([u8; STATIC.len()], [u8; NAME_MAX + 2]) {
    let (mut order, mut begin) = ([0; STATIC.len()], [0; NAME_MAX + 2]);
    let (mut filled, mut length): (u8, usize) = (0, 0);
    while length <= NAME_MAX {
        begin[length] = filled;
        let mut at: u8 = 0;
        while (at as usize) < STATIC.len() {
            if STATIC[at as usize].0.len() == length {
                order[filled as usize] = at;
                filled += 1;
            }
            at += 1;
        }
        length += 1;
    }
    begin[NAME_MAX + 1] = filled;
    (order, begin)
}

/// Where a field stands in the tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    Whole(usize),
    /// How many dynamic entries bear the name, too.
    Name(usize, u32),
    Nowhere,
}

/// The dynamic table of one direction.
#[derive(Debug)]
pub struct Table {
    bytes: Vec<u8>,
    /// What was forgotten before `bytes` begins.
    base: u64,
    /// Oldest first.
    entries: VecDeque<Entry>,
    /// By the reckoning of the RFC.
    size: usize,
    size_max: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u64,
    name: u32,
    value: u32,
    hash: u32,
}

impl Table {
    pub fn new(size_max: usize) -> Self {
        Self { bytes: Vec::new(), base: 0, entries: VecDeque::new(), size: 0, size_max }
    }

    pub fn size_max(&self) -> usize {
        self.size_max
    }

    /// Changes the size; entries that do not fit any more go.
    pub fn resize(&mut self, size_max: usize) {
        self.size_max = size_max;
        self.evict(0);
    }

    /// The field at an index of RFC 7541 §2.3.3, from 1.
    pub fn get(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let at = index.checked_sub(1)?;
        if let Some((name, value)) = STATIC.get(at) {
            return Some((name.as_bytes(), value.as_bytes()));
        }
        let age = at - STATIC.len();
        let entry = self.entries.len().checked_sub(age + 1)?;
        Some(self.field(&self.entries[entry]))
    }

    /// Puts a field in front. One that is larger than the table empties it.
    pub fn insert(&mut self, name: &[u8], value: &[u8]) {
        let size = name.len() + value.len() + OVERHEAD;
        self.evict(size);
        if size > self.size_max {
            return;
        }
        self.make_room(name.len() + value.len());
        let narrow = |len: usize| u32::try_from(len).expect("a table is below 4 GiB");
        let entry = Entry {
            start: self.base + self.bytes.len() as u64,
            name: narrow(name.len()),
            value: narrow(value.len()),
            hash: hash(name, value),
        };
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.entries.push_back(entry);
        self.size += size;
    }

    /// The best index for a field.
    pub fn find(&self, name: &[u8], value: &[u8]) -> Found {
        let mut found = in_static(name, value);
        if matches!(found, Found::Whole(_)) {
            return found;
        }
        let wanted = hash(name, value);
        let mut same = 0;
        for (age, entry) in self.entries.iter().rev().enumerate() {
            if (entry.hash ^ wanted) & NAME_BITS != 0 || entry.name as usize != name.len() {
                continue;
            }
            let (known, held) = self.field(entry);
            if known != name {
                continue;
            }
            let index = STATIC.len() + 1 + age;
            if entry.hash == wanted && held == value {
                return Found::Whole(index);
            }
            same += 1;
            if let Found::Nowhere = found {
                found = Found::Name(index, 0);
            }
        }
        match found {
            Found::Name(index, _) => Found::Name(index, same),
            Found::Whole(_) | Found::Nowhere => found,
        }
    }

    fn field(&self, entry: &Entry) -> (&[u8], &[u8]) {
        let start = usize::try_from(entry.start - self.base).expect("an offset in memory");
        let middle = start + entry.name as usize;
        (&self.bytes[start..middle], &self.bytes[middle..middle + entry.value as usize])
    }

    /// Drops the oldest entries until `more` fits.
    fn evict(&mut self, more: usize) {
        while self.size + more > self.size_max {
            let Some(entry) = self.entries.pop_front() else { break };
            self.size -= entry.name as usize + entry.value as usize + OVERHEAD;
        }
        if self.entries.is_empty() {
            self.base += self.bytes.len() as u64;
            self.bytes.clear();
        }
    }

    /// Moves what is alive to the front once as much again is dead.
    fn make_room(&mut self, more: usize) {
        if self.bytes.len() + more <= self.size_max * 2 {
            return;
        }
        let Some(first) = self.entries.front() else { return };
        let dead = usize::try_from(first.start - self.base).expect("an offset in memory");
        self.bytes.drain(..dead);
        self.base = first.start;
    }
}

fn in_static(name: &[u8], value: &[u8]) -> Found {
    if name.len() > NAME_MAX {
        return Found::Nowhere;
    }
    let (order, begin) = &BY_LENGTH;
    let range = usize::from(begin[name.len()])..usize::from(begin[name.len() + 1]);
    let mut found = Found::Nowhere;
    for at in order[range].iter().map(|at| usize::from(*at)) {
        if STATIC[at].0.as_bytes() == name {
            if STATIC[at].1.as_bytes() == value {
                return Found::Whole(at + 1);
            }
            if found == Found::Nowhere {
                found = Found::Name(at + 1, 0);
            }
        }
    }
    found
}

/// The bits of a hash that the name alone decides.
const NAME_BITS: u32 = 0xffff_0000;

/// Tells entries apart at a glance; equal ones are compared.
fn hash(name: &[u8], value: &[u8]) -> u32 {
    (mix(name) & NAME_BITS) | (mix(value) >> 16)
}

fn mix(bytes: &[u8]) -> u32 {
    let word = |bytes: &[u8]| {
        let mut word = [0; 8];
        let len = bytes.len().min(8);
        word[..len].copy_from_slice(&bytes[..len]);
        u64::from_le_bytes(word)
    };
    let end = &bytes[bytes.len().saturating_sub(8)..];
    let mixed = (word(bytes) ^ word(end).rotate_left(29) ^ bytes.len() as u64)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;

    #[test]
    fn indices_count_from_the_static_table_on() {
        let mut table = Table::new(4096);
        assert_eq!(table.get(0), None);
        assert_eq!(table.get(1), Some((&b":authority"[..], &b""[..])));
        assert_eq!(table.get(61), Some((&b"www-authenticate"[..], &b""[..])));
        assert_eq!(table.get(62), None);
        table.insert(b"a", b"1");
        table.insert(b"b", b"2");
        assert_eq!(table.get(62), Some((&b"b"[..], &b"2"[..])));
        assert_eq!(table.get(63), Some((&b"a"[..], &b"1"[..])));
        assert_eq!(table.get(64), None);
        assert_eq!(table.get(usize::MAX), None);
    }

    #[test]
    fn whatever_stands_in_the_static_table_is_found_there() {
        let table = Table::new(0);
        for (at, (name, value)) in STATIC.iter().enumerate() {
            let found = table.find(name.as_bytes(), value.as_bytes());
            assert_eq!(found, Found::Whole(at + 1), "{name}");
            let Found::Name(index, 0) = table.find(name.as_bytes(), b"another") else {
                panic!("{name} is known by its name");
            };
            assert_eq!(STATIC[index - 1].0, *name);
        }
        assert_eq!(table.find(b"x-custom", b""), Found::Nowhere);
        assert_eq!(table.find(&[b'x'; 40], b""), Found::Nowhere);
    }

    #[test]
    fn an_entry_that_is_too_large_empties_the_table() {
        let mut table = Table::new(70);
        table.insert(b"a", b"1");
        table.insert(b"b", b"2");
        assert_eq!(table.find(b"a", b"1"), Found::Whole(63));
        table.insert(b"c", &[b'x'; 40]);
        assert_eq!((table.size, table.get(62)), (0, None));
    }

    #[test]
    fn the_table_behaves_like_a_list() {
        let mut chance = Prng::new(41);
        for _ in 0..50 {
            let mut table = Table::new(200);
            let mut list: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            let mut size_max = 200;
            for _ in 0..200 {
                let mut below = |most| usize::try_from(chance.below(most)).expect("a small number");
                let name = vec![b"abc"[below(3)]; below(4)];
                let value = vec![b"abc"[below(3)]; below(60)];
                let size = below(300);
                if chance.one_in(10) {
                    size_max = size;
                    table.resize(size_max);
                } else {
                    table.insert(&name, &value);
                    list.insert(0, (name, value));
                }
                let sizes = list.iter().scan(0, |sum, (name, value)| {
                    *sum += name.len() + value.len() + OVERHEAD;
                    Some(*sum)
                });
                let fit = sizes.take_while(|sum| *sum <= size_max).count();
                list.truncate(fit);
                let held: Vec<_> = (62..).map_while(|index| table.get(index)).collect();
                let wanted: Vec<_> = list.iter().map(|(n, v)| (&n[..], &v[..])).collect();
                assert_eq!(held, wanted);
                for (name, value) in &list {
                    let Found::Whole(index) = table.find(name, value) else {
                        panic!("it is there")
                    };
                    assert_eq!(table.get(index), Some((&name[..], &value[..])));
                }
                assert!(table.bytes.len() <= 2 * size_max.max(300), "dead bytes are bounded");
            }
        }
    }
}
