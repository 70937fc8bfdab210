//! Cookies that make sessions stick, on the response that begins them.

use super::exchange::{Exchange, service_of};
use super::fields::put_field;
use crate::service::middleware::decides_response;

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
}
