//! Why a poll or probe failed, in words for the operator and a stable word for machines.

use super::grpc;
use crate::boundary::Fault;
use crate::h2::frame::Code;
use crate::http::blame::What;
use crate::net::fetch::Garbled;
use crate::tls::Refusal;
use std::fmt;
use std::net::SocketAddr;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    Refused {
        to: SocketAddr,
    },
    Unreachable {
        to: SocketAddr,
    },
    DialTimedOut {
        to: SocketAddr,
    },
    /// Connected, but no answer within the timeout.
    NoAnswer,
    /// The connection failed before the answer was complete.
    Cut {
        to: SocketAddr,
        fault: Fault,
    },
    /// What arrived is no answer.
    Garbled(Garbled),
    /// No agreement on TLS.
    Handshake {
        to: SocketAddr,
        refusal: Refusal,
    },
    /// The host name has no address.
    Unresolved {
        host: String,
        why: String,
    },
    Status(u16),
    /// A stream was reset before the answer was complete.
    StreamReset(Code),
    /// What arrived is not HTTP/2, or breaks its rules.
    NotHttp2,
    /// HTTP/2 is needed, and TLS agreed on something else.
    NoHttp2,
    /// The call failed, by this code of gRPC.
    Grpc(u32),
    /// The health service answers, and not that it serves.
    NotServing(u64),
    /// The answer is HTTP, but its content is not what it should be.
    Content(String),
    /// This side is out of descriptors or memory.
    Overloaded,
    /// The check cannot be carried out as it is written.
    Unusable(String),
}

impl Failure {
    pub(super) fn of_dial(fault: Fault, to: SocketAddr) -> Self {
        match fault {
            Fault::Refused => Self::Refused { to },
            Fault::Unreachable => Self::Unreachable { to },
            Fault::TimedOut => Self::DialTimedOut { to },
            Fault::NoDescriptors | Fault::NoPages => Self::Overloaded,
            Fault::Reset | Fault::Cancelled | Fault::Other(_) => Self::Cut { to, fault },
        }
    }

    /// The diagnostic's code.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::Unreachable { .. } => "unreachable",
            Self::DialTimedOut { .. } | Self::NoAnswer | Self::Grpc(4) => "timeout",
            Self::Cut { .. } | Self::StreamReset(_) => "connection-cut",
            Self::Garbled(garbled) => code_of(*garbled),
            Self::Handshake { refusal, .. } => refusal.code(),
            Self::Unresolved { .. } => "unresolved",
            Self::Status(401) | Self::Grpc(16) => "unauthorized",
            Self::Status(403) | Self::Grpc(7) => "forbidden",
            Self::Status(404) | Self::Grpc(12) => "not-found",
            Self::NotHttp2 | Self::NoHttp2 => "not-http",
            Self::Grpc(_) | Self::Status(_) => "bad-status",
            Self::NotServing(_) => "not-serving",
            Self::Content(_) => "bad-answer",
            Self::Overloaded => "overloaded",
            Self::Unusable(_) => "unusable",
        }
    }

    /// What to do about a failed poll; empty when the text says it all.
    pub(super) fn poll_help(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "is the child running, and is this its uplink entry point?",
            Self::Status(401 | 403) => "the child asks for credentials at its uplink entry point",
            Self::Status(404) => {
                "the child needs hub.providers.multicluster and this must be its uplink entry point"
            }
            Self::Status(300..=399) => "redirects are not followed: write the final address",
            Self::Garbled(Garbled::Broke(What::StartLine | What::Version | What::LineEnd)) => {
                "does the child expect TLS at this address?"
            }
            Self::Handshake { refusal, .. } => handshake_help(*refusal),
            Self::NotHttp2 => "does the child speak HTTP/2 at this address?",
            Self::StreamReset(_)
            | Self::NoHttp2
            | Self::Grpc(_)
            | Self::NotServing(_)
            | Self::Garbled(_)
            | Self::Unreachable { .. }
            | Self::DialTimedOut { .. }
            | Self::NoAnswer
            | Self::Cut { .. }
            | Self::Unresolved { .. }
            | Self::Status(_)
            | Self::Content(_)
            | Self::Overloaded
            | Self::Unusable(_) => "",
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "most refusals say it all")]
fn handshake_help(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::UnknownCa => "name the file of the child's CA in serversTransport.rootCAs",
        Refusal::WrongName => "set serversTransport.serverName to a name in its certificate",
        Refusal::Identity => "compare peerCertURI and peerCertSANs with its certificate",
        Refusal::Garbage => "does the child speak TLS at this address?",
        Refusal::AlertNoCertificate => "name a client certificate in serversTransport.certificates",
        Refusal::AlertUnknownCa | Refusal::AlertBadCertificate => {
            "compare serversTransport.certificates with what the child accepts"
        }
        _ => "",
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all other violations are told apart by text")]
fn code_of(garbled: Garbled) -> &'static str {
    match garbled {
        Garbled::BodyTooLarge { .. } => "too-large",
        Garbled::Broke(what) => match what {
            What::HeadTooLarge | What::TooManyFields => "too-large",
            What::NoAnswer | What::HeadCut | What::BodyCut => "connection-cut",
            _ => "not-http",
        },
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { to } => write!(f, "{to} refused the connection"),
            Self::Unreachable { to } => write!(f, "{to} is unreachable"),
            Self::DialTimedOut { to } => write!(f, "{to} did not accept the connection in time"),
            Self::NoAnswer => f.write_str("no complete answer in time"),
            Self::Cut { to, fault: Fault::Reset } => write!(f, "{to} reset the connection"),
            Self::Cut { to, fault: Fault::Other(code) } => {
                write!(f, "the connection to {to} failed with error {code}")
            }
            Self::Cut { to, .. } => write!(f, "the connection to {to} failed"),
            Self::Garbled(garbled) if self.code() == "not-http" => {
                write!(f, "the answer is not valid HTTP/1.1: {garbled}")
            }
            Self::Garbled(garbled) => garbled.fmt(f),
            Self::Handshake { to, refusal } => write!(f, "TLS with {to}: {refusal}"),
            Self::Unresolved { host, why } => write!(f, "{host} does not resolve: {why}"),
            Self::Status(status) => write!(f, "the answer is status {status}"),
            Self::StreamReset(code) => {
                write!(f, "the stream was reset with code {}", code.number())
            }
            Self::NotHttp2 => f.write_str("the answer is not valid HTTP/2"),
            Self::NoHttp2 => f.write_str("TLS did not agree on HTTP/2, which gRPC needs"),
            Self::Grpc(code) => {
                write!(f, "the health service answers {} ({code})", grpc::name_of(*code))
            }
            Self::NotServing(status) => {
                write!(f, "the health service says {}", grpc::name_of_status(*status))
            }
            Self::Content(what) => f.write_str(what),
            Self::Overloaded => f.write_str("this process is out of descriptors or memory"),
            Self::Unusable(why) => f.write_str(why),
        }
    }
}
