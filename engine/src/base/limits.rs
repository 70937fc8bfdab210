//! Every bound of a worker, with the reason for the number, and what they add up to. A simulation
//! draws them, absurd ones included; reaching one is a tested case.

use super::time::Span;

/// Bytes that one compressor takes at most, whatever its coding. It follows from their levels and
/// windows, and a test of memory holds it.
pub const COMPRESSOR_BYTES: u64 = 1024 * 1024;

/// Bounds of one worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Client connections at once. A gateway core that saturates its CPU holds fewer.
    pub clients_max: u32,
    /// Streams at once on one HTTP/2 connection, whatever its entry point allows.
    pub streams_per_session: u32,
    /// Streams at once on all HTTP/2 connections together.
    pub streams_max: u32,
    /// Bytes of one stream that may wait here for their reader.
    pub stream_window_bytes: u32,
    /// Bytes of all streams of one connection that may.
    pub session_window_bytes: u32,
    /// Upstream connections at once, dialing, busy and idle.
    pub upstreams_max: u32,
    /// Accepts asked for at once per listener, so that a burst of connections is one batch.
    pub accepts_per_listener: u32,
    /// Bytes of a small page: what an idle connection pins. Holds a bare request.
    pub small_page_bytes: u32,
    /// Bytes of a middle page: the head of a request with a few cookies.
    pub middle_page_bytes: u32,
    /// Middle pages per worker: one for the head of each stream, and some to write.
    pub middle_pages_max: u32,
    /// Bytes of a large page: a response of 16 KiB with its head.
    pub large_page_bytes: u32,
    /// Large pages per worker.
    pub large_pages_max: u32,
    /// Idle client connections that may pin a large page; beyond, they wait with a small one.
    pub idle_large_pages: u32,
    /// Pages in one read once a body streams.
    pub bulk_pages: u32,
    /// Chunks in one write.
    pub chunks_per_write: u32,
    /// Bytes waiting for a peer above which the other side is not read.
    pub outbox_bytes: u32,
    /// The same for one stream of many on a connection.
    pub stream_outbox_bytes: u32,
    /// Pages in one read for such a stream.
    pub stream_bulk_pages: u32,
    /// Fields in one head. As many as common servers accept.
    pub fields_max: u32,
    /// Bytes of a response head or trailer section.
    pub response_head_bytes: u32,
    /// Bytes of trailers.
    pub trailer_bytes: u32,
    /// Bytes of one chunk-size line, extensions included.
    pub chunk_line_bytes: u32,
    /// Interim responses per request.
    pub interim_max: u32,
    /// Requests waiting for a connection to one target.
    pub waiters_per_target: u32,
    /// Connections to one target, dialing included.
    pub conns_per_target: u32,
    /// Bytes of request bodies kept for mirrors and for failover by status.
    pub kept_bytes: u32,
    /// Bytes of one request body kept for the case that a server refuses its stream.
    pub refused_bytes: u32,
    /// Bytes of request heads that outgrew their page, of all clients together: each may be as
    /// long as its entry point allows, but not all of them at once.
    pub grown_head_bytes: u32,
    /// Mirrored requests under way.
    pub mirrors_max: u32,
    /// A mirrored request that took longer is given up.
    pub mirror_timeout: Span,
    /// How long a connection that was told off may still send before it is reset.
    pub linger: Span,
    /// Bytes read and thrown away while lingering.
    pub linger_bytes: u32,
    /// Log lines collected before they are handed over.
    pub log_bytes: u32,
    /// Log lines are handed over at least this often.
    pub log_age: Span,
    /// Levels of nested services a request walks.
    pub service_depth: u32,
    /// Hops between clusters before a request is a loop.
    pub hops_max: u32,
    /// Passwords being compared at once: each takes a core for tens of milliseconds.
    pub proofs_max: u32,
    /// Responses being compressed at once.
    pub compressors_max: u32,
    /// Bytes compressed at a time: two or three milliseconds, after which others have their turn.
    pub squeezed_bytes: u32,
    /// Requests of one service that may be sent again before an answer is seen; every good answer
    /// allows for one more. So a service that fails now and then is helped, and one that fails
    /// altogether is not asked many times as much.
    pub retries_stock: u32,
    /// Requests of one service that may be sent again in a second, whatever its answers.
    pub retries_per_second: u32,
    /// Requests that wait for one Redis to count them: what it answers in some milliseconds.
    pub questions_max: u32,
    /// Bytes of a document that a client puts in the place of the last one: as many as the control
    /// machine reads of a URL.
    pub document_bytes: u32,
    /// Bytes of what another server answers about a request: a page for a person to sign in.
    pub consult_bytes: u32,
    /// Chains of middlewares of a route and of services behind it, put together once: more ways
    /// through them than this are put together again now and then.
    pub chains_max: u32,
    /// Bytes in which a worker records what it decides, the newest over the oldest: some thousand
    /// requests.
    pub tape_bytes: u32,
    /// Bytes of one request's record; fields beyond are left out of it.
    pub record_bytes: u32,
    /// Bytes of all tapes together that a capsule tells, the newest: writing it down takes a core
    /// some ten milliseconds.
    pub capsule_bytes: u32,
}

