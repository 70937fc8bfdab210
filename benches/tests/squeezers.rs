//! What a compressor takes, seen from outside: the memory of the process, so that whatever it is
//! written in counts. Alone in its process.

use engine::base::limits::COMPRESSOR_BYTES;
use engine::config::typed::Coding;
use engine::service::middleware::squeeze::Squeezer;

const AT_ONCE: u64 = 16;
const PAGE: u64 = 4_096;

/// Bytes of memory that the process has.
fn resident() -> u64 {
    let line = std::fs::read_to_string("/proc/self/statm").expect("a Linux system");
    let pages = line.split(' ').nth(1).and_then(|it| it.parse::<u64>().ok());
    pages.expect("the second number") * PAGE
}

/// Text that repeats itself, but never at the same distance.
fn text(bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes + 64);
    let mut seed = 1u64;
    while out.len() < bytes {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        out.extend_from_slice(format!("<li class=\"{}\">{seed}</li>\n", seed >> 60).as_bytes());
    }
    out.truncate(bytes);
    out
}

#[test]
fn no_compressor_takes_more_than_its_bound() {
    let content = text(160 * 1024);
    for coding in Coding::ALL {
        let before = resident();
        let mut all: Vec<_> = (0..AT_ONCE).filter_map(|_| Squeezer::new(coding)).collect();
        let sent: usize = content
            .chunks(17 * 1024)
            .flat_map(|piece| all.iter_mut().map(|it| it.push(piece).len()).collect::<Vec<_>>())
            .sum();
        let each = resident().saturating_sub(before) / AT_ONCE;
        assert!(sent > 0, "{coding:?}: nothing was compressed");
        assert!(each > 16 * 1024, "{coding:?}: the memory of the process was not seen");
        assert!(each <= COMPRESSOR_BYTES, "{coding:?}: {each}");
    }
}
