//! Who serves which ticket.

/// One full period of turns over the members that may serve.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rotation {
    turns: Box<[u16]>,
}

impl Rotation {
    pub fn of_turns(turns: Box<[u16]>) -> Self {
        Self { turns }
    }

    /// The member whose turn ticket `t` is; nobody if none may serve.
    #[inline]
    pub fn turn(&self, t: u64) -> Option<u16> {
        let period = self.turns.len() as u64;
        if period == 0 {
            return None;
        }
        let at = usize::try_from(t % period).expect("a turn lies within the period");
        Some(self.turns[at])
    }
}
