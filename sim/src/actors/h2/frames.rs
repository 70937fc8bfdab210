//! Frames as bytes.

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const HEAD: usize = 9;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const TABLE_SIZE: u16 = 1;
pub const PUSH: u16 = 2;
pub const STREAMS: u16 = 3;
pub const WINDOW: u16 = 4;
pub const FRAME: u16 = 5;

pub const NO_ERROR: u32 = 0;
pub const PROTOCOL_ERROR: u32 = 1;
pub const INTERNAL_ERROR: u32 = 2;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const CALM: u32 = 11;

/// The largest payload that is sent without having asked.
pub const PAYLOAD: usize = 16_384;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

impl Frame {
    pub fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

pub fn put(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("payloads are small");
    out.extend_from_slice(&length.to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

pub fn put_settings(out: &mut Vec<u8>, settings: &[(u16, u32)]) {
    let pair = |(key, value): &(u16, u32)| {
        let (key, value) = (key.to_be_bytes(), value.to_be_bytes());
        [key[0], key[1], value[0], value[1], value[2], value[3]]
    };
    let payload: Vec<u8> = settings.iter().flat_map(pair).collect();
    put(out, SETTINGS, 0, 0, &payload);
}

/// The first frame of `bytes` and its payload, if it is whole.
pub fn first(bytes: &[u8]) -> Option<(Frame, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
    let [a, b, c, kind, flags, d, e, f, g] = *head;
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    let stream = u32::from_be_bytes([d, e, f, g]) & 0x7fff_ffff;
    Some((Frame { kind, flags, stream }, rest.get(..length)?))
}

/// How long the payload of the frame is that begins here.
pub fn length(bytes: &[u8]) -> Option<usize> {
    let (three, _) = bytes.split_first_chunk::<3>()?;
    Some(u32::from_be_bytes([0, three[0], three[1], three[2]]) as usize)
}

pub fn word(payload: &[u8]) -> Result<u32, String> {
    let four = payload.try_into().map_err(|_| "a payload that is no word")?;
    Ok(u32::from_be_bytes(four))
}
