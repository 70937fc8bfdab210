//! `tieline status` and `tieline healthcheck`: questions to a running instance.

use super::{fail, fetch, say, settings, take_option, take_switch, usage};
use engine::config::fixed::Fixed;
use serde_json::Value;
use std::process::ExitCode;

pub(super) const API: &str = "http://127.0.0.1:8080";

/// The children of a parent, as a table or as the API says them.
pub(super) fn run(arguments: &[String]) -> ExitCode {
    let mut words = arguments.to_vec();
    let as_json = take_switch(&mut words, "--json");
    let url = match take_option(&mut words, "--url") {
        Ok(url) => url.unwrap_or_else(|| API.to_owned()),
        Err(problem) => return usage(&problem),
    };
    if let Some(word) = words.first() {
        return usage(&format!("status knows no {word}"));
    }
    let answer = match fetch::get(&url, "/api/tieline/children") {
        Ok((200, body)) => body,
        Ok((404, _)) => return fail(&format!("{url} offers no API: set `api.insecure: true`")),
        Ok((status, _)) => return fail(&format!("{url} answers {status}")),
        Err(problem) => return fail(&problem),
    };
    if as_json {
        say(answer.trim_end());
        return ExitCode::SUCCESS;
    }
    match table_of(&answer) {
        Ok(table) => say(&table),
        Err(error) => return fail(&format!("{url} answers what no API does: {error}")),
    }
    if let Ok((200, body)) = fetch::get(&url, "/api/tieline/certificates")
        && let Ok(certificates) = serde_json::from_str::<Vec<Value>>(&body)
        && !certificates.is_empty()
    {
        say("");
        say(&certificate_table(&certificates));
    }
    if let Ok((200, body)) = fetch::get(&url, "/api/tieline/diagnostics") {
        problems(&body).iter().for_each(|line| say(line));
    }
    ExitCode::SUCCESS
}

/// What is wrong now, a line each, as the answer of `/api/tieline/diagnostics` has it.
fn problems(answer: &str) -> Vec<String> {
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    let list = answer["diagnostics"].as_array().cloned().unwrap_or_default();
    let text = |problem: &Value, key: &str| problem[key].as_str().unwrap_or_default().to_owned();
    let line = |problem: &Value| {
        let path = text(problem, "path");
        let about = if path.is_empty() { path } else { format!("{path}: ") };
        format!("{}: {about}{}", text(problem, "severity"), text(problem, "text"))
    };
    let lines = list.iter().map(line);
    let gap = (!list.is_empty()).then(String::new);
    gap.into_iter().chain(lines).collect()
}

/// The answer of `/api/tieline/children` as a table.
pub(super) fn table_of(answer: &str) -> serde_json::Result<String> {
    serde_json::from_str::<Vec<Value>>(answer).map(|children| table(&children))
}

/// Whether `/ping` of this configuration, or of an URL, answers 200.
pub(super) fn healthcheck(arguments: &[String]) -> ExitCode {
    let mut words = arguments.to_vec();
    let base = match take_option(&mut words, "--url") {
        Ok(Some(url)) => url,
        Ok(None) => match settings::read(&words).as_ref().map(ping_address) {
            Some(Some(url)) => url,
            Some(None) => return fail("ping is not enabled: set `ping: {}`"),
            None => return ExitCode::FAILURE,
        },
        Err(problem) => return usage(&problem),
    };
    match fetch::get(&base, "/ping") {
        Ok((200, _)) => {
            say(&format!("OK: {base}/ping"));
            ExitCode::SUCCESS
        }
        Ok((status, _)) => fail(&format!("{base}/ping answers {status}")),
        Err(problem) => fail(&problem),
    }
}

fn ping_address(fixed: &Fixed) -> Option<String> {
    let ping = fixed.ping.as_ref()?;
    let entry = fixed.entry_points.iter().find(|entry| entry.name == ping.entry_point)?;
    let port = entry.address.port();
    Some(match entry.address.ip() {
        ip if ip.is_unspecified() => format!("http://127.0.0.1:{port}"),
        _ => format!("http://{}", entry.address),
    })
}

const COLUMNS: [&str; 9] =
    ["CHILD", "ADDRESS", "ALIVE", "UPLINKS", "LAST GOOD POLL", "WEIGHT", "SHARE", "P50", "P99"];

