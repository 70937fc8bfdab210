//! The file of the danger switch: secrets of TLS sessions, a line each. Only its owner may read it.

use engine::base::secret::Secret;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::mpsc::{self, Sender};
use std::thread;

/// Opens the file; a thread appends to it for as long as somebody holds the sender.
pub(crate) fn open(path: &str) -> io::Result<Sender<Secret>> {
    let about = |error: io::Error| io::Error::new(error.kind(), format!("{path}: {error}"));
    let mut file =
        OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(about)?;
    let (lines, heard) = mpsc::channel::<Secret>();
    thread::Builder::new().name("key-log".to_owned()).spawn(move || {
        for line in heard {
            // What cannot be written is of use to nobody.
            let _ = file.write_all(line.reveal());
        }
    })?;
    Ok(lines)
}
