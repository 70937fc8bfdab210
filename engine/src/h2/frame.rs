//! Frames (RFC 9113 §4, §6): their heads, the size rules, and how those of a fixed shape are
//! written.

/// Bytes of a frame's head.
pub const HEAD: usize = 9;
/// The payload that every receiver takes, and the most that we do.
pub const PAYLOAD_MAX: u32 = 16_384;
/// What a client sends first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A flow-control window never exceeds this.
pub const WINDOW_MAX: u32 = (1 << 31) - 1;
/// The windows of a connection before anything is said.
pub const WINDOW_INITIAL: u32 = 65_535;

pub const END_STREAM: u8 = 0x1;
pub const ACK: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;
pub const PADDED: u8 = 0x8;
pub const PRIORITY: u8 = 0x20;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    Data,
    Headers,
    Priority,
    RstStream,
    Settings,
    PushPromise,
    Ping,
    Goaway,
    WindowUpdate,
    Continuation,
    /// Ignored, as extensions are.
    Other(u8),
}

/// Why a stream or a connection ends (RFC 9113 §7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Code {
    NoError,
    Protocol,
    Internal,
    FlowControl,
    SettingsTimeout,
    StreamClosed,
    FrameSize,
    RefusedStream,
    Cancel,
    Compression,
    Connect,
    EnhanceYourCalm,
    InadequateSecurity,
    Http11Required,
}

/// The head of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    pub length: u32,
    pub kind: Kind,
    pub flags: u8,
    pub stream: u32,
}

/// A parameter of SETTINGS that means something to us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Setting {
    HeaderTableSize(u32),
    EnablePush(u32),
    MaxConcurrentStreams(u32),
    InitialWindowSize(u32),
    MaxFrameSize(u32),
    MaxHeaderListSize(u32),
    EnableConnectProtocol(u32),
}

impl Kind {
    const fn of(number: u8) -> Self {
        match number {
            0 => Self::Data,
            1 => Self::Headers,
            2 => Self::Priority,
            3 => Self::RstStream,
            4 => Self::Settings,
            5 => Self::PushPromise,
            6 => Self::Ping,
            7 => Self::Goaway,
            8 => Self::WindowUpdate,
            9 => Self::Continuation,
            other => Self::Other(other),
        }
    }

    const fn number(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Headers => 1,
            Self::Priority => 2,
            Self::RstStream => 3,
            Self::Settings => 4,
            Self::PushPromise => 5,
            Self::Ping => 6,
            Self::Goaway => 7,
            Self::WindowUpdate => 8,
            Self::Continuation => 9,
            Self::Other(other) => other,
        }
    }
}

impl Code {
    const ALL: [Self; 14] = [
        Self::NoError,
        Self::Protocol,
        Self::Internal,
        Self::FlowControl,
        Self::SettingsTimeout,
        Self::StreamClosed,
        Self::FrameSize,
        Self::RefusedStream,
        Self::Cancel,
        Self::Compression,
        Self::Connect,
        Self::EnhanceYourCalm,
        Self::InadequateSecurity,
        Self::Http11Required,
    ];

    /// RFC 9113 §7: a code that is not known means no more than that something went wrong.
    pub fn of(number: u32) -> Self {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        Self::ALL.get(at).copied().unwrap_or(Self::Internal)
    }

    pub const fn number(self) -> u32 {
        self as u32
    }
}

impl Head {
    /// Reads the head of a frame from its nine bytes. The reserved bit is ignored.
    pub const fn read(bytes: &[u8; HEAD]) -> Self {
        let [a, b, c, kind, flags, s0, s1, s2, s3] = *bytes;
        Self {
            length: u32::from_be_bytes([0, a, b, c]),
            kind: Kind::of(kind),
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & WINDOW_MAX,
        }
    }

    pub const fn bytes(self) -> [u8; HEAD] {
        let [_, a, b, c] = self.length.to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        [a, b, c, self.kind.number(), self.flags, s0, s1, s2, s3]
    }

