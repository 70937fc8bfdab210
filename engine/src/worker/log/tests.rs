//! Lines of a small gateway, in every format.

use super::*;
use crate::base::time::Time;
use crate::worker::fixture::{WALL, record, route, server, view};

fn settings(format: AccessFormat) -> AccessLog {
    AccessLog {
        file: None,
        format,
        status: Vec::new(),
        retry_attempts: false,
        min_duration: Span::ZERO,
        default_keep: true,
        names: std::collections::BTreeMap::new(),
        header_default: HeaderMode::Drop,
        headers: std::collections::BTreeMap::new(),
        add_internals: false,
    }
}

fn line(settings: &AccessLog, change: impl Fn(&mut AccessRecord<'_>)) -> String {
    let (view, route, server) = (view(), route(false), server(1));
    let mut record = record(&view, &route, &server);
    change(&mut record);
    let mut out = Vec::new();
    AccessLines::new(settings, WALL).write(&record, &mut out);
    String::from_utf8(out).expect("lines are UTF-8")
}

#[test]
fn a_common_line_has_traefiks_shape_and_ours_behind_it() {
    assert_eq!(
        line(&settings(AccessFormat::Common), |_| {}),
        "192.0.2.7 - - [14/Nov/2023:22:13:20 +0000] \"GET /a?b=\\\"c\\\" HTTP/1.1\" 200 1000 \
         \"-\" \"-\" 9 \"shop@file\" \"http://127.0.0.1:9101\" 12ms 7 \
         \"shop@multicluster#41=west\"\n"
    );
}

#[test]
fn a_generic_line_stops_after_the_user_agent() {
    let mut settings = settings(AccessFormat::GenericClf);
    settings.headers.insert("user-agent".to_owned(), HeaderMode::Keep);
    let text = line(&settings, |record| record.forwarded_for = b"203.0.113.9, 10.0.0.1");
    assert_eq!(
        text,
        "203.0.113.9,\\x2010.0.0.1 - - [14/Nov/2023:22:13:20 +0000] \
         \"GET /a?b=\\\"c\\\" HTTP/1.1\" 200 1000 \"-\" \"te\\\"st\"\n"
    );
}

#[test]
fn dropped_fields_leave_a_dash() {
    let mut settings = settings(AccessFormat::Common);
    settings.default_keep = false;
    settings.names.insert("DownstreamStatus".to_owned(), true);
    assert_eq!(
        line(&settings, |_| {}),
        "- - - [-] \"- - -\" 200 - \"-\" \"-\" - \"-\" \"-\" -ms\n"
    );
}

#[test]
fn a_json_line_has_traefiks_keys_and_ours() {
    let mut settings = settings(AccessFormat::Json);
    settings.header_default = HeaderMode::Keep;
    settings.headers.insert("cookie".to_owned(), HeaderMode::Redact);
    settings.headers.insert("server".to_owned(), HeaderMode::Drop);
    let expected = r#"{"Choices":[{"Service":"shop@multicluster","Ticket":41,"Turn":1,
"Member":"shop-west@multicluster","Child":"west"}],"ClientAddr":"192.0.2.7:5000",
"ClientHost":"192.0.2.7","ClientPort":"5000","ClientUsername":"-","DownstreamContentSize":1000,
"DownstreamStatus":200,"Duration":12000001,"Epoch":7,"OriginContentSize":1000,
"OriginDuration":10000000,"OriginStatus":200,"Overhead":2000001,
"RequestAddr":"shop.example:8080","RequestContentSize":3,"RequestCount":9,
"RequestHost":"shop.example","RequestMethod":"GET","RequestPath":"/a?b=\"c\"",
"RequestPort":"8080","RequestProtocol":"HTTP/1.1","RequestScheme":"http","RetryAttempts":0,
"RouterName":"shop@file","ServiceAddr":"127.0.0.1:9101",
"ServiceName":"shop-west@multicluster","ServiceURL":"http://127.0.0.1:9101",
"StartLocal":"2023-11-14T22:13:20.005000000Z","StartUTC":"2023-11-14T22:13:20.005000000Z",
"entryPointName":"web","request_User-Agent":"te\"st","request_Accept":"a,b",
"request_Cookie":"REDACTED","level":"info","msg":"","time":"2023-11-14T22:13:20.017000001Z"}"#;
    let text = line(&settings, |_| {});
    assert_eq!(text, expected.replace('\n', "") + "\n");
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
}

