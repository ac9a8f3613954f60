//! A process and its descendants: a server's workers, a browser's helpers, a script's parts.

use std::fs;
use std::ops::{Deref, DerefMut};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::process::{Process, Signal};

/// Killed as a whole on drop: descendants would outlive their parent.
pub struct ProcessTree(Process);

impl ProcessTree {
    pub fn spawn(name: &str, command: &mut Command) -> Self {
        Self(Process::spawn(name, command))
    }

    /// The ids of the process and its descendants.
    pub fn members(&self) -> Vec<u32> {
        let all = processes();
        let mut members = vec![self.id()];
        let mut next = 0;
        while let Some(&parent) = members.get(next) {
            members.extend(all.iter().filter(|one| one.parent == parent).map(|one| one.id));
            next += 1;
        }
        members
    }
}

impl Deref for ProcessTree {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.0
    }
}

impl DerefMut for ProcessTree {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.0
    }
}

impl Drop for ProcessTree {
    fn drop(&mut self) {
        if self.ended().is_some() {
            return;
        }
        send(self.id(), Signal::SIGSTOP); // it forks no more while its descendants are listed
        let members = self.members();
        for member in &members {
            send(*member, Signal::SIGKILL);
        }
        self.kill();
        let end = Instant::now() + Duration::from_secs(5);
        while members.iter().any(|member| runs(*member)) && Instant::now() < end {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Whether the process runs. A zombie does not.
pub fn runs(id: u32) -> bool {
    Entry::read(id).is_some_and(|entry| entry.runs)
}

/// Sends a signal to a process that may have ended. An id that `kill` would take for a group of
/// processes, as 0 for the caller's own, fails the test.
pub fn send(id: u32, signal: Signal) {
    let process = i32::try_from(id).ok().filter(|id| *id > 0).map(Pid::from_raw);
    kill(process.unwrap_or_else(|| panic!("{id} is no process id")), signal).ok();
}

/// The fields of `/proc/ID/stat`.
struct Entry {
    id: u32,
    parent: u32,
    runs: bool,
}

impl Entry {
    fn read(id: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name, which may contain anything, stands in brackets before the state and the parent.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        Some(Self { id, parent: fields.next()?.parse().ok()?, runs: !matches!(state, "Z" | "X") })
    }
}

fn processes() -> Vec<Entry> {
    let folders = fs::read_dir("/proc").expect("/proc").flatten();
    folders.filter_map(|folder| Entry::read(folder.file_name().to_str()?.parse().ok()?)).collect()
}