    pub const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// What is wrong with this head, whatever state its stream is in.
    pub fn check(self) -> Result<(), Code> {
        if self.length > PAYLOAD_MAX {
            return Err(Code::FrameSize);
        }
        let on_stream = self.stream != 0;
        let (fits, right) = match self.kind {
            Kind::Data | Kind::Headers | Kind::Priority => (true, on_stream),
            Kind::RstStream => (self.length == 4, on_stream),
            Kind::Settings => {
                let fits =
                    if self.has(ACK) { self.length == 0 } else { self.length.is_multiple_of(6) };
                (fits, !on_stream)
            }
            Kind::Ping => (self.length == 8, !on_stream),
            Kind::Goaway => (self.length >= 8, !on_stream),
            Kind::WindowUpdate => (self.length == 4, true),
            // We never allow pushes, and nothing may come between HEADERS and CONTINUATION.
            Kind::PushPromise | Kind::Continuation => (true, false),
            Kind::Other(_) => (true, true),
        };
        match (fits, right) {
            (_, false) => Err(Code::Protocol),
            (false, true) => Err(Code::FrameSize),
            (true, true) => Ok(()),
        }
    }
}

impl Setting {
    /// Reads one parameter of six bytes; nothing if it is not known.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let [i0, i1, v0, v1, v2, v3] = *bytes else { return None };
        let value = u32::from_be_bytes([v0, v1, v2, v3]);
        match u16::from_be_bytes([i0, i1]) {
            1 => Some(Self::HeaderTableSize(value)),
            2 => Some(Self::EnablePush(value)),
            3 => Some(Self::MaxConcurrentStreams(value)),
            4 => Some(Self::InitialWindowSize(value)),
            5 => Some(Self::MaxFrameSize(value)),
            6 => Some(Self::MaxHeaderListSize(value)),
            8 => Some(Self::EnableConnectProtocol(value)),
            _ => None,
        }
    }

    pub const fn bytes(self) -> [u8; 6] {
        let (id, value): (u8, u32) = match self {
            Self::HeaderTableSize(value) => (1, value),
            Self::EnablePush(value) => (2, value),
            Self::MaxConcurrentStreams(value) => (3, value),
            Self::InitialWindowSize(value) => (4, value),
            Self::MaxFrameSize(value) => (5, value),
            Self::MaxHeaderListSize(value) => (6, value),
            Self::EnableConnectProtocol(value) => (8, value),
        };
        let [v0, v1, v2, v3] = value.to_be_bytes();
        [0, id, v0, v1, v2, v3]
    }
}

/// The number in the last four bytes of a fixed frame, without the reserved bit.
pub fn number(payload: &[u8]) -> u32 {
    let last = payload.last_chunk().expect("checked with the head of the frame");
    u32::from_be_bytes(*last) & WINDOW_MAX
}

/// The length of a payload.
pub(super) fn length(payload: usize) -> u32 {
    u32::try_from(payload).expect("a payload is far below 4 GiB")
}

/// A frame whose payload is one number.
const fn numbered(kind: Kind, stream: u32, value: u32) -> [u8; HEAD + 4] {
    let [h0, h1, h2, h3, h4, h5, h6, h7, h8] = Head { length: 4, kind, flags: 0, stream }.bytes();
    let [v0, v1, v2, v3] = value.to_be_bytes();
    [h0, h1, h2, h3, h4, h5, h6, h7, h8, v0, v1, v2, v3]
}

pub const fn window_update(stream: u32, more: u32) -> [u8; HEAD + 4] {
    numbered(Kind::WindowUpdate, stream, more)
}

pub const fn rst_stream(stream: u32, code: Code) -> [u8; HEAD + 4] {
    numbered(Kind::RstStream, stream, code.number())
}

pub fn goaway(last: u32, code: Code) -> [u8; HEAD + 8] {
    let mut frame = [0; HEAD + 8];
    frame[..HEAD]
        .copy_from_slice(&Head { length: 8, kind: Kind::Goaway, flags: 0, stream: 0 }.bytes());
    frame[HEAD..HEAD + 4].copy_from_slice(&last.to_be_bytes());
    frame[HEAD + 4..].copy_from_slice(&code.number().to_be_bytes());
    frame
}

