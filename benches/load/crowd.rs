//! Many client sockets on one thread, driven by epoll.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::Result;
use crate::mark::Mark;
use crate::socket::{Heard, Socket};
use crate::world::World;

/// Handshakes in flight at a time, in scenes that do not measure the handshake.
const AT_A_TIME: usize = 128;
/// Deadline of every step that a run depends on.
const PATIENCE: Duration = Duration::from_mins(1);
/// Maximum number of epoll events handled in one turn.
const EVENTS: usize = 1024;

pub(crate) struct Crowd {
    epoll: Epoll,
    sockets: Vec<Socket>,
    events: Vec<EpollEvent>,
    room: Vec<u8>,
}

/// Assigns clients to rooms, in the order of their numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seating {
    pub(crate) rooms: usize,
    /// Members of each room.
    pub(crate) members: usize,
}

impl Seating {
    pub(crate) fn sockets(self) -> usize {
        self.rooms * self.members
    }

    /// Returns the room of a client.
    pub(crate) fn room(self, client: usize) -> usize {
        client / self.members
    }

    pub(crate) fn path(self, client: usize) -> String {
        format!("/ws/chat/bench-{}/", self.room(client))
    }
}

impl Crowd {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            sockets: Vec::new(),
            events: vec![EpollEvent::empty(); EVENTS],
            room: vec![0; 65_536],
        })
    }

    /// Connects all clients, a bounded number at a time, and returns when each has received
    /// `welcome`.
    pub(crate) fn gather(world: &World, seating: Seating) -> Result<Self> {
        let mut crowd = Self::new()?;
        let (mut welcome, end) = (0, Instant::now() + PATIENCE);
        while welcome < seating.sockets() {
            while crowd.len() < seating.sockets() && crowd.len() < welcome + AT_A_TIME {
                crowd.connect(world, &seating.path(crowd.len()))?;
            }
            let mut refused = None;
            crowd.turn(end, |_, heard, _| match heard {
                Heard::Other(frame) if is_welcome(frame) => welcome += 1,
                Heard::End(why) => refused = Some(why),
                _ => {}
            })?;
            if let Some(why) = refused {
                return Err(format!("a client did not come in: {why}").into());
            }
            if Instant::now() > end {
                return Err(
                    format!("{welcome} of {} clients were welcomed in time", seating.sockets()).into()
                );
            }
        }
        Ok(crowd)
    }

    pub(crate) fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Connects one more client to the node that its number selects.
    pub(crate) fn connect(&mut self, world: &World, path: &str) -> Result<()> {
        let client = self.sockets.len();
        let socket = Socket::connect(world.address(client), path, client)?;
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        self.epoll.add(&socket, EpollEvent::new(flags, client as u64))?;
        self.sockets.push(socket);
        Ok(())
    }

    pub(crate) fn say(&mut self, client: usize, mark: Mark) {
        self.sockets[client].send(&mark.frame());
    }

    /// Waits until a client receives something or `until` passes, and calls back for every frame
    /// with the client and the time.
    pub(crate) fn turn(
        &mut self,
        until: Instant,
        mut hear: impl FnMut(usize, Heard<'_>, Instant),
    ) -> Result<()> {
        let count = self.wait(until)?;
        for event in &self.events[..count] {
            let client = usize::try_from(event.data())?;
            let mut now = None;
            self.sockets[client].turn(&mut self.room, |heard| {
                hear(client, heard, *now.get_or_insert_with(Instant::now));
            });
        }
        Ok(())
    }

    /// Waits for events until `until`, and returns their number. `epoll_wait` counts in whole
    /// milliseconds, so `ppoll` waits in its place when there is nothing yet.
    fn wait(&mut self, until: Instant) -> Result<usize> {
        let count = self.epoll.wait(&mut self.events, EpollTimeout::ZERO)?;
        if count > 0 {
            return Ok(count);
        }
        let left = until.saturating_duration_since(Instant::now());
        let mut ready = [PollFd::new(self.epoll.0.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut ready, Some(left.into()), None) {
            Ok(0) | Err(Errno::EINTR) => Ok(0),
            Ok(_) => Ok(self.epoll.wait(&mut self.events, EpollTimeout::ZERO)?),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads until `until` and returns the number of connections that ended.
    pub(crate) fn rest(&mut self, until: Instant) -> Result<usize> {
        let mut ended = 0;
        while Instant::now() < until {
            self.turn(until, |_, heard, _| ended += usize::from(matches!(heard, Heard::End(_))))?;
        }
        Ok(ended)
    }
}

/// Returns whether the frame is `welcome`.
pub(crate) fn is_welcome(frame: &[u8]) -> bool {
    memchr::memmem::find(frame, br#""type":"welcome""#).is_some()
}
