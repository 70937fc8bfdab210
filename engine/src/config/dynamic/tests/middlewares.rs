//! What is read of middlewares, and what is said about them.

use super::about;
use crate::base::time::Span;
use crate::config::fixed::Transport;
use crate::config::tls::Trust;
use crate::config::typed::{
    Aim, Cors, Credentials, HeadersEdit, IpStrategy, MiddlewareKind, Security, Source,
};
use crate::rule::Pattern;

#[track_caller]
pub(super) fn middleware(lines: &str, expected: &str) -> MiddlewareKind {
    let dynamic = about("http: {middlewares: {m: {", lines, "}}}", expected);
    let kind = dynamic.middlewares[0].kind.clone();
    let is_broken = matches!(kind, MiddlewareKind::Broken(_));
    assert_eq!(is_broken, expected.contains("error: "), "{kind:?}");
    kind
}

#[test]
fn kinds_and_their_first_words() {
    let shown = |lines: &str| format!("{:?}", middleware(lines, ""));
    assert_eq!(shown("addPrefix: {prefix: a}"), "AddPrefix { prefix: \"/a\" }");
    assert_eq!(
        shown("stripPrefix: {prefixes: '/a, /b'}"),
        "StripPrefix(StripPrefix { prefixes: [\"/a\", \"/b\"], force_slash: false })"
    );
    assert_eq!(shown("chain: {middlewares: [a, b@x]}"), "Chain([\"a@file\", \"b@x\"])");
    middleware(
        "stripPrefix: {prefixes: [/a], forceSlash: true}",
        "warning: stripPrefix.forceSlash: Traefik will drop forceSlash; it only matters to \
         middlewares behind this one",
    );
    for (lines, expected) in [
        ("", "http.middlewares.m: a middleware names its kind"),
        ("addPrefix: {}", "addPrefix.prefix: addPrefix has a prefix"),
        (
            "addPrefix: {prefix: '/a?b'}",
            "addPrefix.prefix: `/a?b`: expected a path; other letters are percent-encoded",
        ),
        (
            "stripPrefix: {prefix: /a}",
            "stripPrefix.prefixes: stripPrefix has prefixes\nerror: stripPrefix.prefix: unknown \
                key `prefix` (did you mean prefixes?)",
        ),
        ("chain: {middlewares: []}", "chain.middlewares: a chain names middlewares"),
        (
            "headers: {customRequestHeaders: {'': x}}",
            "headers.customRequestHeaders.: a field name has only letters, digits and \
                !#$%&'*+-.^_`|~",
        ),
        (
            "headers: {customRequestHeaders: {X-A: 1, x-a: 2}}",
            "headers.customRequestHeaders.x-a: this field is here twice; case makes no difference",
        ),
        (
            "httpCache: {}",
            "httpCache: the middleware httpCache is not supported by this version (routers that \
                use it answer 503)",
        ),
        (
            "basicauht: {}",
            "basicauht: there is no middleware `basicauht` (did you mean basicAuth?)",
        ),
        (
            "addPrefix: {prefix: /a}, chain: {middlewares: [b]}",
            "http.middlewares.m: a middleware is one thing, not addPrefix and chain",
        ),
    ] {
        middleware(lines, &format!("error: {expected}"));
    }
}

