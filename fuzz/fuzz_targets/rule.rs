//! Rules: an error points inside the text; what parses prints to something that parses to the
//! same, and decides about a request the same way twice.

#![no_main]

use engine::http::fields::Field;
use engine::http::request::RequestInfo;
use engine::rule::Rule;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (text, request) = text.split_once('\0').unwrap_or((text, ""));
    let rule = match Rule::parse(text) {
        Ok(rule) => rule,
        Err(error) => {
            assert!(error.start <= error.end && text.is_char_boundary(error.start), "{error:?}");
            assert!(!error.text.is_empty() && !error.text.contains('\n'), "{error:?}");
            return;
        }
    };
    let printed = rule.ast().to_string();
    let again = Rule::parse(&printed).expect("what is printed parses");
    assert_eq!(again.ast(), rule.ast(), "{printed}");
    let mut parts = request.split('\n');
    let mut part = || parts.next().unwrap_or_default();
    let host = part().to_ascii_lowercase();
    let fields = [Field { name: "X-A", value: part().as_bytes() }];
    let request = RequestInfo {
        method: "GET",
        authority: &host,
        host: &host,
        path: part(),
        query: part(),
        fields: &fields,
        peer: [10, 1, 2, 3].into(),
    };
    assert_eq!(rule.matches(&request), again.matches(&request), "{printed}");
});
