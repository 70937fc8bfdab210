//! Request methods: the known ones by name, any other token as it came.

/// A request method. Methods are case-sensitive (RFC 9110 §9.1): `get` is another one than `GET`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Method<'a> {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
    /// A token that no RFC 9110 method spells.
    Other(&'a str),
}

impl<'a> Method<'a> {
    pub fn of(token: &'a str) -> Self {
        match token {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            "CONNECT" => Self::Connect,
            "OPTIONS" => Self::Options,
            "TRACE" => Self::Trace,
            "PATCH" => Self::Patch,
            other => Self::Other(other),
        }
    }

    pub fn as_str(self) -> &'a str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Patch => "PATCH",
            Self::Other(token) => token,
        }
    }

    /// Doing it twice has the effect of doing it once (RFC 9110 §9.2.2). Of a method that is not
    /// known nothing is promised.
    pub fn idempotent(self) -> bool {
        match self {
            Self::Get | Self::Head | Self::Options | Self::Trace | Self::Put | Self::Delete => true,
            Self::Post | Self::Connect | Self::Patch | Self::Other(_) => false,
        }
    }

    /// Asks for no change at the origin (RFC 9110 §9.2.1).
    pub fn safe(self) -> bool {
        match self {
            Self::Get | Self::Head | Self::Options | Self::Trace => true,
            Self::Put
            | Self::Delete
            | Self::Post
            | Self::Connect
            | Self::Patch
            | Self::Other(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_reads_as_it_was_spelled() {
        for token in
            ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]
        {
            assert_eq!(Method::of(token).as_str(), token);
            assert!(!matches!(Method::of(token), Method::Other(_)), "{token}");
            assert!(matches!(Method::of(&token.to_lowercase()), Method::Other(_)), "{token}");
        }
        assert_eq!(Method::of("PURGE").as_str(), "PURGE");
    }

    #[test]
    fn safe_methods_are_idempotent() {
        for token in ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "PATCH", "PURGE"] {
            let method = Method::of(token);
            assert!(!method.safe() || method.idempotent(), "{token}");
        }
        assert!(Method::Put.idempotent() && !Method::Put.safe());
        assert!(!Method::Other("get").idempotent());
    }
}
