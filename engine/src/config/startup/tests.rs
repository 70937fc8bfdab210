//! Static documents and what is said about them.

use super::*;
use crate::base::cidr::Cidr;
use crate::base::time::Span;
use crate::config::fixed::{
    AccessFormat, AccessLog, Api, AppendFor, Child, FileProvider, Forwarded, HeaderMode, IdleConns,
    Log, Multicluster, OnStale, Ping, Prometheus, Provider, Redirection, Scheme, Transport,
};
use crate::config::tls::Trust;
use crate::http::target::{Reading, Semicolons};

fn said(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn check(document: &str, expected: &str) -> Fixed {
    let (fixed, diagnostics) = fixed_from_file("s.yml", document);
    let found = said(&diagnostics);
    assert_eq!(found.replace("s.yml:", ""), expected, "{document}");
    fixed
}

const PARENT: &str = "\
hub:
  providers:
    multicluster:
      enabled: true
      pollInterval: 5
      pollTimeout: 2s
      children:
        cluster-2:
          address: \"http://child2.example.com:9443\"
          serversTransport:
            maxIdleConnsPerHost: -1
            forwardingTimeouts:
              dialTimeout: 1s
          tieline:
            onStale: {policy: decay, after: 1m, over: 30s}
        cluster-1:
          address: \"http://child1.example.com:9443\"
";

#[test]
fn the_parent_of_the_provider_page_over_clear_text() {
    let fixed = check(PARENT, "");
    let Some(Multicluster { poll_interval, poll_timeout, children }) = fixed.multicluster else {
        panic!("the provider is on");
    };
    assert_eq!((poll_interval, poll_timeout), (Span::secs(5), Span::secs(2)));
    let names: Vec<&str> = children.iter().map(|child| child.name.as_str()).collect();
    assert_eq!(names, ["cluster-1", "cluster-2"]);
    let Child { address, transport, on_stale, .. } = &children[1];
    assert_eq!(address.to_string(), "http://child2.example.com:9443");
    assert_eq!(
        *transport,
        Transport { idle: IdleConns::NoReuse, dial_timeout: Span::secs(1), ..Transport::default() }
    );
    assert_eq!(*on_stale, OnStale::Decay { after: Span::secs(60), over: Span::secs(30) });
}

#[test]
fn the_parent_of_the_provider_page_as_it_stands_speaks_tls() {
    let document = PARENT
        .replace("http://", "https://")
        .replace("maxIdleConnsPerHost: -1", "insecureSkipVerify: true");
    let fixed = check(&document, "");
    let children = fixed.multicluster.expect("the provider is on").children;
    let schemes = children.iter().map(|child| child.address.scheme).collect::<Vec<_>>();
    assert_eq!(schemes, [Scheme::Https; 2]);
    let trust = |child: &Child| child.transport.tls.as_ref().map(|tls| tls.trust.clone());
    assert_eq!(children.iter().map(trust).collect::<Vec<_>>(), [None, Some(Trust::DangerAnybody)]);
}

#[test]
fn the_child_of_the_uplink_page() {
    let document = "
hub:
  uplinkEntryPoints:
    multicluster:
      address: ':9443'
      asDefault: true
  providers:
    multicluster: {}
providers:
  kubernetescrd: {}
";
    let kubernetes =
        "10:3: warning: providers.kubernetesCRD: this is not supported yet and has no effect";
    let fixed = check(document, kubernetes);
    assert_eq!(fixed.multicluster, Some(Multicluster::default()));
    let expected = EntryPoint {
        as_default: true,
        ..EntryPoint::new("multicluster", "[::]:9443".parse().expect("an address"))
    };
    assert_eq!(fixed.uplink_entry_points, [expected]);
    assert_eq!(fixed.entry_points, [], "one entry point is enough");
    let with_tls = document.replace("asDefault: true", "http: {tls: {}}");
    let fixed = check(&with_tls, kubernetes);
    assert_eq!(fixed.uplink_entry_points[0].tls.as_deref(), Some("default"));
    let resolved = with_tls.replace("tls: {}", "tls: {certResolver: x}");
    let fixed = check(
        &resolved,
        &format!(
            "6:20: error: hub.uplinkEntryPoints.multicluster.http.tls.certResolver: certificates \
             are not obtained by this version; name them under tls.certificates\n{kubernetes}"
        ),
    );
    assert_eq!((fixed.uplink_entry_points, fixed.entry_points), (vec![], vec![]));
    assert_eq!(fixed.refused_entry_points, ["multicluster"]);
}

#[test]
fn keys_of_the_chart_are_known_for_what_they_are() {
    let fixed = check(
        "
hub:
  token: x
  providers:
    multicluster:
      enabled: false
ports:
  multicluster: {port: 9443, uplink: true}
additionalArguments:
  - --hub.uplinkEntryPoints.multicluster.http.tls=true
",
        "3:3: warning: hub.token: this is not supported yet and has no effect\n\
         7:1: warning: ports: this key belongs to the values of a Helm chart and has no effect \
         (write entryPoints and hub.uplinkEntryPoints)\n\
         9:1: warning: additionalArguments: this key belongs to the values of a Helm chart and \
         has no effect (write the flags as keys of this file)",
    );
    assert_eq!(fixed.multicluster, None);
}

/// What is said, without places.
#[track_caller]
fn about(document: &str, expected: &str) -> Fixed {
    let (fixed, diagnostics) = fixed_from_file("s.yml", document);
    let placeless = |problem: &Diagnostic| problem.clone().at("", 0, 0).to_string();
    let found: Vec<String> = diagnostics.iter().map(placeless).collect();
    assert_eq!(found.join("\n"), expected, "{document}");
    fixed
}

fn web() -> EntryPoint {
    EntryPoint::new("web", "127.0.0.1:80".parse().expect("an address"))
}

#[track_caller]
fn entry_point(lines: &str, expected: EntryPoint) {
    let document = format!("entryPoints: {{web: {{address: '127.0.0.1:80', {lines}}}}}");
    assert_eq!(about(&document, "").entry_points, [expected]);
}

#[test]
fn entry_points() {
    entry_point("", web());
    entry_point("asDefault: true", EntryPoint { as_default: true, ..web() });
    entry_point(
        "transport: {keepAliveMaxTime: 1h, keepAliveMaxRequests: 7,
         respondingTimeouts: {readTimeout: 1, writeTimeout: 2s, idleTimeout: 3s},
         lifeCycle: {requestAcceptGraceTimeout: 4s, graceTimeOut: 5s}}",
        EntryPoint {
            keep_alive_time_max: Span::secs(3600),
            keep_alive_requests_max: 7,
            read_timeout: Span::secs(1),
            write_timeout: Span::secs(2),
            idle_timeout: Span::secs(3),
            accept_grace: Span::secs(4),
            drain_grace: Span::secs(5),
            ..web()
        },
    );
    entry_point("http2: {maxConcurrentStreams: 100}", EntryPoint { streams_max: 100, ..web() });
    entry_point(
        "forwardedHeaders: {insecure: true, trustedIPs: '10.0.0.0/8, ::1',
         connection: [X-A], notAppendXForwardedFor: true}",
        EntryPoint {
            forwarded: Forwarded {
                insecure: true,
                trusted: ["10.0.0.0/8", "::1"].iter().filter_map(|c| Cidr::parse(c)).collect(),
                connection: vec!["X-A".into()],
                append_for: AppendFor::No,
            },
            ..web()
        },
    );
    entry_point(
        "http: {middlewares: [a, b@x], maxHeaderBytes: 4096, sanitizePath: true,
         encodedCharacters: {allowEncodedSlash: true}}",
        EntryPoint {
            middlewares: vec!["a@file".into(), "b@x".into()],
            header_bytes_max: 4096,
            ..web()
        },
    );
    entry_point(
        "http: {sanitizePath: false, encodeQuerySemicolons: true,
         redirections: {entryPoint: {to: ':443', priority: 10, permanent: false}}}",
        EntryPoint {
            reading: Reading { sanitise: false, semicolons: Semicolons::Encoded },
            redirection: Some(Redirection {
                to: ":443".into(),
                port: 443,
                scheme: "https".into(),
                permanent: false,
                priority: 10,
            }),
            ..web()
        },
    );
}

