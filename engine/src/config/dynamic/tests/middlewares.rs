//! What is read of middlewares, and what is said about them.

use super::about;
use crate::config::typed::MiddlewareKind;

#[track_caller]
fn middleware(lines: &str, expected: &str) -> MiddlewareKind {
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
        "StripPrefix { prefixes: [\"/a\", \"/b\"] }"
    );
    assert_eq!(shown("chain: {middlewares: [a, b@x]}"), "Chain([\"a@file\", \"b@x\"])");
    assert_eq!(
        shown(
            "headers: {customRequestHeaders: {X-A: '1', X-B: ''}, customResponseHeaders: {Y: 2}}"
        ),
        "Headers(HeadersEdit { request: [(\"X-A\", \"1\"), (\"X-B\", \"\")], response: [(\"Y\", \
            \"2\")] })"
    );
    middleware(
        "stripPrefix: {prefixes: [/a], forceSlash: true}",
        "warning: stripPrefix.forceSlash: this is not supported yet and has no effect",
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
        ("headers: {stsSeconds: 1}", "headers.stsSeconds: this is not supported by this version"),
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
            "basicAuth: {users: [a]}",
            "basicAuth: the middleware basicAuth is not supported by this version (routers that \
                use it answer 503)",
        ),
        (
            "compress: {}",
            "compress: the middleware compress is not supported by this version (routers that \
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
