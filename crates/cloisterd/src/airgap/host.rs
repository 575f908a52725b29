//! The host around Cloister: what would let something out if a jail did not hold. Advice; nothing here is enforced.

use std::net::Ipv4Addr;

use protocol::posture::{Row, Verdict};

/// A file of the host; empty where there is none.
fn text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// What was seen, and what an enclave would have.
pub(super) fn rows() -> Vec<Row> {
    let advice = |name: &str, how: &str, expected: &str, found: String| Row {
        place: "host".to_owned(),
        layer: "host".to_owned(),
        name: name.to_owned(),
        how: how.to_owned(),
        expected: expected.to_owned(),
        found: if found.is_empty() { "none".to_owned() } else { found },
        verdict: Verdict::Advice,
    };
    vec![
        advice(
            "default route",
            "/proc/net/route, /proc/net/ipv6_route",
            "none",
            default_routes(&text("/proc/net/route"), &text("/proc/net/ipv6_route")).join(", "),
        ),
        advice(
            "name servers",
            "/etc/resolv.conf",
            "none, or the enclave's",
            name_servers(&text("/etc/resolv.conf")).join(", "),
        ),
        advice(
            "time servers",
            "/etc/systemd/timesyncd.conf, /etc/chrony*, /etc/ntp*.conf",
            "the enclave's",
            time_servers().join(", "),
        ),
        advice("proxies", "the daemon's environment, /etc/environment", "none", proxies().join(", ")),
        advice("IPv6", "/proc/net/if_inet6", "off where the enclave does not use it", ipv6()),
        advice(
            "swap",
            "/proc/swaps, /sys/block",
            "none, or encrypted: prompts and keys may be written to it",
            crate::host::memory::swap_warnings().join("; "),
        ),
        advice(
            "core dumps of other programs",
            "/proc/sys/kernel/core_pattern",
            "not a pipe: Cloister's own processes dump none",
            text("/proc/sys/kernel/core_pattern").trim().to_owned(),
        ),
        advice(
            "user namespaces",
            "/proc/sys/user/max_user_namespaces",
            "0 where Cloister runs as root or under systemd",
            text("/proc/sys/user/max_user_namespaces").trim().to_owned(),
        ),
    ]
}

/// Interfaces that a packet to anywhere would leave by.
fn default_routes(four: &str, six: &str) -> Vec<String> {
    let mut routes = Vec::new();
    for line in four.lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let [interface, "00000000", gateway, _, _, _, _, "00000000", ..] = fields.as_slice() {
            let gateway = u32::from_str_radix(gateway, 16).unwrap_or_default();
            routes.push(format!("IPv4 by {interface}, {}", Ipv4Addr::from(gateway.to_ne_bytes())));
        }
    }
    for line in six.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let any = |address: &str| address.bytes().all(|byte| byte == b'0');
        if let [destination, "00", .., interface] = fields.as_slice()
            && any(destination)
            && *interface != "lo"
        {
            routes.push(format!("IPv6 by {interface}"));
        }
    }
    routes
}

fn name_servers(configuration: &str) -> Vec<String> {
    let servers = configuration.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    servers.map(|server| server.trim().to_owned()).collect()
}

fn time_servers() -> Vec<String> {
    const FILES: [&str; 5] = [
        "/etc/systemd/timesyncd.conf",
        "/etc/chrony/chrony.conf",
        "/etc/chrony.conf",
        "/etc/ntp.conf",
        "/etc/ntpsec/ntp.conf",
    ];
    FILES.iter().flat_map(|path| time_servers_of(&text(path))).collect()
}

fn time_servers_of(configuration: &str) -> Vec<String> {
    let server = |line: &str| {
        let line = line.trim();
        let rest = ["NTP=", "FallbackNTP=", "server ", "pool ", "peer "]
            .iter()
            .find_map(|word| line.strip_prefix(word))?;
        Some(rest.trim().to_owned()).filter(|rest| !rest.is_empty())
    };
    configuration.lines().filter_map(server).collect()
}

fn proxies() -> Vec<String> {
    let ours = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    let environment = text("/etc/environment");
    let hosts =
        environment.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim().to_owned());
    ours.chain(hosts).filter(|name| jail::inspect::names_a_proxy(name)).collect()
}

fn ipv6() -> String {
    let interfaces = text("/proc/net/if_inet6");
    let mut names: Vec<&str> = interfaces.lines().filter_map(|line| line.split_whitespace().last()).collect();
    names.dedup();
    if names.is_empty() { "off".to_owned() } else { format!("on, at {}", names.join(", ")) }
}

/// Rules that count what would leave, and let nothing leave: printed for an administrator, never applied by us.
pub(crate) fn nftables(user: u32) -> String {
    format!(
        "table inet cloister {{\n  chain out {{\n    type filter hook output priority 0; policy accept;\n    \
         meta skuid {user} oifname \"lo\" counter accept comment \"clients on this machine\"\n    \
         meta skuid {user} counter drop comment \"must stay 0\"\n  }}\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_and_servers_are_read() {
        let four = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n\
                    eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                    eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        let zero = "0".repeat(32);
        let six = format!(
            "{zero} 00 {zero} 00 {zero} 00000400 1 0 00000003 eth1\n{zero} 00 {zero} 00 {zero} ffffffff 1 0 00200200 lo\n"
        );
        assert_eq!(default_routes(four, &six), ["IPv4 by eth0, 10.0.0.1", "IPv6 by eth1"]);
        assert_eq!(name_servers("# no\nnameserver 10.0.0.53\nsearch x\n"), ["10.0.0.53"]);
        assert_eq!(
            time_servers_of("[Time]\n#NTP=a\nNTP=ntp.site\nFallbackNTP=\npool p iburst\n"),
            ["ntp.site", "p iburst"]
        );
    }
}
