//! Which addresses belong to the public network, and which no plugin ever reaches.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    first: IpAddr,
    prefix: u8,
}

impl Block {
    /// None: the prefix is too long. Bits behind the prefix are cleared.
    pub(super) fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let first = match address {
            IpAddr::V4(v4) if prefix <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                Ipv4Addr::from_bits(v4.to_bits() & mask).into()
            }
            IpAddr::V6(v6) if prefix <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                Ipv6Addr::from_bits(v6.to_bits() & mask).into()
            }
            _ => return None,
        };
        Some(Self { first, prefix })
    }
    /// The block of one address.
    pub(super) fn single(address: IpAddr) -> Self {
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        Self {
            first: address,
            prefix,
        }
    }
    pub(super) fn holds(&self, address: IpAddr) -> bool {
        Self::new(address, self.prefix).is_some_and(|block| block.first == self.first)
    }
    /// Whether all of this lies in `other`.
    pub(super) fn within(&self, other: &Self) -> bool {
        self.prefix >= other.prefix && other.holds(self.first)
    }
    pub(super) fn single_address(&self) -> Option<IpAddr> {
        (*self == Self::single(self.first)).then_some(self.first)
    }
    pub(super) fn first(&self) -> IpAddr {
        self.first
    }
}

/// What may be reached by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// By a grant of a name, too.
    Public,
    /// Only by a grant of a block that lies in this one.
    Special(Block, &'static str),
    /// By nobody.
    Never(&'static str),
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Block {
    Block {
        first: IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        prefix,
    }
}

const fn v6(segments: [u16; 8], prefix: u8) -> Block {
    let [a, b, c, d, e, f, g, h] = segments;
    Block {
        first: IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)),
        prefix,
    }
}

/// Where clouds keep what a machine may know about itself, its credentials among it.
const METADATA: &str = "an address of a cloud's metadata service";
const LINK_LOCAL: &str = "link-local, where clouds keep their metadata service";

const NEVER: &[(Block, &str)] = &[
    (v4(169, 254, 0, 0, 16), LINK_LOCAL),
    (v4(100, 100, 100, 200, 32), METADATA),
    (v4(168, 63, 129, 16, 32), METADATA),
    (v4(192, 0, 0, 192, 32), METADATA),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), LINK_LOCAL),
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32), METADATA),
    (v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128), METADATA),
];

/// The registries of special-purpose addresses (IANA); a smaller block comes before the one that holds it.
const SPECIAL: &[(Block, &str)] = &[
    (v4(0, 0, 0, 0, 8), "unspecified"),
    (v4(10, 0, 0, 0, 8), "private"),
    (v4(100, 64, 0, 0, 10), "of a carrier's inner network"),
    (v4(127, 0, 0, 0, 8), "loopback"),
    (v4(172, 16, 0, 0, 12), "private"),
    (v4(192, 0, 0, 0, 24), "reserved"),
    (v4(192, 0, 2, 0, 24), "reserved for documentation"),
    (v4(192, 88, 99, 0, 24), "reserved"),
    (v4(192, 168, 0, 0, 16), "private"),
    (v4(198, 18, 0, 0, 15), "reserved for benchmarks"),
    (v4(198, 51, 100, 0, 24), "reserved for documentation"),
    (v4(203, 0, 113, 0, 24), "reserved for documentation"),
    (v4(224, 0, 0, 0, 4), "multicast"),
    (v4(240, 0, 0, 0, 4), "reserved"),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "unspecified"),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "loopback"),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), "reserved"),
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "private"),
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "reserved"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "reserved"),
    (
        v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
        "reserved for documentation",
    ),
    (
        v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
        "reserved for documentation",
    ),
    (v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), "reserved"),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "private"),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "site-local"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast"),
];

/// IPv6 addresses that stand for IPv4 ones, by which a network may translate them, and where the IPv4 address begins (in bits from the right).
const TRANSLATED: &[(Block, u32)] = &[
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), 0),
    (v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), 0),
    (v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96), 0),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), 80),
];

/// The address that is really reached: a v4-mapped v6 address is an IPv4 address.
pub(super) fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// What a (canonical) address is.
pub(super) fn classify(address: IpAddr) -> Class {
    let address = canonical(address);
    let find = |blocks: &'static [(Block, &'static str)]| {
        blocks.iter().find(|(block, _)| block.holds(address))
    };
    if let Some((_, what)) = find(NEVER) {
        return Class::Never(what);
    }
    // The unspecified address and loopback are none of these.
    if let (Some(inner), None) = (
        translated(address),
        find(SPECIAL).filter(|(block, _)| block.single_address().is_some()),
    ) && classify(inner) != Class::Public
    {
        return Class::Never("a detour to an IPv4 address that is not public");
    }
    match find(SPECIAL) {
        Some((block, what)) => Class::Special(*block, what),
        None => Class::Public,
    }
}

fn translated(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(v6) = address else { return None };
    let (_, bits) = TRANSLATED.iter().find(|(block, _)| block.holds(address))?;
    let inner = (v6.to_bits() >> bits) as u32;
    Some(Ipv4Addr::from_bits(inner).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(text: &str) -> Class {
        classify(text.parse().expect("an address"))
    }

    #[test]
    fn public_addresses_are_public() {
        for text in [
            "1.1.1.1",
            "93.184.216.34",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "::ffff:0:1.1.1.1",
        ] {
            assert_eq!(class(text), Class::Public, "{text}");
        }
    }

    #[test]
    fn special_addresses_are_special() {
        for text in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "172.31.255.255",
            "192.168.0.1",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "198.19.0.1",
            "::",
            "::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "2001:db8::1",
            "2001::1",
        ] {
            assert!(
                matches!(class(text), Class::Special(..)),
                "{text}: {:?}",
                class(text)
            );
        }
    }

    #[test]
    fn link_local_and_metadata_are_never_reached() {
        for text in [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.0.1",
            "::ffff:169.254.169.254",
            "fe80::1",
            "febf::1",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "64:ff9b::169.254.169.254",
            "64:ff9b::127.0.0.1",
            "::ffff:0:169.254.169.254",
            "::ffff:0:10.0.0.1",
            "::ffff:0:127.0.0.1",
            "2002:a9fe:a9fe::1",
            "2002:7f00:1::",
            "::169.254.169.254",
            "::127.0.0.1",
        ] {
            assert!(
                matches!(class(text), Class::Never(_)),
                "{text}: {:?}",
                class(text)
            );
        }
    }

    #[test]
    fn a_block_lies_in_a_larger_one() {
        let block = |text: &str, prefix| {
            Block::new(text.parse().expect("an address"), prefix).expect("a block")
        };
        assert!(block("10.1.0.0", 16).within(&block("10.0.0.0", 8)));
        assert!(!block("0.0.0.0", 0).within(&block("10.0.0.0", 8)));
        assert!(!block("10.0.0.0", 7).within(&block("10.0.0.0", 8)));
        assert!(!block("::", 0).within(&block("0.0.0.0", 0)));
        assert!(block("1.2.3.4", 0).holds("9.9.9.9".parse().expect("an address")));
        assert!(Block::new("1.2.3.4".parse().expect("an address"), 33).is_none());
    }
}
