//! Which site has which addresses.

use std::net::Ipv4Addr;

/// Networks and their sites.
pub struct Table(Vec<Network>);

struct Network {
    first: u32,
    mask: u32,
    site: String,
}

impl Table {
    /// Reads lines of `network,bits,site`, after a head.
    pub fn parse(text: &str) -> Result<Self, String> {
        let network = |line: &str| {
            let wrong = || format!("`{line}` is no network, number of bits and site");
            let [network, bits, site] = line.split(',').collect::<Vec<_>>()[..] else { return Err(wrong()) };
            let (network, bits): (Ipv4Addr, u32) =
                network.parse().ok().zip(bits.parse().ok()).filter(|(_, bits)| *bits <= 32).ok_or_else(wrong)?;
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            Ok(Network { first: u32::from(network) & mask, mask, site: site.to_owned() })
        };
        text.lines().skip(1).map(network).collect::<Result<_, _>>().map(Self)
    }

    /// The site of an address; none for one that is in no network, or is no address.
    pub fn site(&self, address: &str) -> Option<&str> {
        let address = u32::from(address.parse::<Ipv4Addr>().ok()?);
        self.0.iter().find(|network| address & network.mask == network.first).map(|network| network.site.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_to_its_network() {
        let table = Table::parse("network,bits,site\n192.0.2.0,25,Oslo\n192.0.2.128,25,Bergen\n").unwrap();
        let sites = ["192.0.2.127", "192.0.2.128", "192.0.3.1", "no address"].map(|address| table.site(address));
        assert_eq!(sites, [Some("Oslo"), Some("Bergen"), None, None]);
    }

    #[test]
    fn a_bad_line_is_named() {
        assert!(Table::parse("head\n192.0.2.0,33,Oslo").is_err_and(|error| error.contains("192.0.2.0,33,Oslo")));
    }
}
