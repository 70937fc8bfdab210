//! One exchange through the engine: a request parsed, routed, balanced, rewritten and forwarded,
//! its response parsed and forwarded. No socket.

use benches::rig::Rig;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn exchange(c: &mut Criterion) {
    let mut group = c.benchmark_group("one exchange through the engine");
    for clients in [1, 64] {
        let mut rig = Rig::new(clients);
        rig.round();
        group.throughput(Throughput::Elements(clients as u64));
        group.bench_function(format!("{clients} connections"), |b| b.iter(|| rig.round()));
    }
    group.finish();
}

criterion_group!(benches, exchange);
criterion_main!(benches);
