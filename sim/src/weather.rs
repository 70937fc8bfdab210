//! What happens to hosts, clocks, files and children while a run is under way.

use crate::actors::server::{Health, Script};
use crate::fault::Kind;
use crate::plan::{Document, Kind as ServiceKind, Step, Uplink};
use crate::secure::rotation::Rotation;
use crate::site::Child;
use crate::world::{Parcel, World, scene};
use engine::base::time::Span;
use std::fmt::Write;

/// What the weather remembers.
#[derive(Debug, Default)]
pub(crate) struct Weather {
    adverts: u32,
    pub(crate) rotation: Rotation,
}

impl World {
    /// Now and then something happens.
    pub(crate) fn weather(&mut self) {
        if !self.net.faults.active() {
            return;
        }
        self.host_weather();
        self.control_weather();
        self.secrecy_weather();
        self.time_weather();
        let next = Span::millis(300 + self.publication.below(1_500));
        self.send(next, Parcel::Weather);
    }

    fn host_weather(&mut self) {
        if self.net.faults.strikes(Kind::OriginDown) {
            let server = self.draw_server();
            self.fell(server);
            let back = Span::millis(self.net.faults.chance.between(100, 15_000));
            self.send(back, Parcel::Revive { server });
        }
        if self.net.faults.strikes(Kind::HealthFlips) {
            self.net.faults.observed(Kind::HealthFlips);
            let server = self.draw_server();
            let silent = self.net.faults.chance.one_in(2);
            self.servers[server].health = if silent { Health::Silent } else { Health::Bad };
            self.book.unhealthy = Some(self.net.now);
            let back = Span::millis(self.net.faults.chance.between(500, 15_000));
            self.send(back, Parcel::Heal { server });
        }
        if self.net.faults.strikes(Kind::Crash) {
            self.stop_instance(Kind::Crash);
        }
        if self.net.faults.strikes(Kind::Drain) {
            self.stop_instance(Kind::Drain);
        }
    }

    fn draw_server(&mut self) -> usize {
        let at = self.net.faults.chance.below(self.servers.len() as u64);
        usize::try_from(at).expect("below a length")
    }

    fn fell(&mut self, number: usize) {
        self.net.faults.observed(Kind::OriginDown);
        self.book.unhealthy = Some(self.net.now);
        let addr = self.servers[number].addr;
        self.net.unlisten(addr);
        let mut scene = scene!(self);
        self.servers[number].crash(&mut scene);
    }

    pub(crate) fn revive(&mut self, number: usize) {
        let server = &self.servers[number];
        if !server.absent && !self.net.listens(server.addr) {
            self.net.listen(server.addr, server.actor);
        }
    }

    /// An instance drains or crashes, and comes back after a while.
    fn stop_instance(&mut self, how: Kind) {
        let number = self.net.faults.chance.below(self.gateways.len() as u64);
        let number = usize::try_from(number).expect("below a length");
        if !self.gateways[number].up {
            return;
        }
        self.net.faults.observed(how);
        let pause = Span::millis(self.net.faults.chance.between(50, 6_000));
        let grace = Span::millis(10 + self.net.faults.chance.size(4_000));
        self.book.stops.push((self.net.now, self.net.now + pause + grace));
        self.book.unhealthy = Some(self.net.now);
        if how == Kind::Drain {
            let stop = self.book.stops.len() - 1;
            // No entry point grants less than three seconds.
            self.book.drains.push((stop, self.net.now + grace.min(Span::secs(3))));
            self.drain(number, grace);
            // The process is gone soon after its grace is over, and is started again.
            let life = self.gateways[number].lives;
            self.send(grace + Span::millis(20), Parcel::Kill { gateway: number, life });
        } else {
            self.crash(number);
        }
        self.send(grace + pause, Parcel::Restart { gateway: number });
    }

