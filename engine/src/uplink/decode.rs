//! Reads an advertisement. It comes from another cluster and is trusted with nothing: sizes are
//! bounded, names are names, and a probe stays on the child's own host (its port may differ).
//! A document with any problem is refused as a whole, so that the last good one stays; all its
//! problems are told. What a newer child may say beyond this is ignored.

use super::advert::Advert;
use crate::base::time::Span;
use crate::config::fixed::Scheme;
use crate::config::typed::{CheckMode, ExpectedStatus, HealthCheck, PassiveCheck, Weight};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// A list of two thousand uplinks with checks fits.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Each becomes a service of its own on the parent.
pub const UPLINKS_MAX: usize = 4_096;

const NAME_BYTES_MAX: usize = 253;
const ENTRY_POINTS_MAX: usize = 64;
const HEADERS_MAX: usize = 32;
const VALUE_BYTES_MAX: usize = 4_096;
const PROBLEMS_MAX: usize = 32;
const INTERVAL_MIN: Span = Span::secs(1);

/// A valid advertisement.
#[derive(Clone, PartialEq, Debug)]
pub struct Decoded {
    pub adverts: Vec<Advert>,
    /// What was not taken as it was written.
    pub notes: Vec<String>,
}

/// The adverts, or every problem with its place.
pub fn decode(body: &[u8]) -> Result<Decoded, Vec<String>> {
    if body.len() > BODY_BYTES_MAX {
        return Err(vec![format!("{} bytes are more than {BODY_BYTES_MAX}", body.len())]);
    }
    let document: Value =
        serde_json::from_slice(body).map_err(|error| vec![format!("not JSON: {error}")])?;
    let Value::Array(elements) = document else {
        return Err(vec![format!("expected an array, found {}", kind(&document))]);
    };
    if elements.len() > UPLINKS_MAX {
        return Err(vec![format!("{} uplinks are more than {UPLINKS_MAX}", elements.len())]);
    }
    let mut reader = Reader::default();
    let adverts: Vec<Advert> = (0..)
        .zip(&elements)
        .filter_map(|(at, element)| reader.advert(&format!("[{at}]"), element))
        .collect();
    reader.refuse_repeated(&adverts);
    if reader.problems.is_empty() {
        Ok(Decoded { adverts, notes: reader.notes })
    } else {
        Err(reader.problems)
    }
}

#[derive(Default)]
struct Reader {
    problems: Vec<String>,
    notes: Vec<String>,
}

