//! Choosing a member: a ticket from the shared word and a turn from the table.

use criterion::{Criterion, criterion_group, criterion_main};
use engine::service::mirror::is_mirrored;
use engine::service::rotation::Rotation;
use engine::service::ticket::Ticket;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

fn pick(c: &mut Criterion) {
    let mut group = c.benchmark_group("pick");
    let rotation = Rotation::new(&[90, 10]);
    let ticket = Ticket::default();
    group.bench_function("alone", |b| b.iter(|| rotation.turn(black_box(&ticket).draw())));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                black_box(ticket.draw());
            }
        });
        group.bench_function("with another thread on the word", |b| {
            b.iter(|| rotation.turn(black_box(&ticket).draw()));
        });
        stop.store(true, Relaxed);
    });
    group.bench_function("mirrored or not", |b| {
        b.iter(|| is_mirrored(black_box(&ticket).draw(), 10));
    });
    group.finish();
}

fn layout(c: &mut Criterion) {
    let mut group = c.benchmark_group("lay out a rotation");
    for (name, weights) in [
        ("of 2 members", vec![90, 10]),
        ("of 1000 equal members", vec![1; 1_000]),
        ("of 1000 members in 4096 turns", (0..1_000).map(|n| 1 + n % 7).collect()),
    ] {
        group.bench_function(name, |b| b.iter(|| Rotation::new(black_box(&weights))));
    }
    group.finish();
}

criterion_group!(benches, pick, layout);
criterion_main!(benches);
