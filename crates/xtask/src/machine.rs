//! The machine in words, for what was measured on it.

use std::{fs, thread};

/// Processor, cores, memory, kernel; `unknown` where /proc does not say.
pub(crate) fn words() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim_start_matches([' ', '\t', ':']).trim().to_owned()
    };
    let or_unknown = |text: String| if text.is_empty() { "unknown".to_owned() } else { text };
    let processor = or_unknown(field(&read("/proc/cpuinfo"), "model name"));
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let memory_kib: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
    let kernel = or_unknown(read("/proc/sys/kernel/osrelease").trim().to_owned());
    let cores = thread::available_parallelism().map_or(0, usize::from);
    format!("{processor}, {cores} cores, {} GiB, Linux {kernel}", memory_kib >> 20)
}
