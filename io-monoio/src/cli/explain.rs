//! `tieline explain`: where a request would go and why, of documents or of a running instance.

use super::simulate::read_documents;
use super::status::API;
use super::{fail, fetch, say, take_option, take_switch, usage};
use engine::worker::explain::Ask;
use serde_json::{Value, json};
use sim::foresight::explain::{Stop, stops};
use std::fmt::Write as _;
use std::process::ExitCode;

struct Wish {
    ask: Ask,
    /// As they came, for a running instance.
    query: String,
    url: Option<String>,
    paths: Vec<String>,
    json: bool,
}

pub(super) fn run(arguments: &[String]) -> ExitCode {
    let wish = match read_wish(arguments) {
        Ok(wish) => wish,
        Err(problem) => return usage(&problem),
    };
    let told = match wish.paths.as_slice() {
        [] => ask_instance(&wish),
        paths => {
            let Some(documents) = read_documents(paths) else { return ExitCode::FAILURE };
            stops(&documents, &wish.ask)
        }
    };
    match told {
        Ok(told) if wish.json => say(&as_json(&told).to_string()),
        Ok(told) => say(told.iter().map(text).collect::<Vec<_>>().join("\n").trim_end()),
        Err(problem) => return fail(&problem),
    }
    ExitCode::SUCCESS
}

fn read_wish(arguments: &[String]) -> Result<Wish, String> {
    let mut words = arguments.to_vec();
    let json = take_switch(&mut words, "--json");
    let url = take_option(&mut words, "--url")?;
    let request = take_option(&mut words, "--request")?
        .ok_or("explain needs a request: --request='GET https://host/path'")?;
    let mut ask = Ask::read(&request)?;
    let mut query = format!("request={}", escaped(&request));
    while let Some(line) = take_field(&mut words)? {
        ask.add_field(&line)?;
        query.push_str(&format!("&header={}", escaped(&line)));
    }
    if let Some(from) = take_option(&mut words, "--from")? {
        ask.from = from.parse().map_err(|_| format!("--from: {from} is no address"))?;
        query.push_str(&format!("&from={}", escaped(&from)));
    }
    if let Some(entry) = take_option(&mut words, "--entryPoint")? {
        query.push_str(&format!("&entryPoint={}", escaped(&entry)));
        ask.entry = entry;
    }
    if let Some(flag) = words.iter().find(|word| word.starts_with('-')) {
        return Err(format!("explain knows no flag {flag}"));
    }
    if url.is_some() && !words.is_empty() {
        return Err("explain asks documents or an instance, not both".to_owned());
    }
    Ok(Wish { ask, query, url, paths: words, json })
}

fn take_field(words: &mut Vec<String>) -> Result<Option<String>, String> {
    match take_option(words, "-H")? {
        Some(line) => Ok(Some(line)),
        None => take_option(words, "--header"),
    }
}

/// Everything but plain characters as percent-triplets.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                out.push(char::from(byte));
            }
            _ => write!(out, "%{byte:02X}").expect("a string takes every byte"),
        }
    }
    out
}

fn ask_instance(wish: &Wish) -> Result<Vec<Stop>, String> {
    let url = wish.url.as_deref().unwrap_or(API);
    let path = format!("/api/tieline/explain?{}", wish.query);
    let (status, body) = fetch::get(url, &path)?;
    let told = serde_json::from_str::<Value>(&body);
    match (status, told) {
        (200, Ok(told)) => Ok(vec![Stop { place: url.to_owned(), told }]),
        (404, _) => Err(format!("{url} offers no API: set `api.insecure: true`")),
        (_, Ok(told)) if told["message"].is_string() => {
            Err(told["message"].as_str().unwrap_or_default().to_owned())
        }
        (status, _) => Err(format!("{url} answers {status}")),
    }
}

fn as_json(stops: &[Stop]) -> Value {
    stops.iter().map(|stop| json!({ "at": stop.place, "told": stop.told })).collect()
}

/// What one process makes of the request.
fn text(stop: &Stop) -> String {
    let told = &stop.told;
    let request = &told["request"];
    let mut out = format!(
        "{}: {} {} at {}\n",
        stop.place,
        plain(&request["method"]),
        plain(&request["url"]),
        plain(&request["entryPoint"]),
    );
    if let Some(named) = told["uplinks"]["named"].as_str() {
        out.push_str(&format!("  for the uplink {named}\n"));
    }
    put_routes(&mut out, told);
    let steps = list(&told["middlewares"]);
    if !steps.is_empty() {
        out.push_str("  middlewares\n");
    }
    for step in steps {
        out.push_str(&format!("    {}: {}\n", plain(&step["kind"]), plain(&step["does"])));
    }
    if told["services"].is_object() {
        out.push_str("  services\n");
        put_service(&mut out, &told["services"], 2, true);
    }
    out.push_str(&format!("  answer\n    {}\n", answer(&told["answer"])));
    let otherwise = list(&told["otherwise"]);
    if !otherwise.is_empty() {
        out.push_str("  otherwise\n");
    }
    for change in otherwise {
        out.push_str(&format!("    {}\n", plain(change)));
    }
    out
}

