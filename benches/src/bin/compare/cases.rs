//! What is measured.

/// How the load generator behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    /// Each connection asks again as soon as it has its answer.
    Closed,
    /// A new connection per request.
    Fresh,
    /// A fixed number of requests per second in all, whatever the answers do.
    Paced(u32),
    /// Connections that asked once and then wait.
    Idle,
    /// So many requests at once on each connection of HTTP/2.
    Streams(u32),
}

/// What clients speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wire {
    Clear,
    Tls,
    /// HTTP/2 on clear text.
    Http2,
}

/// Who takes part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Field {
    Proxies,
    /// A parent and its child, the way between them in clear text or over HTTP/2 and TLS.
    Pairs,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) wire: Wire,
    pub(crate) field: Field,
    pub(crate) connections: u32,
    /// What is asked for: the origin answers that many bytes.
    pub(crate) response_bytes: u32,
    pub(crate) upload_bytes: u32,
}

impl Case {
    pub(crate) fn all() -> Vec<Self> {
        let closed = |name, response_bytes, connections| Self {
            name,
            shape: Shape::Closed,
            wire: Wire::Clear,
            field: Field::Proxies,
            connections,
            response_bytes,
            upload_bytes: 0,
        };
        let small = closed("128 B", 128, 64);
        let streams = Self { shape: Shape::Streams(32), connections: 16, ..small };
        vec![
            small,
            closed("16 KiB", 16 << 10, 64),
            closed("1 MiB", 1 << 20, 8),
            Self { upload_bytes: 10 << 20, ..closed("upload 10 MiB", 128, 4) },
            Self { name: "new connection", shape: Shape::Fresh, ..small },
            Self { name: "paced 5000/s", shape: Shape::Paced(5_000), ..small },
            Self { name: "idle", shape: Shape::Idle, connections: 8_000, ..small },
            Self { name: "TLS 128 B", wire: Wire::Tls, ..small },
            Self { name: "TLS handshake", shape: Shape::Fresh, wire: Wire::Tls, ..small },
            Self { wire: Wire::Tls, ..closed("TLS 1 MiB", 1 << 20, 8) },
            Self { name: "HTTP/2 128 B", wire: Wire::Http2, ..streams },
            Self { name: "hop 128 B", field: Field::Pairs, ..small },
        ]
    }
}
