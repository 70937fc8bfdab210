//! Trees of small documents, printed with their places.

use super::*;
use std::fmt::Write;

/// `kind@line:column` of every value, keys in front.
fn show(value: &Value, out: &mut String) {
    let At { line, column } = value.at;
    match &value.kind {
        Kind::Null => out.push_str("null"),
        Kind::Scalar(scalar) => out.push_str(&scalar.text),
        Kind::List(items) => {
            out.push('[');
            for item in items {
                show(item, out);
                out.push(' ');
            }
            out.push(']');
        }
        Kind::Map(entries) => {
            out.push('{');
            for entry in entries {
                let At { line, column } = entry.at;
                write!(out, "{}@{line}:{column}=", entry.key).expect("a string takes it");
                show(&entry.value, out);
                out.push(' ');
            }
            out.push('}');
        }
    }
    write!(out, "@{line}:{column}").expect("a string takes it");
}

#[track_caller]
fn check(path: &str, text: &str, expected: &str) {
    let report = Report::new(path);
    let mut shown = String::new();
    if let Some(value) = read(path, text, &report) {
        show(&value, &mut shown);
    }
    for problem in report.into_sorted() {
        shown.push_str(&problem.to_string());
    }
    assert_eq!(shown, expected, "{text}");
}

#[test]
fn both_languages_remember_where_things_stand() {
    check("a.yml", "a:\n  b: [1, 'x']\n", "{a@1:1={b@2:3=[1@2:7 x@2:10 ]@2:6 }@2:3 }@1:1");
    check("a.toml", "a.b = [1, 'x']\n", "{a@1:1={b@1:3=[1@1:8 x@1:11 ]@1:7 }@1:1 }@1:1");
    check(
        "a.toml",
        "[a]\n'ü' = 1\n\"k e\" = true",
        "{a@1:2={ü@2:1=1@2:7 k e@3:1=true@3:9 }@1:1 }@1:1",
    );
    check(
        "a.toml",
        "[[a]]\nb=0x1F\n[[a]]\nb=1.5",
        "{a@1:3=[{b@2:1=0x1F@2:3 }@1:1 {b@4:1=1.5@4:3 }@3:1 ]@1:1 }@1:1",
    );
}

#[test]
fn nothing_is_null_and_quotes_make_text() {
    check(
        "a.yml",
        "a:\nb: ~\nc: ''\nd: 'null'",
        "{a@1:1=null@1:2 b@2:1=null@2:4 c@3:1=@3:4 d@4:1=null@4:4 }@1:1",
    );
    check("a.yml", "", "{}@1:1");
    check("a.yml", "# only this\n", "{}@1:1");
    check("a.toml", "", "{}@1:1");
}

#[test]
fn anchors_and_merge_keys_are_resolved() {
    check(
        "a.yml",
        "x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\nz: *x",
        "{x@1:1={a@1:8=1@1:11 b@1:14=2@1:17 }@1:7 y@2:1={b@4:3=3@4:6 a@1:8=1@1:11 }@3:3 \
         z@5:1={a@1:8=1@1:11 b@1:14=2@1:17 }@5:4 }@1:1",
    );
    check(
        "a.yml",
        "- &p {a: 1}\n- &q {a: 2, b: 2}\n- <<: [*p, *q]",
        "[{a@1:7=1@1:10 }@1:6 {a@2:7=2@2:10 b@2:13=2@2:16 }@2:6 {a@1:7=1@1:10 b@2:13=2@2:16 \
            }@3:3 ]@1:1",
    );
    check("a.yml", "<<: 5", "a.yml:1:5: error: << takes a mapping or an alias of one");
    check("a.yml", "'<<': 5", "{<<@1:1=5@1:7 }@1:1");
    check("a.yml", "a: &a [*a]", "a.yml:1:8: error: an alias stands inside of what it names");
}

#[test]
fn an_alias_bomb_is_defused() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for i in 1..30 {
        let inner = format!("*a{}", i - 1);
        writeln!(bomb, "a{i}: &a{i} [{}]", [inner.as_str(); 10].join(",")).expect("a string");
    }
    let report = Report::new("a.yml");
    assert!(read("a.yml", &bomb, &report).is_none());
    let found = report.into_sorted();
    assert!(found[0].text.contains("values"), "{}", found[0]);
}

#[test]
fn nesting_is_bounded() {
    for (path, text) in [
        ("a.yml", "[".repeat(100_000)),
        ("a.yml", "{a: ".repeat(100_000)),
        ("a.toml", format!("a = {}", "[".repeat(100_000))),
        ("a.toml", format!("a = {}", "{a = ".repeat(100_000))),
        ("a.toml", format!("{}a = 1", "a.".repeat(100_000))),
    ] {
        let report = Report::new(path);
        assert!(read(path, &text, &report).is_none());
        assert_eq!(report.into_sorted().len(), 1);
    }
}

#[test]
fn what_is_not_a_document_is_refused_where_it_goes_wrong() {
    check("a.yml", "a: [1", "a.yml:1:4: error: unclosed bracket '['");
    check(
        "a.yml",
        "a: 1\n---\nb: 2",
        "a.yml:2:1: error: a second document starts here; only one is read per file",
    );
    check("a.yml", "a: !secret x", "a.yml:1:12: error: the tag !secret is not supported");
    check("a.yml", "? [a]\n: b", "a.yml:1:3: error: a key is a plain word here, not a collection");
    check("a.toml", "a = 1\na = 2", "a.toml:2:1: error: duplicate key");
    check(
        "a.toml",
        "a = ",
        "a.toml:1:5: error: string values must be quoted, expected literal string",
    );
    check("a.json", "{}", "a.json: error: the name ends in none of .yaml, .yml and .toml");
}
