//! A rehearsal, as text and as JSON.

use super::{Event, Rehearsal, What};
use crate::foresight::documents::Written;
use crate::foresight::report::put;
use engine::base::text::rfc3339;
use engine::base::time::Span;
use engine::config::fixed::OnStale;
use serde_json::{Value, json};

/// To the second.
fn date(seconds: u64) -> String {
    let mut out = Vec::new();
    rfc3339(seconds.saturating_mul(1_000_000_000), &mut out);
    out.truncate(19);
    out.push(b'Z');
    String::from_utf8(out).expect("a date is ASCII")
}

fn later(after: Span) -> String {
    let millis = after.as_millis();
    format!("{}.{:03}s", millis / 1_000, millis % 1_000)
}

/// What becomes of children that do not answer.
pub(super) fn silence(written: &Written) -> Vec<String> {
    let Some(multicluster) = &written.fixed.multicluster else { return Vec::new() };
    let rule = |on_stale: OnStale| match on_stale {
        OnStale::Keep => "what it last said stays in use for good".to_owned(),
        OnStale::Demote { after } => format!("it serves only where no other does after {after}"),
        OnStale::Withdraw { after } => format!("it serves nobody after {after}"),
        OnStale::Decay { after, over } => {
            format!("its weight falls from {after} on, to nothing in {over}")
        }
    };
    let told = multicluster.children.iter().map(|child| {
        format!("{} -> {}: without an answer {}", written.name, child.name, rule(child.on_stale))
    });
    told.collect()
}

fn told(event: &Event) -> String {
    let place = &event.place;
    match &event.what {
        What::Expires { role, label, names } => {
            format!("{place}: {role} {label} ({names}) expires")
        }
        What::Begins { role, label, names } => {
            format!("{place}: {role} {label} ({names}) begins to be good")
        }
        What::Shown { label, names, entries } => format!(
            "{place}: STOPS for clients that are shown {label} ({names}) at {}",
            entries.join(", ")
        ),
        What::Falls { child, why, .. } => format!("{place} -> {child}: STOPS, no handshake: {why}"),
        What::Stands { child } => format!("{place} -> {child}: handshakes stand again"),
    }
}

impl Rehearsal {
    pub fn text(&self) -> String {
        let mut out = String::new();
        let (from, until) = (date(self.window.at), date(self.window.end()));
        put(
            &mut out,
            format_args!(
                "From {from} to {until}, if nobody replaces a file ({} handshakes made)",
                self.handshakes
            ),
        );
        for line in &self.already {
            put(&mut out, format_args!("already               {line}"));
        }
        for event in &self.events {
            put(&mut out, format_args!("{}  {}", date(event.at), told(event)));
            let What::Falls { after, stops, .. } = &event.what else { continue };
            for moment in after {
                put(
                    &mut out,
                    format_args!(
                        "{:>20}  {} {}",
                        format!("+{}", later(moment.after)),
                        moment.place,
                        moment.what
                    ),
                );
            }
            for router in stops {
                put(&mut out, format_args!("{:>20}  router {router} answers 503", ""));
            }
            if stops.is_empty() {
                put(&mut out, format_args!("{:>20}  every router goes on", ""));
            }
        }
        if self.events.is_empty() && self.already.is_empty() {
            put(&mut out, format_args!("nothing runs out"));
        }
        if !self.notes.is_empty() {
            put(&mut out, format_args!("\nBeside that:"));
        }
        self.notes.iter().for_each(|note| put(&mut out, format_args!("  {note}")));
        out
    }

    pub fn json(&self) -> Value {
        json!({
            "from": date(self.window.at),
            "until": date(self.window.end()),
            "stops": self.stops(),
            "already": self.already,
            "events": self.events.iter().map(as_json).collect::<Value>(),
            "notes": self.notes,
            "handshakes": self.handshakes,
        })
    }
}

fn as_json(event: &Event) -> Value {
    let mut value = json!({ "at": date(event.at), "place": event.place, "what": told(event) });
    if let What::Falls { child, after, stops, .. } = &event.what {
        value["child"] = json!(child);
        let moments = after.iter().map(|moment| {
            json!({
                "afterMillis": moment.after.as_millis(),
                "place": moment.place,
                "what": moment.what,
            })
        });
        value["after"] = moments.collect();
        value["routersThatStop"] = json!(stops);
    }
    value
}
