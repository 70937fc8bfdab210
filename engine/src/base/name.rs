//! Names of definitions: `name@provider`, and the form in which names from several clusters are
//! compared.

use std::borrow::Cow;

/// The provider of services that children offer.
pub const MULTICLUSTER: &str = "multicluster";

/// `name` and `provider` of a qualified name.
pub fn split(qualified: &str) -> Option<(&str, &str)> {
    qualified.rsplit_once('@')
}

/// What a qualified name is called in the document that defines it.
pub fn own(qualified: &str) -> &str {
    split(qualified).map_or(qualified, |(own, _)| own)
}

/// Every run of characters outside `[a-zA-Z0-9_]` becomes one `-`.
pub fn normalised(name: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut after_dash = false;
    let is_normal = name.bytes().all(|byte| {
        let dash = byte == b'-';
        let fine = is_plain(byte) || dash && !after_dash;
        after_dash = dash;
        fine
    });
    if is_normal {
        return Cow::Borrowed(name);
    }
    let mut normal = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            normal.push(c);
        } else if !normal.ends_with('-') {
            normal.push('-');
        }
    }
    Cow::Owned(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_other_characters_become_one_dash() {
        for (name, normal) in [
            ("", ""),
            ("shop", "shop"),
            ("a_b-c9", "a_b-c9"),
            ("api.v1", "api-v1"),
            ("a--b", "a-b"),
            ("-a.", "-a-"),
            ("a.-/b", "a-b"),
            ("é", "-"),
            ("€€x", "-x"),
        ] {
            assert_eq!(normalised(name), normal, "{name}");
            assert_eq!(normalised(&normalised(name)), normal, "{name} twice");
        }
    }
}