fn table(children: &[Value]) -> String {
    let mut rows = vec![COLUMNS.map(str::to_owned).to_vec()];
    rows.extend(children.iter().map(row));
    aligned(&rows)
}

/// Certificates in use, those that expire first on top.
fn certificate_table(certificates: &[Value]) -> String {
    let mut certificates: Vec<&Value> = certificates.iter().collect();
    certificates.sort_by_key(|certificate| certificate["daysLeft"].as_i64());
    let heads = ["CERTIFICATE", "ROLE", "NAMES", "EXPIRES", "DAYS LEFT"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(certificates.into_iter().map(|certificate| {
        let text = |key: &str| certificate[key].as_str().unwrap_or("-").to_owned();
        let none = Vec::new();
        let sans = certificate["sans"].as_array().unwrap_or(&none);
        let names: Vec<&str> = sans.iter().filter_map(Value::as_str).collect();
        let names = if names.is_empty() { text("commonName") } else { names.join(",") };
        let days = certificate["daysLeft"].as_i64().unwrap_or(0);
        vec![text("source"), text("role"), names, text("notAfter"), days.to_string()]
    }));
    aligned(&rows)
}

fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let padded: Vec<String> = cells.map(|(cell, &width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn row(child: &Value) -> Vec<String> {
    let text = |key: &str| child[key].as_str().unwrap_or("-").to_owned();
    let micros = |key: &str| child[key].as_u64().map_or_else(|| "-".to_owned(), duration);
    let none = Vec::new();
    let uplinks = child["uplinks"].as_array().unwrap_or(&none);
    let up = uplinks.iter().filter(|uplink| uplink["up"] == true).count();
    let share = child["sharePerMille"].as_u64().unwrap_or(0);
    vec![
        text("name"),
        text("address"),
        if child["alive"] == true { "yes".to_owned() } else { text("phase") },
        format!("{up}/{}", uplinks.len()),
        child["ageMillis"].as_u64().map_or_else(
            || "never".to_owned(),
            |age| format!("{} ago", duration(age.saturating_mul(1000))),
        ),
        weights(uplinks),
        format!("{}.{} %", share / 10, share % 10),
        micros("p50Micros"),
        micros("p99Micros"),
    ]
}

/// One weight, or the smallest and the largest.
fn weights(uplinks: &[Value]) -> String {
    let all = uplinks.iter().filter_map(|uplink| uplink["weight"].as_u64());
    match (all.clone().min(), all.max()) {
        (Some(least), Some(most)) if least == most => least.to_string(),
        (Some(least), Some(most)) => format!("{least}-{most}"),
        _ => "-".to_owned(),
    }
}

fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{}.{} ms", micros / 1_000, micros / 100 % 10),
        _ => format!("{} s", micros / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn certificates_that_expire_first_stand_on_top() {
        let one = |source: &str, days: i64| {
            json!({
                "source": source, "role": "identity", "sans": ["a.example"],
                "notAfter": "2027-01-01T00:00:00Z", "daysLeft": days,
            })
        };
        let expected = "\
CERTIFICATE  ROLE      NAMES      EXPIRES               DAYS LEFT
old.pem      identity  a.example  2027-01-01T00:00:00Z  -3
new.pem      identity  a.example  2027-01-01T00:00:00Z  41";
        assert_eq!(certificate_table(&[one("new.pem", 41), one("old.pem", -3)]), expected);
    }

    #[test]
    fn children_are_shown_as_a_table() {
        let children = [
            json!({
                "name": "east", "address": "http://10.0.0.1:9443", "alive": true,
                "ageMillis": 1500, "sharePerMille": 905, "p50Micros": 812, "p99Micros": 15_320,
                "uplinks": [
                    {"name": "shop", "weight": 90, "up": true},
                    {"name": "pay", "weight": 1, "up": false},
                ],
            }),
            json!({
                "name": "west", "address": "http://10.0.0.2:9443", "alive": false,
                "phase": "unseen", "ageMillis": null, "sharePerMille": 0, "uplinks": [],
            }),
        ];
        let expected = "\
CHILD  ADDRESS               ALIVE   UPLINKS  LAST GOOD POLL  WEIGHT  SHARE   P50     P99
east   http://10.0.0.1:9443  yes     1/2      1 s ago         1-90    90.5 %  812 µs  15.3 ms
west   http://10.0.0.2:9443  unseen  0/0      never           -       0.0 %   -       -";
        assert_eq!(table(&children), expected);
    }
}