pub fn ping(payload: [u8; 8], flags: u8) -> [u8; HEAD + 8] {
    let mut frame = [0; HEAD + 8];
    frame[..HEAD].copy_from_slice(&Head { length: 8, kind: Kind::Ping, flags, stream: 0 }.bytes());
    frame[HEAD..].copy_from_slice(&payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_as_it_was_written() {
        for kind in 0..=255 {
            let head = Head {
                length: 0x00ab_cdef,
                kind: Kind::of(kind),
                flags: 0x25,
                stream: 0x7fff_0001,
            };
            assert_eq!(Head::read(&head.bytes()), head);
            assert_eq!(head.bytes()[3], kind);
        }
        let reserved = [0, 0, 4, 8, 0, 0x80, 0, 0, 1];
        assert_eq!(Head::read(&reserved).stream, 1);
    }

    #[test]
    fn codes_keep_their_numbers() {
        for (at, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code.number() as usize, at);
            assert_eq!(Code::of(code.number()), code);
        }
        assert_eq!(Code::of(0xff), Code::Internal);
    }

    #[track_caller]
    fn check(kind: Kind, stream: u32, flags: u8, length: u32, expected: Result<(), Code>) {
        let head = Head { length, kind, flags, stream };
        assert_eq!(head.check(), expected, "{head:?}");
    }

    #[test]
    fn sizes_and_streams_of_frames() {
        use Code::{FrameSize, Protocol};
        check(Kind::Data, 1, 0, 16_384, Ok(()));
        check(Kind::Data, 1, 0, 16_385, Err(FrameSize));
        check(Kind::Data, 0, 0, 1, Err(Protocol));
        check(Kind::Headers, 0, 0, 1, Err(Protocol));
        check(Kind::Priority, 0, 0, 5, Err(Protocol));
        check(Kind::RstStream, 1, 0, 4, Ok(()));
        check(Kind::RstStream, 1, 0, 3, Err(FrameSize));
        check(Kind::RstStream, 0, 0, 4, Err(Protocol));
        check(Kind::Settings, 0, 0, 12, Ok(()));
        check(Kind::Settings, 0, 0, 13, Err(FrameSize));
        check(Kind::Settings, 0, ACK, 6, Err(FrameSize));
        check(Kind::Settings, 1, 0, 6, Err(Protocol));
        check(Kind::PushPromise, 1, 0, 4, Err(Protocol));
        check(Kind::Ping, 0, 0, 8, Ok(()));
        check(Kind::Ping, 0, 0, 7, Err(FrameSize));
        check(Kind::Ping, 1, 0, 8, Err(Protocol));
        check(Kind::Goaway, 0, 0, 7, Err(FrameSize));
        check(Kind::Goaway, 1, 0, 8, Err(Protocol));
        check(Kind::WindowUpdate, 0, 0, 4, Ok(()));
        check(Kind::WindowUpdate, 1, 0, 5, Err(FrameSize));
        check(Kind::Continuation, 1, 0, 4, Err(Protocol));
        check(Kind::Other(0x42), 0, 0, 16_384, Ok(()));
        check(Kind::Other(0x42), 7, 0, 16_385, Err(FrameSize));
    }

    #[test]
    fn settings_and_fixed_frames() {
        for setting in [
            Setting::HeaderTableSize(1),
            Setting::EnablePush(0),
            Setting::MaxConcurrentStreams(100),
            Setting::InitialWindowSize(u32::MAX),
            Setting::MaxFrameSize(1 << 14),
            Setting::MaxHeaderListSize(7),
            Setting::EnableConnectProtocol(1),
        ] {
            assert_eq!(Setting::read(&setting.bytes()), Some(setting));
        }
        assert_eq!(Setting::read(&[0, 9, 0, 0, 0, 1]), None);
        assert_eq!(window_update(3, 5), [0, 0, 4, 8, 0, 0, 0, 0, 3, 0, 0, 0, 5]);
        assert_eq!(rst_stream(1, Code::Cancel), [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8]);
        assert_eq!(goaway(5, Code::Protocol)[9..], [0, 0, 0, 5, 0, 0, 0, 1]);
        assert_eq!(ping([7; 8], ACK)[..10], [0, 0, 8, 6, 1, 0, 0, 0, 0, 7]);
        assert_eq!(number(&[0xff, 0xff, 0xff, 0xff]), WINDOW_MAX);
    }
}