impl Limits {
    /// The most one worker holds in pages, kept bodies included: they are clones of large pages;
    /// and in compressors.
    /// What a connection or an exchange takes beside its pages is below a kibibyte each.
    pub fn memory_max(&self) -> u64 {
        let small = u64::from(self.small_pages_max()) * u64::from(self.small_page_bytes);
        let middle = u64::from(self.middle_pages_max) * u64::from(self.middle_page_bytes);
        let large = u64::from(self.large_pages_max) * u64::from(self.large_page_bytes);
        let connections = u64::from(self.clients_max) + u64::from(self.upstreams_max);
        let exchanges = u64::from(self.clients_max) + u64::from(self.mirrors_max);
        let streams = 2 * u64::from(self.streams_max);
        let heads = u64::from(self.grown_head_bytes);
        let compressors = u64::from(self.compressors_max) * COMPRESSOR_BYTES;
        small
            + middle
            + large
            + heads
            + compressors
            + (connections + exchanges + streams) * 1024
            + 2 * u64::from(self.log_bytes)
            + u64::from(self.tape_bytes)
    }

    /// Small pages per worker: one that waits to be read and one that is written per connection,
    /// and one for the head of each stream.
    pub fn small_pages_max(&self) -> u32 {
        let conns = self.clients_max.saturating_add(self.upstreams_max);
        conns.saturating_mul(2).saturating_add(self.streams_max).max(4)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            clients_max: 16_384,
            streams_per_session: 1_000,
            streams_max: 32_768,
            stream_window_bytes: 256 * 1024,
            session_window_bytes: 1024 * 1024,
            upstreams_max: 4_096,
            accepts_per_listener: 8,
            small_page_bytes: 384,
            middle_page_bytes: 2 * 1024,
            middle_pages_max: 32_768,
            large_page_bytes: 17 * 1024,
            large_pages_max: 8_192,
            idle_large_pages: 32,
            bulk_pages: 16,
            chunks_per_write: 48,
            outbox_bytes: 512 * 1024,
            stream_outbox_bytes: 64 * 1024,
            stream_bulk_pages: 4,
            fields_max: 128,
            response_head_bytes: 256 * 1024,
            trailer_bytes: 16 * 1024,
            chunk_line_bytes: 4 * 1024,
            interim_max: 16,
            waiters_per_target: 1_024,
            conns_per_target: 1_024,
            kept_bytes: 64 * 1024 * 1024,
            refused_bytes: 16 * 1024,
            grown_head_bytes: 64 * 1024 * 1024,
            mirrors_max: 1_024,
            mirror_timeout: Span::secs(30),
            linger: Span::secs(2),
            linger_bytes: 256 * 1024,
            log_bytes: 32 * 1024,
            log_age: Span::millis(100),
            service_depth: 16,
            hops_max: 8,
            proofs_max: 64,
            compressors_max: 128,
            squeezed_bytes: 64 * 1024,
            retries_stock: 500,
            retries_per_second: 10,
            questions_max: 4_096,
            document_bytes: 8 * 1024 * 1024,
            consult_bytes: 1024 * 1024,
            chains_max: 4_096,
            tape_bytes: 1024 * 1024,
            record_bytes: 2 * 1024,
            capsule_bytes: 4 * 1024 * 1024,
        }
    }
}

