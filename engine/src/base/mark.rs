//! Places that a simulation must reach. A mark is hit where something rare happens; the swarm
//! fails when a mark was never hit, and a scenario asserts its own. Counting is always compiled
//! in, costs about a nanosecond, and production shows it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! marks {
    ($($name:ident $doc:literal,)*) => {
        /// A rare place in the engine, named by what happened there.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Mark { $(#[doc = $doc] $name,)* }

        impl Mark {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            pub const fn about(self) -> &'static str {
                match self { $(Self::$name => $doc,)* }
            }
        }
    };
}

marks! {
    AcceptPaused "a listener waited after an accept failed",
    AliasClash "two offers of children would have had one name",
    Announced "a balancer said who a connection is from",
    AnnouncedWrongly "a connection was given up for a malformed PROXY header",
    AnswerUnasked "a server spoke on an idle connection",
    BodyOverLimit "a body was longer than a middleware lets through",
    BreakerOpened "a circuit breaker opened",
    BreakerPassedBy "another member or side served a request that a circuit breaker kept from one",
    BreakerRefused "a circuit breaker kept a request from its service",
    BodyRefused "a request body broke the rules",
    ChildOverdue "a child's last good answer became old enough for its stale policy to act",
    ClientCutUpload "a client left in the middle of its request",
    ClientLeft "a client left while its request was being served",
    ClientRefusedForRoom "a client was turned away for want of room",
    ClientSecured "a client agreed on TLS",
    CollectedNoMore "a body was passed on before it was complete, as there was too much of it",
    CollectedTooMuch "an answer was given up because all answers together took too much memory",
    Consulted "another server was asked whether a request may pass",
    ConsultFailed "a request was refused because nobody said whether it may pass",
    ConsultRefused "another server refused a request",
    ConsultTimedOut "another server took too long to say whether a request may pass",
    Compressed "a response was compressed",
    WebTranslated "a request of gRPC-Web went on as gRPC",
    CompressorRested "compressing a response waited so that others had their turn",
    CompressorsFull "a response was not compressed because enough others were",
    CountFailed "a request was refused because Redis did not count it",
    Counted "Redis was asked whether there is a token for a request",
    CountedAgain "a question to Redis was asked again on a fresh connection",
    ContinueRelayed "a client was told to go on with its request",
    ControlHandshakeRefused "a poll or probe found no agreement on TLS",
    ControlHeardBeforeBreak "a child was heard in the read in which it broke the rules of TLS",
    ControlNextAddress "a poll or probe went on to the next address of its host",
    ControlOutOfPages "a poll or probe failed because there was no page to read into",
    ControlShortWrite "a poll or probe was sent in more than one write",
    ControlSpokeHttp2 "a poll or probe was sent over HTTP/2",
    DialTimedOut "an address did not answer in time",
    DiscardCut "a client left while the rest of its request was thrown away",
    DrainCutRequest "a request was given up at the end of the grace period",
    Drained "a worker drained",
    EarlyResponse "a response came before its request was complete",
    Ejected "a passive check took a server out",
    EjectedReturned "an ejected server came back",
    EjectionCapped "a server was not ejected because nobody would have been left",
    ErrorPageAsked "a bad answer was replaced by a page of a service",
    FilesRefused "the configuration files could not be read at all",
    GuardAnswered "a middleware of a service answered instead of it",
    GuardMet "a request came to the middlewares of a service",
    GaugeFull "a request was refused because enough of its kind were there",
    HandshakeRefused "a TLS handshake came to nothing",
    HandshakeTimedOut "a TLS handshake took too long",
    HeadInPieces "a request head came in several pages",
    HeadsOvergrown "all request heads together grew over their limit",
    HealthFlipped "an active check reached a new verdict",
    HeldBack "a side was not read because the other did not keep up",
    IdleClientClosed "an idle client connection was closed",
    IdleOutdated "a kept connection was made by settings that are no longer in effect",
    IdleUpstreamClosed "an idle connection to a server was closed",
    IdleUpstreamsFull "a connection was closed because enough are kept",
    InterimRelayed "an interim response was passed on",
    InterimsExceeded "a server sent too many interim responses",
    KeptConnEnded "a kept poll connection ended while it was idle",
    KeptConnWasDead "a poll on a kept connection was sent again on a fresh one",
    KeptOvergrown "a kept body grew over its limit",
    LastGoodFileUsed "a file that could not be used was replaced by its last good content",
    LinesFull "log lines were handed over because there were many",
    LingeredLong "a client that was told off did not leave",
    LoopRefused "a request had been here before",
    LayerPassed "a router under another took a request",
    MemberLeftOut "a service left out a member that cannot serve",
    MiddlewareRefused "a middleware refused a request",
    MirrorSkipped "a mirror was skipped",
    MirrorStarted "a mirror began",
    MirrorTimedOut "a mirror took too long",
    Misdirected "a TLS client asked for a host that wants other options",
    NextAddress "a further address of a server was dialed",
    NoAddress "a server had no address",
    NobodyServes "a service had no server left",
    NothingToShed "memory ran out and nothing could be given up",
    Offered "the control machine was given a document by a client",
    OfferRefused "a document of a client was refused",
    OfferThrottled "a document of a client came too soon after the last change",
    OriginGarbage "a server broke the protocol",
    OriginTimedOut "a server was silent for too long",
    PagesExhausted "there was no page left",
    PasswordWrong "somebody did not prove to be who they said",
    PasswordsWaited "a request was refused because too many passwords were being compared",
    PeriodScaled "weights were too large for one exact period",
    PingUnanswered "a silent HTTP/2 connection gave no sign of life",
    PollFailed "a poll failed",
    PollSameWithoutTag "a whole answer to a poll said what the last one had said",
    PollWaited "a poll waited because too many were under way",
    PreflightAnswered "a script was told whether it may ask",
    ProbeDropped "a server went away while it was being probed",
    ProbeInconclusive "a probe failed for want of means of our own",
    ProbeRedirected "a probe followed a redirect",
    ProbeWaited "a probe waited because too many were under way",
    ProofShared "a request waited for a password that was being compared already",
    ProviderFailed "a poll of the HTTP provider failed",
    ProviderRefused "an answer of the HTTP provider is no configuration",
    ProviderThrottled "an answer of the HTTP provider came too soon after the last change",
    RateHeld "a request waited for its token",
    RateLimited "a request was refused because too many came",
    ReadingsDisagreed "a file changed between two readings",
    Redirected "a middleware sent a client elsewhere",
    RetriesExhausted "a request was not sent again because too many of its service were",
    ReplayImpossible "a failed request could not be sent again",
    ResolveFailed "a host name stopped resolving",
    ResponseCut "a response was cut after it had begun",
    ResponseHeadInPieces "a response head came in several pages",
    Retried "a request was sent again because a middleware asks for it",
    RetryOnRefused "a server did not serve a request, which was sent again elsewhere",
    RetryOnReused "a kept connection died under a request, which was sent again",
    ScriptForgotten "Redis had forgotten what it is asked",
    ServerFailed "a passively checked server failed",
    ServerRecovered "a passively checked server succeeded again",
    ServerSecured "a server agreed on TLS",
    ServiceCycle "a service referred to itself",
    SessionAbused "a client of an HTTP/2 connection did too much cheap work",
    SessionBroken "a client broke the rules of its HTTP/2 connection",
    SessionEnded "a client ended its HTTP/2 connection",
    SessionOpened "a client began to speak HTTP/2",
    ShedIdleClient "an idle client was given up",
    ShedIdleUpstream "an idle connection to a server was given up",
    ShedMirror "a mirror was given up",
    ShortWriteResumed "a write took less than was offered and went on later",
    SlowBody "a request body took too long",
    SlowHead "a request head took too long",
    SlowReader "a client took too long to read its response",
    StaleServes "only children that were not heard of for long could serve",
    StreamCut "a stream was reset before it was over",
    StreamRefused "a stream was refused for want of room",
    StreamReset "a client reset a stream",
    SwitchedSide "a failover switched sides for one request",
    TargetUnusable "a server was not dialed because its TLS settings cannot be honoured",
    TlsBroken "a connection broke the rules of TLS after it was agreed on",
    HeardBeforeBreak "a server was heard in the read in which it broke the rules of TLS",
    TlsCut "a TLS connection ended without a notice",
    ToldOff "a client that broke the protocol was told so",
    TunnelHalfClosed "one direction of a tunnel ended",
    TunnelOpened "a connection was upgraded",
    UncleanPath "a stripped prefix left a path that is not clean",
    UnknownServes "only servers whose check had not answered could serve",
    UplinkUnknown "a parent asked for an uplink that is not there, or not yet",
    UploadRefused "a server stopped reading a request",
    UpstreamGoingAway "a server takes no further requests on its HTTP/2 connection",
    UpstreamSessionOpened "an HTTP/2 connection to a server began",
    WaitedForConnection "a request waited for a connection",
    WaitedTooLong "a request waited too long for a connection",
    WaitersFull "too many requests waited for a connection",
    WebSocketBridged "a WebSocket crossed from one version of HTTP to the other, or lay on streams",
    WebSocketFellBack "a server whose streams take no WebSocket was asked over HTTP/1.1",
    WebSocketKeyWrong "a server did not answer the key it was asked",
    WebSocketWaited "a WebSocket waited for a server to say what its streams take",
}

/// How often each mark was hit, by one machine.
#[derive(Debug)]
pub struct Marks([AtomicU64; Mark::ALL.len()]);

impl Default for Marks {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; Mark::ALL.len()])
    }
}

impl Marks {
    #[inline]
    pub fn hit(&self, mark: Mark) {
        let count = &self.0[mark as usize];
        count.store(count.load(Relaxed) + 1, Relaxed);
    }

    pub fn count(&self, mark: Mark) -> u64 {
        self.0[mark as usize].load(Relaxed)
    }
}
