//! Health: P1. What control machines send and get on the connections of probes is read from
//! outside, each probe has one outcome, and a view shows the last one. Probes follow one another
//! at their interval.

use super::{Oracle, Verdict};
use crate::actors::server::THERE;
use engine::base::id::ConnId;
use engine::base::time::{Span, Time};
use engine::boundary::Fault;
use engine::config::typed::{HealthCheck, ServiceKind};
use engine::view::model::Definition;
use engine::view::status::Health;
use engine::view::{NodeKind, ServerNode, View};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// What happened on the connections of a control machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    Dialed {
        conn: ConnId,
        to: SocketAddr,
    },
    /// Offered to be written: all that was not written before.
    Asked {
        conn: ConnId,
        bytes: Vec<u8>,
    },
    /// So much of that was written.
    Sent {
        conn: ConnId,
        count: usize,
    },
    Got {
        conn: ConnId,
        bytes: Vec<u8>,
    },
    Failed {
        conn: ConnId,
        fault: Fault,
    },
    Closed {
        conn: ConnId,
    },
}

/// Whom a probe asks, by what tells probes apart on the wire.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Whom {
    /// As in the URL of the server: an address, or a name.
    authority: String,
    uplink: Option<String>,
    path: String,
}

impl Whom {
    /// Of a name nobody here knows the addresses.
    fn is_named(&self) -> bool {
        self.authority.parse::<SocketAddr>().is_err()
    }

    fn may_be_at(&self, to: SocketAddr) -> bool {
        self.authority.parse().map_or(true, |own: SocketAddr| own == to)
    }
}

/// How a probe ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Status(u16),
    Failed,
    /// Given up by its machine, after so long.
    GivenUp(Span),
    /// The connection failed before anything was sent: it may have been meant for another probe,
    /// or for a poll.
    Perhaps,
}

#[derive(Debug)]
struct Dial {
    to: SocketAddr,
    began: Time,
    whom: Option<Whom>,
    got: Vec<u8>,
    over: bool,
}

/// What is known of one whom.
#[derive(Debug, Default)]
struct Story {
    outcomes: Vec<(Time, Outcome)>,
    /// A redirect was answered to the probe that began then, and it goes on.
    goes_on: Option<Time>,
    began: Option<Time>,
}

/// A server that is checked, as views have it.
#[derive(Clone, PartialEq, Debug)]
struct Subject {
    service: String,
    check: HealthCheck,
    exactly: bool,
    /// Unchanged since after this instant, and surely since `sure`.
    after: Time,
    sure: Time,
}

/// Which servers something is expected of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judged {
    None,
    /// Those whose names need not be resolved.
    Addresses,
    All,
}

impl Judged {
    fn has(self, whom: &Whom) -> bool {
        match self {
            Self::None => false,
            Self::Addresses => !whom.is_named(),
            Self::All => true,
        }
    }
}

/// One instance's probes.
#[derive(Debug, Default)]
pub struct Probes {
    dials: BTreeMap<ConnId, Dial>,
    stories: BTreeMap<Whom, Story>,
    subjects: BTreeMap<Whom, Subject>,
    /// Asked for by more than one check: nobody can tell their probes apart.
    shared: BTreeSet<Whom>,
    /// The last connection to an address that failed before anything was sent.
    in_vain: BTreeMap<SocketAddr, Time>,
    viewed: Time,
}

/// A probe may begin this much later than its interval says, if nothing goes wrong.
const SLACK: Span = Span::millis(500);

