//! Pages of a small gateway, and of one with a hundred thousand routers.

use super::{Age, Micros};
use crate::base::diag::Diagnostic;
use crate::base::id::ChildId;
use crate::base::time::{Span, Time};
use crate::config::fixed::{Api, Fixed};
use crate::view::latency::Latency;
use crate::view::model::{Condition, Definition, MiddlewareInfo, RouterInfo, ServiceInfo};
use crate::view::stats::Stats;
use crate::view::status::{ChildPhase, ChildStatus, Reloads, Status};
use crate::view::{ChildUplink, Internal, Standing, View};
use crate::worker::accounts::Accounts;
use crate::worker::fixture::{WALL, record, route, server, view};
use crate::worker::internal::{Answer, Ask, Sight, answer};
use std::sync::Arc;

const HOSTILE: &str = "<script>alert(\"1\")</script>&'@file";

const DOCUMENT: &str = "
http:
  routers:
    shop:
      rule: Host(`shop.example`) && PathPrefix(`/<b>`)
      service: shop@multicluster
      middlewares: [strip]
    <script>alert(\"1\")</script>&':
      rule: PathPrefix(`/x`)
      service: plain
  middlewares:
    strip:
      stripPrefix:
        prefixes: [/<shop>]
  services:
    plain:
      loadBalancer:
        servers:
          - url: http://127.0.0.1:9201
";

fn settings(api: Option<Api>) -> Arc<Fixed> {
    Arc::new(Fixed { api, ..Fixed::default() })
}

fn router(definition: &Arc<crate::config::typed::Router>) -> Arc<RouterInfo> {
    Arc::new(RouterInfo {
        definition: Arc::clone(definition),
        condition: Condition::Enabled,
        errors: vec!["<i>broken</i>".to_owned()],
        using: vec!["web".into()],
    })
}

fn gateway() -> View {
    let mut view = view();
    view.fixed = settings(Some(Api { dashboard_name: "<own>".to_owned(), ..Api::default() }));
    let dynamic = crate::config::dynamic(&[("dynamic.yml", DOCUMENT)]).dynamic;
    let mut routers: Vec<_> = dynamic.routers.iter().map(router).collect();
    routers.sort_by(|a, b| a.definition.name.cmp(&b.definition.name));
    view.model.routers = routers.into();
    let middleware = |definition: &Arc<_>| {
        Arc::new(MiddlewareInfo {
            definition: Arc::clone(definition),
            condition: Condition::Enabled,
            errors: Vec::new(),
            breakers: Vec::new(),
            used_by: vec![HOSTILE.into()],
        })
    };
    view.model.middlewares = dynamic.middlewares.iter().map(middleware).collect();
    let members = [1, 2].map(|id| (crate::base::id::ServiceId(id), 10 * id - 1));
    let info = ServiceInfo {
        name: "shop@multicluster".into(),
        definition: Definition::Aggregate { members: Arc::new(members) },
        condition: Condition::Disabled,
        errors: Vec::new(),
        used_by: vec!["shop@file".into()],
    };
    view.model.services.set(0, Some(Arc::new(info)));
    view.model.services_by_name = Arc::new([crate::base::id::ServiceId(0)]);
    let mut status = Status::default();
    let problem = Diagnostic::error("bad", "http.<x>", "it is <wrong>").help("write <right>");
    status.diagnostics = Arc::new([problem.at("a.yml", 3, 4)]);
    status.reloads.last_refused = true;
    for (at, phase) in [ChildPhase::Fresh, ChildPhase::Stale].into_iter().enumerate() {
        let id = u16::try_from(at).expect("two children");
        let error = if phase == ChildPhase::Fresh { "" } else { "no <answer>" };
        let told = ChildStatus { phase, since: Time::ZERO, error: error.to_owned() };
        status.children.set(id.into(), Some(Arc::new(told)));
        let child = &view.children[at];
        let uplink = ChildUplink {
            name: "shop".into(),
            weight: 9,
            standing: Standing::Up,
            service: crate::base::id::ServiceId(u32::from(id) + 1),
        };
        view.children[at] = Arc::new(crate::view::ChildView {
            id: ChildId(id),
            name: Arc::clone(&child.name),
            address: "http://child".to_owned(),
            stats: Arc::clone(&child.stats),
            uplinks: vec![uplink],
        });
    }
    view.status = Arc::new(status);
    view
}

fn get(view: &View, path: &str) -> Answer {
    get_of(view, &Stats::new(1, 1, WALL), Internal::Dashboard, path)
}

fn get_of(view: &View, stats: &Stats, service: Internal, path: &str) -> Answer {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let ask = Ask { method: b"GET", path: path.as_bytes(), query: query.as_bytes() };
    let sight = Sight { view, stats, now: Time::from_nanos(9_000_000_000), draining: false };
    answer(service, &ask, &sight)
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).expect("a page is text")
}

