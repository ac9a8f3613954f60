//! A child process with its output collected, killed on drop.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

pub use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use super::output::Output;
use super::wait::until;

pub struct Process {
    name: String,
    child: Child,
    pub stdout: Output,
    pub stderr: Output,
}

impl Process {
    pub fn spawn(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let stdout = Output::collect(child.stdout.take().expect("stdout is piped"));
        let stderr = Output::collect(child.stderr.take().expect("stderr is piped"));
        Self { name: name.to_owned(), child, stdout, stderr }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The CPU time that it has used. `/proc/ID/stat` counts in hundredths of a second.
    pub fn cpu(&self) -> Duration {
        let id = Pid::from_raw(self.id().try_into().expect("a process id"));
        let clock = clock_getcpuclockid(id).expect("the CPU clock of a process");
        clock_gettime(clock).expect("the time of a CPU clock").into()
    }

    /// The exit status if the process has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("asking for a child's status")
    }

    /// Sends a signal; fails the test when the process has ended.
    pub fn signal(&mut self, signal: Signal) {
        assert!(self.ended().is_none(), "{} ended before it could be sent {signal:?}", self.name);
        let id = Pid::from_raw(self.child.id().try_into().expect("a process id"));
        kill(id, signal).unwrap_or_else(|error| panic!("signal {signal:?} to {}: {error}", self.name));
    }

    /// Waits for the process to end by itself, and for all of its output.
    pub async fn exit(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("{} to end", self.name);
        let status = until(limit, &what, async || self.ended().ok_or_else(|| "it runs".to_owned())).await;
        self.stdout.wait_for_end(limit).await;
        self.stderr.wait_for_end(limit).await;
        status
    }

    /// Sends SIGKILL and waits until the kernel has closed the process's sockets.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() && self.stderr.mark() > 0 {
            eprintln!("--- {}: last lines of stderr\n{}", self.name, self.stderr.tail(40));
        }
    }
}
