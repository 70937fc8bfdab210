//! Small faults planted on purpose: the simulator must find each of them, or an oracle is missing.
//! Only a build with the feature `mutants` can be told to commit one; in every other build
//! [`planted`] is a constant, and nothing of them is left.

#[cfg(feature = "mutants")]
use std::cell::Cell;

macro_rules! mutants {
    ($($name:ident $doc:literal,)*) => {
        /// A fault, named by what the engine does wrong.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Mutant { $(#[doc = $doc] $name,)* }

        impl Mutant {
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

mutants! {
    AcceptsNoMore "a listener that failed once is not listened to again",
    AddressUnweighed "rendezvous hashing takes all members for equal",
    AdvertsForgotten "a failed poll takes away what the child offered",
    AllowListOpen "an address that is not on the list passes",
    AnyStatusIsUp "a probe that is answered at all finds the server up",
    AnyTagBelieved "a signed cookie is believed whoever has signed it",
    BothLengths "a request with a length and a coding is read by its coding",
    BreakerLeaks "an open circuit breaker lets requests pass",
    BreakerNeverCloses "a circuit breaker that has opened stays open",
    BreakerNeverOpens "a circuit breaker does not open",
    BreakerRemembers "what was long ago counts for a circuit breaker",
    BrokenFallsThrough "a request for a broken router is taken by the next one",
    BudgetNotGivenBack "what a body took of the budget stays taken",
    BusierTaken "of two members the busier one is taken",
    ClientsUnbounded "clients come in above the bound",
    ClientsWander "rendezvous hashing looks at the time, too",
    CodingUnwanted "a coding that a client refuses is used",
    DetourRefused "whom a breaker before a service keeps off is refused though others serve",
    DiagnosticLost "what is wrong with a configuration is not told",
    DoubleHeader "a field of a request is written twice",
    DrainCutsRequests "a drain gives up what is in flight at once",
    EmptyChunkedLost "an empty body in chunks is sent without its end",
    EpochGoesBack "a worker takes an older view after a newer one",
    FailoverStays "a failover stays with its main side",
    ForwardedTrusted "what any client says of those before it is believed",
    HeadAnswerHasBody "an answer to HEAD is read with the body it announces",
    HopsUnchecked "a request may come again and again",
    IdleKeptForEver "a kept connection to a server never grows too old",
    LabelsOuterOnly "a signed cookie names the member of one level only",
    LeaksPage "a page of a request's head is never given back",
    LengthKept "a compressed answer announces the length that it had before",
    ListensOn "a drain does not stop listening",
    LogLineLost "some requests are not logged",
    LosesField "a field of a request is left out",
    LosesTrailers "trailers are left out",
    MirrorBeyondCap "bodies over the bound of a mirror are mirrored",
    MirrorsMore "ten in a hundred more are mirrored",
    MirrorLost "some mirrors are not begun, nor skipped",
    NewsStaysBelow "services above one that changed are not looked at again",
    PicksDown "members that are down take turns",
    PositionForgotten "the turns of a service begin anew when it changes",
    PrefixKept "a prefix that is to be stripped stays",
    PriorityIgnored "of several routers the one with the lowest priority is taken",
    ProbesSeldom "probes come at half their pace",
    ReadsTwice "a second read is asked for while one is under way",
    RemembersFirstWeights "shares stay what they first were",
    RemoteBelieved "an answer of the HTTP provider counts whatever its status",
    RemoteForgotten "a failed poll of the HTTP provider takes away what it said",
    RepeatsTicket "some tickets are drawn twice",
    ResponseTimeoutLost "a server may take for ever to answer",
    RetriesPost "a request that cannot be repeated is sent again",
    ReusesHalfRead "a connection is kept with a part of a response to come",
    SameTwo "the two among which the less busy is taken are always the same",
    SkipsTicket "some tickets are drawn for nobody",
    SlowHeadWelcome "a client may take for ever to send its head",
    SocketLeft "a socket is not closed",
    SqueezesAgain "an answer that has a coding is compressed again",
    StatusChanged "a status is relayed as another",
    StickyForgotten "a session's cookie is not looked at",
    StrategyPicksDown "members that are down are chosen otherwise than by turns",
    TagOfAnyService "a signed cookie does not say for which service it is",
    TurnsInARow "members have their turns one after another",
    UnsentLost "a short write is taken for a whole one",
    UplinkAnywhere "routers of uplinks serve on ordinary entry points",
    UplinkNameBelieved "what a client says about the uplink goes to the server",
    VaryForgotten "an answer does not say that others may get it in another coding",
    ViewIgnored "some views are not taken",
    WithdrawnStays "an uplink that a child withdraws stays",
}

#[cfg(feature = "mutants")]
thread_local! {
    /// What the machines of this thread do wrong.
    static PLANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
}

/// Has the machines of this thread commit a fault from now on, or none.
#[cfg(feature = "mutants")]
pub fn plant(mutant: Option<Mutant>) {
    PLANTED.set(mutant);
}

/// Whether the machines of this thread are to commit this fault.
#[cfg(feature = "mutants")]
#[inline]
pub fn planted(mutant: Mutant) -> bool {
    PLANTED.get() == Some(mutant)
}

/// Never: this build plants nothing.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub const fn planted(_mutant: Mutant) -> bool {
    false
}
