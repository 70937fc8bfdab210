//! The language as tables.

use super::*;
use crate::http::fields::Field;
use std::net::IpAddr;

const HEADERS: [Field<'static>; 3] = [
    Field { name: "Host", value: b"Shop.example.com:8080" },
    Field { name: "X-Kind", value: b"a" },
    Field { name: "x-kind", value: b"b, c" },
];

fn request(path: &'static str, query: &'static str) -> RequestInfo<'static> {
    RequestInfo {
        method: "GET",
        authority: "Shop.example.com:8080",
        host: "shop.example.com",
        path,
        query,
        fields: &HEADERS,
        peer: IpAddr::from([10, 1, 2, 3]),
    }
}

#[track_caller]
fn parsed(rule: &str) -> Rule {
    Rule::parse(rule).unwrap_or_else(|error| panic!("{rule}: {error:?}"))
}

#[track_caller]
fn on_path(rule: &str, path: &'static str, expected: bool) {
    assert_eq!(parsed(rule).matches(&request(path, "")), expected, "{rule} on {path}");
}

#[track_caller]
fn on_query(rule: &str, query: &'static str, expected: bool) {
    assert_eq!(parsed(rule).matches(&request("/", query)), expected, "{rule} on {query}");
}

#[track_caller]
fn on_host(rule: &str, host: &'static str, expected: bool) {
    let request = RequestInfo { host, ..request("/", "") };
    assert_eq!(parsed(rule).matches(&request), expected, "{rule} on `{host}`");
}

#[test]
fn paths_are_compared_as_strings() {
    on_path("Path(`/foo`)", "/foo", true);
    on_path("Path(`/foo`)", "/foo/", false);
    on_path("PathPrefix(`/foo`)", "/foobar", true);
    on_path("PathPrefix(`/foo bar`)", "/foo bar/x", true);
    on_path("PathPrefix(`/Foo`)", "/foo", false);
    on_path("PathRegexp(`b.r`)", "/foo/bar", true);
    on_path("PathRegexp(`^/bar`)", "/foo/bar", false);
}

#[test]
fn hosts_are_compared_without_case_and_trailing_dot() {
    on_host("Host(`SHOP.example.com`)", "shop.example.com", true);
    on_host("Host(`shop.example.com.`)", "shop.example.com", true);
    on_host("Host(`shop.example.com`)", "shop.example.com.", true);
    on_host("Host(`example.com`)", "shop.example.com", false);
    on_host("Host(`*.example.com`)", "shop.example.com", true);
    on_host("Host(`*.example.com`)", "example.com", false);
    on_host("Host(`*.example.com`)", ".example.com", false);
    on_host("Host(`*.example.com`)", "a.shop.example.com", false);
    on_host("Host(`*.example.com`)", "notexample.com", false);
    on_host("Host(`*`)", "", true);
    on_host("Host(`a`)", "", false);
    on_host("Host(`a.*.com`)", "a.b.com", false);
    on_host("HostRegexp(`^[a-z]+\\.example`)", "shop.example.com", true);
    on_host("HostRegexp(`SHOP`)", "shop.example.com", false);
}

#[test]
fn header_fields_match_by_any_of_their_lines() {
    on_path("Header(`x-kind`, `a`)", "/", true);
    on_path("Header(`X-KIND`, `A`)", "/", false);
    on_path("Header(`X-Kind`, `b`)", "/", false);
    on_path("Header(`X-Kind`, `b, c`)", "/", true);
    on_path("Header(`X-Other`, `a`)", "/", false);
    on_path("HeaderRegexp(`X-Kind`, `c$`)", "/", true);
}

#[test]
fn queries_are_compared_decoded() {
    on_query("Query(`a`, `1`)", "a=0&a=1", true);
    on_query("Query(`a`, `1`)", "b=1", false);
    on_query("Query(`a b`, `ö&`)", "a+b=%C3%B6%26", true);
    on_query("Query(`a`)", "a", true);
    on_query("Query(`a`)", "a=", true);
    on_query("Query(`a`)", "a=1", false);
    on_query("Query(`a`)", "", false);
    on_query("Query(`a`, `1`)", "a=1;b=2", false);
    on_query("Query(`a`, `%zz`)", "a=%zz", false);
    on_query("QueryRegexp(`a`, `^x y$`)", "a=x%20y", true);
    on_query("QueryRegexp(`a`, `^x`)", "a=yx", false);
    on_query("QueryRegexp(`a`)", "a=yx", false);
    on_query("QueryRegexp(`a`)", "a=", true);
}

#[test]
fn a_long_escaped_query_value_is_matched_whole() {
    let query = format!("a={}z", "%41".repeat(4_000));
    let request = RequestInfo { query: &query, ..request("/", "") };
    assert!(parsed("QueryRegexp(`a`, `^A{4000}z$`)").matches(&request));
}

#[test]
fn methods_and_peers() {
    on_path("Method(`get`)", "/", true);
    on_path("Method(`POST`)", "/", false);
    on_path("ClientIP(`10.0.0.0/8`)", "/", true);
    on_path("ClientIP(`10.1.2.3`)", "/", true);
    on_path("ClientIP(`::ffff:10.1.2.3`)", "/", true);
    on_path("ClientIP(`2001:db8::/32`)", "/", false);
}

