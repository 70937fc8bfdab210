//! Who it is that asks.

use super::{ENTRY, OK, Site, pair};
use crate::pair::{End, Pair};
use engine::base::limits::Limits;
use engine::base::mark::Mark;
use engine::base::md5::Md5;
use engine::base::secret::Secret;
use engine::base::time::Span;
use engine::boundary::{Answer, Job};
use std::collections::BTreeSet;
use std::sync::Arc;

const HASH: &str = "$apr1$abcdefgh$T64oOxnD8c28.dQa.2Lty1";
// `al:open sesame`
const AL: &str = "Authorization: Basic YWw6b3BlbiBzZXNhbWU=\r\n";
// `al:wrong`
const WRONG: &str = "Authorization: Basic YWw6d3Jvbmc=\r\n";
// `bo:open sesame`
const BO: &str = "Authorization: Basic Ym86b3BlbiBzZXNhbWU=\r\n";

fn guard(more: &str) -> String {
    format!("a: {{basicAuth: {{users: ['al:{HASH}']{more}}}}}")
}

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: s\r\n{fields}\r\n")
}

const WHO: &str = "HTTP/1.1 401 Unauthorized\r\nContent-Type: text/plain\r\n\
    WWW-Authenticate: Basic realm=\"traefik\"\r\nContent-Length: 17\r\n\r\n401 Unauthorized\n";

/// A client asks; whether its password is right is to be found out.
fn ask(pair: &mut Pair, fields: &str) -> End {
    let client = pair.open();
    pair.send(client, get(fields));
    pair.no_dial();
    client
}

/// Says whether a password is right, which was asked for.
#[track_caller]
fn tell(pair: &mut Pair, password: &str, right: bool) {
    let (job, what) = pair.job().expect("a password is to be compared");
    let Job::Verify { hash, password: asked } = what else { panic!("{what:?}") };
    assert_eq!((&*hash, asked.reveal()), (HASH, password.as_bytes()));
    pair.finish_job(job, Answer::Verified(right));
}

#[test]
fn who_says_nothing_is_asked() {
    let mut pair = pair(&guard(""));
    for fields in ["", "Authorization: Bearer x\r\n", "Authorization: Basic !\r\n"] {
        assert_eq!(pair.answer(&get(fields)), WHO, "{fields}");
    }
    assert!(pair.job().is_none());
    pair.nothing_more();
}

#[test]
fn a_password_is_compared_once_and_known_from_then_on() {
    let mut pair = pair(&guard(""));
    let client = ask(&mut pair, AL);
    assert_eq!(pair.got(client), "");
    tell(&mut pair, "open sesame", true);
    let origin = pair.dialed();
    assert!(pair.got(origin).contains(AL), "the server is shown what the client sent");
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.send(client, get(AL));
    assert!(pair.job().is_none());
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.nothing_more();
}

#[test]
fn a_wrong_password_and_a_stranger_are_refused_alike() {
    let mut pair = pair(&guard(""));
    for (fields, password) in [(WRONG, "wrong"), (BO, "open sesame")] {
        let client = ask(&mut pair, fields);
        // Even a stranger who guessed somebody's password stays one.
        tell(&mut pair, password, fields == BO);
        assert_eq!(pair.own(client), WHO, "{fields}");
        pair.no_dial();
    }
    let again = ask(&mut pair, BO);
    tell(&mut pair, "open sesame", true);
    assert_eq!(pair.own(again), WHO);
    assert_eq!(pair.count(Mark::PasswordWrong), 3);
    pair.nothing_more();
}

#[test]
fn requests_with_one_password_wait_for_one_comparison() {
    let mut pair = pair(&guard(""));
    let clients = [ask(&mut pair, AL), ask(&mut pair, AL), ask(&mut pair, AL)];
    pair.reset(clients[1]);
    tell(&mut pair, "open sesame", true);
    assert!(pair.job().is_none());
    for client in [clients[0], clients[2]] {
        let origin = pair.dialed();
        pair.send(origin, OK);
        assert_eq!(pair.got(client), OK);
    }
    assert_eq!(pair.count(Mark::ProofShared), 2);
    pair.nothing_more();
}

