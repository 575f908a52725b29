//! What the two processes that keep a tool may call beside the base: waiting for its end. They run no code but ours,
//! read nothing that the tool wrote, and make no process any more.

use super::{Rule, allow};

pub(super) const RULES: &[Rule] =
    &[allow(libc::SYS_wait4, "the end of the tool, and of what it left behind")];
