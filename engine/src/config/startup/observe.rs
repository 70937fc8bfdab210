//! What the process tells about itself: API, ping, metrics, logs.

use crate::config::dynamic::statuses;
use crate::config::fields::{Fields, bad_value};
use crate::config::fixed::{
    AccessFormat, AccessLog, Api, Fixed, HeaderMode, Log, Ping, Prometheus,
};
use std::collections::BTreeMap;

pub(super) fn read(root: &Fields<'_>, fixed: &mut Fixed) {
    fixed.api = root.switch("api").map(api);
    fixed.ping = root.switch("ping").map(ping);
    if let Some(metrics) = root.section("metrics") {
        fixed.prometheus = metrics.switch("prometheus").map(prometheus);
        metrics.without_effect(&["addInternals", "datadog", "statsD", "influxDB2", "otlp"]);
        metrics.close();
    }
    fixed.access_log = root.switch("accessLog").map(access_log);
    fixed.log = root.section("log").map(log).unwrap_or_default();
    root.reads_over("tracing");
    if root.present("tracing") {
        let text = "requests are not traced by this version: no span is made or sent";
        let help = "fields of clients such as traceparent are passed on as they come";
        root.warning_with_help("tracing", "no-effect", text, help);
    }
}

fn api(fields: Fields<'_>) -> Api {
    let mut api = Api::default();
    api.insecure = fields.flag("insecure").unwrap_or(api.insecure);
    let base_path = fields.parsed("basePath", |text| {
        let fits = text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic());
        if fits {
            Ok(text.to_owned())
        } else {
            Err("expected a path that begins with /".to_owned())
        }
    });
    api.base_path = base_path.unwrap_or(api.base_path);
    api.dashboard = fields.flag("dashboard").unwrap_or(api.dashboard);
    api.dashboard_name = fields.text("dashboardName").unwrap_or_default();
    fields.without_effect(&["debug", "disableDashboardAd"]);
    fields.close();
    api
}

fn ping(fields: Fields<'_>) -> Ping {
    let mut ping = Ping::default();
    ping.entry_point = fields.text("entryPoint").unwrap_or(ping.entry_point);
    ping.manual_routing = fields.flag("manualRouting").unwrap_or(ping.manual_routing);
    let status = fields.number("terminatingStatusCode", 200..=599);
    let status = status.and_then(|status| u16::try_from(status).ok());
    ping.terminating_status = status.unwrap_or(ping.terminating_status);
    fields.close();
    ping
}

fn prometheus(fields: Fields<'_>) -> Prometheus {
    let mut prometheus = Prometheus::default();
    prometheus.buckets_micros = buckets(&fields).unwrap_or(prometheus.buckets_micros);
    prometheus.entry_point = fields.text("entryPoint").unwrap_or(prometheus.entry_point);
    prometheus.manual_routing = fields.flag("manualRouting").unwrap_or(prometheus.manual_routing);
    let labels = |key, default| fields.flag(key).unwrap_or(default);
    prometheus.entry_point_labels = labels("addEntryPointsLabels", prometheus.entry_point_labels);
    prometheus.router_labels = labels("addRoutersLabels", prometheus.router_labels);
    prometheus.service_labels = labels("addServicesLabels", prometheus.service_labels);
    fields.without_effect(&["headerLabels"]);
    fields.close();
    prometheus
}

/// Seconds as decimals, ascending.
fn buckets(fields: &Fields<'_>) -> Option<Vec<u64>> {
    let mut bounds: Vec<u64> = Vec::new();
    for (at, text) in fields.texts("buckets")? {
        let bound = micros(text).filter(|bound| bounds.last().is_none_or(|last| last < bound));
        match bound {
            Some(bound) => bounds.push(bound),
            None => {
                let wanted = "expected seconds such as 0.3, each above the one before";
                bad_value(fields.report, at, &fields.path_of("buckets"), text, wanted);
            }
        }
    }
    (!bounds.is_empty()).then_some(bounds)
}

