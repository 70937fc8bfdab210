//! Requests of one entry point, router or service, told apart by status, method and protocol. A
//! series appears when its first request ends; after that counting neither allocates nor hashes.

use super::stats::{Count, Writer};
use crate::base::time::Span;
use std::sync::OnceLock;

/// Methods that have a label of their own; all others share the last one.
pub const METHODS: [&str; 10] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "CONNECT",
    "OPTIONS",
    "TRACE",
    "PATCH",
    "EXTENSION_METHOD",
];

/// Series per worker and scope. An origin that answers with hundreds of different status codes
/// must not make the scrape grow without end; what comes after shares one series with code 0.
const SERIES_MAX: usize = 128;

/// What travels: plain requests, or a connection that was upgraded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Protocol {
    Http,
    Websocket,
}

impl Protocol {
    pub const fn label(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Websocket => "websocket",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SeriesKey {
    /// 0 for the series that collects what is beyond the bound.
    pub code: u16,
    /// Index into [`METHODS`].
    method: u8,
    pub protocol: Protocol,
}

impl SeriesKey {
    pub fn new(code: u16, method: &[u8], protocol: Protocol) -> Self {
        let known = METHODS[..METHODS.len() - 1].iter().position(|name| name.as_bytes() == method);
        let method = u8::try_from(known.unwrap_or(METHODS.len() - 1)).expect("ten methods");
        Self { code, method, protocol }
    }

    pub fn method(self) -> &'static str {
        METHODS[usize::from(self.method)]
    }

    const fn beyond(self) -> Self {
        Self { code: 0, ..self }
    }
}

/// What one finished request adds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Finished {
    pub key: SeriesKey,
    pub took: Span,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub retries: u32,
}

/// Series of one thing that is counted. Kept by the registry, so that it survives reloads.
#[derive(Debug, Default)]
pub struct Scope(OnceLock<Box<[OnceLock<Box<Series>>]>>);

/// One worker's requests of one key, and the next series of that worker.
#[derive(Debug)]
pub struct Series {
    pub key: SeriesKey,
    pub requests: Count,
    pub nanos: Count,
    pub request_bytes: Count,
    pub response_bytes: Count,
    pub retries: Count,
    /// One more than there are bounds: the last is for what exceeds all of them.
    pub buckets: Box<[Count]>,
    next: OnceLock<Box<Self>>,
}

impl Scope {
    /// Only the worker that `writer` names may call this. `bounds` are the upper ends of the
    /// histogram's buckets in microseconds, the same on every call.
    pub fn record(&self, writer: Writer, bounds: &[u64], done: &Finished) {
        let heads = self.0.get_or_init(|| (0..writer.of).map(|_| OnceLock::new()).collect());
        let series = find(&heads[usize::from(writer.index)], bounds, done.key);
        let micros = done.took.nanos().div_ceil(1_000);
        let bucket = bounds.iter().position(|bound| micros <= *bound).unwrap_or(bounds.len());
        series.requests.add(1);
        series.nanos.add(done.took.nanos());
        series.request_bytes.add(done.request_bytes);
        series.response_bytes.add(done.response_bytes);
        series.retries.add(done.retries.into());
        series.buckets[bucket].add(1);
    }

    /// All series of all workers; one key may appear once per worker.
    pub fn iter(&self) -> impl Iterator<Item = &Series> {
        let heads = self.0.get().into_iter().flatten().filter_map(OnceLock::get);
        heads.flat_map(|head| {
            std::iter::successors(Some(&**head), |series| series.next.get().map(|next| &**next))
        })
    }
}

impl Series {
    fn new(key: SeriesKey, bounds: &[u64]) -> Self {
        Self {
            key,
            requests: Count::new(0),
            nanos: Count::new(0),
            request_bytes: Count::new(0),
            response_bytes: Count::new(0),
            retries: Count::new(0),
            buckets: (0..=bounds.len()).map(|_| Count::new(0)).collect(),
            next: OnceLock::new(),
        }
    }
}

fn find<'a>(head: &'a OnceLock<Box<Series>>, bounds: &[u64], key: SeriesKey) -> &'a Series {
    let (mut link, mut key, mut length) = (head, key, 0);
    loop {
        let series = link.get_or_init(|| Box::new(Series::new(key, bounds)));
        if series.key == key {
            return series;
        }
        length += 1;
        if length == SERIES_MAX {
            key = key.beyond();
        }
        link = &series.next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(code: u16, method: &str, micros: u64) -> Finished {
        Finished {
            key: SeriesKey::new(code, method.as_bytes(), Protocol::Http),
            took: Span::micros(micros),
            request_bytes: 10,
            response_bytes: 100,
            retries: 0,
        }
    }

    const A: Writer = Writer { index: 0, of: 2 };
    const B: Writer = Writer { index: 1, of: 2 };

    #[test]
    fn a_request_counts_in_the_series_of_its_key_and_in_one_bucket() {
        let scope = Scope::default();
        let bounds = [100, 1_000];
        for (writer, code, micros) in [(A, 200, 100), (A, 200, 101), (B, 200, 5_000), (A, 404, 1)] {
            scope.record(writer, &bounds, &done(code, "GET", micros));
        }
        let text = |s: &Series| {
            let buckets: Vec<u64> = s.buckets.iter().map(Count::get).collect();
            format!("{} {} {} {buckets:?}", s.key.code, s.requests.get(), s.nanos.get())
        };
        assert_eq!(
            scope.iter().map(text).collect::<Vec<_>>(),
            ["200 2 201000 [1, 1, 0]", "404 1 1000 [1, 0, 0]", "200 1 5000000 [0, 0, 1]"]
        );
    }

    #[test]
    fn methods_nobody_knows_share_a_label() {
        for (method, label) in
            [("GET", "GET"), ("get", "EXTENSION_METHOD"), ("X", "EXTENSION_METHOD")]
        {
            assert_eq!(SeriesKey::new(200, method.as_bytes(), Protocol::Http).method(), label);
        }
    }

    #[test]
    fn codes_beyond_the_bound_share_series() {
        let scope = Scope::default();
        for code in 100..999 {
            scope.record(A, &[], &done(code, "GET", 1));
        }
        assert_eq!(scope.iter().count(), SERIES_MAX + 1);
        let rest = scope.iter().last().expect("more than none");
        assert_eq!((rest.key.code, rest.requests.get()), (0, 899 - SERIES_MAX as u64));
    }
}
