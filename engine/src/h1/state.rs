//! What may happen next on an HTTP/1.1 connection: one small state for the side that asks, one for
//! the side that answers, and whether both want to go on. The table does not know which side we
//! are, so a gateway uses it twice: towards its client and towards its origin.
//!
//! ```text
//! client   Idle ─head→ SendingBody ─end→ Done ─both done→ Idle
//!                                      ╰ OfferedSwitch ─the answer decides→ Done or Switched
//! server   Idle ─asked→ Answering ─head→ SendingBody ─end→ Done ─both done→ Idle
//!                      ╰ switch→ Switched
//! ```
//!
//! Done becomes `MustClose` once either side has said or shown that it will not go on. A client
//! that ends its half in `Done` can still be answered; one that ends it in its body is `Broken`.

use crate::http::head::Persistence;

/// The asking side.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Client {
    Idle,
    SendingBody,
    Done,
    /// Done, with an `Upgrade` or CONNECT that is not answered yet: what comes next may not be
    /// HTTP.
    OfferedSwitch,
    Switched,
    MustClose,
    Closed,
    Broken,
}

/// The answering side.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Server {
    Idle,
    Answering,
    SendingBody,
    Done,
    Switched,
    MustClose,
    Closed,
    Broken,
}

/// What the asking side did.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Asks {
    Head {
        persistence: Persistence,
        offers_switch: bool,
    },
    /// The end of the request, body and trailers included.
    End,
    /// Nothing more will come from this side.
    Closed,
    /// What came was not HTTP, or not in time.
    Broke,
}

/// What the answering side did.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Answers {
    /// A 1xx head other than 101.
    Interim,
    Head {
        persistence: Persistence,
    },
    /// 101, or 2xx to CONNECT.
    Switch,
    End,
    Closed,
    Broke,
}

/// The event is not allowed where the connection stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfTurn;

/// What a connection is good for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Use {
    /// The exchange goes on.
    Going,
    /// The response is complete, the request is not: the rest of it is to be read and thrown away,
    /// or the connection closed.
    AnsweredEarly,
    /// Both sides are done and want to go on: see [`Joint::renew`].
    Reusable,
    /// Bytes flow both ways.
    Tunnel,
    /// Nothing more can be exchanged.
    Close,
}

/// Where a connection stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Joint {
    client: Client,
    server: Server,
    persistence: Persistence,
    offers_switch: bool,
}

impl Joint {
    pub const fn new() -> Self {
        Self {
            client: Client::Idle,
            server: Server::Idle,
            persistence: Persistence::Keep,
            offers_switch: false,
        }
    }

    pub fn client(self) -> Client {
        self.client
    }

    pub fn server(self) -> Server {
        self.server
    }

    /// What the head of this exchange may still promise: `Close` once either side wants to.
    pub fn persistence(self) -> Persistence {
        self.persistence
    }

    /// This exchange is the last one, by our own wish.
    pub fn close_after(&mut self) {
        self.persistence = Persistence::Close;
        self.settle();
    }

    pub fn asks(&mut self, event: Asks) -> Result<(), OutOfTurn> {
        if let Asks::Head { persistence, offers_switch } = event {
            if self.client != Client::Idle || self.persistence == Persistence::Close {
                return Err(OutOfTurn);
            }
            self.offers_switch = offers_switch;
            self.persistence = persistence;
        }
        self.client = client_after(self.client, event).ok_or(OutOfTurn)?;
        if matches!(event, Asks::Head { .. } | Asks::Broke) && self.server == Server::Idle {
            self.server = Server::Answering;
        }
        self.settle();
        Ok(())
    }

    pub fn answers(&mut self, event: Answers) -> Result<(), OutOfTurn> {
        if event == Answers::Switch && self.client != Client::OfferedSwitch {
            return Err(OutOfTurn);
        }
        self.server = server_after(self.server, event).ok_or(OutOfTurn)?;
        match event {
            Answers::Head { persistence } => {
                self.persistence = self.persistence.max(persistence);
                self.offers_switch = false;
            }
            Answers::Interim
            | Answers::Switch
            | Answers::End
            | Answers::Closed
            | Answers::Broke => {}
        }
        self.settle();
        Ok(())
    }

    pub fn good_for(self) -> Use {
        let client_may_send = self.client == Client::SendingBody;
        match (self.client, self.server) {
            (Client::Switched, Server::Switched) => Use::Tunnel,
            (Client::Done, Server::Done) => Use::Reusable,
            (_, Server::Done | Server::MustClose) if client_may_send => Use::AnsweredEarly,
            (_, Server::MustClose | Server::Closed | Server::Broken) => Use::Close,
            (Client::MustClose | Client::Closed | Client::Broken, Server::Idle | Server::Done) => {
                Use::Close
            }
            _ => Use::Going,
        }
    }

