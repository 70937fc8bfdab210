//! Operating-system errors, reduced to what machines branch on.

use engine::boundary::Fault;
use std::io;

pub fn of(error: &io::Error) -> Fault {
    let Some(code) = error.raw_os_error() else { return Fault::Other(0) };
    match code {
        libc::ECONNREFUSED => Fault::Refused,
        libc::ECONNRESET | libc::EPIPE | libc::ECONNABORTED | libc::ENOTCONN => Fault::Reset,
        libc::ETIMEDOUT => Fault::TimedOut,
        libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EADDRNOTAVAIL => {
            Fault::Unreachable
        }
        libc::EMFILE | libc::ENFILE => Fault::NoDescriptors,
        libc::ECANCELED => Fault::Cancelled,
        code => Fault::Other(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_become_the_fault_a_machine_branches_on() {
        for (code, fault) in [
            (libc::ECONNREFUSED, Fault::Refused),
            (libc::EPIPE, Fault::Reset),
            (libc::EHOSTUNREACH, Fault::Unreachable),
            (libc::EMFILE, Fault::NoDescriptors),
            (libc::EACCES, Fault::Other(libc::EACCES)),
        ] {
            assert_eq!(of(&io::Error::from_raw_os_error(code)), fault);
        }
    }
}