#[test]
fn an_entry_point_with_an_error_is_refused() {
    for (lines, expected) in [
        ("address: x", "address: `x`: the port is missing; write `:80` or `host:80`"),
        ("address: ':53/udp'", "address: `:53/udp`: UDP entry points are not supported"),
        ("{}", "address: an entry point has an address (for example \":80\")"),
        ("address: ':80', adress: x", "adress: unknown key `adress` (did you mean address?)"),
        (
            "address: ':80', transport: {respondingTimeouts: {readTimeout: -1}}",
            "transport.respondingTimeouts.readTimeout: `-1`: it is below 0",
        ),
        (
            "address: ':80', forwardedHeaders: {trustedIPs: [10.0.0.0/33]}",
            "forwardedHeaders.trustedIPs: `10.0.0.0/33`: expected an address or a range such as \
             10.0.0.0/8",
        ),
        ("address: ':80', http: {maxHeaderBytes: 0}", "http.maxHeaderBytes: `0`: it is below 1"),
        (
            "address: ':80', http: {redirections: {entryPoint: {to: x}}}",
            "http.redirections.entryPoint.to: there is no entry point x",
        ),
        (
            "address: ':80', http: {redirections: {entryPoint: {}}}",
            "http.redirections.entryPoint.to: a redirection says where to (the name of an entry \
             point, or a port such as :443)",
        ),
        (
            "address: ':80', http: {redirections: {entryPoint: {to: ':x'}}}",
            "http.redirections.entryPoint.to: `:x`: expected a port such as :443",
        ),
        (
            "address: ':80', http: {redirections: {entryPoint: {to: ':80'}}}",
            "http.redirections.entryPoint.to: this entry point would redirect to itself, again \
             and again",
        ),
        (
            "address: ':80', http: {encodedCharacters: {allowEncodedSlsh: false}}",
            "http.encodedCharacters.allowEncodedSlsh: unknown key `allowEncodedSlsh` (did you mean \
             allowEncodedSlash?)",
        ),
        (
            "address: ':80', proxyProtocol: {trustedIPs: [all]}",
            "proxyProtocol.trustedIPs: `all`: expected an address or a range such as 10.0.0.0/8",
        ),
        (
            "address: ':80', http: {underscoreHeadersStrategy: drop}",
            "http.underscoreHeadersStrategy: `drop`: expected one of keep, delete, reject",
        ),
        (
            "address: ':80', http: {underscoreHeadersStrategy: keep, aliasHeadersStrategy: keep}",
            "http.underscoreHeadersStrategy: this is not read beside aliasHeadersStrategy, which \
             covers it (leave it out)",
        ),
    ] {
        let lines = if lines == "{}" { "" } else { lines };
        let document = format!("entryPoints: {{web: {{{lines}}}}}");
        let fixed = about(&document, &format!("error: entryPoints.web.{expected}"));
        assert_eq!(fixed.entry_points, []);
        assert_eq!(fixed.refused_entry_points, ["web"]);
    }
}

