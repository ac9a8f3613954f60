//! All clients of a run, in their rooms.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::client::{Client, Profile};
use super::instructions::{Instructions, Lifecycle, Moment, RoomState, State, Traffic};
use super::line::Wire;
use super::listener::{Listener, Listens};
use super::membership::Membership;
use super::record::{Action, Observer, Record, Recorder};
use crate::support::node::Node;
use crate::support::wait::{PATIENCE, until, within};

/// The user id of the test's own clients; no other client has it.
const TEST_USER: u64 = 1 << 40;
/// In which all clients have learned that a user left: the grace, and a moment for busy machines.
const LEAVE: Duration = Duration::from_secs(8);

/// Rooms of a client with several, counted from that of its number: which clients share a room
/// differs from room to room.
const ROOM_OFFSETS: [usize; 5] = [0, 1, 3, 7, 12];

pub struct Clients {
    pub recorder: Recorder,
    /// Each client in each of its rooms, in the order of the record.
    seats: Vec<Seat>,
    /// By client.
    wires: Vec<Wire>,
    /// Each client's lifecycle when the run comes to rest.
    at_rest: Vec<Lifecycle>,
    /// As whom the test itself enters each room.
    visitors: Vec<Membership>,
    instructions: Vec<watch::Sender<Instructions>>,
    /// The instructions of clients that only listen.
    listening: watch::Sender<Instructions>,
    states: Vec<Arc<Mutex<State>>>,
    _tasks: JoinSet<()>,
}

/// A client in a room.
#[derive(Clone, Copy, Debug)]
struct Seat {
    client: usize,
    room: usize,
    /// The room's place among those of the client.
    place: usize,
}

pub fn name_of(room: usize) -> String {
    format!("room{room}")
}

/// A third of the clients speak Centrifugo's protocol, a tenth read an event stream.
fn wire_of(number: usize) -> Wire {
    match (number % 3, number % 7, number % 2) {
        (0, _, _) => Wire::Centrifugo,
        (_, 4, _) => Wire::EventStream,
        (_, _, 0) => Wire::WebSocket,
        _ => Wire::RoomSocket,
    }
}

/// An event stream has one room, all other clients have five, if there are as many.
fn rooms_of(number: usize, count: usize) -> Vec<usize> {
    let wanted = if wire_of(number) == Wire::EventStream { 1 } else { ROOM_OFFSETS.len() };
    let mut rooms = Vec::new();
    for room in ROOM_OFFSETS.into_iter().chain(0..count).map(|offset| (number + offset) % count) {
        if rooms.len() < wanted && !rooms.contains(&room) {
            rooms.push(room);
        }
    }
    rooms
}

/// One of twenty clients leaves at the end, and two vanish.
fn at_rest(number: usize) -> Lifecycle {
    match number % 20 {
        0 => Lifecycle::Leaves,
        1 | 2 => Lifecycle::Vanishes,
        _ => Lifecycle::Connected,
    }
}