impl Probes {
    /// Takes in what happened in one call of the machine. Of those that are `undisturbed` nothing
    /// in this run makes a probe late: no fault, and no bound on how many are under way.
    pub fn hear(&mut self, heard: &Heard, undisturbed: Judged, now: Time, verdict: &mut Verdict) {
        match heard {
            Heard::Dialed { conn, to } => {
                let dial = Dial { to: *to, began: now, whom: None, got: Vec::new(), over: false };
                self.dials.insert(*conn, dial);
            }
            Heard::Asked { conn, bytes } => {
                // What a redirect leads to belongs to the probe that began before.
                if let Some((whom, true)) = self.asked(*conn, bytes) {
                    self.began(&whom, *conn, undisturbed, now, verdict);
                }
            }
            Heard::Sent { .. } => {}
            Heard::Got { conn, bytes } => self.got(*conn, bytes, now),
            Heard::Failed { conn, fault } => {
                let inconclusive = matches!(fault, Fault::NoDescriptors | Fault::NoPages);
                match inconclusive {
                    true => self.over(*conn, None, now),
                    false => self.over(*conn, Some(Outcome::Failed), now),
                }
            }
            Heard::Closed { conn } => {
                let began = self.dials.get(conn).map_or(now, |dial| {
                    let story = dial.whom.as_ref().and_then(|whom| self.stories.get(whom));
                    story.and_then(|story| story.goes_on).unwrap_or(dial.began)
                });
                self.over(*conn, Some(Outcome::GivenUp(now.since(began))), now);
                self.dials.remove(conn);
            }
        }
    }

    /// Whom a request asks, if it is a probe's, and whether the probe begins with it.
    fn asked(&mut self, conn: ConnId, bytes: &[u8]) -> Option<(Whom, bool)> {
        let dial = self.dials.get_mut(&conn).filter(|dial| dial.whom.is_none())?;
        let text = String::from_utf8_lossy(bytes);
        let asked = read_probe(&text).filter(|(whom, _)| whom.may_be_at(dial.to));
        match &asked {
            Some((whom, _)) => dial.whom = Some(whom.clone()),
            None => dial.over = true,
        }
        asked
    }

    fn began(
        &mut self,
        whom: &Whom,
        conn: ConnId,
        undisturbed: Judged,
        now: Time,
        verdict: &mut Verdict,
    ) {
        let began = self.dials[&conn].began;
        let story = self.stories.entry(whom.clone()).or_default();
        story.goes_on = None;
        let there = self.in_vain.iter().filter(|(to, _)| whom.may_be_at(**to));
        let in_vain = there.map(|(_, at)| *at).max();
        let before = story.began.replace(began).max(in_vain);
        let Some(subject) = self.subjects.get(whom).filter(|_| undisturbed.has(whom)) else {
            return;
        };
        let Some(before) = before.filter(|before| *before > subject.sure) else { return };
        let pause = subject.check.interval.max(subject.check.timeout) + SLACK;
        if began > before + pause && !self.shared.contains(whom) {
            verdict.add(Oracle::P1, now, || {
                format!("{whom:?} was probed at {before} and then not before {began}: {subject:?}")
            });
        }
    }

    fn got(&mut self, conn: ConnId, bytes: &[u8], now: Time) {
        let Some(dial) = self.dials.get_mut(&conn).filter(|dial| !dial.over) else { return };
        if bytes.is_empty() {
            return self.over(conn, Some(Outcome::Failed), now);
        }
        dial.got.extend_from_slice(bytes);
        let Some((status, redirects)) = final_status(&dial.got) else { return };
        let goes_on = (300..400).contains(&status) && redirects;
        if let (true, Some(whom)) = (goes_on, dial.whom.clone()) {
            dial.over = true;
            let began = dial.began;
            let story = self.stories.entry(whom).or_default();
            story.goes_on = Some(story.goes_on.unwrap_or(began));
        } else {
            self.over(conn, Some(Outcome::Status(status)), now);
        }
    }

    fn over(&mut self, conn: ConnId, outcome: Option<Outcome>, now: Time) {
        let Some(dial) = self.dials.get_mut(&conn) else { return };
        if std::mem::replace(&mut dial.over, true) {
            return;
        }
        let Some(whom) = dial.whom.clone() else {
            let (to, began) = (dial.to, dial.began);
            let last = self.in_vain.entry(to).or_insert(began);
            *last = began.max(*last);
            if outcome.is_some() {
                let there = self.subjects.keys().filter(|whom| whom.may_be_at(to));
                for whom in there.cloned().collect::<Vec<_>>() {
                    let story = self.stories.entry(whom).or_default();
                    story.goes_on = None;
                    story.outcomes.push((now, Outcome::Perhaps));
                }
            }
            return;
        };
        let story = self.stories.entry(whom).or_default();
        story.goes_on = None;
        story.outcomes.extend(outcome.map(|outcome| (now, outcome)));
    }

