//! The health protocol of gRPC: what `grpc.health.v1.Health/Check` is asked, and what its answer
//! means. Two small messages of protobuf are all there is to it.

use super::failure::Failure;
use crate::base::time::Span;
use crate::net::fetch::Reply;

pub(super) const TARGET: &str = "/grpc.health.v1.Health/Check";

/// A `HealthCheckRequest` in its frame: no compression, no bytes. Without the name of a service it
/// is about the server as a whole.
pub(super) const REQUEST: &[u8] = &[0; 5];

/// Bytes of an answer that are worth reading.
pub(super) const ANSWER_MAX: u32 = 4_096;

/// What a frame has before its message.
const PREFIX: usize = 5;
/// Of `HealthCheckResponse.status`.
const SERVING: u64 = 1;

/// Fields of the request beside those of the check.
pub(super) fn fields(timeout: Span) -> [(String, String); 3] {
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    [
        field("Content-Type", "application/grpc"),
        field("TE", "trailers"),
        field("Grpc-Timeout", &time_of(timeout)),
    ]
}

/// At most eight digits and a unit.
fn time_of(timeout: Span) -> String {
    let millis = timeout.nanos().div_ceil(1_000_000);
    match millis {
        0..100_000_000 => format!("{millis}m"),
        _ => format!("{}S", (millis / 1_000).min(99_999_999)),
    }
}

/// SERVING is up, everything else is not.
pub(super) fn judge(reply: &Reply) -> Result<(), Failure> {
    if reply.status != 200 {
        return Err(Failure::Status(reply.status));
    }
    match reply.grpc_status {
        Some(0) => {}
        Some(code) => return Err(Failure::Grpc(code)),
        None => return Err(Failure::Content("the answer has no grpc-status".to_owned())),
    }
    let status = message(&reply.body).and_then(status_in);
    match status {
        Some(SERVING) => Ok(()),
        Some(status) => Err(Failure::NotServing(status)),
        None => Err(Failure::Content("the answer is no HealthCheckResponse".to_owned())),
    }
}

/// The one message of an answer.
fn message(body: &[u8]) -> Option<&[u8]> {
    let (prefix, message) = body.split_first_chunk::<PREFIX>()?;
    let [compressed, length @ ..] = *prefix;
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    (compressed == 0 && length == message.len()).then_some(message)
}

/// Field 1, which is 0 if it is absent; the last one counts.
fn status_in(mut message: &[u8]) -> Option<u64> {
    let mut status = 0;
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let skipped = match tag & 7 {
            0 => {
                let value = varint(&mut message)?;
                status = if tag >> 3 == 1 { value } else { status };
                0
            }
            1 => 8,
            2 => usize::try_from(varint(&mut message)?).ok()?,
            5 => 4,
            _ => return None,
        };
        message = message.get(skipped..)?;
    }
    Some(status)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// How the status codes of gRPC are called.
pub(super) fn name_of(code: u32) -> &'static str {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    usize::try_from(code).ok().and_then(|at| NAMES.get(at)).copied().unwrap_or("an unknown code")
}

/// How a `ServingStatus` is called.
pub(super) fn name_of_status(status: u64) -> &'static str {
    match status {
        0 => "UNKNOWN",
        1 => "SERVING",
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "an unknown status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, grpc_status: Option<u32>, body: &[u8]) -> Reply {
        let body = body.to_vec();
        Reply { status, etag: None, location: None, grpc_status, body, reusable: false }
    }

    #[track_caller]
    fn check(body: &[u8], expected: &str) {
        let verdict = judge(&reply(200, Some(0), body)).map_err(|failure| failure.to_string());
        assert_eq!(verdict.err().unwrap_or_default(), expected, "{body:?}");
    }

    #[test]
    fn only_serving_is_up() {
        check(&[0, 0, 0, 0, 2, 8, 1], "");
        check(&[0, 0, 0, 0, 2, 8, 2], "the health service says NOT_SERVING");
        check(&[0, 0, 0, 0, 0], "the health service says UNKNOWN");
        check(&[0, 0, 0, 0, 2, 8, 3], "the health service says SERVICE_UNKNOWN");
        check(&[0, 0, 0, 0, 3, 8, 0x81, 1], "the health service says an unknown status");
        check(&[0, 0, 0, 0, 6, 0x12, 2, 8, 2, 8, 1], "");
    }

    #[test]
    fn what_is_no_message_is_down() {
        for body in [
            &[][..],
            &[0, 0, 0, 0],
            &[1, 0, 0, 0, 2, 8, 1],
            &[0, 0, 0, 0, 3, 8, 1],
            &[0, 0, 0, 0, 2, 8, 1, 0],
            &[0, 0, 0, 0, 1, 8],
            &[0, 0, 0, 0, 2, 0x0b, 1],
            &[0, 0, 0, 0, 2, 0x12, 9],
            &[0, 0, 0, 0, 11, 8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255],
        ] {
            check(body, "the answer is no HealthCheckResponse");
        }
    }

    #[test]
    fn statuses_have_causes() {
        let why = |status, grpc| {
            let failure = judge(&reply(status, grpc, &[])).expect_err("a failure");
            format!("{}: {failure}", failure.code())
        };
        assert_eq!(why(503, None), "bad-status: the answer is status 503");
        assert_eq!(why(200, None), "bad-answer: the answer has no grpc-status");
        let text = "not-found: the health service answers UNIMPLEMENTED (12)";
        assert_eq!(why(200, Some(12)), text);
        assert_eq!(why(200, Some(16)).split(':').next(), Some("unauthorized"));
        assert_eq!(why(200, Some(7)).split(':').next(), Some("forbidden"));
        assert_eq!(why(200, Some(4)).split(':').next(), Some("timeout"));
        assert!(why(200, Some(99)).ends_with("an unknown code (99)"));
    }

    #[test]
    fn a_timeout_has_eight_digits_at_most() {
        assert_eq!(time_of(Span::millis(5_000)), "5000m");
        assert_eq!(time_of(Span::from_nanos(1)), "1m");
        assert_eq!(time_of(Span::secs(200_000)), "200000S");
    }
}
