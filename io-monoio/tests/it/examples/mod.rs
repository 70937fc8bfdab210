//! Every folder of `examples/` as it stands: real processes, real sockets, and answers counted at
//! the origins.

mod browser;
mod recorded;
mod stage;

use crate::authority::Authority;
use crate::wire;
use stage::{Origin, Stage};
use std::process::Command;

#[test]
fn weighted_children_share_as_their_weights_say() {
    let stage = Stage::set("weighted", 1, "yml");
    assert_eq!(stage.served(100, "/", &[]), (90, 10));
    assert_eq!(stage.requests(), [90, 10]);
    what_is_explained_then_happens(&stage);
}

fn what_is_explained_then_happens(stage: &Stage) {
    for _ in 0..30 {
        let path = "/api/tieline/explain?request=http://bank.example/&header=X-A:%201";
        let told = stage.api(path).expect("an explanation");
        let expected = match told["answer"]["child"].as_str() {
            Some("cluster-1") => (1, 0),
            Some("cluster-2") => (0, 1),
            other => panic!("{other:?}: {told:#}"),
        };
        assert_eq!(stage.served(1, "/", &[]), expected, "{told:#}");
    }
    let url = format!("--url=http://127.0.0.1:{}", stage.api_port());
    let arguments = ["explain", &url, "--request=http://bank.example/"];
    let output = Command::new(env!("CARGO_BIN_EXE_tieline")).args(arguments).output();
    let told = String::from_utf8(output.expect("it runs").stdout).expect("text");
    assert!(told.contains("> banking@multicluster: weighted, up, ticket 1"), "{told}");
}

#[test]
fn per_child_routes_reach_one_child_each() {
    let stage = Stage::set("per-child", 2, "yml");
    assert_eq!(stage.served(10, "/one/", &[]), (10, 0));
    assert_eq!(stage.served(10, "/two/", &[]), (0, 10));
}

#[test]
fn parent_weights_override_those_of_the_children() {
    let stage = Stage::set("parent-weights", 3, "yml");
    assert_eq!(stage.served(100, "/", &[]), (90, 10));
    assert_eq!(stage.requests(), [90, 10]);
}

#[test]
fn failover_moves_to_the_second_child_and_back() {
    let mut stage = Stage::set("failover", 4, "toml");
    stage.until("child 1 serves", |stage| stage.served(10, "/", &[]) == (10, 0));
    stage.stop("child-1");
    stage.until("child 2 takes over", |stage| stage.served(10, "/", &[]) == (0, 10));
    assert_eq!(stage.served(50, "/", &[]), (0, 50));
    stage.start("child-1");
    stage.until("child 1 is back", |stage| stage.served(10, "/", &[]) == (10, 0));
    assert_eq!(stage.served(50, "/", &[]), (50, 0));
}

#[test]
fn mirroring_copies_every_tenth_request() {
    let stage = Stage::set("mirroring", 5, "yml");
    let before = stage.requests();
    assert_eq!(stage.served(100, "/", &[]), (100, 0));
    assert_eq!(stage.origins[0].requests() - before[0], 100);
    stage.until("mirrors arrive", |stage| stage.origins[1].requests() - before[1] >= 10);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(stage.origins[1].requests() - before[1], 10);
}

#[test]
fn canary_follows_the_file() {
    let stage = Stage::set("canary", 6, "yml");
    assert_eq!(stage.served(100, "/", &[]), (90, 10));
    stage.edit("parent-dynamic.yml", &[("weight: 90", "weight: 50"), ("weight: 10", "weight: 50")]);
    stage.until("the new weights hold", |stage| stage.served(20, "/", &[]) == (10, 10));
    assert_eq!(stage.served(100, "/", &[]), (50, 50));
}

#[test]
fn a_header_steers_to_the_first_child() {
    let stage = Stage::set("header-steered", 7, "yml");
    assert_eq!(stage.served(100, "/", &[]), (50, 50));
    assert_eq!(stage.served(100, "/", &["X-Route-To: primary"]), (100, 0));
}

#[test]
fn the_prefix_is_taken_off() {
    let stage = Stage::set("strip-prefix", 8, "yml");
    let (first, second) = stage.served(10, "/banking/accounts?of=7", &[]);
    assert_eq!((first, second), (5, 5));
    for origin in &stage.origins {
        let head = origin.last_head();
        assert!(head.starts_with("GET /accounts?of=7 HTTP/1.1\r\n"), "{head}");
        assert!(head.to_lowercase().contains("\r\nx-forwarded-prefix: /banking\r\n"), "{head}");
    }
    assert_eq!(stage.get("/accounts", &[]).status, 404);
}

