//! A configuration that a URL is asked for.

use super::desk::{Desk, Host, document, ok, status};
use engine::base::limits::ControlLimits;
use engine::base::mark::Mark;
use engine::base::time::Span;
use engine::config::fixed::{FileProvider, Fixed};
use engine::config::fixed_from_file;
use engine::view::Offer;

const SOURCE: &str = "10.0.9.1:8080";

fn fixed(more: &str) -> Fixed {
    let text = format!(
        "entryPoints: {{web: {{address: ':80'}}}}\nproviders:\n  http: {{endpoint: \
         'http://{SOURCE}/conf?of=shop', pollTimeout: 2s, headers: {{X-Token: t}}}}\n{more}"
    );
    let (fixed, problems) = fixed_from_file("static.yml", &text);
    assert_eq!(problems, []);
    fixed
}

/// A router and a service of this name.
fn routes(name: &str) -> String {
    format!(
        "{{\"http\": {{\"routers\": {{\"{name}\": {{\"rule\": \"Path(`/`)\", \"service\": \
         \"{name}\"}}}}, \"services\": {{\"{name}\": {{\"loadBalancer\": {{\"servers\": \
         [{{\"url\": \"http://10.1.0.1\"}}]}}}}}}}}}}"
    )
}

fn desk(host: Host) -> Desk {
    let mut desk = Desk::new(fixed(""));
    desk.host(SOURCE, host);
    desk
}

/// The routes in the order in which they are asked.
fn routers(desk: &Desk) -> Vec<String> {
    let Offer::Routes(table) = &desk.view().entries[0].offer else { panic!("it has routes") };
    table.iter().map(|route| route.name.to_string()).collect()
}

fn awaited(desk: &Desk) -> bool {
    desk.view().status.reloads.awaited
}