#[test]
fn and_binds_tighter_than_or_and_not_tightest() {
    on_path("Path(`/a`) || Path(`/b`) && Method(`POST`)", "/a", true);
    on_path("(Path(`/a`) || Path(`/b`)) && Method(`POST`)", "/a", false);
    on_path("!Path(`/a`) && Method(`GET`)", "/b", true);
    on_path("!(Path(`/a`) || Method(`GET`))", "/b", false);
    on_path("!!Path(`/a`)", "/a", true);
}

#[test]
fn literals_comments_and_line_breaks_are_those_of_go() {
    on_path(r#"Path("/a\u00f6\x62\101\n\"\\")"#, "/aöbA\n\"\\", true);
    on_path("Path(`/a\r\nb`,)", "/a\nb", true);
    on_path("// which\nPath(`/a`) || /* or */\n\tPath(\n`/b`,\n)\n", "/b", true);
    on_path("path(`/a`) && PATHPREFIX(`/`) && Pathregexp(`a`)", "/a", true);
}

#[track_caller]
fn refused(rule: &str, marked: &str, text: &str) {
    let error = Rule::parse(rule).expect_err(rule);
    let span = rule.get(error.start..error.end).unwrap_or("");
    let shown = match error.help.as_str() {
        "" => error.text,
        help => format!("{} ({help})", error.text),
    };
    assert_eq!((span, shown.as_str()), (marked, text), "{rule}");
}

#[test]
fn a_wrong_rule_is_refused_at_the_right_place() {
    refused("", "", "the rule is empty (a rule that takes every request is PathPrefix(`/`))");
    refused("Hots(`a`)", "Hots", "there is no matcher `Hots` (did you mean Host?)");
    refused("Headers(`a`, `b`)", "Headers", "there is no matcher `Headers` (write Header)");
    refused(
        "pathPrefix(`/a`)",
        "pathPrefix",
        "there is no matcher `pathPrefix` (did you mean PathPrefix?)",
    );
    refused("Host(`a`) & Host(`b`)", "&", "`&` does not belong in a rule (write && for and)");
    refused(
        "Host('a')",
        "'",
        "`'` does not belong in a rule (put the argument between backquotes)",
    );
    refused(
        "Host(1)",
        "1",
        "`1` does not belong in a rule (an argument is a string between backquotes)",
    );
    refused("Host(a)", "a", "expected a string between backquotes, found `a`");
    refused("Host()", "Host()", "Host takes 1 argument, not 0");
    refused(
        "Host(`a`, `b`)",
        "Host(`a`, `b`)",
        "Host takes 1 argument, not 2 (for alternatives write Host(…) || Host(…))",
    );
    refused("Header(`a`)", "Header(`a`)", "Header takes 2 arguments, not 1");
    refused("Host(``)", "``", "an argument must not be empty");
    refused("Path(`a`)", "`a`", "a path starts with / (write `/a`)");
    refused(
        "Host(`ö`)",
        "`ö`",
        "a host has only ASCII letters (write an international name in punycode: xn--…)",
    );
    refused("Host(`a`) Host(`b`)", "Host", "expected &&, || or the end, found `Host`");
    refused("(Host(`a`)", "", "expected &&, || or ), found the end");
    refused("Host(`a`) &&", "", "expected a matcher such as Host(`example.com`), found the end");
    refused(
        "Host(`a`)\n&& Host(`b`)",
        "\n",
        "expected &&, || or the end, found a line break (a line may only end after an operator, \
            ( or a comma)",
    );
    refused(
        "Host(`a`\n)",
        "\n",
        "expected a comma or ), found a line break (a line may only end after an operator, \
            ( or a comma)",
    );
    refused("Host(`a", "`a", "this string is not closed (add a closing backquote)");
    refused(
        "Host(\"a\\d\")",
        "\\d",
        "`\\d` is not an escape that Go knows (between backquotes a backslash means itself)",
    );
    refused("Host(\"\\xff\")", "\"\\xff\"", "the escapes in this string do not make UTF-8");
    refused("Host(`a`) /* x", "/*", "this comment is not closed");
    refused(
        "PathRegexp(`(`)",
        "`(`",
        "this is not a regular expression: unclosed group \
            (the syntax is RE2's: no look-around, no backreferences)",
    );
    refused(
        "ClientIP(`10.1`)",
        "`10.1`",
        "this is neither an address nor a range of addresses \
            (write `10.1.2.3`, `10.0.0.0/8` or `2001:db8::/32`)",
    );
}

#[test]
fn depth_is_bounded() {
    let deep = format!("{}Path(`/`){}", "(".repeat(64), ")".repeat(64));
    assert!(Rule::parse(&deep).is_ok());
    refused(&format!("({deep})"), "(", "this is nested more than 64 levels deep");
    assert!(Rule::parse(&"!".repeat(100_000)).is_err());
}

#[test]
fn the_default_priority_is_the_length_in_bytes() {
    assert_eq!(parsed("Path(`/ö`)").default_priority(), 11);
}