#[test]
fn paths() {
    let shown = |lines: &str| format!("{:?}", middleware(lines, ""));
    assert_eq!(shown("replacePath: {path: new}"), "ReplacePath { path: \"/new\" }");
    assert_eq!(
        shown("stripPrefixRegex: {regex: ['^/a', ' ^/b ']}"),
        "StripPrefixRegex { patterns: [/^/a/, /^/b/] }"
    );
    let kind = middleware("replacePathRegex: {regex: '^/(.*)', replacement: ' /x/$1 '}", "");
    let MiddlewareKind::ReplacePathRegex(rewrite) = kind else { panic!("{kind:?}") };
    assert_eq!((rewrite.pattern.source(), rewrite.replacement.source()), ("^/(.*)", "/x/$1"));
    middleware(
        "replacePathRegex: {regex: '^/(.*)', replacement: '/$1x'}",
        "warning: replacePathRegex.replacement: the expression has no group `1x`: nothing will \
         stand there (write ${1}x)",
    );
    for (lines, expected) in [
        ("replacePath: {}", "replacePath.path: replacePath has a path"),
        (
            "replacePath: {path: '/a?b'}",
            "replacePath.path: `/a?b`: expected a path; other letters are percent-encoded",
        ),
        ("stripPrefixRegex: {}", "stripPrefixRegex.regex: stripPrefixRegex has expressions"),
        ("stripPrefixRegex: {regex: ['(']}", "stripPrefixRegex.regex: `(`: unclosed group"),
        (
            "replacePathRegex: {regex: '('}",
            "replacePathRegex.replacement: replacePathRegex has a replacement\n\
             error: replacePathRegex.regex: `(`: unclosed group",
        ),
        (
            "replacePathRegex: {regex: a, replacement: 'b?c'}",
            "replacePathRegex.replacement: a path has neither ? nor #; the query stays as it is",
        ),
    ] {
        middleware(lines, &format!("error: {expected}"));
    }
}

#[test]
fn who_is_spared() {
    let kind = middleware(
        "circuitBreaker: {expression: 'NetworkErrorRatio() > 0.30', checkPeriod: 1s}",
        "",
    );
    let MiddlewareKind::CircuitBreaker(breaker) = kind else { panic!("{kind:?}") };
    assert_eq!((breaker.check_period, breaker.fallback), (Span::secs(1), Span::secs(10)));
    assert_eq!((breaker.recovery, breaker.status), (Span::secs(10), 503));
    for (lines, expected) in [
        ("{}", "expression: circuitBreaker has an expression"),
        (
            "{expression: NetworkErrorRatio()}",
            "expression: `NetworkErrorRatio()`: expected a comparison such as > 0.5, not `the end`",
        ),
        (
            "{expression: NetworkErrorRatio() > 1, responseCode: 99}",
            "responseCode: `99`: it is below 200",
        ),
        (
            "{expression: NetworkErrorRatio() > 1, responseCode: 304}",
            "responseCode: expected a status that has a body",
        ),
        (
            "{expression: NetworkErrorRatio() > 1, fallbackDuration: 0}",
            "fallbackDuration: `0`: it must be above 0",
        ),
    ] {
        middleware(
            &format!("circuitBreaker: {lines}"),
            &format!("error: circuitBreaker.{expected}"),
        );
    }
}

#[test]
fn who_decides() {
    let kind = middleware(
        "forwardAuth: {address: 'https://Judge:9000/verify?x', trustForwardHeader: true, \
         authResponseHeaders: [X-User], authResponseHeadersRegex: ^X-A, authRequestHeaders: 'a,b', \
         addAuthCookiesToResponse: [sid], headerField: X-User, forwardBody: true, maxBodySize: 7, \
         maxResponseBodySize: -1, preserveLocationHeader: true, preserveRequestMethod: true, \
         authSigninURL: 'https://sso', tls: {ca: ca.pem, cert: c.pem, key: k.pem}}",
        "",
    );
    let MiddlewareKind::ForwardAuth(auth) = kind else { panic!("{kind:?}") };
    assert_eq!(auth.url.authority.to_string(), "https://judge:9000");
    assert_eq!(auth.url.path, "/verify?x");
    assert_eq!((auth.body_bytes_max, auth.response_bytes_max), (Some(7), None));
    assert_eq!((auth.request_fields.len(), auth.cookies.len()), (2, 1));
    assert!(auth.transport.tls.is_some_and(|tls| tls.certificates.len() == 1));
    for (lines, expected) in [
        ("{}", "error: forwardAuth.address: forwardAuth has the address of who decides"),
        (
            "{address: judge}",
            "error: forwardAuth.address: `judge`: a URL starts with http://, https:// or h2c://",
        ),
        (
            "{address: 'http://a', authResponseHeaders: ['x y']}",
            "error: forwardAuth.authResponseHeaders: `x y`: expected a field name",
        ),
        (
            "{address: 'http://a', authResponseHeadersRegex: '('}",
            "error: forwardAuth.authResponseHeadersRegex: `(`: unclosed group",
        ),
        (
            "{address: 'https://a', tls: {cert: c.pem}}",
            "error: forwardAuth.tls.cert: a certificate has a key",
        ),
        (
            "{address: 'http://a', tls: {insecureSkipVerify: true}}",
            "warning: forwardAuth.tls: the address is not one of https",
        ),
        (
            "{address: 'http://a', maxBodySize: 5}",
            "warning: forwardAuth.maxBodySize: without forwardBody no body is forwarded",
        ),
        (
            "{address: 'http://a', trustHeader: true}",
            "error: forwardAuth.trustHeader: unknown key `trustHeader`",
        ),
    ] {
        middleware(&format!("forwardAuth: {lines}"), expected);
    }
}