#[test]
fn passwords_of_several_are_compared_at_once_and_told_apart() {
    let mut pair = pair(&guard(""));
    let (knows, guesses) = (ask(&mut pair, AL), ask(&mut pair, WRONG));
    let jobs = [pair.job(), pair.job()].map(|job| job.expect("each is to be compared"));
    for (job, what) in jobs.into_iter().rev() {
        let Job::Verify { password, .. } = what else { panic!("{what:?}") };
        pair.finish_job(job, Answer::Verified(password.reveal() == b"open sesame"));
    }
    let origin = pair.dialed();
    pair.send(origin, OK);
    assert_eq!(pair.got(knows), OK);
    assert_eq!(pair.own(guesses), WHO);
    pair.nothing_more();
}

#[test]
fn no_flood_of_passwords_takes_all_cores() {
    let limits = Limits { proofs_max: 1, ..Limits::default() };
    let mut pair = Pair::of(Site::new(ENTRY).view(&guard("")), limits);
    let first = ask(&mut pair, AL);
    let answer = pair.answer(&get(WRONG));
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"));
    assert_eq!(pair.count(Mark::PasswordsWaited), 1);
    tell(&mut pair, "open sesame", true);
    let origin = pair.dialed();
    pair.send(origin, OK);
    assert_eq!(pair.got(first), OK);
    pair.nothing_more();
}

#[test]
fn the_server_may_be_told_who_asks_and_not_with_which_password() {
    let more = ", removeHeader: true, headerField: X-User";
    let limit = "{rateLimit: {average: 1, period: 1m, \
        sourceCriterion: {requestHeaderName: X-User}}}";
    let mut pair = pair(&format!("{}\nb: {limit}", guard(more)));
    let client = ask(&mut pair, &format!("{AL}X-User: forged\r\n"));
    tell(&mut pair, "open sesame", true);
    let origin = pair.dialed();
    let sent = pair.got(origin);
    assert!(sent.contains("X-User: al\r\n"), "{sent}");
    assert!(!sent.contains("Authorization") && !sent.contains("forged"), "{sent}");
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    // Steps further in see the user, too.
    let other = pair.answer(&get(&format!("{AL}X-User: else\r\n")));
    assert!(other.starts_with("HTTP/1.1 429 "), "{other}");
    pair.nothing_more();
}

#[test]
fn a_password_that_changed_is_compared_again() {
    let mut site = Site::new(ENTRY);
    let mut pair = Pair::of(site.view(&guard("")), Limits::default());
    let client = ask(&mut pair, AL);
    tell(&mut pair, "open sesame", true);
    let origin = pair.dialed();
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    let changed = guard("").replace(HASH, "{SHA}W8r/fyL/UzygmbNAjq2HbA67qac=");
    pair.publish_view(site.view(&changed));
    ask(&mut pair, AL);
    let (job, what) = pair.job().expect("a password is to be compared");
    assert!(matches!(what, Job::Verify { hash, .. } if hash.starts_with("{SHA}")));
    pair.finish_job(job, Answer::Verified(false));
    pair.publish_view(site.view(&guard("")));
    pair.send(client, get(AL));
    assert!(pair.job().is_none());
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    let last = pair.last_client();
    assert_eq!(pair.own(last), WHO);
    pair.nothing_more();
}

/// `Mufasa` of the realm `traefik`, whose password is `Circle Of Life`.
fn digest_guard() -> String {
    let stored = hex("Mufasa:traefik:Circle Of Life");
    format!(
        "a: {{digestAuth: {{users: ['Mufasa:traefik:{stored}'], headerField: X-User, \
         removeHeader: true}}}}"
    )
}

fn hex(text: &str) -> String {
    String::from_utf8_lossy(&Md5::default().write(text.as_bytes()).hex()).into_owned()
}

/// What a client that knows the password says to a challenge.
fn proved(challenge: &str) -> String {
    let nonce = challenge.split("nonce=\"").nth(1).and_then(|it| it.split('"').next());
    let nonce = nonce.expect("a challenge has a nonce");
    let (stored, asked) = (hex("Mufasa:traefik:Circle Of Life"), hex("GET:/"));
    let response = hex(&format!("{stored}:{nonce}:00000001:c:auth:{asked}"));
    format!(
        "Authorization: Digest username=\"Mufasa\", realm=\"traefik\", nonce=\"{nonce}\", \
         uri=\"/\", qop=auth, nc=00000001, cnonce=\"c\", response=\"{response}\"\r\n"
    )
}