#[test]
fn mutual_tls_lets_friends_in_and_renews_while_it_runs() {
    let authority = Authority::new("example");
    let stage = Stage::prepared("mutual-tls", 9, "yml", |folder| authority.issue_all(folder));
    let all = |stage: &Stage| {
        let (first, second) = stage.served(10, "/", &[]);
        first > 0 && second > 0 && first + second == 10
    };
    assert!(all(&stage));
    let serial = |stage: &Stage| {
        let all = stage.api("/api/tieline/certificates")?;
        let mine = all.as_array()?.iter().find(|it| it["source"] == "parent.crt")?;
        Some(mine["serial"].as_str()?.to_owned())
    };
    let before = serial(&stage).expect("the parent shows a certificate");
    authority.issue_all(stage.folder());
    stage.until("the new certificate is in use", |stage| {
        assert!(all(stage), "no request fails meanwhile");
        serial(stage).is_some_and(|serial| serial != before)
    });
    assert!(all(&stage));
    let stranger = Authority::new("stranger");
    stranger.issue("parent", "parent.example", stage.folder());
    stage.until("the stranger is locked out", |stage| {
        let children = stage.api("/api/tieline/children").unwrap_or_default();
        let error = children[0]["error"].as_str().unwrap_or_default().to_owned();
        error.contains("the other side does not know who signed our certificate")
    });
}

#[test]
fn clients_stay_with_their_cluster() {
    let stage = Stage::set("sticky", 10, "yml");
    assert_eq!(stage.served(10, "/", &[]), (5, 5));
    let (one, two) = ("Cookie: cluster=11e05e1c53026ad2", "Cookie: cluster=648f9e143f2a9eca");
    assert_eq!(stage.served(20, "/", &[one]), (20, 0));
    assert_eq!(stage.served(20, "/", &[two]), (0, 20));
    let weight = "cluster-2@multicluster\n            weight: ";
    stage.edit("parent-dynamic.yml", &[(&format!("{weight}1"), &format!("{weight}0"))]);
    stage.until("no new clients go to child 2", |stage| stage.served(20, "/", &[]) == (20, 0));
    assert_eq!(stage.served(20, "/", &[two]), (0, 20));
}

#[test]
fn clusters_with_names_deal_with_those_they_list() {
    let (own, partner) = (Authority::new("a"), Authority::new("b"));
    let mut stage = Stage::prepared("spiffe", 14, "yml", |folder| {
        own.write("a-ca.crt", folder);
        partner.write("b-ca.crt", folder);
        own.issue_svid("parent", "a.example", folder);
        own.issue_svid("child-1", "a.example", folder);
        partner.issue_svid("child-2", "b.example", folder);
    });
    assert_eq!(stage.served(10, "/", &["X-Tieline-Callers: spiffe://a.example/root"]), (5, 5));
    for origin in &stage.origins {
        let head = origin.last_head();
        let callers = "X-Tieline-Callers: anonymous, spiffe://a.example/parent\r\n";
        assert!(head.contains(callers) && !head.contains("root"), "{head}");
    }
    stage.edit("child-1.yml", &[("spiffe://a.example/parent", "spiffe://a.example/other")]);
    stage.stop("child-1");
    stage.start("child-1");
    stage.until("the parent is locked out", |stage| {
        let children = stage.api("/api/tieline/children").unwrap_or_default();
        let error = children[0]["error"].as_str().unwrap_or_default().to_owned();
        error.contains("the other side")
    });
}

#[test]
fn calls_of_one_connection_are_shared() {
    let stage = Stage::cast("grpc", 20, |port| {
        wire::origins::Streams::at(port);
        Origin::default()
    });
    let path = "/helloworld.Greeter/SayHello";
    let by = wire::calls(stage.address(), path, 10);
    let first = by.iter().filter(|by| **by == "child-1").count();
    let second = by.iter().filter(|by| **by == "child-2").count();
    assert_eq!((first, second), (5, 5), "{by:?}");
}

#[test]
fn websockets_are_echoed_over_either_version() {
    let stage = Stage::cast("websocket", 21, |port| {
        wire::origins::Plain::at(port);
        Origin::default()
    });
    for _ in 0..4 {
        wire::echo(stage.address(), "/chat");
    }
}
