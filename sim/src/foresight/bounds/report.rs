//! Bounds, as text and as JSON.

use super::form::Sum;
use super::surprises::surprises;
use super::{Bound, Bounds, Effort, Judged, Tally, Trouble, Worst};
use crate::foresight::report::put;
use engine::base::time::Span;
use serde_json::{Value, json};

/// Whole milliseconds: what is below them is the model's own.
pub(super) fn told(span: Span) -> String {
    let millis = span.as_millis();
    format!("{}.{:03}s", millis / 1_000, millis % 1_000)
}

pub(super) fn told_worst(worst: Option<Worst>) -> String {
    match worst {
        Some(Worst::After(span)) => told(span),
        Some(Worst::Never) => "never".to_owned(),
        None => "-".to_owned(),
    }
}

fn told_form(form: Option<&Sum>) -> String {
    form.map_or_else(|| "never".to_owned(), |form| told(form.total()))
}

fn dominant(bound: &Bound) -> &'static str {
    bound.forms.found.as_ref().map_or("no setting", Sum::dominant)
}

impl Judged {
    /// `service`, with the child whose offer it is.
    pub fn name(&self) -> String {
        let unit = &self.unit;
        match &unit.child {
            Some((child, _)) => format!("{}: {} of child {child}", unit.process, unit.service),
            None => format!("{}: {} at {}", unit.process, unit.service, unit.url),
        }
    }

    fn text(&self, out: &mut String, rate: Option<u64>) {
        put(out, format_args!("\n{}", self.name()));
        if self.bounds.iter().all(|bound| bound.found.is_none()) {
            put(out, format_args!("  it does not come up although nothing is wrong: not searched"));
        }
        if self.bounds.iter().any(|bound| bound.forms.found.is_some()) {
            self.table(out);
        } else {
            let none = |bound: &Bound| bound.found.is_some_and(|it| it.found == Worst::Never);
            let searched = if self.bounds.iter().all(none) { ", and no run finds it" } else { "" };
            put(out, format_args!("  never found out by the settings{searched}"));
        }
        if self.bounds.iter().any(|bound| self.unit.toll(bound, rate).is_some()) {
            self.failing(out, rate);
        }
        rate.into_iter().for_each(|rate| self.tallies(out, rate));
        for surprise in surprises(self) {
            put(out, format_args!("  * {surprise}"));
        }
    }

    fn table(&self, out: &mut String) {
        put(
            out,
            format_args!(
                "  {:<12}{:>10}{:>11}{:>11}{:>11}{:>11}{:>11}   most of it",
                "", "found out", "searched", "moved", "searched", "back", "searched"
            ),
        );
        for bound in &self.bounds {
            let found = bound.found;
            put(
                out,
                format_args!(
                    "  {:<12}{:>10}{:>11}{:>11}{:>11}{:>11}{:>11}   {}",
                    bound.trouble.name(),
                    told_form(bound.forms.found.as_ref()),
                    told_worst(found.map(|it| it.found)),
                    told_form(bound.forms.moved.as_ref()),
                    told_worst(found.map(|it| it.moved)),
                    told_form(bound.forms.back.as_ref()),
                    told_worst(found.and_then(|it| it.back)),
                    dominant(bound),
                ),
            );
        }
    }

    fn json(&self, rate: Option<u64>) -> Value {
        let unit = &self.unit;
        let bounds = self.bounds.iter().map(|bound| {
            let failing = rate.and_then(|rate| Some(self.unit.toll(bound, Some(rate))?.at(rate)));
            json!({
                "trouble": bound.trouble.name(),
                "found": pair(bound.forms.found.as_ref(), bound.found.map(|it| it.found)),
                "moved": pair(bound.forms.moved.as_ref(), bound.found.map(|it| it.moved)),
                "back": pair(bound.forms.back.as_ref(), bound.found.and_then(|it| it.back)),
                "requestsThatCanFail": failing.filter(|_| bound.trouble != Trouble::Slow),
            })
        });
        json!({
            "process": unit.process,
            "service": unit.service,
            "url": unit.url,
            "servers": unit.alike,
            "child": unit.child.as_ref().map(|(name, _)| name),
            "bounds": bounds.collect::<Value>(),
            "requests": self.tallies.iter().map(Tally::json).collect::<Value>(),
            "remarks": surprises(self),
            "searched": effort(self.effort),
        })
    }
}