#[test]
fn a_name_belongs_to_one_kind_of_entry_point() {
    let fixed = about(
        "entryPoints: {a: {address: ':80'}}\nhub: {uplinkEntryPoints: {a: {address: ':81'}}}",
        "error: hub.uplinkEntryPoints.a: `a` is also the name of an entry point \
         (give one of them another name)",
    );
    assert_eq!((fixed.entry_points.len(), fixed.uplink_entry_points.len()), (1, 0));
}

#[test]
fn an_address_belongs_to_one_entry_point() {
    let check = |one: &str, other: &str, expected: &str| {
        let document =
            format!("entryPoints: {{a: {{address: '{one}'}}, b: {{address: '{other}'}}}}");
        let fixed = about(&document, expected);
        assert_eq!(fixed.entry_points.len(), 1 + usize::from(expected.is_empty()));
    };
    let taken = |by: &str| {
        format!("error: entryPoints.b.address: the entry point a listens on {by} already")
    };
    check("127.0.0.1:80", "127.0.0.1:80", &taken("127.0.0.1:80"));
    check(":80", "127.0.0.1:80", &taken("[::]:80"));
    check("127.0.0.1:80", ":80", &taken("127.0.0.1:80"));
    check("0.0.0.0:80", "127.0.0.1:80", &taken("0.0.0.0:80"));
    check("0.0.0.0:80", "[::1]:80", "");
    check("127.0.0.1:80", "127.0.0.2:80", "");
    check("127.0.0.1:80", "127.0.0.1:81", "");
    check(":0", ":0", "");
    about(
        "entryPoints: {a: {address: ':80'}}\nhub: {uplinkEntryPoints: {b: {address: ':80'}}}",
        "error: hub.uplinkEntryPoints.b.address: the entry point a listens on [::]:80 already",
    );
    about(
        "entryPoints: {web: {address: ':8080'}}\nping: {}",
        "error: entryPoints.traefik.address: pages of our own are served on :8080, where web \
         listens (give one of them another address)",
    );
}

