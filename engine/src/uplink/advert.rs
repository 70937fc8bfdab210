//! The advertisement on the wire: what a child answers to `GET /api/uplinks`. A JSON array with
//! an object per uplink; durations are strings.

pub use super::decode::{BODY_BYTES_MAX, Decoded, UPLINKS_MAX, decode};

use crate::config::fixed::Scheme;
use crate::config::typed::{CheckMode, ExpectedStatus, HealthCheck, PassiveCheck, Weight};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// A workload that a child offers.
#[derive(Clone, PartialEq, Debug)]
pub struct Advert {
    /// As the child spells it: what it wants to read in `X-Uplink-Name`.
    pub name: Arc<str>,
    pub entry_points: Vec<String>,
    pub weight: Weight,
    pub health_check: Option<HealthCheck>,
    pub passive: Option<PassiveCheck>,
}

/// The body of the answer.
pub fn encode<'a>(adverts: impl IntoIterator<Item = &'a Advert>) -> Vec<u8> {
    let list: Vec<Value> = adverts.into_iter().map(object).collect();
    Value::Array(list).to_string().into_bytes()
}

/// A strong validator of a body, with its quotes: 128 bits of FNV-1a.
pub fn etag(body: &[u8]) -> String {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let hash = body.iter().fold(BASIS, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME));
    format!("\"{hash:032x}\"")
}

fn object(advert: &Advert) -> Value {
    let mut object = Map::new();
    object.insert("name".into(), json!(&*advert.name));
    object.insert("entryPoints".into(), json!(advert.entry_points));
    object.insert("weight".into(), json!(advert.weight.get()));
    if let Some(check) = &advert.health_check {
        object.insert("healthCheck".into(), health_check(check));
    }
    if let Some(passive) = &advert.passive {
        object.insert("passiveHealthCheck".into(), passive_check(passive));
    }
    Value::Object(object)
}

/// A passive check as configuration spells it.
pub fn passive_check(check: &PassiveCheck) -> Value {
    let window = check.failure_window.to_string();
    json!({ "failureWindow": window, "maxFailedAttempts": check.failed_attempts_max })
}

/// A check as configuration spells it.
pub fn health_check(check: &HealthCheck) -> Value {
    let mut object = Map::new();
    object.insert("path".into(), json!(check.path));
    if let Some(scheme) = check.scheme {
        object.insert("scheme".into(), json!(scheme_name(scheme)));
    }
    let mode = match check.mode {
        CheckMode::Http => "http",
        CheckMode::Grpc => "grpc",
    };
    object.insert("mode".into(), json!(mode));
    object.insert("method".into(), json!(check.method));
    if let ExpectedStatus::Exactly(status) = check.status {
        object.insert("status".into(), json!(status));
    }
    if let Some(port) = check.port {
        object.insert("port".into(), json!(port));
    }
    object.insert("interval".into(), json!(check.interval.to_string()));
    object.insert("unhealthyInterval".into(), json!(check.unhealthy_interval.to_string()));
    object.insert("timeout".into(), json!(check.timeout.to_string()));
    if let Some(hostname) = &check.hostname {
        object.insert("hostname".into(), json!(hostname));
    }
    object.insert("followRedirects".into(), json!(check.follow_redirects));
    if !check.headers.is_empty() {
        let headers: Map<String, Value> =
            check.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        object.insert("headers".into(), Value::Object(headers));
    }
    Value::Object(object)
}

fn scheme_name(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
        Scheme::H2c => "h2c",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;
    use crate::base::time::Span;

    fn random(prng: &mut Prng, at: usize) -> Advert {
        let span = |prng: &mut Prng| match prng.below(3) {
            0 => Span::secs(1 + prng.below(100)),
            1 => Span::millis(1_000 + prng.below(5_000)),
            _ => Span::micros(1_000_000 + prng.below(5_000_000)),
        };
        let check = |prng: &mut Prng| HealthCheck {
            path: format!("/health?{}", prng.below(9)),
            scheme: prng.one_in(2).then_some(Scheme::Http),
            mode: CheckMode::Http,
            method: "HEAD".into(),
            status: ExpectedStatus::Exactly(200 + u16::try_from(prng.below(300)).expect("small")),
            port: prng.one_in(2).then_some(9_000),
            interval: span(prng),
            unhealthy_interval: span(prng),
            timeout: span(prng),
            hostname: prng.one_in(2).then(|| "health.example".into()),
            follow_redirects: prng.one_in(2),
            headers: vec![("X-Probe".into(), prng.below(99).to_string())],
        };
        Advert {
            name: format!("uplink-{at}").into(),
            entry_points: (0..prng.below(3)).map(|n| format!("entry{n}")).collect(),
            weight: Weight::new(i64::try_from(prng.below(1_000)).expect("small"))
                .expect("in range"),
            health_check: prng.one_in(2).then(|| check(prng)),
            passive: prng.one_in(2).then(|| PassiveCheck {
                failure_window: span(prng),
                failed_attempts_max: 1 + u32::try_from(prng.below(9)).expect("small"),
            }),
        }
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same() {
        let mut prng = Prng::new(3);
        for _ in 0..2_000 {
            let count = usize::try_from(prng.below(4)).expect("small");
            let adverts: Vec<Advert> = (0..count).map(|at| random(&mut prng, at)).collect();
            let body = encode(&adverts);
            let decoded = decode(&body).expect("our own encoding is valid");
            assert_eq!(decoded, Decoded { adverts, notes: vec![] }, "{:?}", body.escape_ascii());
        }
    }

    #[test]
    fn a_plain_uplink_is_three_members() {
        let advert = Advert {
            name: "vm-app".into(),
            entry_points: vec!["multicluster".into()],
            weight: Weight::ONE,
            health_check: None,
            passive: None,
        };
        let body = encode([&advert]);
        let expected = r#"[{"entryPoints":["multicluster"],"name":"vm-app","weight":1}]"#;
        assert_eq!(String::from_utf8(body).as_deref(), Ok(expected));
        assert_eq!(encode([]), b"[]");
    }

    #[test]
    fn the_validator_moves_with_the_content() {
        assert_eq!(etag(b""), "\"6c62272e07bb014262b821756295c58d\"");
        assert_ne!(etag(b"[]"), etag(b"[ ]"));
    }
}
