//! A port of 127.0.0.1 that stays free for a program that needs a fixed one.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// Bound and never listening: connections are refused, and the kernel does not assign the port to
/// other programs. A program that names the port can listen there, as often as it is started,
/// because both sides set `SO_REUSEADDR`, which every server does.
pub struct ReservedPort(Socket);

impl ReservedPort {
    pub fn reserve() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("SO_REUSEADDR");
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
        Self(socket)
    }

    pub fn address(&self) -> SocketAddr {
        let address = self.0.local_addr().expect("a bound socket");
        address.as_socket().expect("an address with a port")
    }

    pub fn number(&self) -> u16 {
        self.address().port()
    }
}
