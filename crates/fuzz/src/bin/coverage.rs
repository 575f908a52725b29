//! One target on libFuzzer: the one that the environment names.
#![no_main]

use std::sync::LazyLock;

use fuzz::Target;
use libfuzzer_sys::fuzz_target;

/// Read: the target's name.
const TARGET: &str = "CLOISTER_FUZZ_TARGET";

static CHOSEN: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var(TARGET).expect("CLOISTER_FUZZ_TARGET names a target");
    fuzz::target(&name).expect("CLOISTER_FUZZ_TARGET names a target that there is")
});

fuzz_target!(|bytes: &[u8]| CHOSEN(bytes));
