//! Names of workloads: `spiffe://trust.domain/path`, as the SPIFFE-ID standard has them.

use std::fmt;

const SCHEME: &str = "spiffe://";
const DOMAIN_BYTES_MAX: usize = 255;
const ID_BYTES_MAX: usize = 2048;

/// Who signs a family of identities.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TrustDomain(String);

impl TrustDomain {
    /// From `trust.domain`, or from any id of it. The error says what was wanted.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains("://") {
            return Ok(SpiffeId::split(text)?.0);
        }
        if text.is_empty() || text.len() > DOMAIN_BYTES_MAX {
            return Err("expected a trust domain of 1 to 255 characters".to_owned());
        }
        if !text.bytes().all(is_of_domain) {
            let wanted = "a trust domain has lower-case letters, digits, dots, dashes and \
                          underscores";
            return Err(wanted.to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of one workload: a trust domain and a path in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SpiffeId {
    text: String,
    domain: TrustDomain,
}

impl SpiffeId {
    /// The error says what was wanted.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (domain, path) = Self::split(text)?;
        if path.is_empty() {
            return Err("an id has a path behind its trust domain".to_owned());
        }
        Ok(Self { text: text.to_owned(), domain })
    }

    fn split(text: &str) -> Result<(TrustDomain, &str), String> {
        if text.len() > ID_BYTES_MAX {
            return Err("an id is at most 2048 bytes long".to_owned());
        }
        let rest = text.strip_prefix(SCHEME).ok_or("expected spiffe://trust.domain/path")?;
        let (domain, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let domain = TrustDomain::parse(domain)?;
        for segment in path.split('/').skip(1) {
            check_segment(segment)?;
        }
        Ok((domain, path))
    }

    pub fn domain(&self) -> &TrustDomain {
        &self.domain
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn check_segment(segment: &str) -> Result<(), String> {
    if matches!(segment, "" | "." | "..") {
        return Err("a segment of the path is empty or made of dots".to_owned());
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if !segment.bytes().all(fits) {
        let wanted = "a path has letters, digits, dots, dashes, underscores and slashes";
        return Err(wanted.to_owned());
    }
    Ok(())
}

fn is_of_domain(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte)
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_what_the_standard_says() {
        for good in ["spiffe://a/b", "spiffe://a.b-c_1/ns/x/SA/y.z", "spiffe://a/..."] {
            let id = SpiffeId::parse(good).expect(good);
            assert_eq!(id.as_str(), good);
        }
        let long = format!("spiffe://a/{}", "b".repeat(ID_BYTES_MAX));
        for bad in [
            "",
            "a/b",
            "SPIFFE://a/b",
            "https://a/b",
            "spiffe://",
            "spiffe:///b",
            "spiffe://a",
            "spiffe://a/",
            "spiffe://a/b/",
            "spiffe://a//b",
            "spiffe://a/./b",
            "spiffe://a/../b",
            "spiffe://A/b",
            "spiffe://a:8/b",
            "spiffe://u@a/b",
            "spiffe://a/b?c",
            "spiffe://a/b#c",
            "spiffe://a/%62",
            "spiffe://a/b c",
            "spiffe://a/b,spiffe://c/d",
            &long,
        ] {
            SpiffeId::parse(bad).expect_err(bad);
        }
    }

    #[test]
    fn trust_domains_are_read_alone_and_from_ids() {
        for (text, domain) in [("a.b", "a.b"), ("spiffe://a.b", "a.b"), ("spiffe://a/b", "a")] {
            assert_eq!(TrustDomain::parse(text).expect(text).as_str(), domain);
        }
        for bad in ["", "A", "a b", "a/b", "spiffe://", &"a".repeat(256)] {
            TrustDomain::parse(bad).expect_err(bad);
        }
    }
}
