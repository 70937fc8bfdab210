//! Middlewares from their documents to their effect: what is written is read, compiled and played
//! through a worker.

mod access;
mod auth;
mod breaker;
mod buffering;
mod compress;
mod forward;
mod grpc_web;
mod guards;
mod headers;
mod heads;
mod limits;
mod pages;
mod paths;
mod redis;
mod retry;

use crate::pair::Pair;
use engine::base::limits::{ControlLimits, Limits};
use engine::base::prng::Prng;
use engine::base::time::Wall;
use engine::config;
use engine::view::View;
use engine::view::compile::Compiler;
use engine::view::stats::Stats;
use std::sync::Arc;

const ENTRY: &str = "entryPoints: {web: {address: ':80'}}";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A site that is compiled anew when its document changes.
struct Site {
    compiler: Compiler,
    /// What the last build said of counts.
    report: Vec<String>,
    /// What it said of what is reset and dropped.
    lost: Vec<String>,
}

impl Site {
    fn new(fixed: &str) -> Self {
        let (fixed, problems) = config::fixed_from_file("static.yml", fixed);
        assert_eq!(problems, [], "the static document has no problem");
        let stats = Arc::new(Stats::new(1, 4, Wall(0)));
        let (limits, mut prng) = (ControlLimits::default(), Prng::new(1));
        let compiler = Compiler::new(Arc::new(fixed), limits, stats, &mut prng);
        Self { compiler, report: Vec::new(), lost: Vec::new() }
    }

    /// One server behind the middlewares of this mapping, which run in order of their names.
    fn view(&mut self, middlewares: &str) -> Arc<View> {
        self.view_of(&document(middlewares))
    }

    fn view_of(&mut self, document: &str) -> Arc<View> {
        self.view_with_warnings(document, 0)
    }

    fn view_with_warnings(&mut self, document: &str, warnings: usize) -> Arc<View> {
        let reading = config::dynamic(&[("dynamic.yml", document)]);
        assert_eq!(reading.diagnostics.len(), warnings, "{:?}", reading.diagnostics);
        assert!(reading.diagnostics.iter().all(|problem| !problem.is_error()));
        self.compiler.set_dynamic(reading.dynamic);
        let build = self.compiler.build().expect("something changed");
        let lost = |line: &&String| line.starts_with("reset:") || line.starts_with("dropped:");
        self.lost = build.report.iter().filter(lost).cloned().collect();
        self.report = build.report.into_iter().filter(|line| line.contains("counts")).collect();
        Arc::new(build.view)
    }

    /// A name leads to an address from now on.
    fn resolve(&mut self, host: &str, address: &str) {
        self.compiler.set_addresses(host, vec![address.parse().expect("an address")]);
    }

    fn again(&mut self) -> Arc<View> {
        Arc::new(self.compiler.build().expect("something changed").view)
    }

    fn all_reports(&self) -> Vec<&str> {
        self.lost.iter().map(String::as_str).collect()
    }

    fn report(&self) -> Vec<&str> {
        self.report.iter().map(String::as_str).collect()
    }
}

fn document(middlewares: &str) -> String {
    let names = middlewares.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name);
    let names: Vec<&str> = names.filter(|name| !name.starts_with([' ', '#'])).collect();
    let indented: String = middlewares.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "http:\n  routers:\n    r: {{rule: 'PathPrefix(`/`)', service: s, middlewares: [{}]}}\n  \
         services:\n    s: {{loadBalancer: {{servers: [{{url: 'http://10.0.0.1:80'}}]}}}}\n  \
         middlewares:\n{indented}",
        names.join(", ")
    )
}

/// A worker in front of one server, behind these middlewares.
fn pair(middlewares: &str) -> Pair {
    let mut site = Site::new(ENTRY);
    Pair::of(site.view(middlewares), Limits::default())
}

/// What the server gets of a request that passes.
fn passed(pair: &mut Pair, request: &str) -> String {
    let client = pair.open();
    pair.send(client, request);
    let origin = pair.dialed();
    let sent = pair.got(origin);
    pair.send(origin, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!(pair.got(client), OK, "{request}");
    sent
}

/// Content of an answer in chunks that came, and whether it ended there.
fn unchunked(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut content = Vec::new();
    while let Some(end) = rest.windows(2).position(|it| it == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size");
        content.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
        if size == 0 {
            return (content, rest.is_empty());
        }
    }
    (content, false)
}