impl Clients {
    /// Starts this many clients in this many rooms, and six in a private chat, whose two accounts
    /// it makes on this node. Waits until all are connected.
    ///
    /// The private chat has no clients that only listen. Its accounts are never lost for good: a
    /// fault that removes them restores them, for a new account of the same name would be another
    /// user, in another chat.
    pub async fn start(
        (clients, count_of_rooms): (usize, usize),
        address: SocketAddr,
        node: &Node,
        seed: u64,
    ) -> Self {
        let mut members: Vec<_> = (0..clients)
            .map(|number| {
                let rooms = rooms_of(number, count_of_rooms);
                let names = rooms.iter().copied().map(name_of).collect();
                let membership = Membership::of_guest(names, number as u64 + 1);
                (rooms, membership, wire_of(number), at_rest(number))
            })
            .collect();
        let mut visitors: Vec<_> =
            (0..count_of_rooms).map(|room| Membership::of_guest(vec![name_of(room)], TEST_USER)).collect();
        let sides = Membership::of_private_chat(node).await;
        for wire in [Wire::RoomSocket, Wire::EventStream, Wire::Centrifugo] {
            // All clients of the first side have left when the members are listed.
            let ends = if wire == Wire::RoomSocket { Lifecycle::Leaves } else { Lifecycle::Vanishes };
            for (side, at_rest) in sides.iter().zip([ends, Lifecycle::Connected]) {
                members.push((vec![count_of_rooms], side.clone(), wire, at_rest));
            }
        }
        visitors.push(sides[0].clone());
        let seats_of = |(client, (rooms, ..)): (usize, &(Vec<usize>, _, _, _))| {
            let rooms: Vec<_> = rooms.iter().copied().enumerate().collect();
            rooms.into_iter().map(move |(place, room)| Seat { client, room, place })
        };
        let seats: Vec<Seat> = members.iter().enumerate().flat_map(seats_of).collect();
        // In a fifth of the public rooms two more that only listen.
        let heard_rooms = (0..count_of_rooms).step_by(count_of_rooms.div_ceil(5).max(1));
        let listeners: Vec<_> = [Listens::ToMessages, Listens::ToPushes]
            .into_iter()
            .flat_map(|listens| heard_rooms.clone().map(move |room| (room, listens)))
            .collect();
        let seated =
            seats.iter().map(|seat| (seat.room, format!("{:?} {}", members[seat.client].2, seat.client)));
        let listening = listeners.iter().map(|(room, listens)| (*room, format!("{listens:?}")));
        let recorder = Recorder::new(seated.chain(listening).unzip());
        let (instructions, heads): (Vec<_>, Vec<_>) =
            members.iter().map(|_| watch::channel(Instructions::LISTEN)).unzip();
        let states: Vec<_> =
            members.iter().map(|(rooms, ..)| Arc::new(Mutex::new(State::of(rooms.len())))).collect();
        let at_rest = members.iter().map(|(.., at_rest)| *at_rest).collect();
        let wires = members.iter().map(|(_, _, wire, _)| *wire).collect();
        let (mut tasks, mut index) = (JoinSet::new(), 0);
        for ((number, (rooms, membership, wire, _)), head) in members.into_iter().enumerate().zip(heads) {
            let count = rooms.len();
            let profile = Profile { number, wire, membership, rooms, index };
            let state = Arc::clone(&states[number]);
            tasks.spawn(Client::new(profile, address, recorder.clone(), seed, head, state).run());
            index += count;
        }
        let (listening, head) = watch::channel(Instructions::LISTEN);
        for (index, (room, listens)) in (index..).zip(listeners) {
            let (recorder, instructions, room) = (recorder.clone(), head.clone(), name_of(room));
            tasks.spawn(Listener { index, room, listens, address, recorder, instructions }.run());
        }
        let clients = Self {
            recorder,
            seats,
            wires,
            at_rest,
            visitors,
            instructions,
            listening,
            states,
            _tasks: tasks,
        };
        if let Err(missing) = clients.wait_until_settled(&clients.now(), PATIENCE * 2).await {
            panic!("waited for all clients to join: {missing}");
        }
        clients
    }

    /// Makes the clients that only listen leave, and waits until they have.
    pub async fn dismiss_listeners(&self) {
        self.listening.send_modify(|instructions| instructions.lifecycle = Lifecycle::Leaves);
        self.listening.closed().await;
    }

    /// Holds these clients away and returns the id of a message in this room that reached this
    /// other one only when they were gone.
    pub async fn hold_away(&self, away: &[usize], room: usize, witness: usize) -> String {
        self.instruct(away.iter().copied(), |instructions| instructions.lifecycle = Lifecycle::Away);
        until(PATIENCE, "clients to go away", async || {
            let online: Vec<_> =
                away.iter().filter(|who| self.states[**who].lock().unwrap().online).collect();
            if online.is_empty() { Ok(()) } else { Err(format!("{online:?} are online")) }
        })
        .await;
        let seat = *self.seats_of(room).find(|(_, seat)| seat.client == witness).expect("a member").1;
        let last = || self.states[seat.client].lock().unwrap().rooms[seat.place].last.clone();
        let before = last();
        until(PATIENCE, "a message that they miss", async || {
            last().filter(|last| Some(last) != before.as_ref()).ok_or_else(String::new)
        })
        .await
    }

