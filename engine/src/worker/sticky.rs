//! Cookies that make sessions stick, on the response that begins them.

use super::exchange::{Exchange, service_of};
use super::fields::put_field;
use super::record::Choice;
use crate::service::middleware::decides_response;
use crate::service::signed::Claims;

const NAME: &str = "Set-Cookie";

/// The cookies of all levels that chose anew, outermost first, unless a middleware decides about
/// such fields.
pub(super) fn put_cookies(out: &mut Vec<u8>, exchange: &Exchange) {
    if decides_response(exchange.steps(), exchange.told(), NAME.as_bytes()) {
        return;
    }
    let choices = exchange.choices.as_slice().iter();
    for choice in choices.filter(|choice| choice.session.sets_cookie()) {
        let node = service_of(&exchange.view, choice.service);
        let sticky = node.and_then(|node| node.choosing.as_ref()?.sticky.as_ref());
        if let Some(line) = sticky.and_then(|sticky| sticky.cookie.line(choice.turn)) {
            put_field(out, NAME, line.as_bytes());
        }
    }
    if let Some(line) = signed_line(exchange) {
        put_field(out, NAME, line.as_bytes());
    }
}

/// The cookie for all levels, if it says something new: who serves now, and then what it said of
/// services that were not asked this time.
fn signed_line(exchange: &Exchange) -> Option<String> {
    let old = exchange.claims.as_ref()?;
    let node = |choice: &Choice| service_of(&exchange.view, choice.service);
    let all = exchange.choices.as_slice();
    let signs = |choice: &Choice| node(choice)?.choosing.as_ref()?.signed.as_ref();
    let (from, signed) =
        all.iter().enumerate().find_map(|(at, choice)| Some((at, signs(choice)?)))?;
    let mut claims = Claims::default();
    for choice in &all[from..] {
        let Some(leash) = node(choice).and_then(|node| node.leash.as_ref()) else { continue };
        if let Some(member) = leash.members.get(usize::from(choice.turn)) {
            claims.push(leash.service, *member);
        }
    }
    for (service, member) in old.as_slice() {
        if claims.member_of(*service).is_none() {
            claims.push(*service, *member);
        }
    }
    signed.line(&claims)
}
