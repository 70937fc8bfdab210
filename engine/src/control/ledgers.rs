//! What workers tell of the Redis that requests are counted in: said once when it goes away and
//! once when it is back, and shown as a problem in between.

use super::machine::Control;
use crate::base::diag::Diagnostic;
use crate::base::id::TargetId;
use crate::base::line::{Level, LogLine};
use crate::base::time::Time;
use crate::boundary::LedgerFault;
use crate::config::typed::{MiddlewareKind, RateLimit};
use crate::view::View;
use std::collections::BTreeMap;

/// Those that could not be asked when they were last.
#[derive(Debug, Default)]
pub(super) struct Ledgers(BTreeMap<TargetId, LedgerFault>);

impl Ledgers {
    /// False if that is known.
    fn note(&mut self, target: TargetId, fault: Option<LedgerFault>) -> bool {
        match fault {
            Some(fault) => self.0.insert(target, fault) != Some(fault),
            None => self.0.remove(&target).is_some(),
        }
    }

    pub(super) fn diagnose(&self, view: &View, out: &mut Vec<Diagnostic>) {
        for (target, fault) in &self.0 {
            let Some((address, path)) = user(view, *target) else { continue };
            let text = format!(
                "{address}: {}; requests that are counted there are answered 500",
                fault.text()
            );
            out.push(Diagnostic::warning("redis-away", path, text));
        }
    }
}

/// Where a Redis is, and the first of the middlewares that count there.
fn user(view: &View, target: TargetId) -> Option<(String, String)> {
    let target = view.targets.get(target.0)?;
    view.model.middlewares.iter().find_map(|info| {
        let MiddlewareKind::RateLimit(RateLimit { redis: Some(redis), .. }) = &info.definition.kind
        else {
            return None;
        };
        let same = redis.endpoint == target.authority && redis.transport == target.transport;
        let name = info.definition.name.split('@').next().unwrap_or_default();
        same.then(|| (redis.address(), format!("http.middlewares.{name}.rateLimit.redis")))
    })
}

impl Control {
    pub(super) fn on_ledger(&mut self, target: TargetId, fault: Option<LedgerFault>, now: Time) {
        if !self.ledgers.note(target, fault) {
            return;
        }
        self.publisher.problems_changed();
        let view = self.publisher.view();
        let Some((address, _)) = user(&view, target) else { return };
        let line = match fault {
            Some(fault) => {
                let text = "Redis does not count, requests are refused";
                LogLine::new(Level::Error, now, text).field("cause", fault.text())
            }
            None => LogLine::new(Level::Info, now, "Redis counts again"),
        };
        self.journal.say(line.field("redis", address));
    }
}