    fn control_weather(&mut self) {
        if self.net.faults.strikes(Kind::Reload) {
            self.net.faults.observed(Kind::Reload);
            self.edit_parent();
        }
        if self.net.faults.strikes(Kind::AdvertFlaps) {
            self.edit_child(false);
        }
        if self.net.faults.strikes(Kind::AdvertLies) {
            self.edit_child(true);
        }
    }

    fn time_weather(&mut self) {
        if self.net.faults.strikes(Kind::Pause) {
            self.net.faults.observed(Kind::Pause);
            let number = self.net.faults.chance.below(self.hosts.len() as u64);
            let number = u16::try_from(number).expect("a run has few hosts");
            let span = Span::millis(self.net.faults.chance.size(12_000));
            self.net.pause(number, span);
        }
        if self.net.faults.strikes(Kind::TimeJump) {
            self.net.faults.observed(Kind::TimeJump);
            self.book.unhealthy = Some(self.net.now);
            let span = match self.net.faults.chance.below(3) {
                0 => Span::secs(self.net.faults.chance.between(1, 7_200)),
                _ => Span::millis(self.net.faults.chance.size(30_000)),
            };
            self.net.jump(span);
            self.net.faults.felt(Kind::TimeJump, self.net.now);
        }
    }

    // Configuration.

    fn edit_parent(&mut self) {
        let mut document = self.gateways[0].document().clone();
        document.version += 1;
        for _ in 0..=self.net.faults.chance.below(2) {
            self.edit(&mut document);
        }
        self.book.documents.push(document.clone());
        self.gateways[0].documents.push(document);
        self.lay_out();
        let delay = Span::millis(self.net.faults.chance.size(400));
        self.send(delay, Parcel::Changed { gateway: 0 });
    }

    fn edit(&mut self, document: &mut Document) {
        let chance = &mut self.net.faults.chance;
        let any = |chance: &mut crate::entropy::Stream, length: usize| {
            usize::try_from(chance.below(length as u64)).expect("below a length")
        };
        match chance.below(6) {
            0 if document.routers.len() > 1 => {
                let at = any(chance, document.routers.len());
                document.routers.remove(at);
            }
            1 => {
                let at = any(chance, document.services.len());
                let version = document.version;
                let service = &mut document.services[at];
                match &mut service.kind {
                    ServiceKind::Balancer { servers, .. } => {
                        // Decided by what was drawn anyway.
                        if version.is_multiple_of(2) {
                            service.strategy = service.strategy.next();
                        }
                        servers[0].weight = 1 + small(chance.below(6));
                    }
                    ServiceKind::Weighted(members) => members[0].1 = small(chance.below(9)),
                    ServiceKind::Failover { main, fallback, .. } => std::mem::swap(main, fallback),
                    ServiceKind::Mirroring { mirrors, .. } => {
                        mirrors[0].1 = *chance.pick(&[100, 0, 7, 50]);
                    }
                }
            }
            2 if chance.one_in(3) => {
                let at = any(chance, document.services.len());
                if document.services[at].name != "shadow" {
                    document.services[at].middlewares = vec!["fields".into()];
                }
            }
            2 if !document.routers.is_empty() => {
                let at = any(chance, document.routers.len());
                document.routers[at].middlewares = vec!["fields".into()];
            }
            3 => {
                for middleware in &mut document.middlewares {
                    if let Step::Headers { request, .. } = &mut middleware.kind {
                        request[0].1 = format!("v{}", document.version);
                    }
                }
            }
            4 => {
                let at = any(chance, document.services.len());
                if let ServiceKind::Balancer { servers, check, .. } =
                    &mut document.services[at].kind
                {
                    if servers.len() > 1 {
                        servers.pop();
                    } else {
                        *check = None;
                    }
                }
            }
            _ if !document.routers.is_empty() => {
                let at = any(chance, document.routers.len());
                document.routers[at].priority =
                    Some(1 + i64::try_from(chance.below(99)).expect("small"));
            }
            _ => {}
        }
    }