    /// A view was published: what it shows of every `judged` server is what its last probe said.
    pub fn judge_view(&mut self, view: &View, judged: Judged, now: Time, verdict: &mut Verdict) {
        let seen = checked(view);
        let mut subjects = BTreeMap::new();
        for (whom, mut subject, server) in seen {
            if subjects.contains_key(&whom) {
                self.shared.insert(whom.clone());
            }
            subject.after = self.viewed;
            subject.sure = now;
            if let Some(old) = self.subjects.get(&whom) {
                let same = (&old.service, &old.check) == (&subject.service, &subject.check);
                if same {
                    (subject.after, subject.sure) = (old.after, old.sure);
                }
            }
            if judged.has(&whom) && !self.shared.contains(&whom) {
                let health = view.status.servers.get(server).map(|status| status.health);
                self.judge_one(&whom, &subject, health, now, verdict);
            }
            subjects.insert(whom, subject);
        }
        self.subjects = subjects;
        self.viewed = now;
    }

    fn judge_one(
        &self,
        whom: &Whom,
        subject: &Subject,
        health: Option<Health>,
        now: Time,
        verdict: &mut Verdict,
    ) {
        let Some(health) = health else {
            return verdict.add(Oracle::P1, now, || format!("{whom:?} has a check and no status"));
        };
        let outcomes = self.stories.get(whom).map_or(&[][..], |story| &story.outcomes);
        let mut allowed = vec![Health::Unknown];
        for (at, outcome) in outcomes.iter().filter(|(at, _)| *at >= subject.after) {
            let Some(said) = said(*outcome, subject) else { continue };
            let perhaps = *at <= subject.sure || *at == now || *outcome == Outcome::Perhaps;
            if !perhaps {
                allowed.clear();
            }
            allowed.push(said);
        }
        if !allowed.contains(&health) {
            verdict.add(Oracle::P1, now, || {
                let last = &outcomes[outcomes.len().saturating_sub(4)..];
                format!("{whom:?} is shown {health:?} instead of {allowed:?}: {subject:?} {last:?}")
            });
        }
    }

    /// In quiet times every server that is checked is up, and was probed not long ago.
    pub fn judge_quiet(&self, view: &View, now: Time, verdict: &mut Verdict) {
        for (whom, subject, server) in checked(view) {
            let health = view.status.servers.get(server).map(|status| status.health);
            if health != Some(Health::Up) {
                verdict.add(Oracle::P1, now, || format!("{whom:?} is {health:?} although well"));
            }
            let began = self.stories.get(&whom).and_then(|story| story.began);
            let pause = subject.check.interval + subject.check.timeout + SLACK;
            if began.is_none_or(|began| began + pause < now) {
                verdict.add(Oracle::P1, now, || format!("{whom:?} was probed last at {began:?}"));
            }
        }
    }
}

/// What an outcome says of a server; nothing if the probe was called off.
fn said(outcome: Outcome, subject: &Subject) -> Option<Health> {
    match outcome {
        Outcome::Status(200) => Some(Health::Up),
        Outcome::Status(200..=399) if !subject.exactly => Some(Health::Up),
        Outcome::Status(_) | Outcome::Failed | Outcome::Perhaps => Some(Health::Down),
        Outcome::GivenUp(after) => (after >= subject.check.timeout).then_some(Health::Down),
    }
}

