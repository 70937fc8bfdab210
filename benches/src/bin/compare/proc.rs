//! What the kernel says of a process.

use std::fs;

/// What a process has had of its core so far, in nanoseconds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Spent {
    pub(crate) running: u64,
    /// Ready to run while others did.
    pub(crate) waiting: u64,
}

/// Of all threads of `pid`.
pub(crate) fn spent(pid: u32) -> Spent {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Spent::default() };
    let texts =
        tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok());
    texts.fold(Spent::default(), |sum, text| {
        let mut words = text.split_ascii_whitespace().map(|word| word.parse().unwrap_or(0));
        let mut next = || words.next().unwrap_or(0);
        Spent { running: sum.running + next(), waiting: sum.waiting + next() }
    })
}

/// User and system time of `pid` in clock ticks.
pub(crate) fn ticks(pid: u32) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = text.rsplit(')').next().unwrap_or_default();
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let mut next = || fields.next().and_then(|field| field.parse().ok()).unwrap_or(0);
    (next(), next())
}

/// Anonymous resident memory of `pid` in bytes: what its user space holds.
pub(crate) fn anonymous_bytes(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("RssAnon:")).unwrap_or_default();
    let kib: u64 =
        line.split_ascii_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0);
    kib << 10
}

/// Child processes of `pid`.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}
