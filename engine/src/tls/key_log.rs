//! The danger switch: the secrets of every session, in the form that programs which look into
//! recorded traffic read. Nothing turns it on but whoever starts the process.

use crate::base::secret::Secret;
use std::sync::mpsc::Sender;

/// Hands out a line per secret.
#[derive(Debug)]
pub(super) struct KeyLog(pub(super) Sender<Secret>);

impl rustls::KeyLog for KeyLog {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let mut line = label.as_bytes().to_vec();
        for part in [client_random, secret] {
            line.push(b' ');
            line.extend(part.iter().flat_map(|byte| [hex(byte >> 4), hex(byte & 15)]));
        }
        line.push(b'\n');
        // Whoever listened may have ended first.
        let _ = self.0.send(Secret::new(line));
    }
}

fn hex(digit: u8) -> u8 {
    if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }
}