    /// Begins the next exchange on the same connection.
    pub fn renew(&mut self) -> Result<(), OutOfTurn> {
        if self.good_for() != Use::Reusable {
            return Err(OutOfTurn);
        }
        *self = Self::new();
        Ok(())
    }

    /// Draws the consequences that one side's state has for the other's.
    fn settle(&mut self) {
        if self.client == Client::Done && self.offers_switch {
            self.client = Client::OfferedSwitch;
        }
        if self.client == Client::OfferedSwitch {
            match self.server {
                Server::Switched => self.client = Client::Switched,
                _ if !self.offers_switch => self.client = Client::Done,
                Server::Idle
                | Server::Answering
                | Server::SendingBody
                | Server::Done
                | Server::MustClose
                | Server::Closed
                | Server::Broken => {}
            }
        }
        let client_ends =
            matches!(self.client, Client::MustClose | Client::Closed | Client::Broken);
        let server_ends =
            matches!(self.server, Server::MustClose | Server::Closed | Server::Broken);
        let ends = client_ends || server_ends || self.persistence == Persistence::Close;
        if ends && matches!(self.client, Client::Done | Client::Idle) {
            self.client = Client::MustClose;
        }
        if ends && self.server == Server::Done {
            self.server = Server::MustClose;
        }
    }
}

impl Default for Joint {
    fn default() -> Self {
        Self::new()
    }
}

fn client_after(client: Client, event: Asks) -> Option<Client> {
    match event {
        Asks::Head { .. } => (client == Client::Idle).then_some(Client::SendingBody),
        Asks::End => (client == Client::SendingBody).then_some(Client::Done),
        Asks::Closed => match client {
            Client::SendingBody | Client::Broken => Some(Client::Broken),
            Client::Idle
            | Client::Done
            | Client::OfferedSwitch
            | Client::Switched
            | Client::MustClose
            | Client::Closed => Some(Client::Closed),
        },
        Asks::Broke => match client {
            Client::MustClose | Client::Closed | Client::Switched => None,
            Client::Idle
            | Client::SendingBody
            | Client::Done
            | Client::OfferedSwitch
            | Client::Broken => Some(Client::Broken),
        },
    }
}

