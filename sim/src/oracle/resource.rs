//! Memory and what is left of it: R1 and R2.

use engine::base::limits::{COMPRESSOR_BYTES, Limits};
use engine::boundary::Holdings;

/// A line of an access log is below this: it may be added to lines that are just below their bound.
const LINE_BYTES: u64 = 16 * 1024;
/// What the streams of a connection leave in the log that are lost with it in one call, some tens
/// of lines: each takes the place of an exchange that is over, so that the sum has no need of it.
const TOGETHER_BYTES: u64 = 48 * 1024;
/// What a connection or an exchange takes beside its pages.
const EACH_BYTES: u64 = 1_024;

/// R2: which bound a worker is beyond, by the sum or by a part of it.
pub fn excess(held: &Holdings, limits: &Limits) -> Option<String> {
    let small_max = u64::from(limits.small_pages_max());
    let pages_max = small_max * u64::from(limits.small_page_bytes)
        + u64::from(limits.middle_pages_max) * u64::from(limits.middle_page_bytes)
        + u64::from(limits.large_pages_max) * u64::from(limits.large_page_bytes);
    let log_max = u64::from(limits.log_bytes) + LINE_BYTES + TOGETHER_BYTES;
    let parts = [
        ("small pages", u64::from(held.small_pages), small_max),
        ("middle pages", u64::from(held.middle_pages), limits.middle_pages_max.into()),
        ("large pages", u64::from(held.large_pages), limits.large_pages_max.into()),
        ("bytes of pages", held.page_bytes, pages_max),
        ("bytes of heads", held.head_bytes, limits.grown_head_bytes.into()),
        ("bytes of the log", held.log_bytes, log_max),
        ("clients", held.clients.into(), limits.clients_max.into()),
        ("compressors", held.compressors.into(), limits.compressors_max.into()),
        ("upstreams", held.upstreams.into(), limits.upstreams_max.into()),
    ];
    let beyond = parts.iter().find(|(_, held, most)| held > most);
    if let Some((what, held, most)) = beyond {
        return Some(format!("{held} {what}, and {most} are allowed"));
    }
    let things = u64::from(held.clients) + u64::from(held.upstreams) + u64::from(held.exchanges);
    let compressors = u64::from(held.compressors) * COMPRESSOR_BYTES;
    let bytes = held.page_bytes + held.head_bytes + held.log_bytes + compressors;
    let sum = bytes + things * EACH_BYTES;
    let most = limits.memory_max() + LINE_BYTES;
    (sum > most).then(|| format!("{sum} bytes, and {most} are allowed: {held:?}"))
}

/// R1, and rule 8 of the contract: whether a machine that has finished holds nothing any more.
pub fn is_empty(held: &Holdings) -> bool {
    let pages = [held.small_pages, held.middle_pages, held.large_pages];
    let things = [held.clients, held.upstreams, held.exchanges, held.compressors];
    pages == [0; 3] && things == [0; 4] && held.head_bytes == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_beyond_its_bound_is_noticed() {
        let limits = Limits { clients_max: 2, grown_head_bytes: 100, ..Limits::default() };
        let held = Holdings { clients: 2, head_bytes: 100, ..Holdings::default() };
        assert_eq!(excess(&held, &limits), None);
        assert!(excess(&Holdings { clients: 3, ..held }, &limits).is_some());
        assert!(excess(&Holdings { head_bytes: 101, ..held }, &limits).is_some());
        assert!(excess(&Holdings { log_bytes: 1 << 17, ..held }, &limits).is_some());
        assert!(excess(&Holdings { small_pages: u32::MAX, ..held }, &limits).is_some());
        assert!(excess(&Holdings { middle_pages: u32::MAX, ..held }, &limits).is_some());
        assert!(excess(&Holdings { page_bytes: 1 << 40, ..held }, &limits).is_some());
        assert!(excess(&Holdings { compressors: u32::MAX, ..held }, &limits).is_some());
        let many = Holdings { exchanges: u32::MAX, ..held };
        assert!(excess(&many, &limits).is_some());
    }

    #[test]
    fn a_page_that_nobody_gave_back_is_noticed() {
        assert!(is_empty(&Holdings { page_bytes: 9, ..Holdings::default() }));
        assert!(!is_empty(&Holdings { large_pages: 1, ..Holdings::default() }));
        assert!(!is_empty(&Holdings { middle_pages: 1, ..Holdings::default() }));
    }
}
