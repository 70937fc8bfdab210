//! Flow control (RFC 9113 §5.2). What we may send is what the other side granted; what we grant is
//! given back only when whoever reads behind us has taken the bytes.

use super::frame::WINDOW_MAX;

/// What we may send. Below zero after the other side has shrunk its windows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Credit(i64);

/// The window would be larger than any may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Overflow;

impl Credit {
    pub fn new(initial: u32) -> Self {
        Self(i64::from(initial))
    }

    pub fn available(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    pub fn spend(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.available(), "no more is sent than was granted");
        self.0 -= i64::try_from(bytes).unwrap_or(i64::MAX);
    }

    pub fn grant(&mut self, more: u32) -> Result<(), Overflow> {
        self.shift(i64::from(more))
    }

    /// The initial window changed, and with it every window (RFC 9113 §6.9.2).
    pub fn shift(&mut self, by: i64) -> Result<(), Overflow> {
        self.0 += by;
        if self.0 > i64::from(WINDOW_MAX) { Err(Overflow) } else { Ok(()) }
    }
}

/// What the other side may send us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allowance {
    size: u32,
    /// What it grows to while its reader keeps up: a stream that nobody reads takes no more of the
    /// connection than it began with.
    size_max: u32,
    left: u32,
    /// Taken by whoever reads, and not granted again yet.
    taken: u32,
}

/// More came than was granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exceeded;

impl Allowance {
    pub fn new(size: u32) -> Self {
        Self::growing(size, size)
    }

    pub fn growing(size: u32, size_max: u32) -> Self {
        debug_assert!(size <= size_max, "a window does not begin above its end");
        Self { size, size_max, left: size, taken: 0 }
    }

    /// Whether so much may still come.
    pub fn covers(&self, bytes: u32) -> bool {
        bytes <= self.left
    }

    pub fn receive(&mut self, bytes: u32) -> Result<(), Exceeded> {
        self.left = self.left.checked_sub(bytes).ok_or(Exceeded)?;
        Ok(())
    }

    /// Bytes were taken. What to grant for them now, if it is worth a frame.
    pub fn release(&mut self, bytes: u32) -> Option<u32> {
        self.taken += bytes;
        debug_assert!(self.left + self.taken <= self.size, "no more is taken than came");
        if self.taken < self.size.div_ceil(2) {
            return None;
        }
        let keeps_up = self.held() <= self.size / 4;
        let size = if keeps_up { (self.size * 2).min(self.size_max) } else { self.size };
        let grant = std::mem::take(&mut self.taken) + (size - self.size);
        self.size = size;
        self.left += grant;
        Some(grant)
    }

    /// Bytes received and not yet taken.
    pub fn held(&self) -> u32 {
        self.size - self.left - self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_may_fall_below_zero_and_never_rises_above_the_top() {
        let mut credit = Credit::new(10);
        credit.spend(10);
        assert_eq!(credit.shift(-5), Ok(()));
        assert_eq!(credit.available(), 0);
        assert_eq!(credit.grant(7), Ok(()));
        assert_eq!(credit.available(), 2);
        assert_eq!(credit.grant(WINDOW_MAX - 2), Ok(()));
        assert_eq!(credit.grant(1), Err(Overflow));
    }

    #[test]
    fn what_is_taken_is_granted_again_in_halves() {
        let mut window = Allowance::new(100);
        assert_eq!(window.receive(100), Ok(()));
        assert_eq!(window.receive(1), Err(Exceeded));
        assert_eq!((window.release(49), window.held()), (None, 51));
        assert_eq!(window.release(1), Some(50));
        assert_eq!(window.receive(50), Ok(()));
        assert_eq!(window.receive(1), Err(Exceeded));
        assert_eq!(window.release(100), Some(100));
        assert_eq!(window.held(), 0);
    }

    #[test]
    fn a_window_grows_while_its_reader_keeps_up() {
        let mut window = Allowance::growing(100, 300);
        assert_eq!(window.receive(100), Ok(()));
        assert_eq!(window.release(60), Some(60), "forty bytes wait");
        assert_eq!(window.receive(20), Ok(()));
        assert_eq!((window.release(50), window.held()), (Some(150), 10));
        assert_eq!(window.receive(190), Ok(()));
        assert_eq!((window.release(200), window.held()), (Some(300), 0));
        assert_eq!(window.receive(300), Ok(()));
        assert_eq!(window.release(300), Some(300), "as large as it may be");
    }
}
