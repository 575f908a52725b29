//! What would carry memory to a disk: core dumps, which are turned off, and swap, which is told of.

use std::error::Error;
use std::fs;
use std::path::Path;

use rustix::process::DumpableBehavior;

/// Files of the kernel are read up to here.
const BYTES_MAX: usize = 1 << 20;

/// Lets this process and all that it starts leave no core dump, and other processes of its user not read its
/// memory. What it starts is readable again once it is executed, so that it can be inspected.
pub(crate) fn forbid_dumps() -> Result<(), Box<dyn Error>> {
    jail::forbid_core_dumps()?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|errno| format!("this process cannot be kept from being dumped: {errno}"))?;
    Ok(())
}

/// A sentence for each swap that is active and not known to be encrypted or to stay in memory; none where this
/// process's cgroup may not swap.
pub(crate) fn swap_warnings() -> Vec<String> {
    if swap_is_forbidden(Path::new("/proc/self/cgroup"), Path::new("/sys/fs/cgroup")) {
        return Vec::new();
    }
    let text = match crate::file::read_text(Path::new("/proc/swaps"), BYTES_MAX) {
        Ok(text) => text,
        // A kernel without swap has no such file.
        Err(_) if !Path::new("/proc/swaps").exists() => return Vec::new(),
        Err(error) => return vec![format!("warning: whether memory is swapped is unknown: {error}")],
    };
    let active = text.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    active.filter_map(|swap| warning(swap, Path::new("/sys/block"))).collect()
}

fn swap_is_forbidden(own: &Path, mount: &Path) -> bool {
    let own = fs::read_to_string(own).unwrap_or_default();
    let path = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    // A limit of any group above holds, too.
    mount
        .join(path)
        .ancestors()
        .take_while(|group| group.starts_with(mount))
        .any(|group| fs::read_to_string(group.join("memory.swap.max")).is_ok_and(|limit| limit.trim() == "0"))
}

/// By what the kernel says of the block device beneath. Of a file nothing is known.
fn warning(swap: &str, blocks: &Path) -> Option<String> {
    let device = fs::canonicalize(swap).ok();
    let name = device.as_deref().and_then(Path::file_name).unwrap_or_default();
    let block = blocks.join(name);
    let said = |file: &str| fs::read_to_string(block.join(file)).unwrap_or_default().trim().to_owned();
    let what = if said("dm/uuid").starts_with("CRYPT-") {
        return None;
    } else if name.to_string_lossy().starts_with("zram") {
        match said("backing_dev").as_str() {
            "none" => return None,
            "" => "compressed memory; whether it is written back to a disk cannot be told".to_owned(),
            disk => format!("compressed memory that is written back to {disk}"),
        }
    } else {
        "not known to be encrypted".to_owned()
    };
    Some(format!(
        "warning: swap is active on {swap}, {what}: prompts and keys may be written there. Turn it off, encrypt it, \
         or forbid it to this service (systemd: MemorySwapMax=0)"
    ))
}

#[cfg(test)]
mod tests {
    use std::fs::{File, create_dir_all};
    use std::io::Write;

    use super::*;

    fn put(path: &Path, text: &str) {
        create_dir_all(path.parent().unwrap()).unwrap();
        File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn swaps_are_told_apart() {
        let host = tempfile::tempdir().unwrap();
        let (devices, blocks) = (host.path().join("dev"), host.path().join("block"));
        for name in ["dm-0", "dm-1", "zram0", "zram1", "zram2", "sda2"] {
            put(&devices.join(name), "");
        }
        put(&blocks.join("dm-0/dm/uuid"), "CRYPT-LUKS2-0123-swap\n");
        put(&blocks.join("dm-1/dm/uuid"), "LVM-0123\n");
        put(&blocks.join("zram0/backing_dev"), "none\n");
        put(&blocks.join("zram1/backing_dev"), "/dev/sda3\n");
        let told = |name: &str| warning(devices.join(name).to_str().unwrap(), &blocks);
        assert_eq!((told("dm-0"), told("zram0")), (None, None));
        for name in ["dm-1", "sda2"] {
            assert!(told(name).unwrap().contains("not known to be encrypted"), "{name}");
        }
        assert!(told("zram1").unwrap().contains("written back to /dev/sda3"));
        assert!(told("zram2").unwrap().contains("cannot be told"));
        assert!(warning("/no/such/swapfile", &blocks).unwrap().contains("/no/such/swapfile"));
    }

    #[test]
    fn a_group_that_may_not_swap_is_quiet() {
        let host = tempfile::tempdir().unwrap();
        let (own, mount) = (host.path().join("own"), host.path().join("cgroup"));
        put(&own, "1:name=systemd:/\n0::/system.slice/cloister.service/supervisor\n");
        put(&mount.join("system.slice/cloister.service/supervisor/memory.swap.max"), "max\n");
        assert!(!swap_is_forbidden(&own, &mount));
        put(&mount.join("system.slice/cloister.service/memory.swap.max"), "0\n");
        assert!(swap_is_forbidden(&own, &mount));
        assert!(!swap_is_forbidden(&host.path().join("absent"), &mount));
    }

    /// Both are of the whole process, so the test asks what the kernel says of it.
    #[test]
    fn nothing_is_dumped() {
        forbid_dumps().unwrap();
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        let limit = rustix::process::getrlimit(rustix::process::Resource::Core);
        assert!(limit.maximum.is_some_and(|bytes| bytes <= 1), "{limit:?}");
    }
}
