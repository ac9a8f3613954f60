//! A private Redis on its own port, without persistence.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::thread::sleep;
use std::time::Duration;

use redis::Connection;
use tempfile::TempDir;

use crate::Result;
use crate::process::Process;

pub(crate) struct RedisServer {
    pub(crate) process: Process,
    port: u16,
    connection: Connection,
    /// Removed on drop.
    _folder: TempDir,
}

impl RedisServer {
    /// Starts a Redis. Retries when another program takes the free port first.
    pub(crate) fn start() -> Result<Self> {
        for _ in 0..5 {
            if let Some(server) = Self::try_start()? {
                return Ok(server);
            }
        }
        Err("five free ports were lost, or `redis-server` does not start".into())
    }

    fn try_start() -> Result<Option<Self>> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let folder = tempfile::tempdir()?;
        let path = folder.path().to_string_lossy().into_owned();
        let text = port.to_string();
        let bind = ["--bind", "127.0.0.1", "--port", &text, "--dir", &path];
        let quiet = ["--save", "", "--appendonly", "no", "--loglevel", "warning", "--logfile", "redis.log"];
        let mut process = Process::start("redis-server", &[&bind[..], &quiet].concat())?;
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
        for _ in 0..100 {
            if process.ended()? {
                return Ok(None);
            }
            if let Ok(connection) = client.get_connection() {
                return Ok(Some(Self { process, port, connection, _folder: folder }));
            }
            sleep(Duration::from_millis(20));
        }
        Ok(None)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Returns the number of calls of each command, by clients and scripts.
    pub(crate) fn commands(&mut self) -> Result<BTreeMap<String, u64>> {
        let text: String = redis::cmd("INFO").arg("commandstats").query(&mut self.connection)?;
        let calls = text.lines().filter_map(|line| {
            let (name, figures) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), figures.split(',').next()?.parse().ok()?))
        });
        Ok(calls.collect())
    }
}