/// Bounds of the control machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ControlLimits {
    /// Polls under way at once: a thousand children, all of them silent, delay no other.
    pub polls_max: u32,
    /// Thousandths of their interval by which polls follow one another later than that, at least
    /// and at most: those of many parents do not stay together.
    pub polls_uneven: [u32; 2],
    /// Probes under way at once; further ones wait their turn.
    pub probes_max: u32,
    /// Connections at once: dialing, busy, kept and closing.
    pub conns_max: u32,
    /// Connections kept for the next poll.
    pub kept_max: u32,
    /// Bytes of a small page: what a kept poll connection pins.
    pub small_page_bytes: u32,
    /// Small pages: one for each connection.
    pub small_pages_max: u32,
    /// Bytes of a large page: one read of an answer.
    pub large_page_bytes: u32,
    /// Large pages.
    pub large_pages_max: u32,
    /// Bytes of the answer to a poll, head not counted.
    pub poll_body_bytes: u32,
    /// Bytes of the answer of the HTTP provider: ten thousand routers with their services.
    pub document_bytes: u32,
    /// Bytes of a response head.
    pub head_bytes: u32,
    /// Bytes of all answers being collected.
    pub collected_bytes: u32,
    /// Redirects followed by one probe.
    pub redirects_max: u32,
    /// Host names being resolved at once; further ones wait their turn.
    pub resolves_max: u32,
    /// How old an answer about a host name may get before it is asked for again.
    pub resolve_age: Span,
    /// The first pause after a host name failed to resolve; it doubles up to `resolve_age`.
    pub resolve_retry: Span,
    /// An address list longer than this is cut.
    pub addresses_per_name: u32,
    /// Failures remembered per passively checked server.
    pub failures_kept: u32,
    /// Files are read this long after the first hint that they changed.
    pub file_debounce: Span,
    /// Changed files are read again after this pause, and believed once two readings agree.
    pub file_settle: Span,
    /// Files that could not be used are looked at again after this pause.
    pub file_retry: Span,
    /// Files of certificates, keys and roots are read again after this time.
    pub material_age: Span,
    /// Views follow one another at least this far apart.
    pub publish_gap: Span,
    /// Log lines kept for the driver; older ones are dropped and counted.
    pub log_lines: u32,
    /// Servers of one balancer; further ones are left out. Each needs a turn in every period.
    pub members_max: u32,
    /// Words of one middleware that counts by source: so many sources are told apart, and two of
    /// a thousand that are busy at once share a word one time in 65.
    pub source_words: u32,
    /// Words of one middleware that remembers credentials: beyond as many users at once, some of
    /// their passwords are compared again now and then.
    pub proof_words: u32,
    /// Levels of nested services; a service above more than these is refused.
    pub services_deep: u32,
    /// Views that are kept for capsules, the newest.
    pub moments_kept: u32,
    /// Configurations that the views kept for capsules may be of.
    pub written_kept: u32,
    /// Bytes of dynamic configuration that is kept for capsules; a larger one is not.
    pub written_bytes: u32,
}

impl Default for ControlLimits {
    fn default() -> Self {
        Self {
            polls_max: 1_024,
            polls_uneven: [0, 50],
            probes_max: 4_096,
            conns_max: 8_192,
            kept_max: 2_048,
            small_page_bytes: 512,
            small_pages_max: 8_192,
            large_page_bytes: 17 * 1024,
            large_pages_max: 1_024,
            poll_body_bytes: 1024 * 1024,
            document_bytes: 8 * 1024 * 1024,
            head_bytes: 64 * 1024,
            collected_bytes: 256 * 1024 * 1024,
            redirects_max: 10,
            resolves_max: 32,
            resolve_age: Span::secs(30),
            resolve_retry: Span::secs(1),
            addresses_per_name: 16,
            failures_kept: 1_024,
            file_debounce: Span::millis(50),
            file_settle: Span::millis(50),
            file_retry: Span::secs(5),
            material_age: Span::secs(10),
            publish_gap: Span::millis(20),
            log_lines: 4_096,
            members_max: 4_096,
            source_words: 65_536,
            proof_words: 4_096,
            services_deep: 16,
            moments_kept: 64,
            written_kept: 4,
            written_bytes: 4 * 1024 * 1024,
        }
    }
}
