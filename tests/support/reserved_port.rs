//! A port of 127.0.0.1 that stays free for a program that needs a fixed one.

use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, setsockopt, socket, sockopt,
};

/// Bound and never listening: connections are refused, and the kernel does not assign the port to
/// other programs. A program that names the port can listen there, as often as it is started,
/// because both sides set `SO_REUSEADDR`, which every server does.
pub struct ReservedPort(OwnedFd);

impl ReservedPort {
    pub fn reserve() -> Self {
        let socket =
            socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
        setsockopt(&socket, sockopt::ReuseAddr, &true).expect("SO_REUSEADDR");
        bind(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).expect("a free port");
        Self(socket)
    }

    pub fn address(&self) -> SocketAddr {
        let address: SockaddrIn = getsockname(self.0.as_raw_fd()).expect("a bound socket");
        SocketAddrV4::from(address).into()
    }

    pub fn number(&self) -> u16 {
        self.address().port()
    }
}