fn pair(form: Option<&Sum>, searched: Option<Worst>) -> Value {
    let parts = form.map(|form| {
        let part = |(setting, span): &(&'static str, Span)| {
            json!({ "setting": setting, "micros": span.nanos() / 1_000 })
        };
        form.0.iter().map(part).collect::<Value>()
    });
    json!({
        "formMicros": form.map(|form| form.total().nanos() / 1_000),
        "sum": parts,
        "dominant": form.map(Sum::dominant),
        "searchedMicros": match searched {
            Some(Worst::After(span)) => json!(span.nanos() / 1_000),
            Some(Worst::Never) => json!("never"),
            None => Value::Null,
        },
    })
}

fn effort(effort: Effort) -> Value {
    json!({
        "runs": effort.runs,
        "instants": effort.instants,
        "shifts": effort.shifts,
        "horizonMillis": effort.horizon.as_millis(),
    })
}

impl Bounds {
    /// With the number of requests at a rate, if there is one.
    pub fn text(&self, rate: Option<u64>) -> String {
        let mut out = String::new();
        let Effort { runs, instants, shifts, horizon } = self.effort;
        put(
            &mut out,
            format_args!(
                "Worst cases by the settings, and as the longest of all orders of events:"
            ),
        );
        put(
            &mut out,
            format_args!(
                "{runs} runs of the engine; trouble begins and ends at {instants} instants, after each"
            ),
        );
        put(
            &mut out,
            format_args!(
                "event of a cycle and before the next; {shifts} shifts of polls against probes; each run is"
            ),
        );
        put(
            &mut out,
            format_args!(
                "watched for up to {} after. What the network takes comes on top.",
                told(horizon)
            ),
        );
        self.judged.iter().for_each(|judged| judged.text(&mut out, rate));
        put(
            &mut out,
            format_args!("\nServices when a child is gone, and until everything has moved"),
        );
        for loss in &self.losses {
            let moved = |at: usize| loss.moved[at].map_or_else(|| "never".to_owned(), told);
            let left = if loss.goes_on { "others serve" } else { "nobody else serves: 503" };
            put(
                &mut out,
                format_args!(
                    "  {} without {}: {left}; refused {}, black-holed {}, slow {}, 5xx {}",
                    loss.service,
                    loss.child,
                    moved(0),
                    moved(1),
                    moved(2),
                    moved(3)
                ),
            );
        }
        if self.losses.is_empty() {
            put(&mut out, format_args!("  no router leads to a child"));
        }
        out
    }

    pub fn json(&self, rate: Option<u64>) -> Value {
        let losses = self.losses.iter().map(|loss| {
            let moved = Trouble::ALL.iter().zip(loss.moved);
            let moved = moved.map(|(trouble, span)| {
                (trouble.name().to_owned(), json!(span.map(|span| span.nanos() / 1_000)))
            });
            json!({
                "service": loss.service,
                "without": loss.child,
                "goesOn": loss.goes_on,
                "movedMicros": moved.collect::<serde_json::Map<_, _>>(),
            })
        });
        json!({
            "searched": effort(self.effort),
            "judged": self.judged.iter().map(|judged| judged.json(rate)).collect::<Value>(),
            "services": losses.collect::<Value>(),
        })
    }

    /// What may take longer than that to move, each with its setting. A lone server that nobody
    /// checks has nothing to fail over to, and is left out.
    pub fn beyond(&self, most: Span) -> Vec<String> {
        let mut all = Vec::new();
        for judged in &self.judged {
            let unit = &judged.unit;
            if unit.child.is_none() && unit.alike == 1 && unit.timing.check.is_none() {
                continue;
            }
            for bound in &judged.bounds {
                let moved = judged.moved_by_any(bound.trouble);
                if moved.is_some_and(|moved| moved <= most) {
                    continue;
                }
                let (name, trouble) = (judged.name(), bound.trouble.name());
                let setting = dominant(bound);
                all.push(match moved {
                    Some(moved) => format!(
                        "{name}: {trouble}: all has moved after {}, not {}: most of it is {setting}",
                        told(moved), told(most)
                    ),
                    None => format!("{name}: {trouble}: {}", never(judged)),
                });
            }
        }
        all
    }
}

fn never(judged: &Judged) -> &'static str {
    match (&judged.unit.timing.check, &judged.unit.timing.passive, &judged.tallies[..]) {
        (Some(_), ..) => "it never moves in some order of events",
        (None, Some(_), []) => {
            "it never moves unless requests fail: there is a passiveHealthCheck, and no \
             healthCheck; --rps tells of what rate"
        }
        (None, Some(_), _) => {
            "it never moves: requests need not fail, or not close enough to one another, and \
             there is no healthCheck"
        }
        (None, None, _) => "it never moves: there is no healthCheck",
    }
}