#[track_caller]
fn page(view: &View, path: &str) -> String {
    let answer = get(view, path);
    assert_eq!(answer.status, 200, "{path}");
    assert_eq!(answer.content_type, "text/html; charset=utf-8", "{path}");
    text(&answer)
}

const PAGES: [&str; 11] = [
    "/dashboard/",
    "/dashboard/routers",
    "/dashboard/routers/shop@file",
    "/dashboard/services",
    "/dashboard/services/shop@multicluster",
    "/dashboard/middlewares",
    "/dashboard/middlewares/strip@file",
    "/dashboard/children",
    "/dashboard/certificates",
    "/dashboard/diagnostics",
    "/dashboard/routers?search=%3Cb%3E%22&status=enabled&from=1",
];

/// Elements that end where they begin.
const VOID: [&str; 7] = ["meta", "link", "input", "img", "br", "rect", "path"];

/// Every element is closed, inside the one in which it was opened.
#[track_caller]
fn is_whole(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    for piece in page.split('<').skip(1) {
        let (tag, _) = piece.split_once('>').unwrap_or_else(|| panic!("an open tag: {piece}"));
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed), "{page}");
        } else if !VOID.contains(&name) && !tag.starts_with('!') && !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?} in {page}");
}

#[test]
fn every_page_is_whole_and_runs_nothing_that_stands_in_it() {
    let view = gateway();
    for path in PAGES {
        let page = page(&view, path);
        is_whole(&page);
        assert_eq!(page.matches("<script").count(), 1, "{path}: {page}");
        for tag in page.split('<').skip(1).filter_map(|piece| piece.split('>').next()) {
            let runs = tag.contains(" on") || tag.contains("style=") || tag.contains("javascript:");
            assert!(!runs && !tag.starts_with("style"), "{tag} in {path}");
        }
        for own in ["<b>`", "<own>", "<wrong>", "<shop>", "<i>broken", "<answer>"] {
            assert!(!page.contains(own), "{own} in {path}");
        }
        let fields = get(&view, path).fields;
        let policy = fields.iter().find(|(name, _)| *name == "Content-Security-Policy");
        let (_, policy) = policy.expect("every page has a policy");
        assert!(
            policy.starts_with("default-src 'none';") && !policy.contains("unsafe"),
            "{policy}"
        );
    }
}

#[track_caller]
fn shows(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "{part} in {page}");
    }
}

