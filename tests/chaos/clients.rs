//! All clients of a run, in their rooms.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::client::Client;
use super::instructions::{Instructions, Lifecycle, State};
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

pub struct Clients {
    pub recorder: Recorder,
    /// The room of each client.
    rooms: Vec<usize>,
    /// As whom the test itself enters each room.
    visitors: Vec<Membership>,
    instructions: Vec<watch::Sender<Instructions>>,
    /// The instructions of clients that only listen.
    listening: watch::Sender<Instructions>,
    states: Vec<Arc<Mutex<State>>>,
    _tasks: JoinSet<()>,
}

pub fn name_of(room: usize) -> String {
    format!("room{room}")
}

impl Clients {
    /// Starts this many clients in this many rooms, and four in a private chat, whose two accounts
    /// it makes on this node. Waits until all are connected.
    ///
    /// The private chat has no clients that only listen. Its accounts are never lost for good: a
    /// fault that removes them restores them, for a new account of the same name would be another
    /// user, in another chat.
    pub async fn start(
        (clients, rooms): (usize, usize),
        address: SocketAddr,
        node: &Node,
        seed: u64,
    ) -> Self {
        let count_of_rooms = rooms;
        let mut members: Vec<_> = (0..clients)
            .map(|who| {
                // One of five by event stream, in every room.
                let by_stream = who / count_of_rooms % 5 == 4;
                let wire = if by_stream { Wire::EventStream } else { Wire::WebSocket };
                let room = who % count_of_rooms;
                (room, Membership::of_guest(&name_of(room), who as u64 + 1), wire)
            })
            .collect();
        let mut visitors: Vec<_> =
            (0..count_of_rooms).map(|room| Membership::of_guest(&name_of(room), TEST_USER)).collect();
        let sides = Membership::of_private_chat(node).await;
        for wire in [Wire::WebSocket, Wire::EventStream] {
            members.extend(sides.iter().map(|side| (count_of_rooms, side.clone(), wire)));
        }
        // All clients of this side have left when the members are listed.
        visitors.push(sides[0].clone());
        let rooms: Vec<_> = members.iter().map(|(room, ..)| *room).collect();
        // In each public room two more who only listen.
        let listeners = (0..2 * count_of_rooms).map(|who| who % count_of_rooms);
        let recorder = Recorder::new(rooms.iter().copied().chain(listeners.clone()).collect());
        let (instructions, heads): (Vec<_>, Vec<_>) =
            rooms.iter().map(|_| watch::channel(Instructions::LISTEN)).unzip();
        let states: Vec<_> = rooms.iter().map(|_| Arc::<Mutex<State>>::default()).collect();
        let mut tasks = JoinSet::new();
        for ((who, (_, membership, wire)), head) in members.into_iter().enumerate().zip(heads) {
            let (place, state) = ((who, membership, wire), Arc::clone(&states[who]));
            tasks.spawn(Client::new(place, address, recorder.clone(), seed, head, state).run());
        }
        let (listening, head) = watch::channel(Instructions::LISTEN);
        for (number, room) in listeners.enumerate() {
            let listens = if number < count_of_rooms { Listens::ToMessages } else { Listens::ToPushes };
            let (recorder, instructions) = (recorder.clone(), head.clone());
            let index = rooms.len() + number;
            let room = name_of(room);
            tasks.spawn(Listener { index, room, listens, address, recorder, instructions }.run());
        }
        let clients = Self { recorder, rooms, visitors, instructions, listening, states, _tasks: tasks };
        if let Err(missing) = clients.wait_until_settled(PATIENCE).await {
            panic!("waited for all clients to join: {missing}");
        }
        clients
    }

    /// Makes the clients that only listen leave, and waits until they have.
    pub async fn dismiss_listeners(&self) {
        self.listening.send_modify(|instructions| instructions.lifecycle = Lifecycle::Leaves);
        self.listening.closed().await;
    }

