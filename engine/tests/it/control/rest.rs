//! Documents that clients put in the place of the last one.

use super::desk::Desk;
use engine::base::mark::Mark;
use engine::base::time::Span;
use engine::boundary::{Input, Offer};
use engine::config::fixed::Fixed;
use engine::config::fixed_from_file;
use engine::view::Offer as Offered;
use engine::view::status::Judged;

fn fixed(more: &str) -> Fixed {
    let text = format!(
        "entryPoints: {{web: {{address: ':80'}}}}\nproviders: {{rest: {{insecure: true}}{more}}}\n"
    );
    let (fixed, problems) = fixed_from_file("static.yml", &text);
    assert_eq!(problems, []);
    Fixed { throttle: Span::ZERO, ..fixed }
}

/// A router of this name that asks this service.
fn routes(name: &str, service: &str) -> String {
    format!(
        "{{\"http\": {{\"routers\": {{\"{name}\": {{\"rule\": \"Path(`/`)\", \"entryPoints\": \
         [\"web\"], \"service\": \"{service}\"}}}}}}}}"
    )
}

fn offer(desk: &mut Desk, worker: u16, serial: u64, text: &str) -> Judged {
    let text = text.to_owned();
    desk.input(Input::Offer(Offer { worker, serial, text }));
    desk.run(Span::millis(100));
    desk.view().status.offers[usize::from(worker)].clone()
}

/// The routes of an entry point in the order in which they are asked.
fn routers(desk: &Desk, entry: usize) -> Vec<String> {
    let Offered::Routes(table) = &desk.view().entries[entry].offer else { panic!("routes") };
    table.iter().map(|route| route.name.to_string()).collect()
}

#[test]
fn a_document_takes_the_place_of_the_last_one() {
    let mut desk = Desk::new(fixed(""));
    assert_eq!(routers(&desk, 0), ["rest@internal"], "on the entry point traefik");
    let judged = offer(&mut desk, 0, 1, &routes("a", "noop@internal"));
    assert_eq!(judged, Judged { serial: 1, accepted: true, problems: [].into() });
    assert_eq!(routers(&desk, 1), ["a@rest"]);
    assert!(offer(&mut desk, 2, 1, &routes("b", "noop@internal")).accepted);
    assert_eq!(routers(&desk, 1), ["b@rest"]);
    assert_eq!(desk.view().status.offers[0].serial, 1, "each worker has its own");
    assert_eq!(desk.view().status.reloads.applied, 2);
    assert!(offer(&mut desk, 0, 2, "{}").accepted);
    assert_eq!(routers(&desk, 1), [""; 0]);
}

#[test]
fn what_is_no_configuration_changes_nothing_and_is_told() {
    for (text, expected) in [
        ("", "the document is empty"),
        ("<html>", "providers.rest"),
        ("{\"http\": {", "providers.rest"),
        ("[]", "providers.rest"),
    ] {
        let mut desk = Desk::new(fixed(""));
        assert!(offer(&mut desk, 0, 1, &routes("a", "noop@internal")).accepted);
        let judged = offer(&mut desk, 0, 2, text);
        assert!(!judged.accepted, "{text}");
        assert!(judged.problems[0].contains(expected), "{:?}", judged.problems);
        assert_eq!(routers(&desk, 1), ["a@rest"], "{text}");
        assert_eq!(desk.codes(), ["refused-document"], "{text}");
        assert!(desk.view().status.reloads.last_refused, "{text}");
        let told = desk.view().status.diagnostics[0].to_string();
        assert!(told.contains("the one before stays in effect"), "{told}");
        assert!(offer(&mut desk, 0, 3, &routes("b", "noop@internal")).accepted);
        assert_eq!(desk.codes(), [""; 0], "{text}");
        assert!(!desk.view().status.reloads.last_refused, "{text}");
    }
}

#[test]
fn a_definition_with_an_error_is_told_and_the_rest_takes_effect() {
    let mut desk = Desk::new(fixed(""));
    let text = routes("a", "noop@internal").replace("\"rule\"", "\"ruel\": 1, \"rule\"");
    let judged = offer(&mut desk, 0, 1, &text);
    assert!(judged.accepted);
    assert!(judged.problems[0].contains("unknown key `ruel`"), "{:?}", judged.problems);
    assert_eq!(routers(&desk, 1), ["a@rest"]);
}

#[test]
fn providers_have_names_of_their_own_and_precedence_orders_their_routers() {
    for (precedence, expected) in
        [("[rest, file]", ["r@rest", "r@file"]), ("[file]", ["r@file", "r@rest"])]
    {
        let more = format!(", file: {{filename: dynamic.yml}}, precedence: {precedence}");
        let mut desk = Desk::new(fixed(&more));
        desk.file(&routes("r", "noop@internal"));
        desk.run_secs(1);
        assert!(offer(&mut desk, 0, 1, &routes("r", "noop@internal")).accepted);
        assert_eq!(routers(&desk, 1), expected);
        desk.file("# nothing");
        desk.run_secs(1);
        assert_eq!(routers(&desk, 1), ["r@rest"], "each gives and takes its own");
    }
}

#[test]
fn changes_are_apart_and_the_last_one_wins() {
    let mut desk = Desk::new(Fixed { throttle: Span::secs(30), ..fixed("") });
    for (serial, name) in [(1, "a"), (2, "b"), (3, "c")] {
        assert!(offer(&mut desk, 0, serial, &routes(name, "noop@internal")).accepted);
        assert_eq!(routers(&desk, 1), ["a@rest"]);
    }
    desk.run_secs(30);
    assert_eq!(routers(&desk, 1), ["c@rest"]);
    assert_eq!(desk.view().status.reloads.applied, 2);
    assert_eq!(desk.hits(Mark::OfferThrottled), 2);
}
