//! Giving up every capability, in every set, for good.

use std::io;

use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};

use crate::JailError;

/// Capability numbers end here: the sets are 64 bits wide.
const CAPABILITY_NUMBER_MAX: libc::c_ulong = 63;

/// Empties the bounding, ambient, inheritable, permitted and effective sets and locks the secure
/// bits, so that no program run by user 0 gains any.
///
/// A process that may not do that, having no capability, must have been started with an empty bounding set: then
/// there is nothing that the bits would decide about.
pub(crate) fn drop_all() -> Result<(), JailError> {
    let before = rustix::thread::capabilities(None).map_err(failed("read the capabilities"))?;
    // Both need CAP_SETPCAP, so they come before the sets are emptied.
    for number in 0..=CAPABILITY_NUMBER_MAX {
        if !drop_from_bounding_set(number)? {
            break;
        }
    }
    let locked = rustix::thread::set_capabilities_secure_bits(
        CapabilitiesSecureBits::NO_ROOT
            | CapabilitiesSecureBits::NO_ROOT_LOCKED
            | CapabilitiesSecureBits::NO_SETUID_FIXUP
            | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
            | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED,
    );
    match locked {
        Err(rustix::io::Errno::PERM) if before.permitted.is_empty() => {}
        locked => locked.map_err(failed("lock the secure bits"))?,
    }
    rustix::thread::clear_ambient_capability_set().map_err(failed("clear the ambient capabilities"))?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none).map_err(failed("drop all capabilities"))?;

    let left = rustix::thread::capabilities(None).map_err(failed("read the capabilities back"))?;
    if (left.effective | left.permitted | left.inheritable).is_empty() {
        Ok(())
    } else {
        Err(failed("drop all capabilities: some are left")(rustix::io::Errno::PERM))
    }
}

/// False when the kernel has no capability of that number.
fn drop_from_bounding_set(number: libc::c_ulong) -> Result<bool, JailError> {
    // SAFETY: both options of prctl take integers only.
    let (held, dropped) = unsafe {
        let held = libc::prctl(libc::PR_CAPBSET_READ, number, 0, 0, 0);
        (held, held == 1 && libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) == 0)
    };
    if held == 1 && !dropped {
        let source = io::Error::last_os_error();
        let what = "empty the bounding set of capabilities; a process that has none has to be started with an \
                    empty one (systemd: CapabilityBoundingSet=, by hand: setpriv --bounding-set=-all)";
        return Err(JailError::Capabilities { what, source });
    }
    Ok(held >= 0)
}

fn failed(what: &'static str) -> impl Fn(rustix::io::Errno) -> JailError {
    move |errno| JailError::Capabilities { what, source: errno.into() }
}