fn put_routes(out: &mut String, told: &Value) {
    let routes = list(&told["routes"]);
    if !routes.is_empty() {
        out.push_str("  routes, best first\n");
    }
    let is = |route: &Value, verdict: &str| route["verdict"] == verdict;
    let below = routes.iter().filter(|route| is(route, "not reached")).count();
    for route in routes.iter().filter(|route| !is(route, "not reached")) {
        let mark = if is(route, "matches") { '>' } else { ' ' };
        out.push_str(&format!(
            "  {mark} {} (priority {}) {}\n      {}\n",
            plain(&route["router"]),
            route["priority"],
            plain(&route["verdict"]),
            plain(&route["why"]),
        ));
    }
    let further = below as u64 + told["routesLeftOut"].as_u64().unwrap_or(0);
    if further > 0 {
        out.push_str(&format!("    and {further} that were not reached and would not match\n"));
    }
}

fn put_service(out: &mut String, node: &Value, indent: usize, taken: bool) {
    let mark = if taken { '>' } else { ' ' };
    let pad = "  ".repeat(indent - 1);
    let mut line = format!("{pad}{mark} {}: {}", plain(&node["service"]), plain(&node["kind"]));
    if let Some(strategy) = node["strategy"].as_str() {
        line.push_str(&format!(" by {strategy}"));
    }
    line.push_str(if node["up"] == true { ", up" } else { ", down" });
    if let Some(why) = node["why"].as_str() {
        line.push_str(&format!(" ({why})"));
    }
    if let Some(session) = node["chosen"]["session"].as_str() {
        line.push_str(&match session {
            "kept" | "renewed" => ", by its cookie".to_owned(),
            _ if node["kind"] == "failover" => String::new(),
            _ => format!(", ticket {}", node["chosen"]["ticket"]),
        });
    }
    line.push_str(&turn(node));
    out.push_str(&line);
    out.push('\n');
    let below = indent + 1;
    for server in list(&node["servers"]) {
        put_server(out, server, below);
    }
    for member in list(&node["members"]) {
        put_service(out, member, below, taken && member["taken"] == true);
    }
    let side = node["side"].as_str();
    for part in ["main", "fallback"].into_iter().filter(|part| node[*part].is_object()) {
        let here = taken && side.is_none_or(|side| side == part);
        put_service(out, &node[part], below, here);
    }
    for mirror in list(&node["mirrors"]) {
        let copied = if mirror["mirrored"] == true { "gets a copy" } else { "gets none" };
        let pad = "  ".repeat(below);
        let name = plain(&mirror["service"]);
        out.push_str(&format!("{pad}{name}: mirror of {} %, {copied}\n", mirror["percent"]));
    }
}

fn put_server(out: &mut String, server: &Value, indent: usize) {
    let mark = if server["taken"] == true { '>' } else { ' ' };
    let pad = "  ".repeat(indent - 1);
    let mut line = format!("{pad}{mark} {}", plain(&server["url"]));
    if let Some(child) = server["child"].as_str() {
        line.push_str(&format!(" of {child}"));
    }
    line.push_str(&format!(": {}", plain(&server["health"])));
    if let Some(why) = server["why"].as_str() {
        line.push_str(&format!(" ({why})"));
    }
    line.push_str(&turn(server));
    out.push_str(&line);
    out.push('\n');
}

/// The share of turns of a member among others.
fn turn(member: &Value) -> String {
    match member["sharePerMille"].as_u64() {
        Some(share) => format!(", {}.{} % of the turns", share / 10, share % 10),
        None => String::new(),
    }
}

fn answer(answer: &Value) -> String {
    if let Some(status) = answer["status"].as_u64() {
        let location = answer["location"].as_str().map(|to| format!(" to {to}"));
        let why = plain(&answer["why"]);
        return format!("{status}{}: {why}", location.unwrap_or_default());
    }
    if let Some(internal) = answer["internal"].as_str() {
        return format!("{} answers, which is part of Tieline", internal.to_lowercase());
    }
    let mut line = format!("{} gets {}", plain(&answer["url"]), plain(&answer["path"]));
    if let (Some(child), Some(uplink)) = (answer["child"].as_str(), answer["uplink"].as_str()) {
        line.push_str(&format!(", child {child}, uplink {uplink}"));
    }
    line
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text, or nothing.
fn plain(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
