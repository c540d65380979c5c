//! The kinds of requests that are measured.

/// What peers with TLS are measured with.
pub(crate) const OF_TLS: &[&str] = &[
    "1 KiB",
    "100 KiB",
    "10 MiB",
    "1 KiB, no keep-alive",
    "100 KiB, no keep-alive",
    "10 MiB, no keep-alive",
];

/// What buckets are measured with.
pub(crate) const OF_BUCKETS: &[&str] = &["1 KiB", "1 MiB", "1 GiB"];

/// One kind of request, from many clients at the same time.
pub(crate) struct Work {
    pub(crate) name: &'static str,
    /// A file of user 7.
    pub(crate) file: &'static str,
    pub(crate) kind: RequestKind,
    pub(crate) connections: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestKind {
    Get,
    Head,
    /// With the entity tag of the server, for a 304.
    NotModified,
    /// 1 MiB from the middle.
    Range,
    /// From a user without permission.
    Denied,
    /// One request per connection.
    Close,
    /// Each of many files in turn, and then again.
    InTurn,
}

const fn work(name: &'static str, file: &'static str, kind: RequestKind, connections: usize) -> Work {
    Work { name, file, kind, connections }
}

pub(crate) const WORKS: [Work; 17] = [
    work("1 KiB", "1k.jpg", RequestKind::Get, 32),
    work("10 KiB", "10k.jpg", RequestKind::Get, 32),
    work("100 KiB", "100k.jpg", RequestKind::Get, 32),
    work("1 MiB", "1m.jpg", RequestKind::Get, 32),
    work("10 MiB", "10m.mp4", RequestKind::Get, 32),
    work("1 GiB", "1g.mp4", RequestKind::Get, 4),
    work("1 MiB of 1 GiB", "1g.mp4", RequestKind::Range, 32),
    work("304", "1k.jpg", RequestKind::NotModified, 32),
    work("HEAD", "1k.jpg", RequestKind::Head, 32),
    work("denied", "1k.jpg", RequestKind::Denied, 32),
    work("1 KiB, no keep-alive", "1k.jpg", RequestKind::Close, 32),
    work("100 KiB, no keep-alive", "100k.jpg", RequestKind::Close, 32),
    work("10 MiB, no keep-alive", "10m.mp4", RequestKind::Close, 32),
    work("1 KiB, 1 client", "1k.jpg", RequestKind::Get, 1),
    work("1 KiB, 1000 clients", "1k.jpg", RequestKind::Get, 1000),
    work("1 MiB, 1000 clients", "1m.jpg", RequestKind::Get, 1000),
    work("1 KiB, 100,000 files in turn", "1k.jpg", RequestKind::InTurn, 32),
];