    fn edit_child(&mut self, lie: bool) {
        if self.site.children.is_empty() {
            return;
        }
        let at = self.net.faults.chance.below(self.site.children.len() as u64);
        let at = usize::try_from(at).expect("below a length");
        self.weather.adverts += 1;
        let number = self.weather.adverts;
        let weight = small(self.net.faults.chance.below(6));
        match &mut self.site.children[at] {
            Child::Played { server, uplinks } => {
                let server = *server;
                if let Some(uplink) = uplinks.first_mut() {
                    uplink.weight = weight;
                }
                if weight == 0 {
                    uplinks.truncate(1);
                }
                let mut script = Script::of(uplinks, 100 + number);
                if lie {
                    let (body, means) = *self.net.faults.chance.pick(LIES);
                    script.body = body.into();
                    script.means = means.map(|names| names.iter().map(|name| bare(name)).collect());
                }
                self.servers[server].advert = Some(script);
                let kind = if lie { Kind::AdvertLies } else { Kind::AdvertFlaps };
                self.net.faults.observed(kind);
            }
            Child::Ours(instance) if !lie => {
                let name = instance.name.clone();
                let found = self.gateways.iter().position(|at| at.instance.name == name);
                let Some(gateway) = found else { return };
                let mut document = self.gateways[gateway].document().clone();
                document.version += 1;
                if let Some(uplink) = document.uplinks.first_mut() {
                    uplink.weight = weight;
                }
                self.gateways[gateway].documents.push(document);
                self.lay_out();
                self.net.faults.observed(Kind::AdvertFlaps);
                self.send(Span::millis(10), Parcel::Changed { gateway });
            }
            Child::Ours(_) => {}
        }
    }
}

/// An uplink of which nothing is said but its name.
fn bare(name: &str) -> Uplink {
    Uplink { name: name.into(), weight: 1, check: None, passive: false }
}

/// Advertisements that are JSON and cannot be, or that are odd; those have the uplinks they mean.
const LIES: &[(&str, Option<&[&str]>)] = &[
    (r#"[{"name":"shop","weight":-3}]"#, None),
    (r#"[{"name":"shop","weight":1},{"name":"shop","weight":9}]"#, None),
    (r#"[{"name":"","weight":1},{"weight":2},17,null]"#, None),
    (r#"[{"name":"shop","weight":99999999999}]"#, None),
    (r#"[{"name":"shop","healthCheck":{"path":"http://10.9.9.9/steal","interval":"1ns"}}]"#, None),
    (r#"{"name":"shop"}"#, None),
    (r#"[{"name":"shop-c0"},{"name":"shop"}]"#, Some(&["shop-c0", "shop"])),
    (r#"[{"name":"../../etc","weight":1},{"name":"a\r\nX-Evil: 1","weight":1}]"#, None),
    ("[]", Some(&[])),
];

fn small(value: u64) -> u32 {
    u32::try_from(value).expect("drawn small")
}

impl Script {
    /// What a child with these uplinks answers.
    pub fn of(uplinks: &[Uplink], version: u32) -> Self {
        let mut body = String::from("[");
        for (at, uplink) in uplinks.iter().enumerate() {
            let Uplink { name, weight, check, passive } = uplink;
            let comma = if at > 0 { "," } else { "" };
            let checked = check.map_or(String::new(), |check| {
                let (interval, timeout) = (check.interval.as_millis(), check.timeout.as_millis());
                format!(
                    r#","healthCheck":{{"path":"/health","interval":"{interval}ms","timeout":"{timeout}ms"}}"#
                )
            });
            let eject = if *passive {
                r#","passiveHealthCheck":{"failureWindow":"2s","maxFailedAttempts":2}"#
            } else {
                ""
            };
            write!(
                body,
                r#"{comma}{{"name":"{name}","entryPoints":["up"],"weight":{weight}{checked}{eject},"future":[1]}}"#
            )
            .expect("writing to a string");
        }
        body.push(']');
        let tagged = uplinks.len() != 1;
        let etag = tagged.then(|| format!("\"v{version}\""));
        Self { body, etag, means: Some(uplinks.to_vec()) }
    }
}