#[test]
fn a_client_proves_by_digest_who_it_is() {
    let mut pair = pair(&digest_guard());
    let challenge = pair.answer(&get(""));
    assert!(challenge.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{challenge}");
    assert!(challenge.contains("WWW-Authenticate: Digest realm=\"traefik\", nonce="));
    let said = proved(&challenge);
    let client = pair.open();
    pair.send(client, get(&said));
    let origin = pair.dialed();
    let sent = pair.got(origin);
    assert!(sent.contains("X-User: Mufasa\r\n") && !sent.contains("Authorization"), "{sent}");
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    let wrong = pair.answer(&get(&said.replace("Mufasa", "Scar")));
    assert!(wrong.starts_with("HTTP/1.1 401 ") && !wrong.contains("stale"), "{wrong}");
    pair.pass(Span::secs(301));
    let stale = pair.answer(&get(&said));
    assert!(stale.starts_with("HTTP/1.1 401 ") && stale.contains(", stale=true\r\n"), "{stale}");
    passed_with(&mut pair, &proved(&stale));
    pair.nothing_more();
}

fn passed_with(pair: &mut Pair, fields: &str) {
    super::passed(pair, &get(fields));
}

#[test]
fn users_of_a_file_come_and_go_with_it_and_the_last_good_ones_stay() {
    let mut site = Site::new(ENTRY);
    let path: Arc<str> = "users".into();
    let put = |site: &mut Site, text: &str| {
        let text = Secret::new(text.replace("HASH", HASH).as_bytes());
        site.compiler.set_file(&path, Ok(text));
    };
    site.compiler.set_files(BTreeSet::from([Arc::clone(&path)]));
    put(&mut site, "# staff\nal:HASH\n");
    let mut pair = Pair::of(site.view("a: {basicAuth: {usersFile: users}}"), Limits::default());
    let client = ask(&mut pair, AL);
    tell(&mut pair, "open sesame", true);
    let origin = pair.dialed();
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);

    put(&mut site, "al:HASH\nnonsense\n");
    let build = site.compiler.build().expect("a problem is news");
    let told: Vec<String> = build.diagnostics.iter().map(ToString::to_string).collect();
    let expected = "users: line 2: expected a line of htpasswd; the users of its last good reading";
    assert!(told.iter().any(|line| line.contains(expected)), "{told:?}");
    pair.publish_view(Arc::new(build.view));
    pair.send(client, get(AL));
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK, "who was known stays known");

    put(&mut site, "bo:HASH\n");
    let build = site.compiler.build().expect("other users are news");
    assert!(build.diagnostics.is_empty(), "{:?}", build.diagnostics);
    pair.publish_view(Arc::new(build.view));
    pair.send(client, get(AL));
    tell(&mut pair, "open sesame", true);
    assert_eq!(pair.own(client), WHO);
    pair.nothing_more();
}

#[test]
fn nobody_passes_by_a_file_that_never_was_good() {
    let mut site = Site::new(ENTRY);
    let path: Arc<str> = "users".into();
    site.compiler.set_files(BTreeSet::from([Arc::clone(&path)]));
    site.compiler.set_file(&path, Err("there is no such file".to_owned()));
    let mut pair = Pair::of(site.view("a: {digestAuth: {usersFile: users}}"), Limits::default());
    let digest = "Authorization: Digest username=\"al\"\r\n";
    assert!(pair.answer(&get(digest)).starts_with("HTTP/1.1 401 Unauthorized\r\n"));
    let mut pair = Pair::of(site.view("a: {basicAuth: {usersFile: users}}"), Limits::default());
    let client = ask(&mut pair, AL);
    while let Some((job, _)) = pair.job() {
        pair.finish_job(job, Answer::Verified(true));
    }
    assert_eq!(pair.own(client), WHO);
    pair.nothing_more();
}

#[test]
fn the_log_names_who_asked_and_nobody_who_only_said_so() {
    let fixed = format!("{ENTRY}\naccessLog: {{}}");
    let mut pair = Pair::of(Site::new(&fixed).view(&guard("")), Limits::default());
    let client = ask(&mut pair, AL);
    tell(&mut pair, "open sesame", true);
    let origin = pair.dialed();
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.send(client, get(WRONG));
    tell(&mut pair, "wrong", false);
    pair.pass(Span::secs(1));
    let users: Vec<&str> = pair.log.lines().filter_map(|line| line.split(' ').nth(2)).collect();
    assert_eq!(users, ["al", "-"], "{}", pair.log);
}
