//! Which addresses belong to the public internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks of IPv4 that are no part of it: the first address, the bits that all have, and what they are.
const V4: [([u8; 4], u32, &str); 16] = [
    ([0, 0, 0, 0], 8, "an address of this machine"),
    ([10, 0, 0, 0], 8, "a private address"),
    ([100, 64, 0, 0], 10, "a private address of a provider"),
    ([127, 0, 0, 0], 8, "an address of this machine"),
    ([169, 254, 0, 0], 16, "a link-local address"),
    ([172, 16, 0, 0], 12, "a private address"),
    ([192, 0, 0, 0], 24, "a reserved address"),
    ([192, 0, 2, 0], 24, "an address for documentation"),
    ([192, 88, 99, 0], 24, "a reserved address"),
    ([192, 168, 0, 0], 16, "a private address"),
    ([198, 18, 0, 0], 15, "an address for benchmarks"),
    ([198, 51, 100, 0], 24, "an address for documentation"),
    ([203, 0, 113, 0], 24, "an address for documentation"),
    ([224, 0, 0, 0], 4, "a multicast address"),
    ([255, 255, 255, 255], 32, "the broadcast address"),
    ([240, 0, 0, 0], 4, "a reserved address"),
];

/// The same of IPv6, whose public addresses are those of `2000::/3` without these.
const V6: [([u16; 2], u32, &str); 5] = [
    // Teredo, benchmarks and other protocols.
    ([0x2001, 0], 23, "a reserved address"),
    ([0x2001, 0x0db8], 32, "an address for documentation"),
    // 6to4: an IPv4 address inside.
    ([0x2002, 0], 16, "a tunnel to an IPv4 address"),
    ([0x3ffe, 0], 16, "a reserved address"),
    ([0x3fff, 0], 20, "an address for documentation"),
];

/// What `address` is if it is no address of the public internet: `a private address`. Fetches refuse those.
pub fn why_not_public(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => v4(address),
        IpAddr::V6(address) => v6(address),
    }
}

fn v4(address: Ipv4Addr) -> Option<&'static str> {
    let within = |first: [u8; 4], bits: u32| {
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        address.to_bits() & mask == u32::from_be_bytes(first) & mask
    };
    V4.iter().find(|(first, bits, _)| within(*first, *bits)).map(|(.., what)| *what)
}

fn v6(address: Ipv6Addr) -> Option<&'static str> {
    if let Some(inside) = address.to_ipv4_mapped() {
        return v4(inside);
    }
    let [first, second, ..] = address.segments();
    let start = u32::from(first) << 16 | u32::from(second);
    match first {
        _ if address.is_loopback() || address.is_unspecified() => Some("an address of this machine"),
        0xfc00..=0xfdff => Some("a private address"),
        0xfe80..=0xfebf => Some("a link-local address"),
        0xff00..=0xffff => Some("a multicast address"),
        // NAT64 leads to any IPv4 address, private ones too.
        0x0064 => Some("a tunnel to an IPv4 address"),
        0x2000..=0x3fff => {
            let within = |[a, b]: [u16; 2], bits: u32| {
                let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                start & mask == (u32::from(a) << 16 | u32::from(b)) & mask
            };
            V6.iter().find(|(network, bits, _)| within(*network, *bits)).map(|(.., what)| *what)
        }
        _ => Some("a reserved address"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_that_are_not_of_the_internet_are_known() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:0:53aa:64c:0:fbff:80ff:fffe",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ] {
            assert!(why_not_public(address.parse().unwrap()).is_some(), "{address}");
        }
    }

    #[test]
    fn addresses_of_the_internet_pass() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "93.184.216.34",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:1.1.1.1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            assert_eq!(why_not_public(address.parse().unwrap()), None, "{address}");
        }
    }

    proptest! {
        /// What the standard library knows of is never let through.
        #[test]
        fn nothing_that_is_known_as_private_passes(bits: u32) {
            let address = Ipv4Addr::from_bits(bits);
            let known = address.is_private() || address.is_loopback() || address.is_link_local() || address.is_multicast()
                || address.is_broadcast() || address.is_unspecified() || address.is_documentation();
            prop_assert!(!known || why_not_public(address.into()).is_some(), "{address}");
            prop_assert_eq!(why_not_public(address.into()), why_not_public(address.to_ipv6_mapped().into()));
        }
    }
}
