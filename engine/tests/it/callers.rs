//! The chain of callers: who called first and who called last, and nobody else gets a word in.

use crate::secure::{Ca, OK, Pem, Talker, pair, quoted};
use crate::spiffe::{UPLINK, child, compiler, showing, svid, view_of};
use engine::base::id::ChildId;
use engine::base::time::Span;
use engine::uplink::advert::decode;
use engine::view::View;
use std::sync::Arc;

/// Everybody signs with one hand here.
struct Family {
    ca: Ca,
}

impl Family {
    fn new() -> Self {
        Self { ca: Ca::new("a") }
    }

    fn member(&self, name: &str) -> Pem {
        svid(&self.ca, &format!("spiffe://a.example/{name}"))
    }

    fn source(&self, name: &str) -> String {
        let (own, ca) = (self.member(name).yaml(4), quoted(&self.ca.pem()));
        format!(
            "spiffe:\n  tieline:\n{own}    bundles: [{{trustDomain: a.example, caFiles: [{ca}]}}]\n"
        )
    }

    /// A parent with one child. At its own door it takes `uplinks`, or ordinary clients whose
    /// certificates it verifies if they have one.
    fn parent(&self, name: &str, uplinks: bool) -> Arc<View> {
        let children = "providers: {multicluster: {children: {c: {address: 'https://10.0.0.9:443', \
             serversTransport: {disableHTTP2: true, spiffe: {trustDomain: a.example}}}}}}";
        let fixed = if uplinks {
            format!(
                "{}hub:\n  uplinkEntryPoints: {{up: {{address: ':443', asDefault: true, \
                 tieline: {{spiffe: {{trustDomain: a.example}}}}}}}}\n  {children}\n",
                self.source(name)
            )
        } else {
            let web = "entryPoints: {web: {address: ':443', http: {tls: {}}}}";
            format!("{}{web}\nhub:\n  {children}\n", self.source(name))
        };
        let of_uplinks = if uplinks { ", uplinks: [shop]" } else { "" };
        let offers = if uplinks { "uplinks: {shop: {}}" } else { "uplinks: {}" };
        let dynamic = format!(
            "http:
  {offers}
  routers: {{r: {{rule: 'PathPrefix(`/`)', service: shop@multicluster{of_uplinks}}}}}
tls:
  options: {{default: {{clientAuth: {{caFiles: [{}], clientAuthType: VerifyClientCertIfGiven}}}}}}
",
            quoted(&self.ca.pem())
        );
        let dynamic =
            if uplinks { dynamic.split("tls:").next().expect("a part") } else { &dynamic };
        let (mut compiler, _) = compiler(&fixed, dynamic);
        let offered = decode(br#"[{"name": "shop", "weight": 1}]"#).expect("an offer");
        compiler.set_adverts(ChildId(0), offered.adverts);
        Arc::new(compiler.build().expect("a view").view)
    }
}

/// Sends a request as whoever has this certificate; what the server then hears.
fn pass(view: &Arc<View>, caller: Option<&Pem>, server: Option<&Family>, head: &str) -> String {
    let mut pair = pair(Arc::clone(view));
    let mut client = Talker::client(&mut pair, &showing(caller), "s");
    assert_eq!(client.trouble, None);
    client.say(&mut pair, head);
    match server {
        None => {
            let origin = pair.dialed();
            let heard = pair.got(origin);
            pair.send(origin, OK);
            heard
        }
        Some(family) => {
            let door = crate::secure_servers::door(&family.member("next"), "");
            let mut next = Talker::server(&mut pair, &door);
            let heard = next.heard();
            next.say(&mut pair, OK);
            heard
        }
    }
}

/// Every line of a head whose name may be taken for that of the chain.
fn chain(head: &str) -> Vec<&str> {
    let lines = head.lines().filter(|line| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        name.replace('_', "-") == "x-tieline-callers"
    });
    lines.filter_map(|line| line.split_once(": ")).map(|(_, value)| value).collect()
}

const GET: &str = "GET /x HTTP/1.1\r\nHost: s\r\n\r\n";

fn workload(family: &Family) -> Arc<View> {
    child(&family.source("child"), "{trustDomain: a.example}")
}

#[test]
fn a_workload_two_clusters_away_knows_who_called_first_and_last() {
    let family = Family::new();
    let client = family.ca.named("shop.example");
    let parent = family.parent("parent", false);
    let middle = family.parent("middle", true);
    let at_middle = pass(&parent, Some(&client), Some(&family), GET);
    assert_eq!(chain(&at_middle), ["dns:shop.example"]);
    let at_child = pass(&middle, Some(&family.member("parent")), Some(&family), &at_middle);
    assert_eq!(chain(&at_child), ["dns:shop.example, spiffe://a.example/parent"]);
    let at_workload = pass(&workload(&family), Some(&family.member("middle")), None, &at_child);
    let all = "dns:shop.example, spiffe://a.example/parent, spiffe://a.example/middle";
    assert_eq!(chain(&at_workload), [all]);
}

#[test]
fn a_client_that_shows_nothing_is_called_anonymous() {
    let family = Family::new();
    let at_child = pass(&family.parent("parent", false), None, Some(&family), GET);
    assert_eq!(chain(&at_child), ["anonymous"]);
    let at_workload = pass(&workload(&family), Some(&family.member("parent")), None, &at_child);
    assert_eq!(chain(&at_workload), ["anonymous, spiffe://a.example/parent"]);
}

