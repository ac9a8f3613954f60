//! Where the connections of a shard lead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use redis::{ConnectionInfo, ErrorKind, RedisError, RedisResult};

use crate::config::redis_address::RedisAddress;
use crate::layer::redis::dial;

/// The only server, the master that Sentinels watch, or the master of a shard of a Cluster.
pub(in crate::layer::redis) struct Place {
    address: Arc<RedisAddress>,
    /// The host and the port of the shard's master, by the Cluster's map.
    master: Mutex<Option<(String, u16)>>,
    /// Whether the Cluster has not given that master up.
    is_online: AtomicBool,
    /// Why no node has returned that map.
    fault: Mutex<Option<RedisError>>,
}

impl Place {
    pub(super) fn new(address: Arc<RedisAddress>) -> Self {
        Self { address, master: Mutex::default(), is_online: AtomicBool::new(true), fault: Mutex::default() }
    }

    /// Returns the address of the whole.
    pub(in crate::layer::redis) fn address(&self) -> &RedisAddress {
        &self.address
    }

    /// Sets the master of the shard; returns whether it is another one.
    pub(super) fn set_master(&self, master: Option<(String, u16)>) -> bool {
        let mut known = self.master.lock();
        let is_other = *known != master;
        *known = master;
        is_other
    }

    /// Returns the server to connect to.
    ///
    /// # Errors
    /// Fails when none is known.
    pub(in crate::layer::redis) async fn server(&self) -> RedisResult<ConnectionInfo> {
        if !self.address.is_cluster() {
            return dial::current_server(&self.address).await;
        }
        let unknown = || (ErrorKind::Io, "the Cluster names no master of this shard").into();
        self.master_of_shard().ok_or_else(|| self.fault.lock().clone().unwrap_or_else(unknown))
    }

    /// Sets whether the Cluster has not given the master up.
    pub(super) fn set_online(&self, is_online: bool) {
        self.is_online.store(is_online, Ordering::Relaxed);
    }

    pub(super) fn is_online(&self) -> bool {
        self.is_online.load(Ordering::Relaxed)
    }

    /// Sets why no node has returned the map.
    pub(super) fn set_fault(&self, fault: Option<RedisError>) {
        *self.fault.lock() = fault;
    }

    pub(super) fn master_of_shard(&self) -> Option<ConnectionInfo> {
        let master = self.master.lock();
        master.as_ref().map(|(host, port)| self.address.server_at(host, *port))
    }

    /// Returns whether another server than the connected one may be the master now.
    pub(in crate::layer::redis) async fn has_moved(&self, connected: &str) -> bool {
        if !self.address.is_cluster() {
            return dial::has_moved(&self.address, connected).await;
        }
        self.master_of_shard().is_none_or(|server| server.addr().to_string() != connected)
    }

    /// Returns the place to which the server there redirects, as `host:port`. Without a host it is
    /// another port of the same one.
    pub(super) fn redirected(&self, address: &str) -> Self {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        let own_host = self.master.lock().as_ref().map(|(host, _)| host.clone());
        let host = Some(host.to_owned()).filter(|host| !host.is_empty() && host != "?").or(own_host);
        let place = Self::new(Arc::clone(&self.address));
        place.set_master(host.zip(port.parse().ok()));
        place
    }

    /// Returns the address of the server, for messages.
    pub(in crate::layer::redis) fn text(&self) -> String {
        self.master_of_shard().map_or_else(|| self.address.text(), |server| server.addr().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirection_leads_to_its_host_or_to_another_port_of_the_same_one() {
        let address = RedisAddress::parse("redis+cluster://10.0.0.1:1").expect("an address");
        let place = Place::new(Arc::new(address));
        place.set_master(Some(("10.0.0.1".to_owned(), 1)));
        for (redirection, server) in
            [("10.0.0.2:7", "10.0.0.2:7"), (":7", "10.0.0.1:7"), ("?:7", "10.0.0.1:7"), ("::1:7", "::1:7")]
        {
            assert_eq!(place.redirected(redirection).text(), server);
        }
    }
}
