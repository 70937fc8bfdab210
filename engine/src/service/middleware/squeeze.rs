//! Content on its way through a compressor: pieces go in as they come, and what is ready is taken
//! out.

use crate::config::typed::Coding;
use std::fmt;
use std::io::Write as _;

/// Good use of time rather than of the last byte: higher levels of each take several times as long
/// for a tenth less, and Brotli's fifth takes thirty times the memory.
const GZIP_LEVEL: u32 = 1;
const BROTLI_LEVEL: u32 = 3;
const ZSTD_LEVEL: i32 = 1;
/// Of 64 KiB, as a power of two: what one response takes is bounded by it.
const WINDOW: u32 = 16;
const BROTLI_STEP: usize = 4 * 1024;

/// One response's compressor.
pub struct Squeezer(Kind);

enum Kind {
    Gzip(Box<flate2::write::GzEncoder<Vec<u8>>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Squeezer {
    /// Nothing if there is no memory for it.
    pub fn new(coding: Coding) -> Option<Self> {
        let out = Vec::new();
        Some(Self(match coding {
            Coding::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                Kind::Gzip(Box::new(flate2::write::GzEncoder::new(out, level)))
            }
            Coding::Brotli => Kind::Brotli(Box::new(brotli::CompressorWriter::new(
                out,
                BROTLI_STEP,
                BROTLI_LEVEL,
                WINDOW,
            ))),
            Coding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(out, ZSTD_LEVEL).ok()?;
                encoder.window_log(WINDOW).ok()?;
                Kind::Zstd(encoder)
            }
        }))
    }

    /// Takes a piece of content. What is ready of all so far is returned, perhaps nothing.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let done = match &mut self.0 {
            Kind::Gzip(encoder) => encoder.write_all(bytes),
            Kind::Brotli(encoder) => encoder.write_all(bytes),
            Kind::Zstd(encoder) => encoder.write_all(bytes),
        };
        done.expect("a vector takes every byte");
        self.take()
    }

    /// Gives out all that was pushed.
    pub fn flush(&mut self) -> Vec<u8> {
        let done = match &mut self.0 {
            Kind::Gzip(encoder) => encoder.flush(),
            Kind::Brotli(encoder) => encoder.flush(),
            Kind::Zstd(encoder) => encoder.flush(),
        };
        done.expect("a vector takes every byte");
        self.take()
    }

    /// The end of the content.
    pub fn finish(self) -> Vec<u8> {
        match self.0 {
            Kind::Gzip(encoder) => encoder.finish().expect("a vector takes every byte"),
            Kind::Brotli(encoder) => encoder.into_inner(),
            Kind::Zstd(encoder) => encoder.finish().expect("a vector takes every byte"),
        }
    }

    fn take(&mut self) -> Vec<u8> {
        std::mem::take(match &mut self.0 {
            Kind::Gzip(encoder) => encoder.get_mut(),
            Kind::Brotli(encoder) => encoder.get_mut(),
            Kind::Zstd(encoder) => encoder.get_mut(),
        })
    }
}

impl fmt::Debug for Squeezer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Gzip(_) => "gzip",
            Kind::Brotli(_) => "br",
            Kind::Zstd(_) => "zstd",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn plain(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        // What ends without an end is read as far as it goes.
        let _ = match coding {
            Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out),
            Coding::Brotli => brotli::Decompressor::new(bytes, 4_096).read_to_end(&mut out),
            Coding::Zstd => {
                zstd::stream::read::Decoder::new(bytes).and_then(|mut it| it.read_to_end(&mut out))
            }
        };
        out
    }

    #[test]
    fn what_goes_in_comes_out_and_a_flush_hides_nothing() {
        for coding in Coding::ALL {
            let mut squeezer = Squeezer::new(coding).expect("memory");
            let (mut sent, mut whole) = (Vec::new(), Vec::new());
            for at in 0..50u32 {
                let piece = format!("line {at} of a text that says line {at} again\n").repeat(9);
                whole.extend_from_slice(piece.as_bytes());
                sent.extend(squeezer.push(piece.as_bytes()));
                if at % 7 == 0 {
                    sent.extend(squeezer.flush());
                    assert_eq!(plain(coding, &sent), whole, "{squeezer:?} at {at}");
                }
            }
            sent.extend(squeezer.finish());
            assert_eq!(plain(coding, &sent), whole);
            assert!(sent.len() * 4 < whole.len(), "{coding:?}: {} of {}", sent.len(), whole.len());
        }
    }
}