/// A decimal number of seconds, up to a day, in microseconds.
fn micros(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || (whole.is_empty() && part.is_empty()) {
        return None;
    }
    let seconds: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let micros: u64 = format!("{part:0<6}").parse().ok()?;
    Some(seconds * 1_000_000 + micros).filter(|total| (1..=86_400_000_000).contains(total))
}

const MODES: [(&str, HeaderMode); 3] =
    [("keep", HeaderMode::Keep), ("drop", HeaderMode::Drop), ("redact", HeaderMode::Redact)];

fn access_log(fields: Fields<'_>) -> AccessLog {
    let mut log = AccessLog { file: file(&fields), ..AccessLog::default() };
    let formats = [
        ("common", AccessFormat::Common),
        ("genericCLF", AccessFormat::GenericClf),
        ("json", AccessFormat::Json),
    ];
    log.format = fields.word("format", &formats).unwrap_or(log.format);
    log.add_internals = fields.flag("addInternals").unwrap_or(log.add_internals);
    if let Some(filters) = fields.section("filters") {
        log.status = statuses(&filters, "statusCodes");
        log.retry_attempts = filters.flag("retryAttempts").unwrap_or(false);
        log.min_duration = filters.span("minDuration").unwrap_or_default();
        filters.close();
    }
    if let Some(kept) = fields.section("fields") {
        read_kept(&kept, &mut log);
        kept.close();
    }
    fields.without_effect(&["bufferingSize", "dualOutput", "otlp"]);
    fields.close();
    log
}

fn read_kept(fields: &Fields<'_>, log: &mut AccessLog) {
    let two = [("keep", true), ("drop", false)];
    log.default_keep = fields.word("defaultMode", &two).unwrap_or(true);
    log.names = modes(fields, "names", &two);
    if let Some(headers) = fields.section("headers") {
        log.header_default = headers.word("defaultMode", &MODES).unwrap_or(log.header_default);
        let named = modes(&headers, "names", &MODES);
        log.headers =
            named.into_iter().map(|(name, mode)| (name.to_ascii_lowercase(), mode)).collect();
        headers.close();
    }
    if let Some(query) = fields.section("queryParameters") {
        if query.word("defaultMode", &MODES).is_some_and(|mode| mode != HeaderMode::Keep) {
            let text = "queries are always logged whole by this version";
            query.error("defaultMode", "unsupported", text);
        }
        query.without_effect(&["names"]);
        query.close();
    }
}

fn modes<T: Copy>(
    fields: &Fields<'_>,
    key: &'static str,
    words: &[(&str, T)],
) -> BTreeMap<String, T> {
    let mut modes = BTreeMap::new();
    for (at, name, text) in fields.pairs(key) {
        match words.iter().find(|(word, _)| word.eq_ignore_ascii_case(&text)) {
            Some((_, mode)) => drop(modes.insert(name, *mode)),
            None => {
                let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                let path = format!("{}.{name}", fields.path_of(key));
                let wanted = format!("expected one of {}", all.join(", "));
                bad_value(fields.report, at, &path, &text, &wanted);
            }
        }
    }
    modes
}

fn log(fields: Fields<'_>) -> Log {
    let levels = [
        ("trace", "trace"),
        ("debug", "debug"),
        ("info", "info"),
        ("warn", "warn"),
        ("error", "error"),
        ("fatal", "error"),
        ("panic", "error"),
    ];
    let default = Log::default();
    let level = fields.word("level", &levels);
    let log = Log {
        level: level.map_or(default.level, str::to_owned),
        json: fields.word("format", &[("common", false), ("json", true)]).unwrap_or(false),
        file: file(&fields),
    };
    fields.accept(&["noColor"]);
    fields.without_effect(&["compress", "maxAge", "maxBackups", "maxSize", "otlp"]);
    fields.close();
    log
}

fn file(fields: &Fields<'_>) -> Option<String> {
    fields.text("filePath").filter(|path| !path.is_empty())
}
