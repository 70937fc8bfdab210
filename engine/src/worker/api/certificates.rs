//! Certificates in use and how long they are still good: ours, under `tieline`.

use crate::base::text::rfc3339_seconds;
use crate::tls::Listed;
use crate::worker::internal::Sight;
use serde_json::{Value, json};

const DAY: i64 = 86_400;

pub(super) fn certificates(sight: &Sight<'_>) -> Value {
    let now = i64::try_from(sight.stats.started.seconds_at(sight.now)).unwrap_or(i64::MAX);
    sight.view.certificates.iter().map(|listed| object(listed, now)).collect()
}

fn object(listed: &Listed, now: i64) -> Value {
    let info = &listed.info;
    let addresses = info.addresses.iter().map(ToString::to_string);
    let names: Vec<String> =
        info.dns_names.iter().cloned().chain(addresses).chain(info.uris.iter().cloned()).collect();
    json!({
        "source": &*listed.label,
        "role": listed.role.name(),
        "commonName": info.common_name,
        "serial": info.serial,
        "sans": names,
        "notBefore": date(info.not_before),
        "notAfter": date(info.not_after),
        "daysLeft": (info.not_after - now).div_euclid(DAY),
    })
}

fn date(seconds: i64) -> String {
    let nanos = u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000);
    let mut out = Vec::new();
    rfc3339_seconds(nanos, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}