impl Reader {
    fn problem(&mut self, place: &str, text: &str) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(format!("{place}: {text}"));
        }
    }

    fn note(&mut self, place: &str, text: &str) {
        if self.notes.len() < PROBLEMS_MAX {
            self.notes.push(format!("{place}: {text}"));
        }
    }

    fn refuse_repeated(&mut self, adverts: &[Advert]) {
        let mut seen = BTreeSet::new();
        for (at, advert) in (0..).zip(adverts) {
            if !seen.insert(&*advert.name) {
                self.problem(&format!("[{at}].name"), "this name stands in the list twice");
            }
        }
    }

    fn advert(&mut self, place: &str, element: &Value) -> Option<Advert> {
        let Value::Object(object) = element else {
            self.problem(place, &format!("expected an object, found {}", kind(element)));
            return None;
        };
        let name = self.text(place, object, "name", NAME_BYTES_MAX);
        if name.is_none() {
            self.problem(place, "name is missing or wrong");
        }
        let name = name.filter(|name| self.is_name(place, name));
        let weight = self.integer(place, object, "weight", 0..=Weight::MAX.into());
        let weight = weight.and_then(|value| Weight::new(value.cast_signed()));
        let entry_points = self.entry_points(place, object);
        let health_check = self
            .object(place, object, "healthCheck")
            .and_then(|check| self.health_check(&format!("{place}.healthCheck"), check));
        let passive = self
            .object(place, object, "passiveHealthCheck")
            .map(|check| self.passive(&format!("{place}.passiveHealthCheck"), check));
        Some(Advert {
            name: name?.into(),
            entry_points,
            weight: weight.unwrap_or(Weight::ONE),
            health_check,
            passive,
        })
    }

    /// Visible ASCII: it becomes part of names and the value of a field.
    fn is_name(&mut self, place: &str, name: &str) -> bool {
        let is_fine = |byte: u8| byte.is_ascii_graphic() && byte != b'@' && byte != b',';
        let fine = !name.is_empty() && name.bytes().all(is_fine);
        if !fine {
            self.problem(&format!("{place}.name"), "not a name");
        }
        fine
    }

    fn entry_points(&mut self, place: &str, object: &Map<String, Value>) -> Vec<String> {
        let place = format!("{place}.entryPoints");
        let list = match object.get("entryPoints") {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(list)) if list.len() <= ENTRY_POINTS_MAX => list,
            Some(_) => {
                self.problem(&place, &format!("expected an array of up to {ENTRY_POINTS_MAX}"));
                return Vec::new();
            }
        };
        let name = |value: &Value| {
            value.as_str().filter(|name| name.len() <= NAME_BYTES_MAX).map(str::to_owned)
        };
        let names: Option<Vec<String>> = list.iter().map(name).collect();
        if names.is_none() {
            self.problem(&place, "expected names");
        }
        names.unwrap_or_default()
    }

    /// `None` also for a kind of check that this version has never heard of: the uplink counts as
    /// unchecked. One that it knows but cannot carry out stays, and leaves the uplink unknown.
    fn health_check(&mut self, place: &str, object: &Map<String, Value>) -> Option<HealthCheck> {
        let defaults = HealthCheck::of_uplink();
        let interval = self.interval(place, object, "interval").unwrap_or(defaults.interval);
        let mode = self.text(place, object, "mode", 16).unwrap_or_default();
        let scheme = self.text(place, object, "scheme", 16).unwrap_or_default();
        let check = HealthCheck {
            path: self.path(place, object),
            scheme: match scheme.as_str() {
                "http" => Some(Scheme::Http),
                "https" => Some(Scheme::Https),
                "h2c" => Some(Scheme::H2c),
                _ => None,
            },
            mode: if mode == "grpc" { CheckMode::Grpc } else { CheckMode::Http },
            method: self.method(place, object).unwrap_or(defaults.method),
            status: self
                .integer(place, object, "status", 100..=599)
                .and_then(|status| u16::try_from(status).ok())
                .map_or(defaults.status, ExpectedStatus::Exactly),
            port: self
                .integer(place, object, "port", 0..=65_535)
                .and_then(|port| u16::try_from(port).ok())
                .filter(|port| *port != 0),
            interval,
            unhealthy_interval: self
                .interval(place, object, "unhealthyInterval")
                .unwrap_or(interval),
            timeout: self.positive(place, object, "timeout", defaults.timeout),
            hostname: self.hostname(place, object),
            follow_redirects: self
                .flag(place, object, "followRedirects")
                .unwrap_or(defaults.follow_redirects),
            headers: self.headers(place, object),
        };
        match (mode.as_str(), scheme.as_str()) {
            ("" | "http" | "grpc", "" | "http" | "https" | "h2c") => Some(check),
            ("" | "http" | "grpc", other) => {
                self.note(place, &format!("scheme {other:?} is not known: not checked"));
                None
            }
            (other, _) => {
                self.note(place, &format!("mode {other:?} is not known: not checked"));
                None
            }
        }
    }

    fn passive(&mut self, place: &str, object: &Map<String, Value>) -> PassiveCheck {
        let defaults = PassiveCheck::default();
        let window = self.positive(place, object, "failureWindow", defaults.failure_window);
        let attempts = self.integer(place, object, "maxFailedAttempts", 1..=1_000_000);
        PassiveCheck {
            failure_window: window,
            failed_attempts_max: attempts
                .and_then(|n| u32::try_from(n).ok())
                .unwrap_or(defaults.failed_attempts_max),
        }
    }

    /// A path on the child itself: nothing that could name another host.
    fn path(&mut self, place: &str, object: &Map<String, Value>) -> String {
        let path = self.text(place, object, "path", VALUE_BYTES_MAX).unwrap_or_default();
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        let fine = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        let names_host = path.starts_with("//") || path.contains('\\') || path.contains("://");
        if fine && !names_host {
            return path;
        }
        self.problem(&format!("{place}.path"), "not a path on the child");
        path
    }

    fn method(&mut self, place: &str, object: &Map<String, Value>) -> Option<String> {
        let method = self.text(place, object, "method", 32).filter(|method| !method.is_empty())?;
        // CONNECT would ask the child to dial, and the answer would not be an answer.
        if !is_token(&method) || method.eq_ignore_ascii_case("connect") {
            self.problem(&format!("{place}.method"), "not a method for a probe");
        }
        Some(method)
    }

    fn hostname(&mut self, place: &str, object: &Map<String, Value>) -> Option<String> {
        let name = self.text(place, object, "hostname", NAME_BYTES_MAX)?;
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        if !name.bytes().all(is_fine) {
            self.problem(&format!("{place}.hostname"), "not a host name");
        }
        Some(name).filter(|name| !name.is_empty())
    }

    fn headers(&mut self, place: &str, object: &Map<String, Value>) -> Vec<(String, String)> {
        let Some(fields) = self.object(place, object, "headers") else { return Vec::new() };
        let place = format!("{place}.headers");
        if fields.len() > HEADERS_MAX {
            self.problem(&place, &format!("more than {HEADERS_MAX} fields"));
            return Vec::new();
        }
        fields.iter().filter_map(|(name, value)| self.header(&place, name, value)).collect()
    }

    fn header(&mut self, place: &str, name: &str, value: &Value) -> Option<(String, String)> {
        let text = value.as_str().filter(|text| {
            text.len() <= VALUE_BYTES_MAX
                && text.trim() == *text
                && text.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
        });
        let Some(text) = text.filter(|_| is_token(name) && name.len() <= NAME_BYTES_MAX) else {
            self.problem(place, &format!("{name:?} is not a field"));
            return None;
        };
        if MANAGED.iter().any(|managed| managed.eq_ignore_ascii_case(name)) {
            self.note(place, &format!("{name} is set by the parent: left out"));
            return None;
        }
        Some((name.to_owned(), text.to_owned()))
    }

    fn interval(&mut self, place: &str, object: &Map<String, Value>, key: &str) -> Option<Span> {
        let span = self.span(place, object, key)?;
        if span < INTERVAL_MIN {
            self.note(&format!("{place}.{key}"), "below 1s: raised to 1s");
        }
        Some(span.max(INTERVAL_MIN))
    }

    fn positive(
        &mut self,
        place: &str,
        object: &Map<String, Value>,
        key: &str,
        default: Span,
    ) -> Span {
        match self.span(place, object, key) {
            None => default,
            Some(Span::ZERO) => {
                self.note(&format!("{place}.{key}"), &format!("zero: {default} is used"));
                default
            }
            Some(span) => span,
        }
    }

    fn span(&mut self, place: &str, object: &Map<String, Value>, key: &str) -> Option<Span> {
        let span = match object.get(key)? {
            Value::Null => return None,
            Value::String(text) => duration(text),
            Value::Number(number) => number.as_u64().map(Span::secs),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        if span.is_none() {
            self.problem(&format!("{place}.{key}"), "expected a duration such as \"10s\"");
        }
        span
    }

    fn integer(
        &mut self,
        place: &str,
        object: &Map<String, Value>,
        key: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Option<u64> {
        let value = object.get(key).filter(|value| !value.is_null())?;
        let number = value.as_u64().filter(|number| range.contains(number));
        if number.is_none() {
            let text = format!("expected {} to {}", range.start(), range.end());
            self.problem(&format!("{place}.{key}"), &text);
        }
        number
    }

    fn flag(&mut self, place: &str, object: &Map<String, Value>, key: &str) -> Option<bool> {
        let value = object.get(key).filter(|value| !value.is_null())?;
        if value.as_bool().is_none() {
            self.problem(&format!("{place}.{key}"), "expected true or false");
        }
        value.as_bool()
    }

    fn text(
        &mut self,
        place: &str,
        object: &Map<String, Value>,
        key: &str,
        bytes_max: usize,
    ) -> Option<String> {
        let value = object.get(key).filter(|value| !value.is_null())?;
        let text = value.as_str().filter(|text| text.len() <= bytes_max);
        if text.is_none() {
            let text = format!("expected a string of up to {bytes_max} bytes");
            self.problem(&format!("{place}.{key}"), &text);
        }
        text.map(str::to_owned)
    }

    fn object<'a>(
        &mut self,
        place: &str,
        object: &'a Map<String, Value>,
        key: &str,
    ) -> Option<&'a Map<String, Value>> {
        let value = object.get(key).filter(|value| !value.is_null())?;
        if value.as_object().is_none() {
            let text = format!("expected an object, found {}", kind(value));
            self.problem(&format!("{place}.{key}"), &text);
        }
        value.as_object()
    }
}