#[test]
fn callers_are_shown_as_far_as_they_are_verified() {
    let settings = settings(AccessFormat::Json);
    let shown = |callers: &'static [u8], caller: &'static str| {
        let text = line(&settings, |record| (record.callers, record.caller) = (callers, caller));
        let start = text.find("\"Callers\":")?;
        text[start..].split("\",").next().map(str::to_owned)
    };
    assert_eq!(shown(b"", ""), None);
    assert_eq!(shown(b"a", ""), None);
    assert_eq!(shown(b"", "dns:b").as_deref(), Some("\"Callers\":\"dns:b"));
    assert_eq!(shown(b"a\x01", "dns:b").as_deref(), Some("\"Callers\":\"a\\u0001, dns:b"));
}

#[test]
fn what_nobody_knows_is_left_out() {
    let mut settings = settings(AccessFormat::Json);
    settings.default_keep = false;
    for name in
        ["RouterName", "ServiceName", "ServiceURL", "ServiceAddr", "OriginStatus", "Choices"]
    {
        settings.names.insert(name.to_owned(), true);
    }
    let text = line(&settings, |record| {
        (record.route, record.service, record.server) = (None, None, None);
        (record.server_addr, record.choices, record.origin_status) = (None, &[], 0);
    });
    let expected = r#"{"level":"info","msg":"","time":"2023-11-14T22:13:20.017000001Z"}"#;
    assert_eq!(text.trim_end(), expected);
}

#[test]
fn one_of_the_two_times_is_enough_for_a_common_line() {
    for (name, dated) in [("StartUTC", true), ("StartLocal", true), ("Duration", false)] {
        let mut settings = settings(AccessFormat::GenericClf);
        settings.default_keep = false;
        settings.names.insert(name.to_owned(), true);
        let text = line(&settings, |_| {});
        assert_eq!(text.contains("[14/Nov/2023:22:13:20 +0000]"), dated, "{name}: {text}");
    }
}

#[test]
fn one_reason_is_enough_to_pass_the_filters() {
    let mut filtered = settings(AccessFormat::GenericClf);
    filtered.status = vec![500..=599, 404..=404];
    filtered.retry_attempts = true;
    filtered.min_duration = Span::millis(20);
    for (change, passes) in [
        ((|_| {}) as fn(&mut AccessRecord<'_>), false),
        (|record| record.status = 404, true),
        (|record| record.status = 503, true),
        (|record| record.status = 600, false),
        (|record| record.retries = 1, true),
        (|record| record.ended = Time::from_nanos(25_000_001), true),
        (|record| record.ended = Time::from_nanos(25_000_000), false),
    ] {
        assert_eq!(!line(&filtered, change).is_empty(), passes);
    }
}

#[test]
fn internal_routes_are_logged_only_on_request() {
    let (view, route, server) = (view(), route(true), server(1));
    for add_internals in [false, true] {
        let settings = AccessLog { add_internals, ..settings(AccessFormat::Common) };
        let mut out = Vec::new();
        AccessLines::new(&settings, WALL).write(&record(&view, &route, &server), &mut out);
        assert_eq!(!out.is_empty(), add_internals);
    }
}

#[test]
fn fields_are_wanted_only_if_one_may_be_shown() {
    let mut settings = settings(AccessFormat::Json);
    assert!(!AccessLines::new(&settings, WALL).wants_fields());
    settings.headers.insert("cookie".to_owned(), HeaderMode::Redact);
    assert!(AccessLines::new(&settings, WALL).wants_fields());
}

#[test]
fn ports_are_told_from_hosts() {
    for (authority, host, port) in [
        ("a:1", "a", Some("1")),
        ("a", "a", None),
        ("[::1]:80", "[::1]", Some("80")),
        ("[::1]", "[::1]", None),
        ("", "", None),
    ] {
        let got = json::split_port(authority.as_bytes());
        assert_eq!(got, (host.as_bytes(), port.map(str::as_bytes)));
    }
}
