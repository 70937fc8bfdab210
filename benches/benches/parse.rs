//! Heads: bytes to a request and back to nothing.

use benches::rig::REQUEST;
use criterion::{Criterion, criterion_group, criterion_main};
use engine::h1::parse::{Bounds, Parsed, Progress, Scratch, request_head};
use engine::http::alias::Aliases;
use std::hint::black_box;

fn parse(c: &mut Criterion) {
    let bounds = Bounds { bytes_max: 1 << 20, fields_max: 128, aliases: Aliases::KEPT };
    c.bench_function("parse a request head", |b| {
        b.iter(|| {
            let mut scratch = Scratch::new();
            let mut progress = Progress::default();
            let head = request_head(black_box(REQUEST), &mut progress, bounds, &mut scratch);
            let Ok(Parsed::Complete { head, .. }) = head else {
                unreachable!("the request is whole")
            };
            black_box(head);
        });
    });
}

criterion_group!(benches, parse);
criterion_main!(benches);
