//! What is told of a change, held against a hundred thousand requests that nobody chose.

use crate::folder;
use engine::base::prng::Prng;
use engine::worker::explain::{Ask, Outcome};
use sim::foresight::diff::{Side, diff};
use sim::foresight::documents::Documents;
use std::collections::BTreeSet;

const STATIC: &str = "
entryPoints: {web: {address: ':8000'}}
hub: {providers: {multicluster: {children: {eu: {address: 'http://10.0.0.1:9000'}, us: {address: 'http://10.0.0.2:9000'}}}}}
providers: {file: {filename: dynamic.yml}}
";

const OLD: &str = "
http:
  routers:
    shop: {rule: 'Host(`shop.test`) && PathPrefix(`/cart`)', service: both, middlewares: [strip]}
    pay: {rule: 'Host(`*.pay.test`) || Path(`/pay`)', service: eu}
    put: {rule: 'Method(`PUT`) && PathPrefix(`/cart/items`)', service: us, priority: 500}
    beta: {rule: 'Header(`X-Beta`, `1`)', service: us}
    all: {rule: 'PathPrefix(`/`)', service: both, priority: 1}
  middlewares:
    strip: {stripPrefix: {prefixes: [/cart]}}
    slow: {rateLimit: {average: 10}}
  services:
    both: {weighted: {services: [{name: eu, weight: 3}, {name: us, weight: 1}]}}
    eu: {failover: {service: shop-eu@multicluster, fallback: shop-us@multicluster}}
    us: {mirroring: {service: shop-us@multicluster, mirrors: [{name: shop-eu@multicluster, percent: 5}]}}
";

/// Changes of every kind, among them some that nobody notices.
const CHANGES: [(&str, &str); 7] = [
    ("weight: 3}", "weight: 1}"),
    ("prefixes: [/cart]", "prefixes: [/cart, /items]"),
    ("priority: 500", "priority: 2"),
    ("percent: 5", "percent: 6"),
    ("Path(`/pay`)", "PathPrefix(`/pay`)"),
    ("average: 10", "average: 20"),
    (
        "    all:",
        "    deny: {rule: 'Query(`debug`, `1`)', service: nobody, priority: 900}\n    all:",
    ),
];

fn documents(name: &str, dynamic: &str) -> Documents {
    folder::documents(&format!("diff-{name}"), &[("parent.yml", STATIC), ("dynamic.yml", dynamic)])
}

fn random(prng: &mut Prng) -> Ask {
    let mut pick = |list: &[&'static str]| {
        list[usize::try_from(prng.below(list.len() as u64)).expect("small")]
    };
    let method = pick(&["GET", "GET", "PUT", "DELETE"]);
    let host =
        pick(&["shop.test", "SHOP.test:80", "x.pay.test", "pay.test", "y.x.pay.test", "other"]);
    let start = pick(&["/", "/cart", "/cart/items", "/pay", "/items", "/payment", "/z"]);
    let rest = pick(&["", "", "/", "/7", "/a/b"]);
    let query = pick(&["", "", "?debug=1", "?debug=2", "?x=y"]);
    let mut ask = Ask::read(&format!("{method} http://{host}{start}{rest}{query}")).expect("fine");
    let field = pick(&["", "", "X-Beta: 1", "X-Beta: 0", "Accept: x"]);
    if !field.is_empty() {
        ask.add_field(field).expect("fine");
    }
    ask.from = [192, 0, 2, 1].into();
    ask.entry = "web".to_owned();
    ask
}

/// Two outcomes in one, without paths that are alike.
fn pair(mut before: Outcome, mut after: Outcome) -> (Outcome, Outcome) {
    if before.path == after.path {
        (before.path, after.path) = (String::new(), String::new());
    }
    (Outcome { path: String::new(), ..before }, Outcome { path: String::new(), ..after })
}

#[test]
fn no_request_meets_a_change_that_was_not_told() {
    let old_documents = documents("old", OLD);
    let old = Side::of(&old_documents).expect("a view");
    let mut prng = Prng::new(4);
    for (at, (was, is)) in CHANGES.into_iter().enumerate() {
        assert!(OLD.contains(was), "{was}");
        let new_documents = documents(&format!("new-{at}"), &OLD.replace(was, is));
        let new = Side::of(&new_documents).expect("a view");
        let found = diff(&old_documents, &new_documents, 1).expect("both can be asked");
        assert!(found.whole, "{found:?}");
        let told: BTreeSet<_> = found
            .changes
            .iter()
            .map(|change| pair(change.before.clone(), change.after.clone()))
            .collect();
        for _ in 0..100_000 / CHANGES.len() {
            let ask = random(&mut prng);
            let before = old.outcome(&ask).expect("it can be asked");
            let after = new.outcome(&ask).expect("it can be asked");
            if before != after {
                let met = pair(before, after);
                assert!(told.contains(&met), "{is}: {ask:?} meets {met:?}: {found:#?}");
            }
        }
        let noticed = !found.changes.is_empty();
        assert_eq!(noticed, is != "average: 20", "{is}: {found:#?}");
    }
}

#[test]
fn what_moves_is_what_changes_its_server() {
    let moved = |was: &str, is: &str| {
        let new = OLD.replace(was, is);
        diff(&documents("moved-old", OLD), &documents("moved-new", &new), 1).expect("fine").moved()
    };
    assert_eq!(moved("weight: 3}", "weight: 3}"), 0);
    let by_weight = moved("weight: 3}", "weight: 1}");
    assert!((1..250_000).contains(&by_weight), "a quarter of those who share: {by_weight}");
    assert_eq!(moved("service: eu}", "service: renamed}"), gone());
    assert_eq!(moved("    pay:", "    paying:"), 0, "a name alone moves nothing");
}

/// A router whose service is gone answers 503: all of its requests are moved.
fn gone() -> u64 {
    let new = OLD.replace("service: eu}", "service: renamed}");
    let found = diff(&documents("gone-old", OLD), &documents("gone-new", &new), 1).expect("fine");
    let met = found.changes.iter().filter(|change| change.after.status == Some(503));
    let requests: u64 = met.map(|change| change.requests).sum();
    assert!(requests > 0, "{found:#?}");
    requests * 1_000_000 / found.asked
}