#[test]
fn missing_entry_points_are_added_where_something_needs_them() {
    let names = |document: &str| {
        let fixed = about(document, "");
        let entries = fixed.entry_points.iter();
        entries.map(|e| format!("{} {}", e.name, e.address)).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(names(""), "http [::]:80");
    assert_eq!(names("ping: {}"), "http [::]:80, traefik [::]:8080");
    assert_eq!(names("ping: {manualRouting: true}"), "http [::]:80");
    assert_eq!(names("api: {}"), "http [::]:80");
    assert_eq!(names("api: {insecure: true}"), "http [::]:80, traefik [::]:8080");
    let web = "entryPoints: {web: {address: ':1'}}\n";
    assert_eq!(names(web), "web [::]:1");
    assert_eq!(names(&format!("{web}ping: {{entryPoint: web}}")), "web [::]:1");
    assert_eq!(
        names(&format!("{web}metrics: {{prometheus: {{}}}}")),
        "traefik [::]:8080, web [::]:1"
    );
    let own = "entryPoints: {traefik: {address: ':1'}}\nping: {}";
    assert_eq!(names(own), "traefik [::]:1");
}

#[test]
fn children_and_their_transport() {
    let head = "hub: {providers: {multicluster: {children: {c: {";
    let path = "hub.providers.multicluster.children.c.";
    for (lines, expected) in [
        ("", "address: a child has an address (for example http://child.example.com:9443)"),
        ("address: c", "address: `c`: a URL starts with http://, https:// or h2c://"),
        ("address: http://c, adress: d", "adress: unknown key `adress` (did you mean address?)"),
        (
            "address: http://c, serversTransport: {rootCAs: [a]}",
            "serversTransport: these settings are for TLS, and the address is not (write \
             https://, or leave them out)",
        ),
        (
            "address: https://c, serversTransport: {maxVersion: VersionTLS11}",
            "serversTransport.maxVersion: TLS below 1.2 is not spoken",
        ),
        (
            "address: https://c, serversTransport: {certificates: [{certFile: a}]}",
            "serversTransport.certificates[0].keyFile: a certificate has a certFile and a keyFile",
        ),
        (
            "address: https://c, serversTransport: {cipherSuites: [TLS_X]}",
            "serversTransport.cipherSuites: `TLS_X`: expected the name of a cipher suite",
        ),
        (
            "address: http://c, serversTransport: {forwardingTimeouts: {dialTimeout: x}}",
            "serversTransport.forwardingTimeouts.dialTimeout: `x`: write 10s, 1m30s, 250ms or a \
             number of seconds",
        ),
        (
            "address: http://c, tieline: {onStale: {policy: keeep}}",
            "tieline.onStale.policy: `keeep`: expected one of keep, demote, decay, withdraw; did \
             you mean keep?",
        ),
        (
            "address: http://c, tieline: {onStale: {policy: withdraw}}",
            "tieline.onStale.after: this policy needs to know after what time",
        ),
        (
            "address: http://c, tieline: {onStale: {policy: decay, after: 1s}}",
            "tieline.onStale.over: decay needs to know over what time",
        ),
        (
            "address: http://c, tieline: {onStale: {after: 1s}}",
            "tieline.onStale.policy: name a policy (keep, demote, decay or withdraw)",
        ),
    ] {
        let document = format!("{head}{lines}}}}}}}}}}}");
        let fixed = about(&document, &format!("error: {path}{expected}"));
        assert_eq!(fixed.multicluster.map(|m| m.children.len()), Some(0), "{lines}");
    }
    let idle = |count: i64| {
        let transport = format!("serversTransport: {{maxIdleConnsPerHost: {count}}}");
        let document = format!("{head}address: http://c, {transport}}}}}}}}}}}");
        let fixed = about(&document, "");
        fixed.multicluster.map(|m| m.children[0].transport.idle)
    };
    assert_eq!(idle(0), Some(IdleConns::UpTo(200)));
    assert_eq!(idle(7), Some(IdleConns::UpTo(7)));
    assert_eq!(idle(-5), Some(IdleConns::NoReuse));
}

#[test]
fn polling() {
    let polled = |lines: &str, expected: &str| {
        let document = format!("hub: {{providers: {{multicluster: {{{lines}}}}}}}");
        let fixed = about(&document, expected);
        fixed.multicluster.map(|m| (m.poll_interval, m.poll_timeout))
    };
    let default = Some((Span::secs(5), Span::secs(5)));
    assert_eq!(polled("", ""), default);
    let own = Some((Span::millis(1500), Span::secs(2)));
    assert_eq!(polled("pollInterval: 1.5s, pollTimeout: 2", ""), own);
    let at = "hub.providers.multicluster.";
    let zero = format!("error: {at}pollInterval: `0`: it must be above 0");
    assert_eq!(polled("pollInterval: 0", &zero), default);
    let often = format!("error: {at}pollInterval: 1ms: it is below 10ms");
    assert_eq!(polled("pollInterval: 1ms", &often), default);
    let warned = "warning: hub.providers.multicluster: an empty key changes nothing; write {} to \
                  switch it on";
    assert_eq!(about("hub: {providers: {multicluster: }}", warned).multicluster, None);
}

#[test]
fn the_file_provider() {
    let file = |lines: &str, expected: &str| {
        about(&format!("providers: {{file: {{{lines}}}}}"), expected).file
    };
    let of = |path: &str, watch| Some(FileProvider { path: path.to_owned(), watch });
    assert_eq!(file("directory: /etc/d", ""), of("/etc/d", true));
    assert_eq!(file("filename: a.yml, watch: false", ""), of("a.yml", false));
    assert_eq!(
        file(
            "filename: a.yml, directory: d",
            "error: providers.file.filename: filename is not read beside directory \
             (leave out one of them)"
        ),
        of("d", true)
    );
    let nothing = "error: providers.file: nothing says what to read \
                   (name one of directory and filename)";
    assert_eq!(file("watch: true", nothing), None);
    let throttle = about("providers: {providersThrottleDuration: 500ms}", "").throttle;
    assert_eq!(throttle, Span::millis(500));
}

#[test]
fn the_http_provider() {
    let http = |lines: &str, expected: &str| {
        about(&format!("providers: {{http: {{{lines}}}}}"), expected).http
    };
    let provider = http("endpoint: 'https://c:1/d?e', headers: {Host: h, X-A: b}", "");
    let provider = provider.expect("it has an endpoint");
    assert_eq!((provider.endpoint.authority.port, &*provider.endpoint.path), (1, "/d?e"));
    assert_eq!((provider.poll_interval, provider.poll_timeout), (Span::secs(5), Span::secs(5)));
    assert_eq!(provider.host.as_deref(), Some("h"));
    assert_eq!(provider.headers, [("X-A".to_owned(), "b".to_owned())]);
    let known = "endpoint: 'http://c'";
    for (lines, expected) in [
        (
            "pollInterval: 1s".to_owned(),
            "error: providers.http.endpoint: the provider has an endpoint to ask \
             (for example https://config.example.com/dynamic)",
        ),
        (
            "endpoint: 'h2c://c'".to_owned(),
            "error: providers.http.endpoint: `h2c://c`: expected a URL with http:// or https://",
        ),
        (
            format!("{known}, headers: {{Content-Length: 5}}"),
            "error: providers.http.headers: Content-Length belongs to the connection and cannot \
             be set",
        ),
        (
            format!("{known}, pollInterval: 1ms"),
            "error: providers.http.pollInterval: 1ms: it is below 10ms",
        ),
        (
            format!("{known}, tls: {{ca: c}}"),
            "warning: providers.http.tls: the endpoint is not one of https",
        ),
        (
            format!("{known}, pollIntervall: 1s"),
            "error: providers.http.pollIntervall: unknown key `pollIntervall` \
             (did you mean pollInterval?)",
        ),
    ] {
        http(&lines, expected);
    }
}

#[test]
fn providers_have_a_precedence() {
    let ranks = |lines: &str, expected: &str| {
        let fixed = about(&format!("providers: {{precedence: {lines}}}"), expected);
        [Provider::File, Provider::Http].map(|provider| fixed.rank(provider))
    };
    assert_eq!(ranks("", ""), [0, 1]);
    assert_eq!(ranks("[http, file]", ""), [1, 0]);
    assert_eq!(ranks("[kubernetesCRD, http]", ""), [2, 1]);
    assert_eq!(ranks("[rest]", ""), [1, 1]);
    let twice = "error: providers.precedence: file is here twice";
    assert_eq!(ranks("[file, File]", twice), [0, 1]);
    let fixed = about("providers: {file: {filename: f}}", "");
    assert_eq!(fixed.precedence, ["file", "http"]);
}

#[test]
fn what_the_process_tells_about_itself() {
    let fixed = about(
        "
api: {insecure: true, basePath: /own}
ping: {entryPoint: web, manualRouting: true, terminatingStatusCode: 204}
metrics:
  prometheus: {buckets: [0.1, 1, '.5e', 2.5], addRoutersLabels: true, addServicesLabels: false,
    addEntryPointsLabels: false, entryPoint: web, manualRouting: true}
accessLog:
  filePath: /log
  format: JSON
  addInternals: true
  filters: {statusCodes: ['200', '300-302'], retryAttempts: true, minDuration: 10ms}
  fields:
    defaultMode: drop
    names: {ClientHost: keep}
    headers: {defaultMode: redact, names: {User-Agent: keep, Cookie: hide}}
log: {level: DEBUG, format: json, filePath: /l}
serversTransport: {maxIdleConnsPerHost: 3}
tieline: {workers: 2, instance: edge-1}
",
        "error: metrics.prometheus.buckets: `.5e`: expected seconds such as 0.3, each above the \
         one before\n\
         error: accessLog.fields.headers.names.Cookie: `hide`: expected one of keep, drop, redact",
    );
    assert_eq!(fixed.api, Some(Api { insecure: true, base_path: "/own".into(), ..Api::default() }));
    let ping = Ping { entry_point: "web".into(), manual_routing: true, terminating_status: 204 };
    assert_eq!(fixed.ping, Some(ping));
    let prometheus = Prometheus {
        buckets_micros: vec![100_000, 1_000_000, 2_500_000],
        entry_point: "web".into(),
        manual_routing: true,
        entry_point_labels: false,
        router_labels: true,
        service_labels: false,
    };
    assert_eq!(fixed.prometheus, Some(prometheus));
    let log = AccessLog {
        file: Some("/log".into()),
        format: AccessFormat::Json,
        status: vec![200..=200, 300..=302],
        retry_attempts: true,
        min_duration: Span::millis(10),
        default_keep: false,
        names: [("ClientHost".into(), true)].into(),
        header_default: HeaderMode::Redact,
        headers: [("user-agent".into(), HeaderMode::Keep)].into(),
        add_internals: true,
    };
    assert_eq!(fixed.access_log, Some(log));
    assert_eq!(fixed.log, Log { level: "debug".into(), json: true, file: Some("/l".into()) });
    assert_eq!(fixed.servers_transport.idle, IdleConns::UpTo(3));
    assert_eq!(fixed.tieline, Settings { workers: 2, instance: "edge-1".into(), recording: true });
}

#[test]
fn what_comes_later_is_known_and_said_to_have_no_effect() {
    for key in ["certificatesResolvers: {}", "experimental: {}", "global: {}"] {
        let name = key.split(':').next().expect("a key");
        about(key, &format!("warning: {name}: this is not supported yet and has no effect"));
    }
    about(
        "tracing: {otlp: {}}",
        "warning: tracing: requests are not traced by this version: no span is made or sent \
         (fields of clients such as traceparent are passed on as they come)",
    );
    about(
        "tracng: {}",
        "warning: tracng: the root key `tracng` is not known and is read over \
         (did you mean tracing?)",
    );
    about("log: {levle: info}", "error: log.levle: unknown key `levle` (did you mean level?)");
    about(
        "providers: {multicluster: {}}",
        "error: providers.multicluster: this key belongs to hub (write it under hub: providers:)",
    );
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn flags_make_the_same_configuration_as_a_file() {
    let flags = "--@.pollInterval=5 \
                 --hub.providers.MULTICLUSTER.pollTimeout 2s \
                 --@.children.cluster-1.address=http://child1.example.com:9443 \
                 --@2.address http://child2.example.com:9443 \
                 --@2.serversTransport.maxIdleConnsPerHost=-1 \
                 -@2.serversTransport.forwardingTimeouts.dialTimeout=1s \
                 --@2.tieline.onStale.policy=decay \
                 --@2.tieline.onStale.after=1m \
                 --@2.tieline.onStale.over=30s \
                 --@";
    let flags =
        flags.replace("@2", "@.children.cluster-2").replace('@', "hub.providers.multicluster");
    let (fixed, diagnostics) = fixed_from_flags(&words(&flags));
    assert_eq!(said(&diagnostics), "");
    assert_eq!(fixed, check(PARENT, ""));
}

#[test]
fn flags_switch_on_split_lists_and_are_checked() {
    let (fixed, diagnostics) = fixed_from_flags(&words(
        "--ping --api=true --api.insecure --accessLog --entryPoints.Web.address :80 \
         --entrypoints.web.http.middlewares=a,b@x --entryPoints.web.http.middlewares=c \
         --accessLog.filters.statusCodes[1]=500 --accessLog.filters.statusCodes[0]=400-404",
    ));
    assert_eq!(said(&diagnostics), "");
    assert!(fixed.ping.is_some() && fixed.api.is_some_and(|api| api.insecure));
    let web = &fixed.entry_points[0];
    assert_eq!((web.name.as_str(), web.middlewares.join(" ")), ("Web", "a@file b@x c@file".into()));
    assert_eq!(fixed.access_log.expect("it is on").status, [400..=404, 500..=500]);
    let (_, diagnostics) = fixed_from_flags(&words(
        "--png --log.levle=info run --a..b=1 --ping.entryPoint.x=1 \
            --x[=1",
    ));
    assert_eq!(
        said(&diagnostics),
        "error: `run` is not of the form --a.b=value, or contradicts another flag\n\
         error: `--a..b=1` is not of the form --a.b=value, or contradicts another flag\n\
         error: `--x[=1` is not of the form --a.b=value, or contradicts another flag\n\
         error: ping.entryPoint: expected a single value, found a mapping\n\
         error: log.levle: unknown key `levle` (did you mean level?)\n\
         error: png: unknown key `png` (did you mean ping?)"
    );
}

#[test]
fn variables_make_the_same_configuration_under_both_prefixes() {
    let variables = |prefix: &str| -> Vec<(String, String)> {
        [
            ("ENTRYPOINTS_WEB_ADDRESS", ":80"),
            ("ENTRYPOINTS_WEB_HTTP_MIDDLEWARES", "a,b"),
            ("PING", "true"),
            ("ACCESSLOG_FILTERS_STATUSCODES_0", "500"),
            ("SERVICE_HOST", "10.0.0.1"),
            ("PORT_80_TCP", "x"),
        ]
        .map(|(name, value)| (format!("{prefix}_{name}"), value.to_owned()))
        .into()
    };
    let (ours, diagnostics) = fixed_from_env(&variables("TIELINE"));
    assert_eq!(said(&diagnostics), "");
    assert_eq!(ours, fixed_from_env(&variables("TRAEFIK")).0);
    assert_eq!(ours.entry_points[1].middlewares, ["a@file", "b@file"]);
    assert!(ours.ping.is_some());
    assert_eq!(ours.access_log.expect("it is on").status, [500..=500]);
    let set = |name: &str| fixed_from_env(&[(name.to_owned(), "x".to_owned())]).1;
    assert_eq!(
        said(&set("TRAEFIK_ENTRYPOINT_WEB_ADDRESS")),
        "warning: the variable TRAEFIK_ENTRYPOINT_WEB_ADDRESS is not read: there is no root key \
         `entrypoint` (did you mean entryPoints?)"
    );
    assert_eq!(
        said(&set("TRAEFIK_LOG_LEVLE")),
        "error: log.levle: unknown key `levle` (did you mean level?)"
    );
    assert_eq!(
        said(&set("TIELINE_LOG__LEVEL")),
        "error: the variable TIELINE_LOG__LEVEL contradicts another one or is misspelt"
    );
    assert_eq!(said(&set("PATH")), "");
}

#[test]
fn the_first_source_wins_whole() {
    let file = Some(("s.yml", "ping: {}"));
    let flags = words("--configFile=s.yml --api.insecure=true");
    let env = [("TRAEFIK_LOG_LEVEL".to_owned(), "debug".to_owned())];
    let (by_file, diagnostics) = fixed(file, &flags, &env);
    assert!(by_file.ping.is_some() && by_file.api.is_none() && by_file.log.level == "info");
    assert_eq!(
        said(&diagnostics),
        "s.yml: warning: flags such as --api.insecure=true are not read, because there is a file"
    );
    let (by_flags, _) = fixed(None, &flags[1..], &env);
    assert!(by_flags.api.is_some() && by_flags.log.level == "info");
    let (by_env, _) = fixed(None, &flags[..1], &env);
    assert!(by_env.api.is_none() && by_env.log.level == "debug");
}

#[test]
fn a_file_is_looked_for_under_both_names() {
    let paths = crate::config::search_paths(Some("/x"), Some("/h"));
    assert_eq!(paths.len(), 24);
    for path in ["/etc/tieline/tieline.toml", "/x/traefik.yaml", "/h/.config/tieline.yml"] {
        assert!(paths.iter().any(|known| known == path), "{path}");
    }
    assert_eq!(paths.last().map(String::as_str), Some("./traefik.yml"));
    assert_eq!(crate::config::search_paths(None, None).len(), 12);
    let named = crate::config::file_flag(&words("--ping --CONFIGFILE a.yml"));
    assert_eq!(named.as_deref(), Some("a.yml"));
}