#[test]
fn the_endpoint_is_asked_as_it_is_written_and_its_answer_takes_effect() {
    let mut desk = desk(Host::Says(ok("", &routes("shop"))));
    assert!(awaited(&desk));
    desk.run_secs(1);
    assert!(!awaited(&desk));
    assert_eq!(routers(&desk), ["shop@http"]);
    let (_, _, request) = &desk.requests[0];
    assert!(request.starts_with("GET /conf?of=shop HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("Host: 10.0.9.1:8080\r\n"), "{request}");
    assert!(request.contains("X-Token: t\r\n"), "{request}");
    let views = desk.views.len();
    desk.run_secs(20);
    assert_eq!(desk.requests.len(), 5, "every five seconds");
    assert_eq!(desk.dials.len(), 1, "over one connection");
    assert_eq!(desk.views.len(), views, "the same answer changes nothing");
    assert_eq!(desk.view().status.reloads.applied, 1);
}

#[test]
fn the_last_good_answer_stays_whatever_comes_after_it() {
    let large = format!("# {}", "x".repeat(ControlLimits::default().document_bytes as usize));
    for (host, code, mark) in [
        (Host::Refuse, "refused", Mark::ProviderFailed),
        (Host::Silent, "timeout", Mark::ProviderFailed),
        (Host::BlackHole, "timeout", Mark::ProviderFailed),
        (Host::HangUp, "connection-cut", Mark::ProviderFailed),
        (Host::Says("hello\r\n\r\n".to_owned()), "not-http", Mark::ProviderFailed),
        (Host::Says(status(404)), "not-found", Mark::ProviderFailed),
        (Host::Says(status(302)), "bad-status", Mark::ProviderFailed),
        (Host::Says(ok("", &large)), "too-large", Mark::ProviderFailed),
        (Host::Says(ok("", "<html>")), "bad-answer", Mark::ProviderRefused),
        (Host::Says(ok("", "http: {routers: {")), "bad-answer", Mark::ProviderRefused),
        (Host::Says(ok("", "[]")), "bad-answer", Mark::ProviderRefused),
        (Host::Says(ok("", "  ")), "bad-answer", Mark::ProviderRefused),
    ] {
        let mut desk = desk(Host::Says(ok("", &routes("shop"))));
        desk.run_secs(1);
        desk.end_conns(SOURCE);
        desk.host(SOURCE, host.clone());
        desk.run_secs(10);
        assert_eq!(routers(&desk), ["shop@http"], "{host:?}");
        assert_eq!(desk.codes(), [code], "{host:?}");
        assert!(desk.hits(mark) > 0, "{host:?}");
        let refused = desk.view().status.reloads.last_refused;
        assert_eq!(refused, mark == Mark::ProviderRefused, "{host:?}");
        let problem = desk.view().status.diagnostics[0].to_string();
        assert!(problem.contains("the last good configuration stays"), "{problem}");
        assert!(problem.contains("http://10.0.9.1:8080/conf?of=shop"), "{problem}");
        desk.end_conns(SOURCE);
        desk.host(SOURCE, Host::Says(ok("", &routes("bank"))));
        desk.run_secs(10);
        assert_eq!(routers(&desk), ["bank@http"], "{host:?}");
        assert_eq!(desk.codes(), [""; 0], "{host:?}");
        assert!(!desk.view().status.reloads.last_refused, "{host:?}");
    }
}

#[test]
fn a_provider_that_never_answers_is_waited_for_once() {
    let mut desk = desk(Host::Silent);
    desk.run_secs(1);
    assert!(awaited(&desk));
    desk.run_secs(2);
    assert!(!awaited(&desk));
    assert_eq!(desk.codes(), ["timeout"]);
    assert!(desk.view().status.diagnostics[0].is_error(), "nothing is known");
}

#[test]
fn a_definition_with_an_error_is_left_out_and_told_where_it_came_from() {
    let text = routes("shop").replace("\"rule\"", "\"ruel\": 1, \"rule\"");
    let mut desk = desk(Host::Says(ok("", &text)));
    desk.run_secs(1);
    let problem = desk.view().status.diagnostics[0].to_string();
    let expected = "error: http.routers.shop.ruel: unknown key `ruel` (did you mean rule?)";
    assert!(problem.ends_with(expected), "{problem}");
    assert!(problem.starts_with("http://10.0.9.1:8080/conf?of=shop:1:"), "{problem}");
}

#[test]
fn templates_are_no_business_of_other_providers() {
    let text = routes("shop").replace("Path(`/`)", "Path(`/{{ env }}`)");
    let mut desk = desk(Host::Says(ok("", &text)));
    desk.run_secs(1);
    assert_eq!((routers(&desk).len(), desk.codes().len()), (1, 0));
}

#[test]
fn changes_are_apart_and_the_last_one_wins() {
    let fixed = Fixed { throttle: Span::secs(30), ..fixed("") };
    let mut desk = Desk::new(fixed);
    desk.host(SOURCE, Host::Says(ok("", &routes("a"))));
    desk.run_secs(1);
    for name in ["b", "c"] {
        desk.host(SOURCE, Host::Says(ok("", &routes(name))));
        desk.run_secs(10);
        assert_eq!(routers(&desk), ["a@http"]);
    }
    desk.run_secs(20);
    assert_eq!(routers(&desk), ["c@http"]);
    assert!(desk.hits(Mark::ProviderThrottled) > 0);
}

#[test]
fn an_endpoint_is_asked_once_its_name_has_an_address() {
    let mut fixed = fixed("");
    let provider = fixed.http.as_mut().expect("it is configured");
    provider.endpoint.authority.host = "conf.test".to_owned();
    let mut desk = Desk::new(fixed);
    desk.names.insert("conf.test".to_owned(), Err("no such name".to_owned()));
    desk.host(SOURCE, Host::Says(ok("", &routes("shop"))));
    desk.run_secs(1);
    assert_eq!(desk.codes(), ["unresolved"]);
    let address = SOURCE.parse::<std::net::SocketAddr>().expect("an address").ip();
    desk.names.insert("conf.test".to_owned(), Ok(vec![address]));
    desk.run_secs(10);
    assert_eq!(routers(&desk), ["shop@http"]);
    assert!(desk.requests[0].2.contains("Host: conf.test:8080\r\n"));
}

fn both(precedence: &str) -> Desk {
    let mut fixed = fixed("");
    if !precedence.is_empty() {
        fixed.precedence = precedence.split(' ').map(str::to_owned).collect();
    }
    fixed.file = Some(FileProvider { path: "/etc/tieline".into(), watch: true });
    let mut desk = Desk::new(fixed);
    desk.host(SOURCE, Host::Says(ok("", &routes("a"))));
    desk.files = Ok(vec![document("b.yml", &routes("b"))]);
    desk.run_secs(1);
    desk
}

#[test]
fn equal_routers_are_asked_in_the_order_of_their_providers() {
    for (precedence, expected) in [
        ("", ["b@file", "a@http"]),
        ("file http", ["b@file", "a@http"]),
        ("http", ["a@http", "b@file"]),
        ("http file", ["a@http", "b@file"]),
        // Those that are not listed come last, by name.
        ("rest", ["a@http", "b@file"]),
    ] {
        assert_eq!(routers(&both(precedence)), expected, "{precedence}");
    }
}

#[test]
fn providers_refer_to_each_other_by_full_names() {
    let mut desk = both("");
    let text = routes("b").replace("\"service\": \"b\"", "\"service\": \"a@http\"");
    desk.file(&text);
    desk.run_secs(5);
    assert_eq!(desk.codes(), [""; 0]);
    // What one provider says changes without the other.
    desk.host(SOURCE, Host::Says(ok("", &routes("c"))));
    desk.end_conns(SOURCE);
    desk.run_secs(10);
    assert_eq!(routers(&desk), ["b@file", "c@http"]);
    assert_eq!(desk.codes(), ["unknown-service"], "{:?}", desk.view().status.diagnostics);
}

#[test]
fn files_that_are_refused_leave_the_other_provider_alone() {
    let mut desk = both("");
    desk.file("http: {routers:");
    desk.run_secs(10);
    assert_eq!(routers(&desk), ["b@file", "a@http"]);
    assert!(desk.view().status.reloads.last_refused);
    desk.host(SOURCE, Host::Says(ok("", &routes("c"))));
    desk.end_conns(SOURCE);
    desk.run_secs(10);
    assert_eq!(routers(&desk), ["b@file", "c@http"]);
    assert!(desk.view().status.reloads.last_refused, "the file is wrong still");
    assert_eq!(desk.codes(), ["syntax"]);
}
