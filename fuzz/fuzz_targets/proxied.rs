//! PROXY headers: a header that is whole says the same whatever follows it, every part of it is
//! the beginning of one, and it is never longer than what arrived.

#![no_main]

use engine::net::proxied::{Announced, BYTES_MAX, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Announced::By { from, bytes } = read(data) else { return };
    assert!(bytes <= data.len() && bytes <= BYTES_MAX, "{bytes} of {}", data.len());
    assert_eq!(read(&data[..bytes]), Announced::By { from, bytes });
    for end in 0..bytes {
        assert_eq!(read(&data[..end]), Announced::Partial, "{end} of {bytes}");
    }
});
