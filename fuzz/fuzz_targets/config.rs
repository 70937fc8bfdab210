//! Documents: whatever they hold, reading ends, says the same twice, explains every router that
//! cannot serve, and keeps definitions in order of names.

#![no_main]

use engine::config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (kind, text) = text.split_once('\n').unwrap_or(("", text));
    match kind {
        "flags" => {
            let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            let (fixed, found) = config::fixed_from_flags(&words);
            assert_eq!(config::fixed_from_flags(&words), (fixed, found));
        }
        "env" => {
            let pairs = text.lines().filter_map(|line| line.split_once('='));
            let pairs: Vec<_> = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
            config::fixed_from_env(&pairs);
        }
        "toml" => document("f.toml", text),
        _ => document("f.yml", text),
    }
});

fn document(path: &str, text: &str) {
    let reading = config::dynamic(&[(path, text)]);
    let dynamic = &reading.dynamic;
    assert!(dynamic.routers.is_sorted_by(|a, b| a.name < b.name));
    assert!(dynamic.services.is_sorted_by(|a, b| a.name < b.name));
    assert!(dynamic.middlewares.is_sorted_by(|a, b| a.name < b.name));
    assert!(dynamic.uplinks.is_sorted_by(|a, b| a.name < b.name));
    for router in &dynamic.routers {
        assert!(router.rule.is_some() || !router.broken.is_empty(), "{router:?}");
    }
    let errors = reading.diagnostics.iter().filter(|problem| problem.is_error()).count();
    let broken = dynamic.routers.iter().any(|router| !router.broken.is_empty());
    assert!(errors > 0 || (reading.complete && !broken));
    let (fixed, found) = config::fixed_from_file(path, text);
    assert!(fixed.entry_points.is_sorted_by(|a, b| a.name < b.name));
    for problem in found.iter().chain(&reading.diagnostics) {
        assert!(!problem.text.is_empty() && !problem.to_string().contains('\n'), "{problem}");
    }
    let checked = config::check(&[(path, text)]);
    assert_eq!(config::check(&[(path, text)]), checked);
    config::json(&checked);
}