    /// Holds these clients away and returns the id of a message that reached this other one only
    /// when they were gone.
    pub async fn hold_away(&self, away: &[usize], witness: usize) -> String {
        self.instruct(away.iter().copied(), |instructions| instructions.lifecycle = Lifecycle::Away);
        let state = |who: usize| self.states[who].lock().unwrap().clone();
        until(PATIENCE, "clients to go away", async || {
            let online: Vec<_> = away.iter().filter(|who| state(**who).online).collect();
            if online.is_empty() { Ok(()) } else { Err(format!("{online:?} are online")) }
        })
        .await;
        let before = state(witness).last;
        until(PATIENCE, "a message that they miss", async || {
            state(witness).last.filter(|last| Some(last) != before.as_ref()).ok_or_else(String::new)
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
        0..self.rooms.len()
    }

    pub fn rooms(&self) -> BTreeSet<usize> {
        self.rooms.iter().copied().collect()
    }

    pub fn members_of(&self, room: usize) -> Vec<usize> {
        self.all().filter(|who| self.rooms[*who] == room).collect()
    }

    fn is_connected(&self, who: usize) -> bool {
        self.instructions[who].borrow().lifecycle == Lifecycle::Connected
    }

    /// Lists the clients that are offline, or that wait for a reply to something sent before this
    /// time.
    pub fn unsettled(&self, before: Instant) -> Vec<String> {
        let clients = self.all().filter(|who| self.is_connected(*who));
        let unsettled = clients.filter_map(|who| {
            let state = self.states[who].lock().unwrap();
            if !state.online {
                return Some(format!("client {who} is offline"));
            }
            let waits = state.unanswered.filter(|since| *since < before)?;
            Some(format!("client {who} waits for a reply since {:?}", waits.elapsed()))
        });
        unsettled.collect()
    }

    /// Waits until all clients are online and have a reply to everything sent before this call.
    pub async fn wait_until_settled(&self, limit: Duration) -> Result<(), String> {
        let now = Instant::now();
        self.reached(limit, || self.unsettled(now)).await
    }

    /// Waits until all members of each room have the same last message. Requires that no client
    /// sends.
    pub async fn wait_until_in_step(&self, limit: Duration) -> Result<(), String> {
        let differing = || {
            let last_ids_of = |room: usize| -> BTreeSet<_> {
                let members = self.members_of(room).into_iter().filter(|who| self.is_connected(*who));
                members.map(|who| self.states[who].lock().unwrap().last.clone()).collect()
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
        let record = self.recorder.read();
        for room in self.rooms() {
            let connected: Vec<_> =
                self.members_of(room).into_iter().filter(|who| self.is_connected(*who)).collect();
            let there: BTreeSet<_> = connected.iter().filter_map(|who| user_of(&record, *who)).collect();
            for node in nodes {
                let (name, members) = loop {
                    let (name, members) = members_for_a_new_client(*node, &self.visitors[room]).await;
                    if members == there || Instant::now() > end {
                        break (name, members);
                    }
                    sleep(Duration::from_millis(200)).await;
                };
                let observer = Observer::NewClientOf(name);
                self.recorder.write(self.members_of(room)[0], Action::Members { observer, members });
            }
            // The new clients have left; all members know it after the grace.
            let knows = |who: usize| self.states[who].lock().unwrap().members.clone();
            // A client that is just returning learns the members then.
            let lacks = |who: &&usize| knows(**who) != there || !self.states[**who].lock().unwrap().online;
            let all_know = || connected.iter().filter(lacks).map(ToString::to_string);
            let _ =
                self.reached(end.duration_since(Instant::now()).max(LEAVE), || all_know().collect()).await;
            for who in connected {
                self.recorder.write(who, Action::Members { observer: Observer::Member, members: knows(who) });
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

fn user_of(record: &Record, who: usize) -> Option<String> {
    record.events.iter().find_map(|event| match &event.action {
        Action::Welcomed { user, .. } if event.who == who => Some(user.clone()),
        _ => None,
    })
}
