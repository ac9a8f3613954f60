//! A child process: started with a clean environment, measured, and killed on drop.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use crate::Result;
use crate::guest::SECRET;

pub(crate) struct Process(Child);

impl Process {
    /// Starts a program. The kernel kills it when this program dies, even by SIGKILL.
    pub(crate) fn start(program: &str, arguments: &[&str]) -> Result<Self> {
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", program])
            .args(arguments)
            .env_clear() // a PARLOR_* variable would change what is measured
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("PARLOR_SECRET", SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| {
                format!("could not start `{program}` by setpriv (Debian: util-linux): {error}")
            })?;
        Ok(Self(child))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Reads the first line that the process prints.
    pub(crate) fn first_line(&mut self) -> Result<String> {
        let output = self.0.stdout.as_mut().ok_or("no output to read")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    pub(crate) fn ended(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_some())
    }

    /// Returns the CPU time that the process has used, over all threads.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        cpu(self.id())
    }

    /// Returns the resident set in bytes, with all pages counted now; `/proc/ID/status` lags
    /// behind.
    pub(crate) fn memory(&self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.id()))?;
        let line =
            text.lines().find_map(|line| line.strip_prefix("Rss:")).ok_or("no `Rss` in smaps_rollup")?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Returns the CPU time of a process by its clock: `/proc/ID/stat` counts in hundredths of a
/// second, which is more than Redis uses in a short scene.
pub(crate) fn cpu(id: u32) -> Result<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(id.try_into()?))?;
    Ok(Duration::from(clock_gettime(clock)?))
}