#[test]
fn redirections() {
    let MiddlewareKind::Redirect(redirect) =
        middleware("redirectScheme: {scheme: HTTPS, port: 8443, permanent: true}", "")
    else {
        panic!("a redirection")
    };
    assert_eq!(
        (redirect.aim, redirect.permanent),
        (Aim::Scheme { scheme: "https".into(), port: Some(8443) }, true)
    );
    middleware("redirectRegex: {regex: '^http://(.*)', replacement: 'https://$1'}", "");
    for (lines, expected) in [
        ("redirectScheme: {}", "redirectScheme.scheme: redirectScheme has a scheme"),
        (
            "redirectScheme: {scheme: ftp}",
            "redirectScheme.scheme: `ftp`: expected one of http, https",
        ),
        ("redirectScheme: {scheme: https, port: 0}", "redirectScheme.port: `0`: it is below 1"),
        (
            "redirectRegex: {regex: a, replacement: 'b c'}",
            "redirectRegex.replacement: `b c`: blanks and non-ASCII letters are percent-encoded",
        ),
    ] {
        middleware(lines, &format!("error: {expected}"));
    }
}

#[test]
fn lists_of_addresses() {
    let list = middleware(
        "ipAllowList: {sourceRange: '10.0.0.0/8, ::1', rejectStatusCode: 404,
         ipStrategy: {depth: 2, ipv6Subnet: 64}}",
        "",
    );
    let MiddlewareKind::IpAllowList(list) = list else { panic!("{list:?}") };
    let ranges: Vec<String> = list.ranges.iter().map(ToString::to_string).collect();
    assert_eq!((ranges.join(" "), list.status), ("10.0.0.0/8 ::1/128".to_owned(), 404));
    assert_eq!((list.strategy.depth, list.strategy.ipv6_bits), (2, Some(64)));
    middleware(
        "ipWhiteList: {sourceRange: [10.0.0.1], ipStrategy: {depth: 1, excludedIPs: [::1]}}",
        "warning: ipWhiteList: this is the old name of ipAllowList\n\
         warning: ipWhiteList.ipStrategy.excludedIPs: beside a depth this is not looked at",
    );
    for (lines, expected) in [
        (
            "ipAllowList: {}",
            "ipAllowList.sourceRange: the list has at least one range; empty, nobody would pass",
        ),
        (
            "ipAllowList: {sourceRange: [10.0.0.0/8, 10.0.0.0/33]}",
            "ipAllowList.sourceRange: `10.0.0.0/33`: expected an address or a range such as \
             10.0.0.0/8",
        ),
        (
            "ipAllowList: {sourceRange: [::1], rejectStatusCode: 99}",
            "ipAllowList.rejectStatusCode: `99`: it is below 200",
        ),
        (
            "ipAllowList: {sourceRange: [::1], ipStrategy: {ipv6Subnet: 129}}",
            "ipAllowList.ipStrategy.ipv6Subnet: `129`: it is above 128",
        ),
        (
            "encodedCharacters: {allowEncodedSlash: maybe}",
            "encodedCharacters.allowEncodedSlash: `maybe`: expected true or false",
        ),
    ] {
        middleware(lines, &format!("error: {expected}"));
    }
}