/// Fields of a probe that are the parent's to write.
const MANAGED: [&str; 10] = [
    "Host",
    "Connection",
    "Content-Length",
    "Transfer-Encoding",
    "Trailer",
    "TE",
    "Upgrade",
    "Expect",
    "Keep-Alive",
    "X-Uplink-Name",
];

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn is_token(text: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_fine)
}

/// A duration as Go writes it: numbers with units, largest first as a rule; a bare number is
/// seconds.
fn duration(text: &str) -> Option<Span> {
    if let Ok(secs) = text.parse::<u64>() {
        return Some(Span::secs(secs));
    }
    let mut rest = text;
    let mut nanos: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        nanos = nanos.checked_add(part(number, unit)?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(Span::from_nanos(nanos))
}

fn part(number: &str, unit: &str) -> Option<u64> {
    let unit: u64 = match unit {
        "h" => 3_600_000_000_000,
        "m" => 60_000_000_000,
        "s" => 1_000_000_000,
        "ms" => 1_000_000,
        "us" | "µs" | "μs" => 1_000,
        "ns" => 1,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let digits = u32::try_from(fraction.len()).ok()?;
    let fraction: u64 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let below = u128::from(fraction) * u128::from(unit) / u128::from(10u64.pow(digits));
    whole.checked_mul(unit)?.checked_add(u64::try_from(below).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(body: &str, expected: &[&str]) {
        assert_eq!(decode(body.as_bytes()), Err(expected.iter().map(|s| (*s).into()).collect()));
    }

    #[test]
    fn every_problem_is_told_with_its_place() {
        refused("", &["not JSON: EOF while parsing a value at line 1 column 0"]);
        refused("{}", &["expected an array, found an object"]);
        refused(
            "[1, {}]",
            &["[0]: expected an object, found a number", "[1]: name is missing or wrong"],
        );
        refused(
            r#"[{"name": "a", "weight": -1}, {"name": "b@c", "weight": 1.5, "entryPoints": "x"}]"#,
            &[
                "[0].weight: expected 0 to 1048576",
                "[1].name: not a name",
                "[1].weight: expected 0 to 1048576",
                "[1].entryPoints: expected an array of up to 64",
            ],
        );
        refused(
            r#"[{"name": "a", "healthCheck": {"interval": "soon", "status": 9,
                "headers": {"a b": "c"}}}]"#,
            &[
                "[0].healthCheck.interval: expected a duration such as \"10s\"",
                "[0].healthCheck.status: expected 100 to 599",
                "[0].healthCheck.headers: \"a b\" is not a field",
            ],
        );
        refused(
            r#"[{"name":"a"},{"name":"a"}]"#,
            &["[1].name: this name stands in the list twice"],
        );
    }

    #[test]
    fn a_child_cannot_aim_a_probe_at_another_host() {
        for path in ["//other.example/x", "/\\\\other", "http://other/", "/x://y", "/a b", "/a#b"] {
            let body = serde_json::json!([{ "name": "a", "healthCheck": { "path": path } }]);
            refused(&body.to_string(), &["[0].healthCheck.path: not a path on the child"]);
        }
        refused(
            r#"[{"name": "a", "healthCheck": {"method": "CONNECT"}}]"#,
            &["[0].healthCheck.method: not a method for a probe"],
        );
        refused(
            r#"[{"name": "a", "healthCheck": {"hostname": "a\r\nb"}}]"#,
            &["[0].healthCheck.hostname: not a host name"],
        );
    }

    #[track_caller]
    fn check_of(members: &str) -> (Option<HealthCheck>, Vec<String>) {
        let body = format!(r#"[{{"name": "a", "healthCheck": {members}}}]"#);
        let decoded = decode(body.as_bytes()).expect("valid");
        (decoded.adverts[0].health_check.clone(), decoded.notes)
    }

    #[test]
    fn a_check_defaults_to_status_200_every_30s_within_5s() {
        let (check, notes) = check_of("{}");
        let expected = HealthCheck {
            path: "/".into(),
            scheme: None,
            mode: CheckMode::Http,
            method: "GET".into(),
            status: ExpectedStatus::Exactly(200),
            port: None,
            interval: Span::secs(30),
            unhealthy_interval: Span::secs(30),
            timeout: Span::secs(5),
            hostname: None,
            follow_redirects: true,
            headers: vec![],
        };
        assert_eq!((check, notes), (Some(expected), vec![]));
    }

    #[test]
    fn an_interval_below_a_second_is_raised_with_a_note() {
        let (check, notes) = check_of(r#"{"interval": "10ms", "unhealthyInterval": 0}"#);
        let check = check.expect("still checked");
        assert_eq!((check.interval, check.unhealthy_interval), (Span::secs(1), Span::secs(1)));
        assert_eq!(notes[0], "[0].healthCheck.interval: below 1s: raised to 1s");
        assert_eq!(notes.len(), 2);
    }

    #[test]
    fn fields_that_frame_the_probe_are_left_out_with_a_note() {
        let (check, notes) = check_of(r#"{"headers": {"content-length": "9", "X-Fine": "yes"}}"#);
        assert_eq!(check.expect("still checked").headers, [("X-Fine".into(), "yes".into())]);
        let expected = "[0].healthCheck.headers: content-length is set by the parent: left out";
        assert_eq!(notes, [expected]);
    }

    #[test]
    fn a_check_of_a_known_kind_stays_and_one_of_an_unknown_kind_goes_with_a_note() {
        for members in [r#"{"mode": "grpc"}"#, r#"{"scheme": "https"}"#] {
            let (check, notes) = check_of(members);
            assert_eq!((check.is_some(), notes.len()), (true, 0), "{members}");
        }
        for members in [r#"{"mode": "icmp"}"#, r#"{"scheme": "quic"}"#] {
            let (check, notes) = check_of(members);
            assert_eq!((check, notes.len()), (None, 1), "{members}");
        }
    }

    #[test]
    fn unknown_members_are_ignored() {
        let body = br#"[{"name": "a", "tieline": {"schema": 9}, "new": [1], "weight": null}]"#;
        let decoded = decode(body).expect("valid");
        assert_eq!((decoded.adverts.len(), decoded.adverts[0].weight), (1, Weight::ONE));
    }

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, nanos) in [
            ("10", Some(10_000_000_000)),
            ("1m30s", Some(90_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            (".5ms", Some(500_000)),
            ("1h0m0s", Some(3_600_000_000_000)),
            ("7ns", Some(7)),
            ("10µs", Some(10_000)),
            ("0s", Some(0)),
            ("", None),
            ("-1s", None),
            ("s", None),
            (".s", None),
            ("1", Some(1_000_000_000)),
            ("1d", None),
            ("1s2", None),
            ("99999999999h", None),
        ] {
            assert_eq!(duration(text).map(Span::nanos), nanos, "{text:?}");
        }
    }

    #[test]
    fn sizes_are_bounded() {
        let huge = vec![b' '; BODY_BYTES_MAX + 1];
        assert_eq!(decode(&huge), Err(vec!["1048577 bytes are more than 1048576".into()]));
        let many = format!("[{}1]", "1,".repeat(UPLINKS_MAX));
        refused(&many, &["4097 uplinks are more than 4096"]);
        let deep = "[".repeat(100_000);
        assert!(decode(deep.as_bytes()).is_err());
        let wrong = format!("[{}1]", "1,".repeat(1_000));
        assert_eq!(decode(wrong.as_bytes()).map_err(|problems| problems.len()), Err(PROBLEMS_MAX));
    }
}
