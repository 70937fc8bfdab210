//! Templates, filled in and refused.

use super::*;
use crate::config::{Setting, dynamic_in};

fn environment() -> Environment {
    let pairs = [("HOST", "shop.test"), ("ZONES", "eu,us"), ("EMPTY", ""), ("N", "3")];
    Environment::new(&pairs.map(|(name, value)| (name.to_owned(), value.to_owned())))
}

fn filled(text: &str) -> Result<String, String> {
    let report = Report::new("f.yml");
    let filled = fill(text, &environment(), &report);
    let said: Vec<String> = report.into_sorted().iter().map(ToString::to_string).collect();
    filled.map(|origin| origin.text().to_owned()).ok_or_else(|| said.join("\n"))
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(filled(text).as_deref(), Ok(expected), "{text}");
}

#[test]
fn actions_are_carried_out() {
    for (text, expected) in [
        ("a {{ env \"HOST\" }} b", "a shop.test b"),
        ("{{env `HOST`}}", "shop.test"),
        ("{{ env \"HOST\" | default \"x\" }}", "shop.test"),
        ("{{ env \"NONE\" | default \"x\" }}{{ env \"EMPTY\" | default 5 }}", "x5"),
        ("{{ default \"x\" (env \"NONE\") }}", "x"),
        ("{{ env \"HOST\" | quote }} {{ quote \"a\\\"b\" }}", "\"shop.test\" \"a\\\"b\""),
        ("{{ \"{{\" }} x {{ `}}` }}", "{{ x }}"),
        ("{{/* nothing */}}a{{- /* nothing */ -}} b", "ab"),
        ("a  {{- env \"N\" -}}  b", "a3b"),
        ("{{ range until 3 }}{{ . }},{{ end }}", "0,1,2,"),
        ("{{ range $e := until 3 }}{{ $e }},{{ end }}", "0,1,2,"),
        ("{{range $i,$e := list \"a\" \"b\"}}{{$i}}={{$e}};{{end}}", "0=a;1=b;"),
        ("{{ range tuple 1 true }}{{ . }}{{ end }}", "1true"),
        ("{{ range splitList \",\" (env \"ZONES\") }}[{{ . }}]{{ end }}", "[eu][us]"),
        ("{{ range until 0 }}x{{ else }}none{{ end }}", "none"),
        (
            "{{ range $i := until 2 }}{{ range $j := until 2 }}{{ $i }}{{ $j }} {{ end }}{{ end }}",
            "00 01 10 11 ",
        ),
        ("{{ range $i, $e := until 2 }}{{ add $i 1 }}{{ end }}", "12"),
        ("{{ if env \"HOST\" }}a{{ else }}b{{ end }}", "a"),
        ("{{ if env \"NONE\" }}a{{ else }}b{{ end }}", "b"),
        ("{{ if eq (env \"N\") \"2\" }}a{{ else if eq (env \"N\") \"3\" }}b{{ end }}", "b"),
        ("{{ if ne (env \"N\") \"3\" }}a{{ end }}", ""),
        ("{{ if and (env \"N\") (not (env \"NONE\")) }}a{{ end }}", "a"),
        ("{{ or (env \"NONE\") (env \"N\") }}", "3"),
        (
            "{{ $x := env \"N\" }}{{ $x }}{{ if true }}{{ $x := \"y\" }}{{ $x }}{{ end }}{{ $x }}",
            "3y3",
        ),
        ("{{ range $e := until 1 }}{{ $e }}{{ end }}{{ -1 }}", "0-1"),
    ] {
        check(text, expected);
    }
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let said = filled(text).expect_err(text);
    assert!(said.contains(expected), "{text}: {said}");
    assert!(said.contains("what works: env"), "{text}: {said}");
}