    /// Changes the instructions of these clients.
    pub fn instruct(&self, clients: impl IntoIterator<Item = usize>, change: impl Fn(&mut Instructions)) {
        for who in clients {
            self.instructions[who].send_modify(&change);
        }
    }

    pub fn all(&self) -> std::ops::Range<usize> {
        0..self.states.len()
    }

    pub fn rooms(&self) -> BTreeSet<usize> {
        self.seats.iter().map(|seat| seat.room).collect()
    }

    /// The rooms of guests: all but the private chat.
    pub fn public_rooms(&self) -> std::ops::Range<usize> {
        0..self.visitors.len() - 1
    }

    /// The clients in a room.
    pub fn members_of(&self, room: usize) -> Vec<usize> {
        self.seats_of(room).map(|(_, seat)| seat.client).collect()
    }

    /// The rooms with members by event stream, whose messages reach each node in turn.
    pub fn rooms_with_streams(&self) -> BTreeSet<usize> {
        self.seats
            .iter()
            .filter(|seat| self.wires[seat.client] == Wire::EventStream)
            .map(|seat| seat.room)
            .collect()
    }

    /// The clients in a room by WebSocket, and the others.
    pub fn sockets_and_streams_of(&self, room: usize) -> (Vec<usize>, Vec<usize>) {
        self.members_of(room).into_iter().partition(|who| self.wires[*who] != Wire::EventStream)
    }

    /// The clients in a room, with their indexes in the record.
    fn seats_of(&self, room: usize) -> impl Iterator<Item = (usize, &Seat)> {
        self.seats.iter().enumerate().filter(move |(_, seat)| seat.room == room)
    }

    /// Makes some clients leave in every way.
    pub fn end_some(&self) {
        for (who, at_rest) in self.at_rest.iter().enumerate() {
            self.instruct([who], |instructions| instructions.lifecycle = *at_rest);
        }
    }

    fn is_connected(&self, who: usize) -> bool {
        self.instructions[who].borrow().lifecycle == Lifecycle::Connected
    }

    /// What was sent until now.
    pub fn now(&self) -> Moment {
        let composed = self.states.iter().map(|state| state.lock().unwrap().composed).collect();
        Moment { at: Instant::now(), composed }
    }

    /// Lists the clients that are offline, that have not been in all of their rooms since this
    /// moment, that wait for a reply to something sent before it, or that have received nothing in
    /// a room that was sent after it.
    fn unsettled(&self, since: &Moment) -> Vec<String> {
        let clients = self.all().filter(|who| self.is_connected(*who));
        let unsettled = clients.filter_map(|who| {
            let state = self.states[who].lock().unwrap();
            let has_joined = state.joined || state.joined_at.is_some_and(|at| at > since.at);
            if !state.online || !has_joined {
                let is_where = if state.online { "not in all of its rooms" } else { "offline" };
                return Some(format!("client {who} is {is_where}"));
            }
            if let Some(sent) = state.unanswered.filter(|sent| *sent < since.at) {
                return Some(format!("client {who} waits for a reply since {:?}", sent.elapsed()));
            }
            let sends = self.instructions[who].borrow().traffic != Traffic::None;
            let is_silent = |room: &RoomState| !room.heard.is_some_and(|heard| since.is_before(heard));
            let place = state.rooms.iter().position(is_silent).filter(|_| sends)?;
            Some(format!("client {who} has heard nothing new in its room {place}"))
        });
        unsettled.collect()
    }

    /// Waits until all clients are online, have been in all of their rooms since this moment, have
    /// a reply to everything sent before it, and, if clients send, have received something in each
    /// room that was sent after it: no effect of an earlier fault is still to come.
    pub async fn wait_until_settled(&self, since: &Moment, limit: Duration) -> Result<(), String> {
        self.reached(limit, || self.unsettled(since)).await
    }