#[test]
fn pages_show_what_is() {
    let view = gateway();
    shows(
        &page(&view, "/dashboard/"),
        &[
            "<span>&lt;own&gt;</span>",
            "data-of=\"routers\" value=\"2\">2</data>",
            "The newest configuration was refused",
            ">east</text>",
            "it is &lt;wrong&gt;",
            "class=\"tie lost\"",
            "0 connections open</small>",
            "viewBox=\"0 0 720 136\"",
            "d=\"M150 68 C 290 68, 280 40, 420 40\"",
            "d=\"M150 68 C 290 68, 280 96, 420 96\"",
            "since the start. <a",
        ],
    );
    shows(
        &page(&view, "/dashboard/routers"),
        &[
            "<a href=\"routers/shop@file\">shop@file</a>",
            "PathPrefix(`/&lt;b&gt;`)",
            "<a href=\"middlewares/strip@file\">",
            "<a href=\"services/shop@multicluster\">",
            "&lt;i&gt;broken&lt;/i&gt;",
            "1–2 of 2",
        ],
    );
    shows(
        &page(&view, "/dashboard/services"),
        &[
            "<h1>Services</h1>",
            "<a href=\"services/shop@multicluster\">",
            "class=\"kind\">servers</span>",
            "1–1 of 1</span>",
        ],
    );
    shows(
        &page(&view, "/dashboard/services/shop@multicluster"),
        &["weight 9", "weight 19", "<a href=\"../services/shop-east@multicluster\">", "child west"],
    );
    shows(
        &page(&view, "/dashboard/middlewares/strip@file"),
        &["&quot;/&lt;shop&gt;&quot;", "href=\"../routers/%3Cscript%3Ealert%28%221%22%29"],
    );
    shows(
        &page(&view, "/dashboard/children"),
        &["alive</span>", "stale</span>", "no &lt;answer&gt;", "shop-west@multicluster"],
    );
    let hostile =
        page(&view, "/dashboard/routers/%3Cscript%3Ealert(%221%22)%3C%2Fscript%3E&'@file");
    shows(
        &hostile,
        &["</small> &lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;@file</h1>"],
    );
}

