//! Active and passive checks, of uplinks and of servers.

use crate::config::fields::Fields;
use crate::config::fixed::Scheme;
use crate::config::typed::{CheckMode, ExpectedStatus, HealthCheck, PassiveCheck};

/// Whose check it is: what counts as healthy differs when no status is named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Checked {
    Uplink,
    Server,
}

pub(super) fn health_check(fields: Fields<'_>, of: Checked) -> Option<HealthCheck> {
    let defaults = match of {
        Checked::Uplink => HealthCheck::of_uplink(),
        Checked::Server => HealthCheck::of_server(),
    };
    let interval = fields.lasting("interval").unwrap_or(defaults.interval);
    let status = fields.number("status", 0..=599).and_then(|status| u16::try_from(status).ok());
    if matches!(status, Some(1..=99)) {
        fields.error("status", "bad-value", "a status is between 100 and 599");
    }
    let modes = [("http", CheckMode::Http), ("grpc", CheckMode::Grpc)];
    let mode = fields.word("mode", &modes).unwrap_or(defaults.mode);
    match mode {
        CheckMode::Grpc => warn_of_grpc(&fields),
        CheckMode::Http if of == Checked::Server && !fields.present("path") => {
            let text = "without a path the servers are probed at /";
            fields.warning("path", "probed-at-root", text);
        }
        CheckMode::Http => {}
    }
    let schemes = [("http", Scheme::Http), ("https", Scheme::Https), ("h2c", Scheme::H2c)];
    let scheme = fields.word("scheme", &schemes);
    let check = HealthCheck {
        path: fields.parsed("path", probe_path).unwrap_or_default(),
        scheme,
        mode,
        method: fields.parsed("method", method).unwrap_or(defaults.method),
        status: status.filter(|code| *code != 0).map_or(defaults.status, ExpectedStatus::Exactly),
        port: port(&fields),
        interval,
        unhealthy_interval: fields.lasting("unhealthyInterval").unwrap_or(interval),
        timeout: fields.lasting("timeout").unwrap_or(defaults.timeout),
        hostname: fields.parsed("hostname", hostname),
        follow_redirects: fields.flag("followRedirects").unwrap_or(defaults.follow_redirects),
        headers: headers(&fields, "headers"),
    };
    fields.close();
    Some(check)
}

pub(super) fn passive_check(fields: Fields<'_>) -> PassiveCheck {
    let defaults = PassiveCheck::default();
    let attempts = fields.number("maxFailedAttempts", 1..=1_000_000);
    let check = PassiveCheck {
        failure_window: fields.lasting("failureWindow").unwrap_or(defaults.failure_window),
        failed_attempts_max: attempts
            .and_then(|attempts| u32::try_from(attempts).ok())
            .unwrap_or(defaults.failed_attempts_max),
    };
    fields.close();
    check
}

/// The protocol says what is asked, and what the answer means.
fn warn_of_grpc(fields: &Fields<'_>) {
    for key in ["path", "method", "status", "followRedirects"] {
        if fields.present(key) {
            let text = format!("a check in mode grpc has no {key} of its own");
            fields.warning(key, "no-effect", text);
        }
    }
}

fn port(fields: &Fields<'_>) -> Option<u16> {
    let port = fields.number("port", 0..=65_535)?;
    u16::try_from(port).ok().filter(|port| *port != 0)
}

/// A path, with a query if need be; without a leading slash it stands beside the path of the
/// server's URL. A whole URL could point elsewhere.
fn probe_path(text: &str) -> Result<String, String> {
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("blanks and non-ASCII letters of a path are percent-encoded".to_owned());
    }
    let first = text.split(['/', '?']).next().unwrap_or_default();
    if first.contains(':') || text.starts_with("//") || text.contains('#') {
        return Err("expected a path such as /health, not a URL".to_owned());
    }
    Ok(text.to_owned())
}

fn method(text: &str) -> Result<String, String> {
    if is_token(text) {
        Ok(text.to_owned())
    } else {
        Err("expected a method such as GET".to_owned())
    }
}

fn hostname(text: &str) -> Result<String, String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    if !text.is_empty() && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("expected a host name, with a port if need be".to_owned())
    }
}

/// A token of RFC 9110 §5.6.2.
pub(super) fn is_token(text: &str) -> bool {
    let tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(tchar)
}

/// A field value of RFC 9110 §5.5 without blanks at its ends.
pub(super) fn is_field_value(text: &str) -> bool {
    let inside = |b: u8| b == b'\t' || (b >= 0x20 && b != 0x7f);
    text.bytes().all(inside) && text.trim_matches([' ', '\t']).len() == text.len()
}

/// Header fields by name, each checked.
pub(in crate::config) fn headers(fields: &Fields<'_>, key: &'static str) -> Vec<(String, String)> {
    let mut good: Vec<(String, String)> = Vec::new();
    for (at, name, value) in fields.pairs(key) {
        let path = format!("{}.{name}", fields.path_of(key));
        let problem = if !is_token(&name) {
            "a field name has only letters, digits and !#$%&'*+-.^_`|~"
        } else if !is_field_value(&value) {
            "a field value has no line breaks, control characters or blanks at its ends"
        } else if good.iter().any(|(other, _)| other.eq_ignore_ascii_case(&name)) {
            "this field is here twice; case makes no difference"
        } else {
            good.push((name, value));
            continue;
        };
        fields.report.error("bad-header", at, &path, problem);
    }
    good
}
