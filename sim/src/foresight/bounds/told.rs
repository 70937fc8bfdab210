//! Requests that can fail, as text and as JSON.

use super::form::Trouble;
use super::report::{told, told_worst};
use super::tally::Row;
use super::toll::{Toll, tries_in_an_hour};
use super::ways::Asked;
use super::{Bound, Judged, Tally};
use crate::foresight::report::put;
use engine::base::time::Span;
use serde_json::{Value, json};

impl Judged {
    /// How many requests can fail, and how they do.
    pub(super) fn failing(&self, out: &mut String, rate: Option<u64>) {
        let timing = &self.unit.timing;
        let window = |trouble| self.window(trouble, rate);
        put(out, format_args!("  requests whose turn it is that can fail:"));
        put(out, format_args!("    refused      {}, answered at once", window(Trouble::Refused)));
        let wait = match timing.header_timeout {
            Span::ZERO => "as long as their clients do".to_owned(),
            timeout => format!("{timeout}, by responseHeaderTimeout"),
        };
        let (dial, hung) = (timing.dial_timeout, window(Trouble::BlackHoled));
        put(out, format_args!("    black-holed  {hung}, and those under way; they wait {wait},"));
        put(
            out,
            format_args!(
                "                 or {dial} by dialTimeout if they are the first to connect"
            ),
        );
        put(out, format_args!("    5xx          {}, as it answers them", window(Trouble::Failing)));
        self.again(out);
    }

    fn bound(&self, trouble: Trouble) -> Option<&Bound> {
        self.bounds.iter().find(|bound| bound.trouble == trouble)
    }

    /// What begins before nobody is sent there any more.
    fn window(&self, trouble: Trouble, rate: Option<u64>) -> String {
        let toll = self.bound(trouble).and_then(|bound| self.unit.toll(bound, rate));
        let failed = self.unit.ejected(trouble, rate);
        let most = |toll: &Toll| match rate {
            Some(rate) => format!(", at most {}", toll.at(rate)),
            None => String::new(),
        };
        match (toll, failed) {
            (None, _) => "all, for as long as it lasts".to_owned(),
            (Some(toll), Some(failed)) if toll == failed => told_toll(&toll) + &most(&toll),
            (Some(toll), Some(failed)) if rate.is_none() => {
                format!("{}, or {} if they come close enough", told_toll(&toll), told_toll(&failed))
            }
            (Some(toll), _) => told_toll(&toll) + &most(&toll),
        }
    }

    /// Without an active check it is tried again.
    fn again(&self, out: &mut String) {
        let timing = &self.unit.timing;
        let Some(passive) = timing.passive.as_ref().filter(|_| self.unit.stood_in) else { return };
        if timing.check.is_none() {
            let tries = tries_in_an_hour(passive);
            let rest = passive.failure_window;
            put(
                out,
                format_args!(
                    "    and as many again each time that it is tried: after {rest}, then after twice as \
                     long each time,\n    {} at most; {tries} times in the first hour",
                    rest.times(16)
                ),
            );
        }
    }

    pub(super) fn tallies(&self, out: &mut String, rate: u64) {
        let bounded = |row: &Row| row.failing.is_some() || row.moved.is_some();
        for tally in self.tallies.iter().filter(|tally| tally.rows.iter().any(bounded)) {
            let routers = tally.way.routers.join(", ");
            put(out, format_args!("  {rate} requests/s whose turn it is, by {routers}:"));
            put(
                out,
                format_args!(
                    "  {:<17}{:>8}{:>11}{:>11}{:>11}   most of it",
                    "", "can fail", "searched", "moved", "searched"
                ),
            );
            tally.rows.iter().for_each(|row| row.text(out));
        }
    }
}

fn told_toll(toll: &Toll) -> String {
    let within = told(toll.within.total());
    match toll.first {
        0 => format!("those of {within}"),
        1 => format!("the first and those of {within}"),
        first => format!("the first {first} and those of {within}"),
    }
}

impl Row {
    fn name(&self) -> String {
        match self.asked {
            Some(asked) => format!("{} {}", self.trouble.name(), asked.method()),
            None => self.trouble.name().to_owned(),
        }
    }

    fn text(&self, out: &mut String) {
        let failing = self.failing.map_or_else(|| "all".to_owned(), |count| count.to_string());
        let searched =
            self.searched.map_or_else(|| "-".to_owned(), |searched| searched.failed.to_string());
        let moved = self.moved.map_or_else(|| "never".to_owned(), told);
        let seen = self.searched.filter(|_| self.moved.is_some()).map(|searched| searched.moved);
        put(
            out,
            format_args!(
                "  {:<17}{failing:>8}{searched:>11}{moved:>11}{:>11}   {}",
                self.name(),
                told_worst(seen),
                self.by
            ),
        );
    }

    fn json(&self) -> Value {
        let method = self.asked.map(Asked::method);
        json!({
            "trouble": self.trouble.name(),
            "method": method,
            "canFail": self.failing,
            "movedMicros": self.moved.map(|moved| moved.nanos() / 1_000),
            "mostOfIt": self.by,
            "searched": self.searched.map(|searched| json!({
                "failed": searched.failed,
                "moved": told_worst(Some(searched.moved)),
                "runs": searched.runs,
                "requests": searched.requests,
            })),
        })
    }
}

impl Tally {
    pub(super) fn json(&self) -> Value {
        let rows = self.rows.iter().map(Row::json);
        json!({ "routers": self.way.routers, "requests": rows.collect::<Value>() })
    }
}