/// Whom a request asks, if it is a probe's, and whether the probe begins with it.
fn read_probe(text: &str) -> Option<(Whom, bool)> {
    let target = text.strip_prefix("GET ")?.split(' ').next()?;
    let path = target.strip_suffix(THERE).unwrap_or(target);
    if !path.starts_with("/health") {
        return None;
    }
    let field = |name: &str| {
        let mut fields = text.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let (authority, uplink) = (field("host")?, field("x-uplink-name"));
    Some((Whom { authority, uplink, path: path.to_owned() }, path == target))
}

/// The status of the first response that is not interim, and whether it names another place.
fn final_status(bytes: &[u8]) -> Option<(u16, bool)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut rest = text;
    loop {
        let (head, tail) = rest.split_once("\r\n\r\n")?;
        let status: u16 = head.split(' ').nth(1)?.parse().ok()?;
        if !(100..200).contains(&status) {
            return Some((status, head.to_ascii_lowercase().contains("\r\nlocation: ")));
        }
        rest = tail;
    }
}

/// Servers with an active check, and their numbers.
fn checked(view: &View) -> Vec<(Whom, Subject, u32)> {
    let mut found = Vec::new();
    for node in view.services.iter() {
        let NodeKind::Balancer { servers, .. } = &node.kind else { continue };
        let info = view.model.services.get(node.id.0);
        let check = info.and_then(|info| match &info.definition {
            Definition::Child { advert, .. } => advert.health_check.clone(),
            Definition::Written(written) => match &written.kind {
                ServiceKind::Balancer(balancer) => balancer.health_check.clone(),
                ServiceKind::Weighted { .. }
                | ServiceKind::Failover(_)
                | ServiceKind::Mirroring(_)
                | ServiceKind::Broken(_) => None,
            },
            Definition::Aggregate { .. } | Definition::Internal(_) => None,
        });
        let Some(check) = check else { continue };
        for server in servers {
            let whom = whom(server, &check.path);
            let (service, check) = (node.name.to_string(), check.clone());
            let (exactly, after) = (server.uplink.is_some(), Time::ZERO);
            let subject = Subject { service, check, exactly, after, sure: after };
            found.push((whom, subject, server.id.0));
        }
    }
    found
}