fn server_after(server: Server, event: Answers) -> Option<Server> {
    let answering = server == Server::Answering;
    match event {
        Answers::Interim => answering.then_some(Server::Answering),
        Answers::Head { .. } => answering.then_some(Server::SendingBody),
        Answers::Switch => answering.then_some(Server::Switched),
        Answers::End => (server == Server::SendingBody).then_some(Server::Done),
        Answers::Closed => match server {
            Server::Answering | Server::SendingBody | Server::Broken => Some(Server::Broken),
            Server::Idle | Server::Done | Server::Switched | Server::MustClose | Server::Closed => {
                Some(Server::Closed)
            }
        },
        Answers::Broke => match server {
            Server::Closed | Server::Switched => None,
            Server::Idle
            | Server::Answering
            | Server::SendingBody
            | Server::Done
            | Server::MustClose
            | Server::Broken => Some(Server::Broken),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Persistence::{Close, Keep};
    use std::collections::BTreeSet;

    #[derive(Clone, Copy, Debug)]
    enum Event {
        Asks(Asks),
        Answers(Answers),
        Renew,
        CloseAfter,
    }

    const EVENTS: [Event; 16] = [
        ask(Keep, false),
        ask(Keep, true),
        ask(Close, false),
        ask(Close, true),
        Event::Asks(Asks::End),
        Event::Asks(Asks::Closed),
        Event::Asks(Asks::Broke),
        Event::Answers(Answers::Interim),
        answer(Keep),
        answer(Close),
        Event::Answers(Answers::Switch),
        Event::Answers(Answers::End),
        Event::Answers(Answers::Closed),
        Event::Answers(Answers::Broke),
        Event::Renew,
        Event::CloseAfter,
    ];

    const fn ask(persistence: Persistence, offers_switch: bool) -> Event {
        Event::Asks(Asks::Head { persistence, offers_switch })
    }

    const fn answer(persistence: Persistence) -> Event {
        Event::Answers(Answers::Head { persistence })
    }

    fn apply(joint: &mut Joint, event: Event) -> Result<(), OutOfTurn> {
        match event {
            Event::Asks(event) => joint.asks(event),
            Event::Answers(event) => joint.answers(event),
            Event::Renew => joint.renew(),
            Event::CloseAfter => {
                joint.close_after();
                Ok(())
            }
        }
    }

    fn reachable() -> BTreeSet<Joint> {
        let mut seen = BTreeSet::from([Joint::new()]);
        let mut open = vec![Joint::new()];
        while let Some(joint) = open.pop() {
            for event in EVENTS {
                let mut after = joint;
                if apply(&mut after, event).is_ok() && seen.insert(after) {
                    open.push(after);
                }
            }
        }
        seen
    }

    #[test]
    fn every_reachable_state_keeps_the_promises() {
        let all = reachable();
        assert!(all.len() > 40, "{}", all.len());
        for joint in all {
            let Joint { client, server, persistence, .. } = joint;
            let done = (client == Client::Done, server == Server::Done);
            if joint.good_for() == Use::Reusable {
                assert_eq!((done, persistence), ((true, true), Keep), "{joint:?}");
            }
            if persistence == Close {
                assert_eq!(done, (false, false), "{joint:?}");
            }
            let switched = (client == Client::Switched, server == Server::Switched);
            if joint.good_for() == Use::Tunnel {
                assert_eq!(switched, (true, true), "{joint:?}");
            }
            if client == Client::Idle {
                assert!(matches!(server, Server::Idle), "{joint:?}");
            }
            if client == Client::Broken || server == Server::Broken {
                assert_ne!(joint.good_for(), Use::Reusable, "{joint:?}");
            }
        }
    }

    #[test]
    fn an_event_out_of_turn_changes_nothing_but_is_refused_again() {
        for joint in reachable() {
            for event in EVENTS {
                let mut once = joint;
                if apply(&mut once, event).is_err() {
                    assert_eq!(once, joint, "{event:?}");
                }
            }
        }
    }

    #[test]
    fn no_answer_comes_without_a_question() {
        let unasked = [Event::Answers(Answers::Interim), answer(Keep), answer(Close)];
        for joint in reachable().into_iter().filter(|joint| joint.server == Server::Idle) {
            for event in unasked {
                assert_eq!(apply(&mut joint.clone(), event), Err(OutOfTurn), "{joint:?}");
            }
        }
    }

    #[test]
    fn what_is_closed_or_to_be_closed_is_never_used_again() {
        for joint in reachable() {
            if joint.good_for() != Use::Close {
                continue;
            }
            for event in EVENTS {
                let mut after = joint;
                if apply(&mut after, event).is_ok() {
                    assert!(
                        matches!(after.good_for(), Use::Close),
                        "{joint:?} {event:?} {after:?}"
                    );
                }
            }
        }
    }

    #[track_caller]
    fn play(events: &[Event], expected: Use) {
        let mut joint = Joint::new();
        for event in events {
            apply(&mut joint, *event).unwrap_or_else(|_| panic!("{event:?} after {joint:?}"));
        }
        assert_eq!(joint.good_for(), expected, "{joint:?}");
    }

    #[test]
    fn plays() {
        use Event::{Answers as A, Asks as Q, Renew};
        let (end, done) = (Q(Asks::End), A(Answers::End));
        play(&[ask(Keep, false), end, answer(Keep)], Use::Going);
        play(&[ask(Keep, false), end, answer(Keep), done], Use::Reusable);
        play(&[ask(Keep, false), end, answer(Keep), done, Renew], Use::Going);
        play(&[ask(Close, false), end, answer(Keep), done], Use::Close);
        play(&[ask(Keep, false), end, answer(Close), done], Use::Close);
        // Half-close: the question is whole, so it is answered.
        play(&[ask(Keep, false), end, Q(Asks::Closed), answer(Keep)], Use::Going);
        play(&[ask(Keep, false), end, Q(Asks::Closed), answer(Keep), done], Use::Close);
        // Early answers.
        play(&[ask(Keep, false), answer(Keep), done], Use::AnsweredEarly);
        play(&[ask(Keep, false), answer(Keep), done, end], Use::Reusable);
        play(&[ask(Keep, false), answer(Close), done], Use::AnsweredEarly);
        play(&[ask(Keep, false), answer(Close), done, end], Use::Close);
        // Switching.
        play(&[ask(Keep, true), end, A(Answers::Interim), A(Answers::Switch)], Use::Tunnel);
        play(&[ask(Keep, true), end, answer(Keep), done], Use::Reusable);
        play(&[ask(Keep, true), answer(Keep), end, done], Use::Reusable);
        // A malformed question is answered once.
        play(&[Q(Asks::Broke), answer(Close), done], Use::Close);
        // An origin that ends its idle connection.
        play(&[A(Answers::Closed)], Use::Close);
        play(&[ask(Keep, false), A(Answers::Closed)], Use::Close);
        play(&[ask(Keep, false), end, answer(Keep), A(Answers::Closed)], Use::Close);
    }
}
