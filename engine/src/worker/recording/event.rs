//! What is recorded: a few kinds of events, as bytes while they wait and as text in a capsule.

use crate::service::choosing::Session;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Something that happened to a request.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    pub worker: u16,
    /// Number of the request among those of its worker.
    pub request: u64,
    /// Nanoseconds since the process started.
    pub at: u64,
    pub event: Event,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Event {
    /// A complete head.
    Asked(Box<Asked>),
    /// A middleware did more than let it pass.
    Judged(Judged),
    /// A walk down the tree of services ended.
    Sent(Sent),
    /// What came of that was not good, and it is sent once more.
    Again(Again),
    /// It has ended.
    Done(Done),
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Asked {
    /// Of the view it was routed by.
    pub epoch: u64,
    pub entry: String,
    pub tls: bool,
    /// The TLS options that the client came in by.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub options: String,
    pub from: IpAddr,
    pub method: String,
    pub authority: String,
    pub target: String,
    pub fields: Vec<(String, String)>,
    /// Not all fields found room.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cut: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Judged {
    /// Position among the steps of its route.
    pub step: u16,
    pub what: What,
    /// What the client is answered if that ends it; 0 if it does not.
    pub status: u16,
}

/// What a middleware did with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// Answered it by the request alone.
    Answered,
    /// Answered it by what it counts or remembers.
    Refused,
    /// Lets it pass later: after a while, once its body is here, when somebody has said so.
    Held,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sent {
    pub router: String,
    /// The service where the walk began.
    pub service: String,
    /// Outermost first.
    pub choices: Vec<Chosen>,
    pub to: To,
    #[serde(default, skip_serializing_if = "is_false")]
    pub mirrored: bool,
    /// An open breaker had a part in it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub passed_by: bool,
}

/// One balancer's decision.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Chosen {
    pub service: String,
    pub ticket: u64,
    pub turn: u16,
    #[serde(with = "session", default, skip_serializing_if = "is_none")]
    pub session: Session,
    /// Others had failed this request.
    #[serde(default, skip_serializing_if = "is_false")]
    pub instead: bool,
    /// Requests under way and the pace of each member, where the service chooses by that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loads: Vec<(u32, u64)>,
}

/// Where a walk ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum To {
    Server(String),
    /// Part of Tieline.
    Internal(String),
    /// The middlewares of this service come first.
    Guarded(String),
    Nobody,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Again {
    pub why: Why,
    /// Of the answer that was not good; 0 if there was none.
    pub status: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Why {
    /// `retry`: nothing of the request reached a server.
    Unreached,
    /// `retry`: the server went away.
    Lost,
    /// `retry`: the server answered.
    Answered,
    /// `retry`: middlewares of a service kept it from the servers.
    Barred,
    /// The other side of a failover, by the status.
    OtherSide,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Done {
    /// Empty if none took it.
    pub router: String,
    /// Steps of its route that let it pass.
    pub passed: u16,
    /// As sent to the client; 499 if it left before.
    pub status: u16,
    /// 0 if no server answered.
    pub server_status: u16,
    pub retries: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_none(session: &Session) -> bool {
    *session == Session::None
}

mod session {
    use super::Session;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    const ALL: [Session; 4] = [Session::None, Session::Kept, Session::Renewed, Session::Begun];

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(it: &Session, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(it.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Session, D::Error> {
        let name = String::deserialize(from)?;
        let found = ALL.into_iter().find(|session| session.name() == name);
        found.ok_or_else(|| D::Error::custom(format!("{name} is no session")))
    }
}
