//! Compiling views: whole documents, and small changes among a hundred thousand services.

use benches::world::{adverts, document, informed_parent, parent, router};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use engine::base::id::{ChildId, ServerId};
use engine::service::standing::Health;
use engine::view::NodeKind;

fn documents(c: &mut Criterion) {
    let mut group = c.benchmark_group("compile");
    group.sample_size(10);
    for routers in [10, 1_000, 100_000] {
        let dynamic = document(routers);
        group.bench_function(format!("{routers} routers"), |b| {
            let start = || (parent(0), dynamic.clone());
            b.iter_batched(
                start,
                |(mut compiler, dynamic)| {
                    compiler.set_dynamic(dynamic);
                    (compiler.build(), compiler)
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn one_router(c: &mut Criterion) {
    let mut group = c.benchmark_group("one router among 100000");
    group.sample_size(20);
    let mut dynamic = document(100_000);
    let mut compiler = parent(0);
    compiler.set_dynamic(dynamic.clone());
    compiler.build().expect("a view");
    let mut turn = 0u32;
    group.bench_function("changes", |b| {
        b.iter(|| {
            turn += 1;
            let at = 77_777;
            let name = dynamic.routers[at].name.clone();
            let rule = format!("Host(`new-{turn}.example`)");
            dynamic.routers[at] = router(&name, &rule, &name);
            compiler.set_dynamic(dynamic.clone());
            compiler.build().expect("a view")
        });
    });
    group.bench_function("comes and goes", |b| {
        b.iter(|| {
            let gone = dynamic.routers.remove(50_000);
            compiler.set_dynamic(dynamic.clone());
            let without = compiler.build().expect("a view");
            dynamic.routers.insert(50_000, gone);
            compiler.set_dynamic(dynamic.clone());
            (without, compiler.build().expect("a view"))
        });
    });
    group.finish();
}

fn changes(c: &mut Criterion) {
    let mut group = c.benchmark_group("1000 children of 100 uplinks");
    group.sample_size(20);
    let mut compiler = informed_parent(1_000, 100);
    let servers: Vec<ServerId> = compiler
        .view()
        .services
        .iter()
        .filter_map(|node| {
            let NodeKind::Balancer { servers, .. } = &node.kind else { return None };
            servers.first().map(|server| server.id)
        })
        .collect();
    for server in &servers {
        compiler.set_health(*server, Health::Up);
    }
    compiler.build();
    let mut turn = 0;
    group.bench_function("one health flip", |b| {
        b.iter(|| {
            let server = servers[turn % servers.len()];
            turn += 1;
            compiler.set_health(server, Health::Down);
            let down = compiler.build();
            compiler.set_health(server, Health::Up);
            (down, compiler.build())
        });
    });
    let mut weight = 100;
    group.bench_function("one child changes all its weights", |b| {
        b.iter(|| {
            weight += 1;
            compiler.set_adverts(ChildId(500), adverts(100, weight % 13));
            compiler.build()
        });
    });
    group.bench_function("one child leaves and comes back", |b| {
        b.iter(|| {
            compiler.set_adverts(ChildId(501), Vec::new());
            let gone = compiler.build();
            compiler.set_adverts(ChildId(501), adverts(100, 3));
            (gone, compiler.build())
        });
    });
    group.finish();
}

criterion_group!(benches, documents, one_router, changes);
criterion_main!(benches);
