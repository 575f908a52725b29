//! What a relay is told before the gateway's conversation begins, which is [`worker`](crate::worker)'s: to the
//! gateway a relay is a worker. Its tokens are the upstream engine's.

use serde::{Deserialize, Serialize};

/// The version of these settings.
pub const VERSION: u32 = 2;

/// The first frame that the supervisor sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelaySettings {
    /// [`VERSION`].
    pub version: u32,
    /// The supervisor's process: the relay dies with it.
    pub supervisor_pid: u32,
    /// The upstream's Unix socket, absolute.
    pub socket: String,
    /// The model that the upstream has to state; any when absent.
    pub model: Option<String>,
    /// Generations that may wait for one of the upstream's slots.
    pub queue_max: u32,
    /// Milliseconds of silence after which the upstream counts as gone.
    pub silence_ms_max: u32,
    /// Names of what its jail may go without, where the kernel lacks it.
    pub accept: Vec<String>,
}
