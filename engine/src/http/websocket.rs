//! The handshake of WebSocket (RFC 6455 §4), for those who stand between its two forms: over
//! HTTP/1.1 a key is asked and answered, over HTTP/2 (RFC 8441) there is none.

use super::fields::{self, Field};
use crate::base::base64;
use crate::base::digest::sha1;

/// What a stream names in `:protocol`, and a head in `Upgrade`.
pub const PROTOCOL: &str = "websocket";
pub const KEY: &str = "Sec-WebSocket-Key";
pub const ACCEPT: &str = "Sec-WebSocket-Accept";

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Sixteen bytes in Base64.
const KEY_BYTES: usize = 24;

/// The only key among these fields, if it is one that can be answered.
pub fn key<'a>(all: &[Field<'a>]) -> Option<&'a [u8]> {
    let mut keys = fields::all(all, KEY);
    let only = keys.next().filter(|_| keys.next().is_none())?;
    let (digits, padding) = only.split_last_chunk::<2>()?;
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    let whole = only.len() == KEY_BYTES && padding == b"==" && digits.iter().all(plain);
    whole.then_some(only)
}

/// Appends sixteen bytes of chance as a key.
pub fn write_key(chance: [u64; 2], out: &mut Vec<u8>) {
    let mut bytes = [0; 16];
    for (to, from) in bytes.chunks_exact_mut(8).zip(chance) {
        to.copy_from_slice(&from.to_le_bytes());
    }
    base64::encode(&bytes, out);
}

/// Appends what a server answers to `key`.
pub fn write_accept(key: &[u8], out: &mut Vec<u8>) {
    base64::encode(&sha1(&[key, GUID].concat()), out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        let mut accept = Vec::new();
        write_accept(b"dGhlIHNhbXBsZSBub25jZQ==", &mut accept);
        assert_eq!(accept, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_key_is_sixteen_bytes_in_base64() {
        let field = |value: &'static str| Field { name: KEY, value: value.as_bytes() };
        let mut made = Vec::new();
        write_key([1, u64::MAX], &mut made);
        assert_eq!(made, b"AQAAAAAAAAD//////////w==");
        let fine = field("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(key(&[fine]), Some(fine.value));
        assert_eq!(key(&[fine, fine]), None);
        assert_eq!(key(&[]), None);
        for wrong in ["", "k", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ=x"] {
            assert_eq!(key(&[field(wrong)]), None, "{wrong}");
        }
    }
}