fn headers(lines: &str, expected: &str) -> HeadersEdit {
    let kind = middleware(&format!("headers: {{{lines}}}"), expected);
    if let MiddlewareKind::Headers(edit) = kind { *edit } else { HeadersEdit::default() }
}

#[test]
fn fields_of_requests_and_responses() {
    let edit =
        headers("customRequestHeaders: {X-A: '1', X-B: ''}, customResponseHeaders: {Y: 2}", "");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(edit.request, [pair("X-A", "1"), pair("X-B", "")]);
    assert_eq!(edit.response, [pair("Y", "2")]);
    assert_eq!((edit.cors, edit.security), (Cors::default(), Security::default()));
}

#[test]
fn what_scripts_may_ask() {
    let edit = headers(
        "accessControlAllowMethods: [GET, PUT], accessControlAllowHeaders: 'X-A, X-B',
         accessControlAllowOriginList: ['https://a'], accessControlMaxAge: 60, addVaryHeader: true,
         accessControlAllowOriginListRegex: ['^https://b']",
        "",
    );
    let expected = Cors {
        methods: "GET,PUT".into(),
        headers: "X-A,X-B".into(),
        origins: vec!["https://a".into()],
        patterns: vec![Pattern::new("^https://b").expect("fine")],
        max_age: "60".into(),
        vary: true,
        ..Cors::default()
    };
    assert_eq!(edit.cors, expected);
    assert_eq!(headers("accessControlExposeHeaders: X-A", "").cors.max_age, "0");
    headers(
        "accessControlAllowCredentials: true, accessControlAllowOriginList: ['*']",
        "warning: headers.accessControlAllowCredentials: browsers accept no credentials together \
         with the origin * (list the origins, or use accessControlAllowOriginListRegex)",
    );
    for (lines, expected) in [
        (
            "accessControlAllowMethods: [GET PUT]",
            "accessControlAllowMethods: `GET PUT`: expected a name or a method",
        ),
        (
            "accessControlAllowOriginList: ['a b']",
            "accessControlAllowOriginList: `a b`: expected an origin such as \
             https://shop.example.com, or *",
        ),
        (
            "accessControlAllowOriginListRegex: ['(']",
            "accessControlAllowOriginListRegex: `(`: unclosed group",
        ),
        ("accessControlMaxAge: -1", "accessControlMaxAge: `-1`: it is below 0"),
    ] {
        headers(lines, &format!("error: headers.{expected}"));
    }
}

#[test]
fn what_browsers_are_told() {
    let edit = headers(
        "stsSeconds: 31536000, stsIncludeSubdomains: true, frameDeny: true,
         contentTypeNosniff: true, referrerPolicy: same-origin, allowedHosts: [a, b],
         sslProxyHeaders: {X-Forwarded-Proto: https}",
        "",
    );
    let expected = Security {
        sts_seconds: 31_536_000,
        sts_subdomains: true,
        frame_deny: true,
        nosniff: true,
        referrer_policy: "same-origin".into(),
        allowed_hosts: vec!["a".into(), "b".into()],
        ssl_proxy_headers: vec![("X-Forwarded-Proto".into(), "https".into())],
        ..Security::default()
    };
    assert_eq!(edit.security, expected);
    let policy = headers("contentSecurityPolicy: \"default-src 'self';\\n  img-src *\\n\"", "");
    assert_eq!(policy.security.csp, "default-src 'self'; img-src *");
    for (lines, expected) in [
        (
            "stsPreload: true",
            "warning: headers.stsPreload: without stsSeconds no Strict-Transport-Security is sent",
        ),
        (
            "hostsProxyHeaders: X-Forwarded-Host",
            "warning: headers.hostsProxyHeaders: without allowedHosts no host is looked at",
        ),
        (
            "sslHost: a",
            "warning: headers.sslHost: this is gone from the dialect and has no effect (use \
             redirectScheme or redirectRegex)",
        ),
        (
            "featurePolicy: camera",
            "warning: headers.featurePolicy: this is gone from the dialect and has no effect \
             (write permissionsPolicy)",
        ),
        ("sslRedirect: false", ""),
        (
            "sslRedirect: true",
            "error: headers.sslRedirect: this is gone from the dialect; nothing would be \
             redirected (use redirectScheme)",
        ),
        ("stsSeconds: 1d", "error: headers.stsSeconds: `1d`: expected a whole number"),
        (
            "referrerPolicy: \"a\\u0007\"",
            "error: headers.referrerPolicy: `a\\u{7}`: a field value has no control characters",
        ),
        (
            "frameDenied: true",
            "error: headers.frameDenied: unknown key `frameDenied` (did you mean frameDeny?)",
        ),
    ] {
        headers(lines, expected);
    }
}

