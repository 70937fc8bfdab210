//! One signed cookie for all levels of services, from documents to the wire.

use crate::documents::Documents;
use crate::pair::Pair;
use engine::base::limits::Limits;
use engine::base::prng::Prng;
use engine::view::View;
use engine::view::status::Health;
use std::collections::BTreeMap;
use std::sync::Arc;

const KEY: &str = "tieline: {allLevels: {key: 0123456789abcdef}}";

const TREE: &str = "
    top:
      weighted:
        sticky: {cookie: {name: all, httpOnly: true}, tieline: {allLevels: {key: 0123456789abcdef}}}
        services: [{name: east, weight: 2}, {name: west}]
    east: {weighted: {services: [{name: one}, {name: two}]}}
    one: {loadBalancer: {healthCheck: {path: /}, servers: [{url: \"http://10.0.0.1\"}, {url: \"http://10.0.0.2\"}]}}
    two: {loadBalancer: {healthCheck: {path: /}, servers: [{url: \"http://10.0.0.3\"}, {url: \"http://10.0.0.4\"}]}}
    west: {loadBalancer: {healthCheck: {path: /}, servers: [{url: \"http://10.0.0.5\"}, {url: \"http://10.0.0.6\"}]}}
";

fn pair(view: Arc<View>) -> Pair {
    Pair::of(view, Limits::default())
}

/// Who served a request with this cookie, and the lines that set one. Nobody if none could.
fn ask(pair: &mut Pair, cookie: &str) -> (Option<u8>, Vec<String>) {
    let client = pair.open();
    let cookie = if cookie.is_empty() { String::new() } else { format!("Cookie: {cookie}\r\n") };
    pair.send(client, format!("GET / HTTP/1.1\r\nHost: s\r\nConnection: close\r\n{cookie}\r\n"));
    let origin = pair.try_dialed();
    let who = origin.map(|origin| {
        pair.send(origin, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        match pair.address(origin).ip() {
            std::net::IpAddr::V4(ip) => ip.octets()[3],
            std::net::IpAddr::V6(_) => 0,
        }
    });
    let got = pair.got(client);
    let set = got.lines().filter_map(|line| line.strip_prefix("Set-Cookie: "));
    (who, set.map(str::to_owned).collect())
}

/// What a client sends back of a line that sets a cookie.
fn kept(line: &str) -> String {
    line.split(';').next().unwrap_or_default().to_owned()
}

fn all_up(documents: &mut Documents, servers: u8) {
    documents.view();
    (1..=servers).for_each(|n| documents.health(&format!("http://10.0.0.{n}"), Health::Up));
}

#[test]
fn one_cookie_holds_a_client_at_every_level() {
    let mut documents = Documents::new(TREE);
    all_up(&mut documents, 6);
    let mut pair = pair(documents.view());
    for _ in 0..12 {
        let (who, set) = ask(&mut pair, "");
        let [line] = &set[..] else { panic!("one cookie: {set:?}") };
        assert!(line.starts_with("all=1.") && line.ends_with("; Path=/; HttpOnly"), "{line}");
        for _ in 0..3 {
            assert_eq!(ask(&mut pair, &kept(line)), (who, vec![]));
            ask(&mut pair, "");
        }
    }
    pair.nothing_more();
}

#[test]
fn who_is_gone_is_replaced_and_its_place_is_kept() {
    let mut documents = Documents::new(TREE);
    all_up(&mut documents, 6);
    let mut pair = pair(documents.view());
    let (first, set) = ask(&mut pair, "");
    let before = kept(&set[0]);
    documents.health(&format!("http://10.0.0.{}", first.expect("a server")), Health::Down);
    pair.publish_view(documents.view());
    let (second, set) = ask(&mut pair, &before);
    assert_ne!(first, second);
    let after = kept(&set[0]);
    assert_eq!(ask(&mut pair, &after), (second, vec![]));
    documents.health(&format!("http://10.0.0.{}", first.expect("a server")), Health::Up);
    pair.publish_view(documents.view());
    assert_eq!(ask(&mut pair, &after), (second, vec![]), "it stays where it moved to");
    assert_eq!(ask(&mut pair, &before), (first, vec![]));
    pair.nothing_more();
}

#[test]
fn what_it_said_of_the_other_side_is_not_forgotten() {
    let failover =
        TREE.replace("    top:", "    top: {failover: {service: main, fallback: west}}\n    main:");
    let failover =
        failover.replace(", {name: west}]", "]").replace("{name: east, weight: 2}", "{name: east}");
    let sticky = "sticky: {cookie: {name: own}}, ";
    let failover =
        failover.replace("west: {loadBalancer: {", &format!("west: {{loadBalancer: {{{sticky}"));
    let mut documents = Documents::new(&failover);
    all_up(&mut documents, 6);
    let mut pair = pair(documents.view());
    let (first, set) = ask(&mut pair, "");
    let all = kept(&set[0]);
    (1..=4).for_each(|n| documents.health(&format!("http://10.0.0.{n}"), Health::Down));
    pair.publish_view(documents.view());
    let (other, set) = ask(&mut pair, &all);
    assert!(other >= Some(5));
    assert!(set[0].starts_with("own="), "the other side has a cookie of its own: {set:?}");
    (1..=4).for_each(|n| documents.health(&format!("http://10.0.0.{n}"), Health::Up));
    pair.publish_view(documents.view());
    assert_eq!(ask(&mut pair, &all), (first, vec![]));
    pair.nothing_more();
}

#[test]
fn nobody_can_name_a_server_who_does_not_know_the_key() {
    let mut documents = Documents::new(TREE);
    all_up(&mut documents, 6);
    let mut pair = pair(documents.view());
    let value = kept(&ask(&mut pair, "").1[0]);
    // As the unsigned cookie of Traefik would say it, and with a letter changed.
    for forged in ["all=west", "all=http://10.0.0.6", "all=", "all=1.", "all=2.AAAA"] {
        assert_eq!(ask(&mut pair, forged).1.len(), 1, "{forged}");
    }
    let mut changed = value.clone().into_bytes();
    let at = changed.len() / 2;
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).expect("a text");
    assert_eq!(ask(&mut pair, &changed).1.len(), 1, "{changed}");
    let other = TREE.replace("0123456789abcdef", "fedcba9876543210");
    documents.write(&other);
    pair.publish_view(documents.view());
    assert_eq!(ask(&mut pair, &value).1.len(), 1, "under another key it says nothing");
    pair.nothing_more();
}

#[test]
fn another_instance_with_the_key_believes_it() {
    let mut one = Documents::new(TREE);
    let mut two = Documents::new(&TREE.replace("weight: 2", "weight: 1"));
    all_up(&mut one, 6);
    all_up(&mut two, 6);
    let (mut first, mut second) = (pair(one.view()), pair(two.view()));
    for _ in 0..6 {
        let (who, set) = ask(&mut first, "");
        assert_eq!(ask(&mut second, &kept(&set[0])), (who, vec![]));
    }
}

#[test]
fn keys_of_a_file_are_replaced_one_after_the_other() {
    let mut documents = Documents::new(&TREE.replace("key: 0123456789abcdef", "keyFile: /key"));
    documents.file("/key", Err("no such file"));
    let place = "http.services.top.weighted.sticky.tieline.allLevels.keyFile";
    let told = |why: &str, then: &str| [format!("{place}: /key: {why}; {then}")];
    assert_eq!(documents.problems(), told("no such file", "no session sticks"));
    all_up(&mut documents, 6);
    let mut pair = pair(documents.view());
    assert_eq!(ask(&mut pair, "").1, [""; 0], "nothing is given out unsigned");
    let one = "0123456789abcdef";
    documents.file("/key", Ok(&format!("{one}\n")));
    pair.publish_view(documents.view());
    let (who, set) = ask(&mut pair, "");
    let old = kept(&set[0]);
    let stays = |pair: &mut Pair, cookie: &str| {
        for _ in 0..3 {
            assert_eq!(ask(pair, cookie), (who, vec![]));
        }
    };
    stays(&mut pair, &old);
    documents.file("/key", Ok("short"));
    let why = "a key in it has less than 16 letters";
    assert_eq!(documents.problems(), told(why, "the keys of its last good reading stay"));
    pair.publish_view(documents.view());
    stays(&mut pair, &old);
    documents.file("/key", Ok(&format!("  fedcba9876543210 \n\n{one}")));
    assert_eq!(documents.problems(), [""; 0]);
    pair.publish_view(documents.view());
    stays(&mut pair, &old);
    let new = kept(&ask(&mut pair, "").1[0]);
    documents.file("/key", Ok("fedcba9876543210"));
    pair.publish_view(documents.view());
    assert_eq!(ask(&mut pair, &new).1, [""; 0]);
    assert_eq!(ask(&mut pair, &old).1.len(), 1);
    pair.nothing_more();
}

/// A tree of services with cookies of their own here and there; the urls count up.
fn grow(prng: &mut Prng, name: &str, depth: u64, servers: &mut u8, out: &mut String) {
    let own = |prng: &mut Prng| match prng.below(4) {
        0 => format!("sticky: {{cookie: {{name: own-{name}}}}}, "),
        _ => String::new(),
    };
    let sticky = match depth {
        0 => format!("sticky: {{cookie: {{name: all}}, {KEY}}}, "),
        _ => own(prng),
    };
    if depth == 3 || (depth > 0 && prng.below(3) == 0) {
        let urls: Vec<String> = (0..1 + prng.below(3))
            .map(|_| {
                *servers += 1;
                format!("{{url: 'http://10.0.0.{servers}', weight: {}}}", 1 + prng.below(4))
            })
            .collect();
        let urls = urls.join(", ");
        out.push_str(&format!(
            "    {name}: {{loadBalancer: {{{sticky}healthCheck: {{path: /}}, servers: [{urls}]}}}}\n"
        ));
        return;
    }
    let members: Vec<String> = (0..2 + prng.below(2)).map(|n| format!("{name}{n}")).collect();
    let list: Vec<String> = members
        .iter()
        .map(|member| format!("{{name: {member}, weight: {}}}", 1 + prng.below(5)))
        .collect();
    let list = list.join(", ");
    out.push_str(&format!("    {name}: {{weighted: {{{sticky}services: [{list}]}}}}\n"));
    for member in &members {
        grow(prng, member, depth + 1, servers, out);
    }
}

#[test]
fn in_any_tree_a_client_returns_to_its_server_while_that_is_up() {
    for seed in 0..40 {
        let mut prng = Prng::new(seed);
        let (mut text, mut servers) = ("\n".to_owned(), 0);
        grow(&mut prng, "top", 0, &mut servers, &mut text);
        let mut documents = Documents::new(&text);
        all_up(&mut documents, servers);
        let mut pair = pair(documents.view());
        let mut up = vec![true; usize::from(servers) + 1];
        let mut jars: Vec<(BTreeMap<String, String>, Option<u8>)> = vec![Default::default(); 4];
        for step in 0..120 {
            let at = usize::try_from(prng.below(4)).expect("four clients");
            let (jar, last) = &mut jars[at];
            let forges = prng.below(12) == 0 && jar.contains_key("all");
            let honest = jar.get("all").cloned();
            if forges {
                let value = jar.get_mut("all").expect("just seen");
                value.insert(5, 'A');
            }
            let pairs: Vec<String> =
                jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let (who, set) = ask(&mut pair, &pairs.join("; "));
            for line in &set {
                let (name, value) =
                    line.split(';').next().and_then(|it| it.split_once('=')).expect("a pair");
                jar.insert(name.to_owned(), value.to_owned());
            }
            let place = format!("seed {seed}, step {step}: {text}");
            let Some(who) = who else {
                assert!(!up.iter().skip(1).any(|up| *up), "somebody serves: {place}");
                jar.extend(honest.map(|value| ("all".to_owned(), value)));
                continue;
            };
            let new = set.iter().any(|line| line.starts_with("all="));
            match *last {
                _ if forges => assert!(new, "a forged cookie is replaced: {place}"),
                Some(last) if up[usize::from(last)] => {
                    assert_eq!((who, new), (last, false), "{place}");
                }
                Some(_) | None => assert!(new, "a new server is named: {place}"),
            }
            *last = Some(who);
            if prng.below(4) == 0 {
                let n = 1 + usize::try_from(prng.below(servers.into())).expect("few");
                up[n] = !up[n];
                let health = if up[n] { Health::Up } else { Health::Down };
                documents.health(&format!("http://10.0.0.{n}"), health);
                pair.publish_view(documents.view());
            }
            if prng.below(20) == 0 {
                let weight = format!("weight: {}}}", 1 + prng.below(9));
                documents.write(&text.replacen("weight: 1}", &weight, 1));
                pair.publish_view(documents.view());
            }
        }
    }
}