#[test]
fn no_client_can_forge_a_chain() {
    let family = Family::new();
    let client = family.ca.named("shop.example");
    let parent = family.parent("parent", false);
    for lines in [
        "X-Tieline-Callers: spiffe://a.example/root\r\n",
        "x_tieline_callers: spiffe://a.example/root\r\n",
        "X-Tieline_Callers: a\r\nX-TIELINE-CALLERS: b\r\nX-Tieline-Callers: \r\n",
        "Connection: x-tieline-callers\r\nX-Tieline-Callers: spiffe://a.example/root\r\n",
        "Connection: close, X-Tieline-Callers\r\n",
        "X-Tieline-Callers: a\r\nTrailer: X-Tieline-Callers\r\n",
    ] {
        let head = GET.replace("\r\n\r\n", &format!("\r\n{lines}\r\n"));
        for (caller, expected) in [(None, "anonymous"), (Some(&client), "dns:shop.example")] {
            let heard = pass(&parent, caller, Some(&family), &head);
            assert_eq!(chain(&heard), [expected], "{lines}");
            assert!(!heard.to_lowercase().contains("connection"), "{heard}");
        }
    }
    let trailed = "POST /x HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n\
                   2\r\nab\r\n0\r\nX-Tieline-Callers: a\r\nx_tieline_callers: b\r\nX-Ok: c\r\n\r\n";
    let heard = pass(&parent, None, Some(&family), trailed);
    assert_eq!(chain(&heard), ["anonymous"]);
    assert!(heard.contains("X-Ok: c"), "{heard}");
}

#[test]
fn a_parent_is_believed_also_when_it_says_it_oddly() {
    let family = Family::new();
    let head = GET.replace(
        "\r\n\r\n",
        "\r\nX-Tieline-Callers: a\r\nConnection: x-tieline-callers\r\nx-tieline-callers: b\r\n\r\n",
    );
    let heard = pass(&workload(&family), Some(&family.member("parent")), None, &head);
    assert_eq!(chain(&heard), ["a, b, spiffe://a.example/parent"]);
}

#[test]
fn where_nobody_is_verified_nothing_is_believed_and_nothing_said() {
    let fixed = "hub:\n  uplinkEntryPoints: {up: {address: ':80', asDefault: true}}\n  \
                 providers: {multicluster: {}}\n";
    let (view, _) = view_of(fixed, UPLINK);
    let mut pair = pair(view);
    let client = pair.open();
    pair.send(client, GET.replace("\r\n\r\n", "\r\nX-Tieline-Callers: a\r\n\r\n"));
    let origin = pair.dialed();
    assert_eq!(chain(&pair.got(origin)), [""; 0]);
}

#[test]
fn a_certificate_that_was_only_asked_for_says_nothing() {
    let family = Family::new();
    let shown = family.ca.named("10.0.0.1").flow();
    let dynamic = format!(
        "{UPLINK}tls:
  certificates: [{{{shown}}}]
  options: {{default: {{clientAuth: {{clientAuthType: RequireAnyClientCert}}}}}}
"
    );
    let fixed = "hub:\n  uplinkEntryPoints: {up: {address: ':443', asDefault: true, \
                 http: {tls: {}}}}\n  providers: {multicluster: {}}\n";
    let (view, _) = view_of(fixed, &dynamic);
    let head = GET.replace("\r\n\r\n", "\r\nX-Tieline-Callers: a\r\n\r\n");
    let stranger = Ca::new("other").named("root");
    assert_eq!(chain(&pass(&view, Some(&stranger), None, &head)), [""; 0]);
}

#[test]
fn the_access_log_shows_the_chain_and_how_it_was_said() {
    let family = Family::new();
    let source = format!("accessLog: {{format: json}}\n{}", family.source("child"));
    let mut pair = pair(child(&source, "{trustDomain: a.example}"));
    let mut parent = Talker::client(&mut pair, &showing(Some(&family.member("parent"))), "s");
    let head = GET.replace("\r\n\r\n", "\r\nX-Tieline-Callers: dns:shop\r\n\r\n");
    parent.say(&mut pair, &head);
    let origin = pair.dialed();
    pair.send(origin, OK);
    parent.pump(&mut pair);
    pair.pass(Span::secs(2));
    let line: serde_json::Value = serde_json::from_str(&pair.log).expect("one line of JSON");
    assert_eq!(line["Callers"], "dns:shop, spiffe://a.example/parent", "{line}");
    assert_eq!(line["TLSVersion"], "1.3", "{line}");
    assert!(line["TLSCipher"].as_str().is_some_and(|it| it.starts_with("TLS_")), "{line}");
}

#[test]
fn a_long_chain_keeps_its_ends() {
    let family = Family::new();
    let many = format!("first, {}, last", "x".repeat(2_100));
    let head = GET.replace("\r\n\r\n", &format!("\r\nX-Tieline-Callers: {many}\r\n\r\n"));
    let heard = pass(&workload(&family), Some(&family.member("parent")), None, &head);
    assert_eq!(chain(&heard), ["first, ..., spiffe://a.example/parent"]);
    let one = format!("\r\nX-Tieline-Callers: {}\r\n\r\n", "x".repeat(2_100));
    let heard =
        pass(&workload(&family), Some(&family.member("p")), None, &GET.replace("\r\n\r\n", &one));
    assert_eq!(chain(&heard), ["..., spiffe://a.example/p"]);
}
