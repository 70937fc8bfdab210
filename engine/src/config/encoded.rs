//! Percent-encoded characters that a path may be refused for: servers differ in what they make of
//! them, and a rule that one reads is not the path that another opens.

use super::fields::Fields;

/// Keys of the dialect with the triplets that they let through.
const CHARACTERS: [(&str, &[u8; 2]); 7] = [
    ("allowEncodedSlash", b"2F"),
    ("allowEncodedBackSlash", b"5C"),
    ("allowEncodedNullCharacter", b"00"),
    ("allowEncodedSemicolon", b"3B"),
    ("allowEncodedPercent", b"25"),
    ("allowEncodedQuestionMark", b"3F"),
    ("allowEncodedHash", b"23"),
];

/// Which of them are refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EncodedRefused(u8);

impl EncodedRefused {
    pub const NONE: Self = Self(0);

    /// Reads the keys; what they do not say is allowed or not.
    pub(crate) fn read(fields: &Fields<'_>, allowed: bool) -> Self {
        let mut refused = 0;
        for (at, (key, _)) in CHARACTERS.iter().enumerate() {
            if !fields.flag(key).unwrap_or(allowed) {
                refused |= 1 << at;
            }
        }
        Self(refused)
    }

    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// Whether `path`, whose triplets are in upper case, has one that is refused.
    pub fn refuses(self, path: &str) -> bool {
        if self.is_none() || !path.contains('%') {
            return false;
        }
        let has = |wanted: &[u8; 2]| {
            path.as_bytes().windows(3).any(|window| window[0] == b'%' && window[1..] == *wanted)
        };
        CHARACTERS.iter().enumerate().any(|(at, (_, wanted))| self.0 >> at & 1 == 1 && has(wanted))
    }

    /// Keys with what they say.
    pub fn spelled(self) -> impl Iterator<Item = (&'static str, bool)> {
        CHARACTERS.iter().enumerate().map(move |(at, (key, _))| (*key, self.0 >> at & 1 == 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_triplet_is_found_and_others_are_not() {
        let all = EncodedRefused(0x7f);
        for triplet in ["%2F", "%5C", "%00", "%3B", "%25", "%3F", "%23"] {
            assert!(all.refuses(&format!("/a{triplet}b")), "{triplet}");
            assert!(!EncodedRefused::NONE.refuses(&format!("/a{triplet}b")), "{triplet}");
        }
        assert!(!all.refuses("/a/b%20c%22"));
        let slash = EncodedRefused(1);
        assert!(slash.refuses("/%2F") && !slash.refuses("/%5C"));
        // The percent sign is encoded, what follows it is not.
        assert!(!slash.refuses("/%252F"));
    }
}
