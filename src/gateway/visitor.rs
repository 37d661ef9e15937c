//! Who is asking, as far as it is put on record: the block of their address
//! and the name their program gives itself.
//!
//! `X-Forwarded-For` is believed only as far as our own proxies wrote it: from
//! the right, the first address that is not one of ours. Everything left of it
//! was sent by the visitor and may say anything.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{ConnectInfo, Request},
    http::{HeaderMap, HeaderName, header},
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Longest name of a program that is kept, in characters.
const PROGRAM_CHARS_MAX: usize = 256;
/// Addresses of a forwarding header that are looked at.
const HOPS_MAX: usize = 16;

/// Proxies whose word about the visitor's address is taken.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Reads CIDR blocks; a bare address is a block of one. What is neither is
    /// given back.
    pub fn parse(blocks: &[String]) -> Result<Self, String> {
        let read = |block: &String| {
            let net = block.parse::<IpNet>().ok();
            net.or_else(|| block.parse::<IpAddr>().ok().map(IpNet::from))
                .ok_or_else(|| block.clone())
        };
        blocks.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|block| block.contains(&address))
    }
}

/// What is put on record about a visitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Visitor {
    /// The /24 or /48 of the address; absent when the server did not say.
    pub(super) block: Option<IpNet>,
    /// The `User-Agent`, cut and without control characters.
    pub(super) program: Option<String>,
    /// The print of the browser's cookie; only for opens.
    pub(super) device: Option<String>,
}

impl Visitor {
    /// The visitor behind a request.
    pub(super) fn of(request: &Request, proxies: &TrustedProxies) -> Self {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let address = peer.map(|ConnectInfo(peer)| {
            visitor_address(peer.ip().to_canonical(), request.headers(), proxies)
        });
        Self { block: address.map(block), program: program(request.headers()), device: None }
    }
}

fn visitor_address(peer: IpAddr, headers: &HeaderMap, proxies: &TrustedProxies) -> IpAddr {
    let mut address = peer;
    let values = headers.get_all(FORWARDED_FOR).iter().rev();
    let hops = values.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
    for hop in hops.take(HOPS_MAX) {
        if !proxies.trusts(address) {
            break;
        }
        // Our proxy wrote something that is not an address: it is as far as
        // anything is known.
        let Some(before) = hop_address(hop.trim()) else { break };
        address = before;
    }
    address
}

/// `203.0.113.7`, `203.0.113.7:4711`, `2001:db8::1` or `[2001:db8::1]:4711`.
fn hop_address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_matches(['[', ']']).parse::<IpAddr>();
    let address = bare.or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// The block in which an address is kept: enough to tell networks apart, too
/// little to tell a household.
fn block(address: IpAddr) -> IpNet {
    match address {
        IpAddr::V4(v4) => Ipv4Net::new_assert(v4, 24).trunc().into(),
        IpAddr::V6(v6) => Ipv6Net::new_assert(v6, 48).trunc().into(),
    }
}

fn program(headers: &HeaderMap) -> Option<String> {
    let text = String::from_utf8_lossy(headers.get(header::USER_AGENT)?.as_bytes());
    let kept = text.chars().filter(|c| !c.is_control()).take(PROGRAM_CHARS_MAX);
    Some(kept.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies() -> TrustedProxies {
        let blocks = ["10.0.0.0/8".to_owned(), "fd00::1".to_owned()];
        TrustedProxies::parse(&blocks).unwrap()
    }

    fn address(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        visitor_address(peer.parse().unwrap(), &headers, &proxies()).to_string()
    }

    #[test]
    fn only_our_own_proxies_are_believed() {
        assert_eq!(address("198.51.100.9", &["1.2.3.4"]), "198.51.100.9", "a stranger's word");
        assert_eq!(address("10.0.0.1", &["1.2.3.4"]), "1.2.3.4", "our proxy's word");
        assert_eq!(address("10.0.0.1", &["6.6.6.6, 1.2.3.4"]), "1.2.3.4", "the rightmost only");
        assert_eq!(address("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.9.9.9"]), "1.2.3.4", "two proxies");
        assert_eq!(
            address("10.0.0.1", &["6.6.6.6", "1.2.3.4, 10.9.9.9"]),
            "1.2.3.4",
            "two headers"
        );
        assert_eq!(address("10.0.0.1", &["junk"]), "10.0.0.1", "no address, no belief");
        assert_eq!(address("10.0.0.1", &[]), "10.0.0.1", "nothing said");
        assert_eq!(address("fd00::1", &["[2001:db8::5]:443"]), "2001:db8::5", "with a port");
    }

    #[test]
    fn a_bad_block_is_named() {
        let refused = TrustedProxies::parse(&["10.0.0.0/33".to_owned()]);
        assert_eq!(refused.err().as_deref(), Some("10.0.0.0/33"), "the operator must see which");
    }

    #[test]
    fn an_address_is_kept_as_its_block() {
        let kept = |text: &str| block(text.parse().unwrap()).to_string();
        assert_eq!(kept("203.0.113.77"), "203.0.113.0/24", "IPv4");
        assert_eq!(kept("2001:db8:1:2:3::9"), "2001:db8:1::/48", "IPv6");
    }

    #[test]
    fn a_programs_name_is_cut_and_cleaned() {
        let mut headers = HeaderMap::new();
        assert_eq!(program(&headers), None, "absent stays absent");
        headers.insert(header::USER_AGENT, format!("A\t{}", "b".repeat(999)).parse().unwrap());
        let kept = program(&headers).unwrap();
        assert_eq!(kept.chars().count(), PROGRAM_CHARS_MAX, "cut");
        assert!(kept.starts_with("Ab"), "no control characters");
    }
}
