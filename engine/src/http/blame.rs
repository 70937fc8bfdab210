//! Who broke the protocol, and how: that decides whom to answer, with what, and whether to retry.

/// The end that sent what it must not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Who {
    Client,
    Origin,
}

/// A violation of the protocol. The connection it came on is not used further.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Misbehaved {
    pub who: Who,
    pub what: What,
}

macro_rules! violations {
    ($($name:ident $doc:literal,)*) => {
        /// What was wrong.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum What { $(#[doc = $doc] $name,)* }

        impl What {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// One sentence for a log line.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$name => $doc,)* }
            }
        }
    };
}

violations! {
    StartLine "the start line is malformed",
    Version "the protocol version is not HTTP/1.0 or HTTP/1.1",
    BlankLines "more than one empty line comes before the head",
    LineEnd "a line does not end in CR LF",
    FieldName "a field name is not a token",
    FieldAlias "a field name could be taken for another",
    FieldValue "a field value contains a control character",
    HeadTooLarge "the head is over its limit",
    TooManyFields "the head has too many fields",
    TooManyOptions "Connection names too many fields",
    HeadTimeout "the head took too long",
    HostMissing "Host is missing",
    HostRepeated "Host occurs more than once",
    HostMalformed "Host is not a host and an optional port",
    TargetForm "the request target does not have the form that its method asks for",
    TargetBytes "the request target contains a character that must be encoded",
    TargetFragment "the request target contains a fragment",
    TargetEscape "a percent sign in the path is not followed by two hexadecimal digits",
    TargetScheme "the request target is neither http nor https",
    TargetAuthority "the authority of the request target is not a host and an optional port",
    LengthRepeated "Content-Length occurs more than once",
    LengthMalformed "Content-Length is not a decimal number",
    LengthTooLarge "Content-Length is beyond what can be counted",
    LengthAndCoding "Content-Length and Transfer-Encoding occur together",
    LengthUnexpected "a response that has no content announces some",
    CodingUnknown "Transfer-Encoding names a coding other than chunked",
    CodingMalformed "Transfer-Encoding is not chunked, once and last",
    CodingOnOldVersion "Transfer-Encoding occurs in HTTP/1.0",
    CodingUnexpected "Transfer-Encoding occurs in a response that cannot have content",
    Expectation "Expect names something other than 100-continue",
    ChunkSize "a chunk size is not a hexadecimal number",
    ChunkTooLarge "a chunk size is beyond what can be counted",
    ChunkLineTooLong "a chunk size line is over its limit",
    ChunkExtension "a chunk extension contains a control character",
    ChunkEnd "chunk data is not followed by CR LF",
    TrailerTooLarge "the trailer section is over its limit",
    TrailerField "a trailer field is malformed",
    TrailerForbidden "a trailer field would change how the message is framed or routed",
    BodyTooLarge "the body is over its limit",
    BodyTimeout "the body took too long",
    BodyGarbled "the body is not the base64 that its type says it is",
    BodyCut "the connection ended inside the body",
    HeadCut "the connection ended inside the head",
    NoAnswer "the connection ended before a response began",
    AnswerTimeout "the response took too long",
    AnswerUnasked "a response came without a request",
    SwitchUnasked "the protocol was switched without being asked",
    StatusMalformed "the status is below 100",
    TooManyInterims "too many interim responses came",
}

impl Misbehaved {
    pub const fn client(what: What) -> Self {
        Self { who: Who::Client, what }
    }

    pub const fn origin(what: What) -> Self {
        Self { who: Who::Origin, what }
    }

    /// What the client is told, if it can still be told anything.
    pub const fn status(self) -> u16 {
        match self.who {
            Who::Client => of_client(self.what),
            Who::Origin => of_origin(self.what),
        }
    }

    /// Whether the request certainly had no effect at the origin's application, so that another
    /// attempt is safe for an idempotent method: a kept connection may end just as it is used.
    pub const fn may_retry(self) -> bool {
        matches!(self, Self { who: Who::Origin, what: What::NoAnswer })
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what has no status of its own is a bad request"
)]
const fn of_client(what: What) -> u16 {
    match what {
        What::Version => 505,
        What::HeadTooLarge | What::TooManyFields | What::TooManyOptions | What::TrailerTooLarge => {
            431
        }
        What::HeadTimeout | What::BodyTimeout => 408,
        What::BodyTooLarge => 413,
        What::CodingUnknown => 501,
        What::Expectation => 417,
        _ => 400,
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "an answer that cannot be used is a bad gateway"
)]
const fn of_origin(what: What) -> u16 {
    match what {
        What::AnswerTimeout | What::HeadTimeout | What::BodyTimeout => 504,
        _ => 502,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_blamed_with_4xx_or_5xx_and_the_origin_with_502_or_504() {
        for what in What::ALL {
            let status = Misbehaved::client(*what).status();
            assert!([400, 408, 413, 417, 431, 501, 505].contains(&status), "{what:?}");
            assert!(matches!(Misbehaved::origin(*what).status(), 502 | 504), "{what:?}");
            assert!(!Misbehaved::client(*what).may_retry(), "{what:?}");
        }
    }

    #[test]
    fn only_silence_may_be_retried() {
        let retried: Vec<_> =
            What::ALL.iter().filter(|what| Misbehaved::origin(**what).may_retry()).collect();
        assert_eq!(retried, [&What::NoAnswer]);
    }
}
