//! Finding the route of a request among few and many.

use benches::world::{mixed, parent};
use criterion::{Criterion, criterion_group, criterion_main};
use engine::http::request::RequestInfo;
use engine::view::Offer;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// Requests that are asked in turn, so that not one route alone is at hand.
const ASKED: u32 = 64;

fn request<'a>(host: &'a str, path: &'a str) -> RequestInfo<'a> {
    RequestInfo {
        method: "GET",
        authority: host,
        host,
        path,
        query: "",
        fields: &[],
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

fn route(c: &mut Criterion) {
    let mut group = c.benchmark_group("route");
    for routers in [100, 1_000, 100_000] {
        let mut compiler = parent(0);
        let (dynamic, places) = mixed(routers);
        compiler.set_dynamic(dynamic);
        compiler.build().expect("a view");
        let Offer::Routes(table) = &compiler.view().entries[0].offer else { continue };
        let table = Arc::clone(table);
        let step = places.len() / ASKED as usize;
        let asked: Vec<_> = places.iter().step_by(step.max(1)).collect();
        for (host, path) in &asked {
            assert!(table.find(&request(host, path)).is_some());
        }
        let mut turn = asked.iter().cycle();
        group.bench_function(format!("among {routers}"), |b| {
            b.iter(|| {
                let (host, path) = turn.next().expect("it begins again");
                table.find_at(black_box(&request(host, path)))
            });
        });
        let nobody = request("nobody.example", "/part-1/x");
        group.bench_function(format!("no route among {routers}"), |b| {
            b.iter(|| table.find_at(black_box(&nobody)));
        });
    }
    group.finish();
}

criterion_group!(benches, route);
criterion_main!(benches);
