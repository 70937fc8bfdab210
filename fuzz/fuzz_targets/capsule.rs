//! Capsules: whatever a file says, it is read or refused with its line, and what was read is
//! replayed without harm. The corpus has lines without checksums, which are put before them here,
//! so that what is behind them is reached.

#![no_main]

use engine::base::digest::{hex, sha256};
use engine::worker::capsule::{read, text};
use engine::worker::replay::{Change, Stage, replay};
use libfuzzer_sys::fuzz_target;

fn sealed(lines: &str) -> String {
    let mut before = String::new();
    let mut out = String::new();
    for line in lines.lines() {
        before = hex(&sha256(format!("{before} {line}").as_bytes()), 16);
        out.push_str(&format!("{before} {line}\n"));
    }
    out
}

fuzz_target!(|data: &[u8]| {
    let given = String::from_utf8_lossy(data);
    for given in [given.clone().into_owned(), sealed(&given)] {
        let lines = given.split_inclusive('\n').count() as u64;
        let capsule = match read(&given) {
            Ok(capsule) => capsule,
            Err(broken) => {
                assert!((1..=lines + 1).contains(&broken.line), "{broken}");
                continue;
            }
        };
        assert_eq!(read(&text(&capsule)).as_ref(), Ok(&capsule));
        let Ok(stage) = Stage::new(&capsule, Change::default()) else { continue };
        let same = replay(&capsule, &stage, true);
        if let Ok(told) = same {
            let decided = told.identical + told.different.len() as u64 + told.unknowable;
            assert_eq!(decided + told.undecided + told.forgotten, told.requests);
        }
    }
});
