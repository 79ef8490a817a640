//! From a host to the addresses that a connection may be made to.
//!
//! The client asks here once for each connection and connects to what it is given and nothing else, so a name that is looked up
//! anew cannot lead it to another address than the one that was looked at.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use ureq::{
    Error, Timeout,
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{ResolvedSocketAddrs, Resolver},
        transport::NextTimeout,
    },
};

use crate::{Host, why_not_public};

/// Addresses that are tried for one name.
const MOST: usize = 16;

/// Looks names up.
pub(crate) trait Lookup: fmt::Debug + Send + Sync + 'static {
    fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// As the system does.
#[derive(Debug)]
pub(crate) struct SystemLookup;

impl Lookup for SystemLookup {
    fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok((host, port).to_socket_addrs()?.collect())
    }
}

/// Gives public addresses alone, except of hosts that are `allowed`.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) lookup: Arc<dyn Lookup>,
    pub(crate) allowed: Vec<Host>,
}

/// A host with no address that may be connected to.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) host: String,
    pub(crate) address: IpAddr,
    pub(crate) what: &'static str,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, address, what } = self;
        if host == &address.to_string() {
            return write!(f, "{host} is {what}");
        }
        write!(f, "{host} is at {address}, {what}")
    }
}

impl std::error::Error for Refused {}

impl Checked {
    fn check(&self, host: &str, port: u16, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Error> {
        if self.allowed.iter().any(|allowed| allowed.is(host, port)) {
            return Ok(found);
        }
        let mut refused = None;
        let public = found.into_iter().filter(|address| match why_not_public(address.ip()) {
            None => true,
            Some(what) => {
                refused = Some(Refused { host: host.to_owned(), address: address.ip(), what });
                false
            }
        });
        let public: Vec<SocketAddr> = public.collect();
        match refused {
            Some(refused) if public.is_empty() => Err(Error::Other(Box::new(refused))),
            _ => Ok(public),
        }
    }
}

impl Resolver for Checked {
    fn resolve(&self, uri: &Uri, _: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let (host, port) = host_and_port(uri).ok_or(Error::HostNotFound)?;
        let found = in_time(&self.lookup, host, port, &timeout)?;
        let mut addresses = self.empty();
        for address in self.check(host, port, found)?.into_iter().take(MOST) {
            addresses.push(address);
        }
        if addresses.is_empty() { Err(Error::HostNotFound) } else { Ok(addresses) }
    }
}

/// Looks `host` up on a thread that may be left behind: the system's call has no end of its own.
fn in_time(lookup: &Arc<dyn Lookup>, host: &str, port: u16, timeout: &NextTimeout) -> Result<Vec<SocketAddr>, Error> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    let (lookup, name) = (Arc::clone(lookup), host.to_owned());
    thread::Builder::new()
        .name("imbed-lookup".to_owned())
        // Nobody listens any more once the time is up.
        .spawn(move || drop(sender.send(lookup.addresses(&name, port))))?;
    match receiver.recv_timeout((*timeout.after).min(Duration::from_hours(1))) {
        Ok(found) => found.map_err(|_| Error::HostNotFound),
        Err(_) => Err(Error::Timeout(Timeout::Resolve)),
    }
}

/// The host, without the brackets of IPv6, and the port that is meant.
pub(crate) fn host_and_port(uri: &Uri) -> Option<(&str, u16)> {
    let host = uri.host()?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    Some((bare, uri.port_u16().unwrap_or(usual)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(allowed: &[&str]) -> Checked {
        Checked { lookup: Arc::new(SystemLookup), allowed: allowed.iter().map(|host| host.parse().unwrap()).collect() }
    }

    fn sockets(addresses: &[&str]) -> Vec<SocketAddr> {
        addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 80)).collect()
    }

    #[test]
    fn of_mixed_answers_the_public_ones_are_left() {
        let found = sockets(&["10.0.0.1", "93.184.216.34", "::1"]);
        assert_eq!(checked(&[]).check("h", 80, found).unwrap(), sockets(&["93.184.216.34"]));
    }

    #[test]
    fn a_host_of_private_addresses_alone_is_refused_unless_it_is_allowed_by_name() {
        let found = sockets(&["127.0.0.1", "::1"]);
        let error = checked(&["other", "h:81"]).check("h", 80, found.clone()).unwrap_err();
        assert!(error.to_string().contains("h is at"), "{error}");
        assert_eq!(checked(&["h:80"]).check("H", 80, found.clone()).unwrap(), found);
    }
}
