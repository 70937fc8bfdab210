//! Strategies and sticky cookies.

use super::{broken, service};
use crate::config::typed::{KeyFrom, Manner, SameSite, ServiceKind, StickyCookie, Strategy};

#[track_caller]
fn balancer(lines: &str, expected: &str) -> Manner {
    let lines = format!("loadBalancer: {{servers: [{{url: http://a, weight: 3}}], {lines}}}");
    let kind = service(&lines, expected);
    let ServiceKind::Balancer(balancer) = kind else { panic!("{kind:?}") };
    balancer.manner
}

#[track_caller]
fn cookie(lines: &str, expected: &str) -> StickyCookie {
    let manner = balancer(&format!("sticky: {{cookie: {{{lines}}}}}"), expected);
    manner.sticky.expect("it is sticky")
}

#[test]
fn strategies_are_known_by_their_names() {
    for (lines, strategy) in [
        ("strategy: wrr", Strategy::Wrr),
        ("strategy: ''", Strategy::Wrr),
        ("strategy: hrw", Strategy::Hrw),
        ("strategy: LeastTime", Strategy::LeastTime),
    ] {
        assert_eq!(balancer(lines, "").strategy, strategy, "{lines}");
    }
    let said = "warning: loadBalancer.strategy: p2c does not look at weights: only 0 means \
                something, no new requests";
    assert_eq!(balancer("strategy: p2c", said).strategy, Strategy::P2c);
    let plain = "loadBalancer: {servers: [{url: http://a}, {url: http://b, weight: 0}], \
                 strategy: p2c}";
    service(plain, "");
    broken(
        "loadBalancer: {servers: [{url: http://a}], strategy: RoundRobin}",
        "loadBalancer.strategy: `RoundRobin`: expected one of wrr, p2c, hrw, leasttime",
    );
}

#[test]
fn a_cookie_has_the_defaults_of_the_dialect() {
    // SHA-1 of _TRAEFIK_BACKEND_s@file.
    let plain = StickyCookie { name: "_23300".into(), ..StickyCookie::default() };
    assert_eq!(cookie("", ""), plain);
    assert_eq!(cookie("name: '', path: '', domain: '', sameSite: ''", ""), plain);
}

#[test]
fn a_cookie_with_everything() {
    let all = StickyCookie {
        name: "my_cookie".into(),
        secure: true,
        http_only: true,
        same_site: Some(SameSite::None),
        max_age: -1,
        path: "/shop".into(),
        domain: "example.com".into(),
        signed_by: None,
    };
    let lines = "name: my cookie, secure: true, httpOnly: true, sameSite: None, maxAge: -1, \
                 path: /shop, domain: .example.com";
    assert_eq!(cookie(lines, ""), all);
}

#[test]
fn what_a_cookie_cannot_be_is_pointed_at() {
    let said = "warning: loadBalancer.sticky.cookie.sameSite: browsers refuse a cookie with \
                sameSite none that is not secure";
    cookie("sameSite: none", said);
    for (lines, expected) in [
        (
            "cookie: {sameSite: loose}",
            "cookie.sameSite: `loose`: expected one of none, lax, strict",
        ),
        ("cookie: {maxAge: soon}", "cookie.maxAge: `soon`: expected a whole number"),
        ("cookie: {maxAge: 2147483648}", "cookie.maxAge: `2147483648`: it is above 2147483647"),
        ("cookie: {path: shop}", "cookie.path: `shop`: expected a path such as /shop, without ;"),
        ("cookie: {path: /a;b}", "cookie.path: `/a;b`: expected a path such as /shop, without ;"),
        ("cookie: {domain: a..b}", "cookie.domain: `a..b`: expected a domain such as example.com"),
        ("cookie: {secure: yes}", "cookie.secure: `yes`: write true"),
        (
            "cookie: {httponli: true}",
            "cookie.httponli: unknown key `httponli` (did you mean httpOnly?)",
        ),
        (
            "cookie: {}, tieline: {allLevels: {}}",
            "tieline.allLevels.keyFile: a cookie for all levels is signed with a key \
             (a file with a key a line, the first signs)",
        ),
        (
            "cookie: {}, tieline: {allLevels: {key: fifteen-letters}}",
            "tieline.allLevels.key: expected at least 16 letters",
        ),
        (
            "cookie: {}, tieline: {allLevels: {key: sixteen--letters, keyFile: /k}}",
            "tieline.allLevels.key: a key stands here or in a file, not in both",
        ),
        (
            "cookie: {}, tieline: {allLevel: {key: sixteen--letters}}",
            "tieline.allLevel: unknown key `allLevel` (did you mean allLevels?)",
        ),
        ("{}", "cookie: sessions stick by a cookie (cookie: {} is one with all defaults)"),
        ("cookies: {}", "cookie: sessions stick by a cookie (cookie: {} is one with all defaults)"),
    ] {
        let sticky = if lines == "{}" { "{}".to_owned() } else { format!("{{{lines}}}") };
        let more = match lines {
            "cookies: {}" => {
                "\nerror: loadBalancer.sticky.cookies: unknown key `cookies` (did you mean cookie?)"
            }
            _ => "",
        };
        broken(
            &format!("loadBalancer: {{servers: [{{url: http://a}}], sticky: {sticky}}}"),
            &format!("loadBalancer.sticky.{expected}{more}"),
        );
    }
}

#[test]
fn services_over_services_are_sticky_or_rendezvous() {
    let kind = service(
        "weighted: {services: [{name: a}, {name: b@x}], sticky: {cookie: {name: lvl1}}}",
        "",
    );
    let ServiceKind::Weighted { services, manner } = kind else { panic!("{kind:?}") };
    let keys: Vec<&str> = services.iter().map(|part| &*part.key).collect();
    assert_eq!(keys, ["a", "b@x"], "as written");
    assert_eq!(manner.sticky.expect("it is sticky").name, "lvl1");
    let kind = service(
        "highestRandomWeight: {healthCheck: {}, services: [{name: a, weight: 3}, {name: b}]}",
        "",
    );
    let ServiceKind::Weighted { services, manner } = kind else { panic!("{kind:?}") };
    assert_eq!((services.len(), manner), (2, Manner::RENDEZVOUS));
    broken(
        "highestRandomWeight: {services: [{name: a}], sticky: {cookie: {}}}",
        "highestRandomWeight.sticky: unknown key `sticky` (known here: healthCheck, services)",
    );
}

#[test]
fn a_key_is_not_shown() {
    let sticky = cookie_and("tieline: {allLevels: {key: sixteen--letters}}");
    let shown = format!("{sticky:?}");
    assert!(shown.contains("Secret(16 bytes)") && !shown.contains("sixteen"), "{shown}");
    let file = cookie_and("tieline: {allLevels: {keyFile: /run/key}}").signed_by;
    assert_eq!(file, Some(KeyFrom::File("/run/key".into())));
}

fn cookie_and(lines: &str) -> StickyCookie {
    let manner = balancer(&format!("sticky: {{cookie: {{}}, {lines}}}"), "");
    manner.sticky.expect("it is sticky")
}