fn whom(server: &ServerNode, path: &str) -> Whom {
    let (_, authority) = server.url.split_once("://").unwrap_or_default();
    let uplink = server.uplink.as_ref().map(|uplink| uplink.name.to_string());
    Whom { authority: authority.to_owned(), uplink, path: path.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPLINK: Option<&str> = Some("shop");

    fn at(millis: u64) -> Time {
        Time::ZERO + Span::millis(millis)
    }

    fn conn(slot: u32) -> ConnId {
        ConnId { slot, generation: 0 }
    }

    fn server() -> SocketAddr {
        ([10, 0, 2, 3], 8080).into()
    }

    fn dialed(slot: u32) -> Heard {
        Heard::Dialed { conn: conn(slot), to: server() }
    }

    fn asked(slot: u32) -> Heard {
        asked_for(slot, "/health")
    }

    fn asked_for(slot: u32, target: &str) -> Heard {
        let fields = "Host: 10.0.2.3:8080\r\nX-Uplink-Name: shop\r\n";
        let text = format!("GET {target} HTTP/1.1\r\n{fields}\r\n");
        Heard::Asked { conn: conn(slot), bytes: text.into() }
    }

    fn got(slot: u32, head: &str) -> Heard {
        Heard::Got { conn: conn(slot), bytes: format!("HTTP/1.1 {head}\r\n\r\n").into() }
    }

    fn failed(slot: u32, fault: Fault) -> Heard {
        Heard::Failed { conn: conn(slot), fault }
    }

    fn closed(slot: u32) -> Heard {
        Heard::Closed { conn: conn(slot) }
    }

    /// Whether a server that is shown as `health` after these events violates anything.
    #[track_caller]
    fn check(events: &[(u64, Heard)], health: Health, right: bool) {
        let uplink = UPLINK.map(str::to_owned);
        let whom = Whom { authority: server().to_string(), uplink, path: "/health".into() };
        let check = HealthCheck {
            interval: Span::secs(2),
            unhealthy_interval: Span::secs(2),
            timeout: Span::secs(1),
            ..HealthCheck::of_uplink()
        };
        let (after, sure) = (Time::ZERO, at(1));
        let subject = Subject { service: "shop".into(), check, exactly: true, after, sure };
        let (mut probes, mut verdict) = (Probes::default(), Verdict::default());
        probes.subjects.insert(whom.clone(), subject.clone());
        for (millis, heard) in events {
            probes.hear(heard, Judged::All, at(*millis), &mut verdict);
        }
        probes.judge_one(&whom, &subject, Some(health), at(60_000), &mut verdict);
        assert_eq!(verdict.is_clean(), right, "{events:?} {health:?}: {:?}", verdict.all());
    }

    #[test]
    fn health_that_the_last_probe_does_not_tell_is_noticed() {
        let probe = |outcome: Heard| vec![(10, dialed(1)), (10, asked(1)), (20, outcome)];
        let fine = probe(got(1, "200 OK"));
        check(&[], Health::Unknown, true);
        check(&[], Health::Up, false);
        check(&fine, Health::Up, true);
        check(&fine, Health::Down, false);
        check(&fine, Health::Unknown, false);
        let odd = probe(got(1, "204 No Content"));
        check(&odd, Health::Down, true);
        check(&odd, Health::Up, false);
        let interim = probe(got(1, "103 Wait\r\n\r\nHTTP/1.1 200 OK"));
        check(&interim, Health::Up, true);
        check(&interim, Health::Down, false);
        check(&probe(failed(1, Fault::Reset)), Health::Up, false);
        check(&probe(Heard::Got { conn: conn(1), bytes: Vec::new() }), Health::Down, true);
        // That this side is short of something says nothing of the other.
        check(&probe(failed(1, Fault::NoPages)), Health::Unknown, true);
        check(&probe(failed(1, Fault::NoPages)), Health::Down, false);
    }

    #[test]
    fn only_a_probe_that_took_its_whole_time_is_a_failure() {
        let given_up = |millis| vec![(10, dialed(1)), (10, asked(1)), (millis, closed(1))];
        check(&given_up(1_010), Health::Down, true);
        check(&given_up(1_010), Health::Unknown, false);
        check(&given_up(900), Health::Unknown, true);
        check(&given_up(900), Health::Down, false);
    }

    #[test]
    fn a_redirected_probe_has_one_outcome_and_one_beginning() {
        let there = "302 There\r\nLocation: /health/there";
        let mut story = vec![(10, dialed(1)), (10, asked(1)), (500, got(1, there))];
        story.extend([(500, closed(1)), (500, dialed(2)), (510, asked_for(2, "/health/there"))]);
        check(&story, Health::Unknown, true);
        check(&story, Health::Up, false);
        let with = |event| [story.clone(), vec![event]].concat();
        check(&with((600, got(2, "200 OK"))), Health::Up, true);
        check(&with((600, got(2, "503 Bad"))), Health::Up, false);
        check(&with((1_010, closed(2))), Health::Down, true);
        check(&with((1_010, closed(2))), Health::Unknown, false);
        // A chain that nothing came of does not make the next probe a part of it.
        let mut lost = story[..4].to_vec();
        lost.extend([(500, dialed(2)), (510, failed(2, Fault::NoDescriptors))]);
        lost.extend([(2_010, dialed(3)), (2_010, asked(3)), (2_020, got(3, "200 OK"))]);
        lost.extend([(4_010, dialed(4)), (4_010, asked(4)), (4_020, got(4, "200 OK"))]);
        check(&lost, Health::Up, true);
    }

    #[test]
    fn a_probe_that_comes_too_late_is_noticed() {
        let twice = |millis| {
            let mut story = vec![(10, dialed(1)), (10, asked(1)), (20, got(1, "200 OK"))];
            story.extend([(millis, dialed(2)), (millis, asked(2)), (millis, got(2, "200 OK"))]);
            story
        };
        check(&twice(2_010), Health::Up, true);
        check(&twice(2_600), Health::Up, false);
    }
}