#[test]
fn limits() {
    let limit = |lines: &str| {
        let kind = middleware(lines, "");
        let MiddlewareKind::RateLimit(limit) = kind else { panic!("{kind:?}") };
        (limit.average, limit.period, limit.burst, limit.source)
    };
    let peer = Source::Ip(IpStrategy::default());
    assert_eq!(limit("rateLimit: {average: 5}"), (5, Span::secs(1), 1, peer.clone()));
    assert_eq!(
        limit("rateLimit: {average: 5, period: 1m, burst: 0, sourceCriterion: {ipStrategy: {}}}"),
        (5, Span::secs(60), 1, peer)
    );
    assert_eq!(
        limit("rateLimit: {average: 5, sourceCriterion: {requestHeaderName: X-A}}").3,
        Source::Header("X-A".into())
    );
    assert_eq!(
        format!("{:?}", middleware("inFlightReq: {amount: 3}", "")),
        "InFlightReq(InFlight { amount: 3, source: Host })"
    );
    middleware(
        "rateLimit: {burst: 5}",
        "warning: rateLimit.average: without an average there is no limit at all",
    );
    for (lines, expected) in [
        ("rateLimit: {average: -1}", "rateLimit.average: `-1`: it is below 0"),
        ("rateLimit: {average: 1, period: 0}", "rateLimit.period: `0`: it must be above 0"),
        (
            "rateLimit: {average: 1, sourceCriterion: {requestHost: true, ipStrategy: {depth: 1}}}",
            "rateLimit.sourceCriterion: a criterion is one of ipStrategy, requestHeaderName and \
             requestHost",
        ),
        (
            "rateLimit: {average: 1, sourceCriterion: {requestHeaderName: 'X A'}}",
            "rateLimit.sourceCriterion.requestHeaderName: `X A`: expected a field name",
        ),
        (
            "rateLimit: {average: 1, redis: {endpoints: ['a:1', 'b:1']}}",
            "rateLimit.redis.endpoints: several endpoints are a Redis Cluster, which is not \
             supported (name one address: of one Redis, or of what stands in front of several)",
        ),
        (
            "rateLimit: {average: 1, redis: {endpoints: ['a b:1']}}",
            "rateLimit.redis.endpoints: `a b:1`: `a b` is not a host name",
        ),
        (
            "rateLimit: {average: 1, redis: {username: me}}",
            "rateLimit.redis.username: a user name has a password",
        ),
        ("rateLimit: {average: 1, redis: {db: -1}}", "rateLimit.redis.db: `-1`: it is below 0"),
        (
            "rateLimit: {average: 1, redis: {readTimeout: 0}}",
            "rateLimit.redis.readTimeout: `0`: it must be above 0",
        ),
        ("inFlightReq: {}", "inFlightReq.amount: inFlightReq has an amount"),
        ("inFlightReq: {amount: 0}", "inFlightReq.amount: `0`: it is below 1"),
    ] {
        middleware(lines, &format!("error: {expected}"));
    }
}

