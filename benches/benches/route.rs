//! Finding the route of a request among few and many.

use benches::world::{document, parent, place};
use criterion::{Criterion, criterion_group, criterion_main};
use engine::http::request::RequestInfo;
use engine::view::Offer;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

fn route(c: &mut Criterion) {
    let mut group = c.benchmark_group("route");
    for routers in [10, 1_000, 100_000] {
        let mut compiler = parent(0);
        compiler.set_dynamic(document(routers));
        compiler.build().expect("a view");
        let Offer::Routes(table) = &compiler.view().entries[0].offer else { continue };
        let table = Arc::clone(table);
        let (host, path) = place(routers * 7 / 10);
        let request = RequestInfo {
            method: "GET",
            authority: &host,
            host: &host,
            path: &format!("{path}/and/more"),
            query: "",
            fields: &[],
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        assert!(table.find(&request).is_some());
        group.bench_function(format!("among {routers}"), |b| {
            b.iter(|| table.find_at(black_box(&request)));
        });
        let nobody = RequestInfo { host: "nobody.example", ..request };
        group.bench_function(format!("no route among {routers}"), |b| {
            b.iter(|| table.find_at(black_box(&nobody)));
        });
    }
    group.finish();
}

criterion_group!(benches, route);
criterion_main!(benches);