    /// Waits until all members of each room have the same last message. Requires that no client
    /// sends.
    pub async fn wait_until_in_step(&self, limit: Duration) -> Result<(), String> {
        let differing = || {
            let last_ids_of = |room: usize| -> BTreeSet<_> {
                let seats = self.seats_of(room).map(|(_, seat)| seat);
                let seats = seats.filter(|seat| self.is_connected(seat.client));
                seats
                    .map(|seat| self.states[seat.client].lock().unwrap().rooms[seat.place].last.clone())
                    .collect()
            };
            let rooms = self.rooms().into_iter().map(|room| (room, last_ids_of(room)));
            rooms.filter(|(_, last_ids)| last_ids.len() > 1).map(|room| format!("{room:?}")).collect()
        };
        self.reached(limit, differing).await
    }

    async fn reached(&self, limit: Duration, missing: impl Fn() -> Vec<String>) -> Result<(), String> {
        let end = Instant::now() + limit;
        loop {
            let missing = missing();
            if missing.is_empty() {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(format!("after {limit:?} {} are missing: {missing:.10?}", missing.len()));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks each node, by a new client of each room, and each member who is there, again and again
    /// until the answer is right, and records the last answer.
    pub async fn record_members(&self, nodes: &[SocketAddr], limit: Duration) {
        let end = Instant::now() + limit;
        let users = users_in(&self.recorder.read());
        let connected = |room: usize| {
            self.seats_of(room).filter(|(_, seat)| self.is_connected(seat.client)).collect::<Vec<_>>()
        };
        let present = |room: usize| -> BTreeSet<String> {
            connected(room).iter().filter_map(|(index, _)| users.get(index).cloned()).collect()
        };
        for room in self.rooms() {
            let (index, _) = self.seats_of(room).next().expect("a member");
            for node in nodes {
                let (name, members) = loop {
                    let (name, members) = members_for_a_new_client(*node, &self.visitors[room]).await;
                    if members == present(room) || Instant::now() > end {
                        break (name, members);
                    }
                    sleep(Duration::from_millis(200)).await;
                };
                let observer = Observer::NewClientOf(name);
                self.recorder.write(index, Action::Members { observer, members });
            }
        }
        // The new clients have left; all members know it after the grace.
        let knows = |seat: &Seat| self.states[seat.client].lock().unwrap().rooms[seat.place].members.clone();
        let lacks = |room: usize| {
            let present = present(room);
            // A client that is just returning learns the members then.
            let is_there = |seat: &Seat| {
                let state = self.states[seat.client].lock().unwrap();
                state.online && state.joined
            };
            let lacks =
                |seat: &Seat| !is_there(seat) || knows(seat).is_some_and(|members| members != present);
            let seats = connected(room).into_iter().filter(|(_, seat)| lacks(seat));
            seats.map(|(index, _)| index.to_string()).collect::<Vec<_>>()
        };
        let all_know = || self.rooms().into_iter().flat_map(lacks).collect();
        let _ = self.reached(end.duration_since(Instant::now()).max(LEAVE), all_know).await;
        for (index, seat) in self.rooms().into_iter().flat_map(connected) {
            if let Some(members) = knows(seat) {
                self.recorder.write(index, Action::Members { observer: Observer::Member, members });
            }
        }
    }
}

/// Returns the node's name, and the members of a room that a new client of this node receives.
async fn members_for_a_new_client(node: SocketAddr, visitor: &Membership) -> (String, BTreeSet<String>) {
    let handshake = visitor.handshake();
    let client = within(PATIENCE * 2, "a new client's welcome", handshake.connect_to(node)).await;
    let listed = client.welcome["members"].as_array().cloned().unwrap_or_default();
    let listed = listed.iter().filter_map(|user| user.as_str());
    let members = listed.filter(|user| *user != client.user()).map(str::to_owned).collect();
    (client.welcome["node"].as_str().unwrap_or_default().to_owned(), members)
}

/// The user of each client of the record.
fn users_in(record: &Record) -> HashMap<usize, String> {
    let welcomes = record.events.iter().filter_map(|event| match &event.action {
        Action::Welcomed { user, .. } => Some((event.who, user.clone())),
        _ => None,
    });
    welcomes.collect()
}
