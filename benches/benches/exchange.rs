//! One exchange through the engine: a request parsed, routed, balanced, rewritten and forwarded,
//! its response parsed and forwarded. No socket.

use benches::rig::{Rig, kits};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn exchange(c: &mut Criterion) {
    let mut group = c.benchmark_group("one exchange through the engine");
    let rigs = [
        ("1 connection", kits::PLAIN, 1),
        ("64 connections", kits::PLAIN, 64),
        ("64 connections, unrecorded", kits::UNRECORDED, 64),
        ("64 connections, logged and counted", kits::LOGGED, 64),
        ("16 connections, HTTP/2 clients", kits::STREAMS, 16),
        ("16 connections, HTTP/2 on both sides", kits::BOTH, 16),
    ];
    for (name, kit, clients) in rigs {
        let mut rig = Rig::new(kit, clients);
        let requests = rig.round();
        group.throughput(Throughput::Elements(requests));
        group.bench_function(name, |b| b.iter(|| rig.round()));
    }
    group.finish();
}

criterion_group!(benches, exchange);
criterion_main!(benches);