#[test]
fn what_is_not_supported_is_refused_where_it_stands() {
    for (text, expected) in [
        ("a\n b {{ toYaml . }}", "f.yml:2:7: error: `toYaml` is not supported in templates"),
        ("{{ with env \"A\" }}{{ end }}", "f.yml:1:4: error: `with` is not supported"),
        ("{{ .Values.a }}", "`.Values.a` is not supported"),
        ("{{ $x }}", "there is no variable $x here"),
        ("{{ . }}", "`.` means something only inside `range`"),
        ("{{ env }}", "write {{ env \"NAME\" }}"),
        ("{{ env \"HOST\" \"N\" }}", "write {{ env \"NAME\" }}"),
        ("{{ until \"3\" }}", "write {{ until 3 }}"),
        ("{{ range until 2000000 }}{{ end }}", "more than 1048576 rounds"),
        (
            "{{ range until 1000 }}{{ range until 1000 }}{{ range until 9 }}{{ end }}{{ end }}{{ end }}",
            "more than 1048576 rounds",
        ),
        ("{{ range \"abc\" }}{{ end }}", "`range` goes over a list"),
        ("{{ list 1 2 }}", "a list cannot stand here"),
        ("{{ eq 1 \"1\" }}", "only values of one kind"),
        ("{{ range until 1 }}", "this block has no `end`"),
        ("{{ end }}", "this `end` ends nothing"),
        ("{{ else }}", "this `else` belongs to nothing"),
        ("{{ if true }}{{ else }}{{ else }}{{ end }}", "this is the second `else`"),
        ("{{ if true }}{{ else with }}{{ end }}", "after `else` comes nothing, or `if`"),
        ("\n {{ env \"A\"", "f.yml:2:2: error: this action has no end"),
        ("{{ env \"A }}", "this string is not closed"),
        ("{{ (env \"A\" }}", "`)` is missing"),
        ("{{ | env }}", "something is missing here"),
        ("{{ \"a\" \"b\" }}", "only functions take arguments"),
        ("{{ if true }}{{ now }}{{ else }}{{ end }}", "`now` is not supported"),
        ("{{ if false }}{{ now }}{{ end }}", "`now` is not supported"),
    ] {
        refused(text, expected);
    }
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000));
    refused(&deep, "more than 16 parentheses");
    let deep = "{{ if true }}".repeat(100_000);
    refused(&deep, "more than 16 blocks");
}

fn said(text: &str) -> Vec<String> {
    let setting = Setting { environment: environment(), ..Setting::default() };
    let reading = dynamic_in(&[("f.yml", text)], &setting);
    reading.diagnostics.iter().map(ToString::to_string).collect()
}

#[test]
fn problems_are_found_where_the_source_has_them() {
    let text = "http:
  routers:
{{- range $i, $zone := splitList \",\" (env \"ZONES\") }}
    shop-{{ $zone }}:
      rule: Host(`{{ $zone }}.{{ env \"HOST\" }}`) && Path(/x)
      service: s
      srvice: s
{{- end }}
  services:
    s: {loadBalancer: {servers: [{url: 'http://a:{{ env \"NONE\" }}'}]}}
";
    let said = said(text);
    let at = |start: &str| said.iter().filter(|line| line.starts_with(start)).count();
    // Two rounds say it of two routers.
    assert_eq!(at("f.yml:7:7: error: http.routers.shop-eu.srvice: unknown key"), 1, "{said:?}");
    assert_eq!(at("f.yml:7:7: error: http.routers.shop-us.srvice: unknown key"), 1, "{said:?}");
    assert_eq!(at("f.yml:5:58: error: http.routers.shop-eu.rule"), 1, "{said:?}");
    assert_eq!(at("f.yml:10:50: warning: the variable NONE is not set"), 1, "{said:?}");
}

#[test]
fn what_is_said_of_a_name_stays_in_one_line() {
    let said = said("# {{ env \"a\\nb\" }}");
    assert!(said.len() == 1 && !said[0].contains('\n'), "{said:?}");
}

#[test]
fn what_loops_make_is_there() {
    let text = "[http.services]\n{{ range $i, $e := until 3 }}\n[http.services.s{{ $e }}]\n\
        [[http.services.s{{ $e }}.loadBalancer.servers]]\nurl = \"http://10.0.0.{{ $e }}\"\n{{ end }}";
    let reading = dynamic_in(&[("f.toml", text)], &Setting::default());
    assert_eq!(reading.diagnostics, []);
    let names: Vec<&str> = reading.dynamic.services.iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["s0@file", "s1@file", "s2@file"]);
    let lines: Vec<u32> = reading.dynamic.services.iter().map(|it| it.place.line).collect();
    assert_eq!(lines, [3, 3, 3]);
}

#[test]
fn values_are_not_shown_to_those_who_debug() {
    assert_eq!(format!("{:?}", environment()), "4 variables");
}
