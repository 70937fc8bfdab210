//! Documents and what is said about them.

use super::*;

fn said(reading: &Reading) -> String {
    let lines = reading.diagnostics.iter().map(ToString::to_string);
    lines.collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn check(document: &str, expected: &str) -> Dynamic {
    let reading = dynamic(&[("f.yml", document)]);
    assert_eq!(said(&reading), expected, "{document}");
    reading.dynamic
}

/// A router with these lines in it, besides its rule and service.
#[track_caller]
fn router(lines: &str, expected: &str) {
    let head = "http: {routers: {r: {rule: Path(`/`), service: s,";
    let dynamic = check(&format!("{head}\n{lines}}}}}}}"), expected);
    let broken = &dynamic.routers[0].broken;
    let errors = expected.lines().filter(|line| line.contains(" error: ")).count();
    assert_eq!(broken.len(), errors, "{broken:?}");
}

#[test]
fn wrong_fields_of_routers() {
    router("priority: 5", "");
    router("priority: 0x10", "");
    router("", "");
    router(
        "priority: high",
        "f.yml:2:11: error: http.routers.r.priority: `high`: expected a whole number",
    );
    router(
        "priorty: 5",
        "f.yml:2:1: error: http.routers.r.priorty: unknown key `priorty` (did you mean priority?)",
    );
    router(
        "priority: 9223372036854775807",
        "f.yml:2:11: error: http.routers.r.priority: `9223372036854775807`: \
         it is above 9223372036854774807",
    );
    router(
        "middlewares: {a: b}",
        "f.yml:2:14: error: http.routers.r.middlewares: expected a list, found a mapping",
    );
    router("Service: t", "f.yml:2:1: error: http.routers.r.Service: this key is here twice");
}

#[test]
fn a_definition_keeps_its_place_and_its_defaults() {
    let dynamic =
        check("http:\n  routers:\n    r:\n      rule: Path(`/`)\n      service: s@x\n", "");
    let router = &dynamic.routers[0];
    assert_eq!((router.name.as_str(), router.service.as_str()), ("r@file", "s@x"));
    assert_eq!((router.place.line, router.place.column, router.priority), (3, 5, 9));
}
