//! Streams: where each stands between its two ends (RFC 9113 §5.1), in order of their numbers, and
//! how the last ones that are over came to their end.

use super::flow::{Allowance, Credit};
use crate::base::id::ConnId;

/// Streams remembered after their end.
const REMEMBERED: usize = 128;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Open,
    /// We have sent all we will.
    LocalEnded,
    /// The other side has.
    RemoteEnded,
    Closed(Why),
}

/// How a stream came to its end: it decides what a late frame means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// Both sides said all they had to say.
    Ended,
    /// We reset it: what comes was under way already.
    ResetHere,
    /// The other side did, and should know.
    ResetThere,
}

impl State {
    pub fn sends(self) -> bool {
        matches!(self, Self::Open | Self::RemoteEnded)
    }

    pub fn receives(self) -> bool {
        matches!(self, Self::Open | Self::LocalEnded)
    }

    pub fn is_closed(self) -> bool {
        matches!(self, Self::Closed(_))
    }

    /// After END_STREAM was sent.
    pub fn end_local(self) -> Self {
        match self {
            Self::Open | Self::LocalEnded => Self::LocalEnded,
            Self::RemoteEnded => Self::Closed(Why::Ended),
            Self::Closed(why) => Self::Closed(why),
        }
    }

    /// After END_STREAM came.
    pub fn end_remote(self) -> Self {
        match self {
            Self::Open | Self::RemoteEnded => Self::RemoteEnded,
            Self::LocalEnded => Self::Closed(Why::Ended),
            Self::Closed(why) => Self::Closed(why),
        }
    }
}

#[derive(Debug)]
pub struct Stream {
    pub id: u32,
    /// Whom its events are for.
    pub owner: Option<ConnId>,
    pub state: State,
    pub credit: Credit,
    pub allowance: Allowance,
    /// What is left of the content that was announced.
    pub left: Option<u64>,
    /// The final head has come.
    pub headed: bool,
    /// A response without content, whatever its head announces.
    pub bare: bool,
    /// Asked for as a tunnel: content without a length, and nothing behind it (RFC 9113 §8.5).
    pub tunnel: bool,
}

/// The streams of a connection that somebody still owns.
#[derive(Debug, Default)]
pub struct Streams {
    /// In order of their numbers.
    list: Vec<Stream>,
    /// Those that are not closed.
    active: u32,
    over: Vec<(u32, Why)>,
    /// Where the next one is remembered.
    next_over: usize,
}

impl Streams {
    /// Adds a stream whose number is above all others.
    pub fn push(&mut self, stream: Stream) {
        debug_assert!(self.list.last().is_none_or(|last| last.id < stream.id), "numbers rise");
        self.active += u32::from(!stream.state.is_closed());
        self.list.push(stream);
    }

    pub fn get(&self, id: u32) -> Option<&Stream> {
        self.list.get(self.position(id)?)
    }

    pub fn get_mut(&mut self, id: u32) -> Option<&mut Stream> {
        let at = self.position(id)?;
        self.list.get_mut(at)
    }

    pub fn remove(&mut self, id: u32) -> Option<Stream> {
        let at = self.position(id)?;
        let stream = self.list.remove(at);
        let why = match stream.state {
            State::Closed(why) => why,
            State::Open | State::LocalEnded | State::RemoteEnded => Why::ResetHere,
        };
        self.active -= u32::from(!stream.state.is_closed());
        self.remember(id, why);
        Some(stream)
    }

    /// Moves a stream to another state.
    pub fn turn(&mut self, id: u32, state: State) {
        let Some(at) = self.position(id) else { return };
        let stream = &mut self.list[at];
        self.active -= u32::from(!stream.state.is_closed() && state.is_closed());
        stream.state = state;
    }

    /// How a stream ended that nobody owns any more, if that is still known.
    pub fn why(&self, id: u32) -> Option<Why> {
        self.over.iter().find(|(over, _)| *over == id).map(|(_, why)| *why)
    }

    pub fn remember(&mut self, id: u32, why: Why) {
        if self.over.len() < REMEMBERED {
            self.over.push((id, why));
            return;
        }
        self.over[self.next_over] = (id, why);
        self.next_over = (self.next_over + 1) % REMEMBERED;
    }

    pub fn active(&self) -> u32 {
        self.active
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.list.iter()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.list.iter_mut()
    }

    fn position(&self, id: u32) -> Option<usize> {
        self.list.binary_search_by_key(&id, |stream| stream.id).ok()
    }

    pub fn check(&self) {
        assert!(self.list.is_sorted_by(|a, b| a.id < b.id), "streams lie in order");
        let active = self.list.iter().filter(|stream| !stream.state.is_closed()).count();
        assert_eq!(active, self.active as usize, "active streams are counted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(id: u32) -> Stream {
        Stream {
            id,
            owner: None,
            state: State::Open,
            credit: Credit::new(0),
            allowance: Allowance::new(0),
            left: None,
            headed: false,
            bare: false,
            tunnel: false,
        }
    }

    #[test]
    fn a_stream_is_over_once_both_sides_are() {
        use State::{Closed, LocalEnded, Open, RemoteEnded};
        assert_eq!(Open.end_local(), LocalEnded);
        assert_eq!(Open.end_remote(), RemoteEnded);
        assert_eq!(LocalEnded.end_remote(), Closed(Why::Ended));
        assert_eq!(RemoteEnded.end_local(), Closed(Why::Ended));
        assert_eq!(Closed(Why::ResetHere).end_local(), Closed(Why::ResetHere));
        assert!(Open.sends() && RemoteEnded.sends() && !LocalEnded.sends());
        assert!(Open.receives() && LocalEnded.receives() && !RemoteEnded.receives());
    }

    #[test]
    fn a_stream_counts_until_it_is_over_and_stays_until_it_is_left() {
        let mut streams = Streams::default();
        for id in [1, 3, 7] {
            streams.push(stream(id));
        }
        streams.turn(3, State::Closed(Why::Ended));
        assert_eq!((streams.active(), streams.get(3).map(|it| it.id)), (2, Some(3)));
        assert!(streams.get(5).is_none());
        streams.remove(3);
        streams.remove(7);
        streams.check();
        assert_eq!((streams.why(3), streams.why(7)), (Some(Why::Ended), Some(Why::ResetHere)));
        assert_eq!(streams.why(5), None);
    }

    #[test]
    fn only_the_last_ends_are_remembered() {
        let mut streams = Streams::default();
        for id in 0..=REMEMBERED {
            streams.remember(u32::try_from(id).expect("few"), Why::Ended);
        }
        assert_eq!((streams.why(0), streams.why(1)), (None, Some(Why::Ended)));
        assert_eq!(streams.over.len(), REMEMBERED);
    }
}
