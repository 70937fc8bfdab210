//! Bodies of clients and origins, whose bytes anybody can check.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Bytes in pieces, with a length that is told or not.
#[derive(Debug)]
pub(super) struct Payload {
    left: Bytes,
    piece: usize,
    chunked: bool,
}

impl Payload {
    /// The message of this number, in pieces of at most `piece` bytes.
    pub(super) fn new(seed: u64, bytes: u32, piece: u32, chunked: bool) -> Self {
        let left = (0..u64::from(bytes)).map(|at| byte(seed, at)).collect();
        Self { left, piece: piece.max(1) as usize, chunked }
    }

    pub(super) fn empty() -> Self {
        Self { left: Bytes::new(), piece: 1, chunked: false }
    }
}

fn byte(seed: u64, at: u64) -> u8 {
    let mixed = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(at);
    u8::try_from(mixed % 251).expect("below 251")
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.left.len().min(self.piece);
        if piece == 0 {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Ok(Frame::data(self.left.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.chunked && !self.left.is_empty() {
            return SizeHint::default();
        }
        SizeHint::with_exact(self.left.len() as u64)
    }
}

/// Reads a body to its end; how many bytes it had and whether they were those of this number.
pub(super) async fn check(mut body: Incoming, seed: u64) -> Result<(u32, bool), hyper::Error> {
    let (mut count, mut good) = (0_u64, true);
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            good &= data.iter().zip(count..).all(|(got, at)| *got == byte(seed, at));
            count += data.len() as u64;
        }
    }
    Ok((u32::try_from(count).expect("bodies are small"), good))
}
