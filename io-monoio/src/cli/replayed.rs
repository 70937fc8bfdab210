//! What replaying a capsule found, as text and as JSON.

use engine::worker::recording::event::{Sent, To};
use engine::worker::replay::{Decision, Difference, Stage, Told};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Requests that are listed one by one.
const LISTED_MAX: usize = 3;

pub(super) fn text(told: &Told, stage: &Stage, same: bool) -> String {
    let different = told.different.len() as u64;
    let asked = told.identical + different + told.unknowable;
    let mut out = format!("{} requests, {asked} of them decided again\n", told.requests);
    let mut count = |count: u64, what: &str| {
        if count > 0 {
            out.push_str(&format!("  {count:>6}  {what}\n"));
        }
    };
    count(told.identical, if same { "decided alike" } else { "go where they went" });
    count(different, if same { "decided otherwise" } else { "meet something else" });
    count(told.unknowable, "by what a capsule does not tell: nobody can say");
    count(told.undecided, "had not been decided about, or their clients left before");
    count(told.forgotten, "by views that the capsule does not have");
    count(told.headless, "began before the capsule: only their ends are in it");
    match told.different.first() {
        None if same => out.push_str("Every decision is identical.\n"),
        None => {}
        Some(first) if same => {
            out.push_str(&format!("The first that differs, in its {}:\n", first.what));
            out.push_str(&listed(first, stage));
        }
        Some(_) => {
            out.push_str(&summary(told, stage));
            out.push_str("\nOne by one:\n");
            let shown = told.different.iter().take(LISTED_MAX);
            shown.for_each(|difference| out.push_str(&listed(difference, stage)));
            if told.different.len() > LISTED_MAX {
                let more = told.different.len() - LISTED_MAX;
                out.push_str(&format!("  and {more} more, which --json lists\n"));
            }
        }
    }
    out
}

/// What each router, service and child loses and gets.
fn summary(told: &Told, stage: &Stage) -> String {
    let mut out = String::new();
    for (title, of) in PARTS {
        let mut moves: BTreeMap<(String, String), u64> = BTreeMap::new();
        for difference in &told.different {
            let before = of(&difference.recorded, stage);
            let after = of(&difference.replayed, stage);
            if before != after {
                *moves.entry((before, after)).or_default() += 1;
            }
        }
        let mut moves: Vec<_> = moves.into_iter().collect();
        moves.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        if !moves.is_empty() {
            out.push_str(&format!("\nBy {title}:\n"));
        }
        for ((before, after), count) in moves {
            out.push_str(&format!("  {count:>6}  {before} -> {after}\n"));
        }
    }
    out
}

type Part = fn(&Decision, &Stage) -> String;

const PARTS: [(&str, Part); 3] = [
    ("router", |decision, _| or_dash(&decision.router)),
    ("service", |decision, _| {
        decision.ways.last().map_or_else(|| ended(decision), |way| or_dash(innermost(way)))
    }),
    ("child or server", whom),
];

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

fn innermost(way: &Sent) -> &str {
    way.choices.last().map_or(&way.service, |choice| &choice.service)
}

fn ended(decision: &Decision) -> String {
    decision.end.map_or_else(|| "-".to_owned(), |end| format!("answered {}", end.status))
}

/// The child, or else the server, that got the request in the end.
fn whom(decision: &Decision, stage: &Stage) -> String {
    match decision.ways.last().map(|way| &way.to) {
        None => ended(decision),
        Some(To::Guarded(service)) => format!("the middlewares of {service}"),
        Some(To::Nobody) => "nobody".to_owned(),
        Some(To::Internal(name)) => format!("{name} of Tieline"),
        Some(To::Server(url)) => {
            let child = stage.child(url);
            child.map_or_else(|| url.clone(), |child| format!("{child} ({url})"))
        }
    }
}

fn listed(difference: &Difference, stage: &Stage) -> String {
    let request = &difference.request;
    let (number, worker) = (request.number, request.worker);
    let mut out = format!("  request {number} of worker {worker}: {}\n", request.line());
    for (title, decision) in
        [("recorded", &difference.recorded), ("replayed", &difference.replayed)]
    {
        out.push_str(&format!("    {title:<9} {}\n", way(decision, stage)));
    }
    out
}

/// A decision in a line.
fn way(decision: &Decision, stage: &Stage) -> String {
    let mut parts = vec![or_dash(&decision.router)];
    if let Some(end) = decision.end {
        let by = end.step.map_or_else(String::new, |step| format!(" by middleware {}", step + 1));
        parts.push(format!("answered {}{by}", end.status));
    }
    for sent in &decision.ways {
        let choices = sent.choices.iter().map(|choice| {
            let how = match choice.session.follows_cookie() {
                true => "its cookie".to_owned(),
                false => format!("ticket {}", choice.ticket),
            };
            format!("{} ({how}, turn {})", choice.service, choice.turn)
        });
        parts.extend(choices);
        let alone = Decision { ways: vec![sent.clone()], ..Decision::default() };
        parts.push(whom(&alone, stage));
    }
    parts.join(" > ")
}

pub(super) fn as_json(told: &Told, stage: &Stage, same: bool) -> Value {
    let different = told.different.iter().map(|difference| {
        let request = &difference.request;
        json!({
            "worker": request.worker,
            "request": request.number,
            "at": request.at,
            "asked": request.line(),
            "what": difference.what,
            "recorded": decision(&difference.recorded, stage),
            "replayed": decision(&difference.replayed, stage),
        })
    });
    json!({
        "requests": told.requests,
        "identical": told.identical,
        "unknowable": told.unknowable,
        "undecided": told.undecided,
        "forgotten": told.forgotten,
        "headless": told.headless,
        "sameConfiguration": same,
        "different": different.collect::<Value>(),
    })
}

fn decision(decision: &Decision, stage: &Stage) -> Value {
    json!({
        "router": decision.router,
        "answer": decision.end.map(|end| end.status),
        "middleware": decision.end.and_then(|end| end.step),
        "ways": decision.ways,
        "whom": whom(decision, stage),
    })
}
