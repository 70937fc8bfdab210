//! One exchange through the engine: a request parsed, routed, balanced, rewritten and forwarded,
//! its response parsed and forwarded. No socket.

use benches::rig::Rig;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn exchange(c: &mut Criterion) {
    let mut group = c.benchmark_group("one exchange through the engine");
    let rigs = [
        ("1 connection", Rig::new(1)),
        ("64 connections", Rig::new(64)),
        ("64 connections, logged and counted", Rig::observed(64)),
    ];
    for (name, mut rig) in rigs {
        let clients = rig.round();
        group.throughput(Throughput::Elements(clients));
        group.bench_function(name, |b| b.iter(|| rig.round()));
    }
    group.finish();
}

criterion_group!(benches, exchange);
criterion_main!(benches);
