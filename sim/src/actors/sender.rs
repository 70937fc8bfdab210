//! Bytes that an actor has yet to write, and what it does with the connection afterwards.

use crate::net::Net;
use crate::wire::EndId;
use engine::boundary::Close;

#[derive(Debug, Default)]
pub struct Sender {
    out: Vec<u8>,
    at: usize,
    /// Bytes of earlier buffers.
    before: u64,
    then: Then,
    /// Nothing beyond this many bytes is written for now.
    pub gate: Option<usize>,
}

/// What happens once everything is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Then {
    #[default]
    Stay,
    Shut,
    Close,
    Reset,
}

/// How a flush ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flushed {
    Pending,
    Done,
    /// The connection is gone: closed by plan, or failed.
    Gone,
}

impl Sender {
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        if self.at == self.out.len() {
            self.before += self.at as u64;
            self.out.clear();
            self.at = 0;
        }
        &mut self.out
    }

    pub fn then(&mut self, then: Then) {
        self.then = then;
    }

    /// Bytes written since the beginning, and those that wait behind them.
    pub fn total(&self) -> (u64, u64) {
        (self.before + self.at as u64, self.pending() as u64)
    }

    /// Bytes written of what is in the buffer now.
    pub fn written(&self) -> usize {
        self.at
    }

    pub fn pending(&self) -> usize {
        self.out.len() - self.at
    }

    /// Drops what is not written beyond `keep` bytes of the buffer.
    pub fn cut(&mut self, keep: usize) {
        self.out.truncate(keep.max(self.at));
    }

    /// Bytes that may be written now.
    pub fn available(&self) -> usize {
        self.gate.unwrap_or(usize::MAX).min(self.out.len()).saturating_sub(self.at)
    }

    /// For writers of frames: at most `most` bytes, and what follows once all is taken.
    pub fn take(&mut self, most: usize) -> (Vec<u8>, Option<Then>) {
        let count = self.available().min(most);
        let bytes = self.out[self.at..self.at + count].to_vec();
        self.at += count;
        let all = self.at == self.out.len();
        (bytes, all.then(|| std::mem::take(&mut self.then)).filter(|then| *then != Then::Stay))
    }

    pub fn flush(&mut self, net: &mut Net, end: EndId) -> Flushed {
        let limit = self.gate.unwrap_or(usize::MAX).min(self.out.len());
        while self.at < limit {
            match net.write(end, &self.out[self.at..limit]) {
                Ok(0) => return Flushed::Pending,
                Ok(count) => self.at += count,
                Err(_) => {
                    net.close(end, Close::Gentle);
                    return Flushed::Gone;
                }
            }
        }
        if self.at < self.out.len() {
            return Flushed::Pending;
        }
        match std::mem::take(&mut self.then) {
            Then::Stay => Flushed::Done,
            Then::Shut => {
                net.shut(end);
                Flushed::Done
            }
            Then::Close => {
                net.close(end, Close::Gentle);
                Flushed::Gone
            }
            Then::Reset => {
                net.close(end, Close::Abort);
                Flushed::Gone
            }
        }
    }
}
