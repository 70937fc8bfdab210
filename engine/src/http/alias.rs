//! Names of fields that some servers take for another: those that make variables of them turn every
//! letter but letters and digits into an underscore, so that `X_User` and `X.User` become what
//! `X-User` becomes. A middleware that guards the one must not be passed by the other.

use super::fields::Field;

/// What becomes of such fields in requests, before anything looks at them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Aliases {
    pub fate: Fate,
    pub which: Which,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Fate {
    #[default]
    Keep,
    Delete,
    /// The request is refused.
    Reject,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Which {
    /// Names with an underscore.
    #[default]
    Underscores,
    /// Names with anything but letters, digits and hyphens.
    All,
}

/// A field that must not be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Alias;

impl Aliases {
    pub const KEPT: Self = Self { fate: Fate::Keep, which: Which::Underscores };

    fn is_one(self, name: &str) -> bool {
        let plain = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-';
        match self.which {
            Which::Underscores => name.contains('_'),
            Which::All => !name.as_bytes().iter().all(plain),
        }
    }

    /// The fields that stay, in their order.
    pub fn settle<'h, 'b>(self, fields: &'h mut [Field<'b>]) -> Result<&'h mut [Field<'b>], Alias> {
        if self.fate == Fate::Keep || !fields.iter().any(|field| self.is_one(field.name)) {
            return Ok(fields);
        }
        if self.fate == Fate::Reject {
            return Err(Alias);
        }
        let mut kept = 0;
        for at in 0..fields.len() {
            if !self.is_one(fields[at].name) {
                fields[kept] = fields[at];
                kept += 1;
            }
        }
        Ok(&mut fields[..kept])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(fate: Fate, which: Which, expected: Result<&str, Alias>) {
        let names = ["Host", "X_User", "X-User", "X.User", "_"];
        let mut fields = names.map(|name| Field { name, value: b"" });
        let settled = Aliases { fate, which }.settle(&mut fields);
        let shown = settled.map(|all| all.iter().map(|f| f.name).collect::<Vec<_>>().join(" "));
        assert_eq!(shown.as_deref(), expected.as_ref().map(|text| *text), "{fate:?} {which:?}");
    }

    #[test]
    fn aliases_stay_go_or_are_refused() {
        check(Fate::Keep, Which::All, Ok("Host X_User X-User X.User _"));
        check(Fate::Delete, Which::Underscores, Ok("Host X-User X.User"));
        check(Fate::Delete, Which::All, Ok("Host X-User"));
        check(Fate::Reject, Which::Underscores, Err(Alias));
        let mut plain = [Field { name: "Host", value: b"a" }];
        let reject = Aliases { fate: Fate::Reject, which: Which::All };
        assert_eq!(reject.settle(&mut plain).map(|fields| fields.len()), Ok(1));
    }
}