#[test]
fn shares_move_with_what_is_answered() {
    let mut view = gateway();
    let stats = Arc::new(Stats::new(1, 1, WALL));
    let shown = |view: &View| {
        let page = text(&get_of(
            view,
            &stats,
            Internal::Dashboard,
            "/dashboard/services/shop@multicluster",
        ));
        page.match_indices("<b>")
            .skip(1)
            .map(|(at, _)| page[at + 3..].split('<').next().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(&view), []);
    let accounts = Accounts::new(Arc::clone(&stats), 0, &view.fixed);
    let (route, west) = (route(false), server(1));
    for _ in 0..3 {
        accounts.finished(&record(&view, &route, &west));
    }
    assert_eq!(shown(&view), [Some("0.0 %".to_owned()), Some("100.0 %".to_owned())]);
    let children = text(&get_of(&view, &stats, Internal::Dashboard, "/dashboard/children"));
    shows(&children, &["data-of=\"child west\" value=\"3\">3</data>", "100.0 %"]);
    // Without pages nobody looks, and nothing is told apart.
    view.fixed = settings(None);
    let accounts = Accounts::new(Arc::clone(&stats), 0, &view.fixed);
    accounts.finished(&record(&view, &route, &west));
    view.fixed = settings(Some(Api::default()));
    let page =
        text(&get_of(&view, &stats, Internal::Dashboard, "/dashboard/services/shop@multicluster"));
    shows(&page, &["data-of=\"service shop-west@multicluster\" value=\"3\""]);
    assert_ne!(view.children[1].stats.latency.spread(), Latency::default().spread());
}

#[test]
fn the_root_leads_to_the_pages_wherever_they_are() {
    let view = gateway();
    let location = |view: &View, path: &str| {
        let answer = get(view, path);
        let field = answer.fields.into_iter().find(|(name, _)| *name == "Location");
        (answer.status, field.map(|(_, to)| to))
    };
    let to = |target: &str| (302, Some(target.to_owned()));
    for path in ["/", "/dashboard", ""] {
        assert_eq!(location(&view, path), to("dashboard/"), "{path}");
    }
    for path in
        ["/dashboard/none", "/dashboard/routers/none", "/dashboard/children/x", "/x", "/dashboardx"]
    {
        assert_eq!(location(&view, path), (404, None), "{path}");
    }
    let api = get_of(&view, &Stats::new(1, 1, WALL), Internal::Api, "/dashboard/routers");
    assert_eq!(api.status, 200);
    let mut moved = gateway();
    moved.fixed = settings(Some(Api { base_path: "/a/own".to_owned(), ..Api::default() }));
    assert_eq!(location(&moved, "/a/own"), to("own/dashboard/"));
    assert_eq!(location(&moved, "/a/own/"), to("dashboard/"));
    assert_eq!(location(&moved, "/a/own/dashboard"), to("dashboard/"));
    assert_eq!(location(&moved, "/a/own/dashboard/routers"), (200, None));
    assert_eq!(location(&moved, "/a/ownx/dashboard/routers"), (404, None));
    assert_eq!(location(&moved, "/dashboard/routers"), (404, None));
    moved.fixed = settings(Some(Api { dashboard: false, ..Api::default() }));
    assert_eq!(location(&moved, "/"), (404, None));
    let api = get_of(&moved, &Stats::new(1, 1, WALL), Internal::Api, "/dashboard/");
    assert_eq!(api.status, 404);
}

#[test]
fn what_a_page_needs_is_served_beside_it() {
    let view = gateway();
    let page = page(&view, "/dashboard/routers/shop@file");
    for (file, kind) in
        [("style.css", "text/css"), ("live.js", "text/javascript"), ("icon.svg", "image/svg+xml")]
    {
        shows(&page, &[&format!("\"../{file}?v={}\"", env!("CARGO_PKG_VERSION"))]);
        let answer = get(&view, &format!("/dashboard/{file}"));
        assert_eq!(answer.status, 200, "{file}");
        assert!(answer.content_type.starts_with(kind), "{file}");
        assert!(!text(&answer).contains("://") || file == "icon.svg", "{file} names nobody else");
    }
}

#[test]
fn a_hundred_thousand_routers_make_no_long_page() {
    let mut view = gateway();
    let first = Arc::clone(&view.model.routers[1].definition);
    let many = (0..100_000).map(|at| {
        let mut definition = (*first).clone();
        definition.name = format!("r{at:06}@file");
        definition.rule_text = format!("PathPrefix(`/{}`)", "long".repeat(100));
        router(&Arc::new(definition))
    });
    view.model.routers = many.collect();
    for path in PAGES {
        let length = get(&view, path).body.len();
        assert!(length < 100_000, "{path}: {length} bytes");
    }
    shows(&page(&view, "/dashboard/"), &[">100,000</data>", "all enabled of the first 20,000"]);
    let page = |query: &str| page(&view, &format!("/dashboard/routers{query}"));
    shows(&page(""), &["1–50 of 100,000", "href=\"?from=50\">Next"]);
    shows(&page("?from=99950"), &["99,951–100,000 of 100,000", "?from=99900\">← Previous"]);
    // What is looked for is beyond what one page looks at: the next one goes on.
    let none = page("?search=r045678");
    shows(&none, &["0 found among the definitions 1–20,000", "?from=20000&amp;search=r045678"]);
    shows(&page("?search=R045678&from=40000"), &[">r045678@file</a>", "1 found"]);
}

#[test]
fn the_page_of_diagnostics_tells_of_the_last_change() {
    let mut view = gateway();
    let mut status = (*view.status).clone();
    status.reloads = Reloads {
        applied: 3,
        applied_at: Some(Time::from_nanos(2_000_000_000)),
        report: (0..102).map(|at| format!("kept <{at}>")).collect(),
        ..Reloads::default()
    };
    view.status = Arc::new(status);
    let page = page(&view, "/dashboard/diagnostics");
    is_whole(&page);
    let parts = ["3, the last ", "7 s ago", "<li>kept &lt;99&gt;</li>", "and 2 more</p>"];
    shows(&page, &parts);
    assert!(page.contains("<dt>Refused</dt><dd>0</dd>"), "{page}");
    assert!(!page.contains("kept &lt;100&gt;"), "{page}");
}

#[test]
fn lengths_of_time_are_told_in_the_units_that_matter() {
    let check = |millis: u64, expected: &str| {
        assert_eq!(Age(Span::millis(millis)).to_string(), expected, "{millis}");
    };
    check(0, "0 ms");
    check(999, "999 ms");
    check(1_000, "1 s");
    check(59_999, "59 s");
    check(60_000, "1 min 0 s");
    check(3_599_000, "59 min 59 s");
    check(3_600_000, "1 h 0 min");
    check(86_399_000, "23 h 59 min");
    check(86_400_000 + 7_200_000, "1 d 2 h");
    for (micros, expected) in [
        (999, "999 µs"),
        (1_000, "1.0 ms"),
        (99_999, "99.9 ms"),
        (100_000, "100 ms"),
        (9_999_999, "9999 ms"),
        (10_000_000, "10 s"),
    ] {
        assert_eq!(Micros(micros).to_string(), expected);
    }
}