#[test]
fn where_gateways_count_together() {
    let redis = |lines: &str, expected: &str| {
        let kind = middleware(&format!("rateLimit: {{average: 1, redis: {lines}}}"), expected);
        let MiddlewareKind::RateLimit(limit) = kind else { panic!("{kind:?}") };
        limit.redis.expect("it counts in Redis")
    };
    let usual = redis("{}", "");
    assert_eq!(usual.address(), "localhost:6379");
    assert_eq!((usual.db, usual.username.as_str(), usual.password.reveal()), (0, "", &b""[..]));
    let times = |it: &Transport| (it.dial_timeout, it.read_timeout, it.write_timeout);
    assert_eq!(times(&usual.transport), (Span::secs(5), Span::secs(3), Span::secs(3)));
    let set = redis(
        "{endpoints: ['[::1]:7000'], username: me, password: pw, db: 2, dialTimeout: 1, \
         readTimeout: 200ms, writeTimeout: 3s, tls: {insecureSkipVerify: true}}",
        "",
    );
    assert_eq!(set.endpoint.to_string(), "https://[::1]:7000");
    assert_eq!((set.db, set.username.as_str(), set.password.reveal()), (2, "me", &b"pw"[..]));
    assert_eq!(set.transport.dial_timeout, Span::secs(1));
    assert_eq!(set.transport.read_timeout, Span::millis(200));
    let tls = set.transport.tls.as_ref().expect("settings of TLS");
    assert_eq!(tls.trust, Trust::DangerAnybody);
    redis(
        "{poolSize: 10}",
        "warning: rateLimit.redis.poolSize: each worker asks over one connection, one question \
         behind another",
    );
}

#[test]
fn users() {
    const HASH: &str = "$apr1$abcdefgh$T64oOxnD8c28.dQa.2Lty1";
    let auth = |lines: &str, expected: &str| {
        let kind = middleware(&format!("basicAuth: {{{}}}", lines.replace("HASH", HASH)), expected);
        if let MiddlewareKind::BasicAuth(it) = kind { it } else { Credentials::default() }
    };
    let full = auth(
        "users: ['al:HASH', 'bo:{SHA}W8r/fyL/UzygmbNAjq2HbA67qac='], realm: my shop,
         removeHeader: true, headerField: X-User",
        "",
    );
    let names: Vec<&str> = full.users.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        (names, full.realm.as_str(), full.remove_header),
        (vec!["al", "bo"], "my shop", true)
    );
    assert_eq!(full.header_field.as_deref(), Some("X-User"));
    assert_eq!(auth("users: ['al:HASH']", "").realm, "traefik");
    assert_eq!(auth("usersFile: /etc/users", "").users_file.as_deref(), Some("/etc/users"));
    for (lines, expected) in [
        ("", "users: without users nobody would pass"),
        ("users: [al]", "users: ``: expected a line of htpasswd, such as al:$2y$10$..."),
        (
            "users: ['al:secret']",
            "users: what is stored of the password of al is no hash that is known here (bcrypt \
             ($2y$), MD5 ($apr1$) and {SHA} are, as htpasswd writes them)",
        ),
        (
            "users: ['al:$$apr1$$a']",
            "users: the hash of al begins with $$ (in a file a $ is written once; it is doubled \
             only for docker compose)",
        ),
        ("users: ['al:HASH', 'al:HASH']", "users: al is here twice"),
        (
            "users: ['al:HASH'], realm: 'a\"b'",
            "realm: `a\"b`: expected letters without quotes and backslashes",
        ),
        ("users: ['al:HASH'], headerField: 'X Y'", "headerField: `X Y`: expected a field name"),
    ] {
        auth(lines, &format!("error: basicAuth.{expected}"));
    }
}

#[test]
fn users_by_digest() {
    const LINE: &str = "al:traefik:939e7578ed9e3c518a452acee763bce9";
    let kind = middleware(&format!("digestAuth: {{users: ['{LINE}']}}"), "");
    let MiddlewareKind::DigestAuth(own) = kind else { panic!("{kind:?}") };
    assert_eq!(own.users, [("al".to_owned(), "939e7578ed9e3c518a452acee763bce9".to_owned())]);
    for (lines, expected) in [
        ("".to_owned(), "without users nobody would pass"),
        ("users: ['al:secret']".to_owned(), "`al`: expected a line of htdigest: name:realm:digest"),
        (
            format!("users: ['{LINE}'], realm: shop"),
            "the line of al is for the realm traefik, and this one is shop",
        ),
    ] {
        let expected = format!("error: digestAuth.users: {expected}");
        middleware(&format!("digestAuth: {{{lines}}}"), &expected);
    }
}
