//! Messages between our own processes: a worker that C++ took over may send anything.
#![no_main]

use jail::{channel::Channel, oversight::Oversight, probe::Places};
use libfuzzer_sys::fuzz_target;
use protocol::worker::{FromWorker, ToWorker, WorkerSettings};
use protocol::{admin, control, frame};

fuzz_target!(|bytes: &[u8]| {
    if let Some(header) = bytes.first_chunk() {
        let _refused = frame::payload_len(*header);
    }
    let _refused = frame::decode::<FromWorker>(bytes);
    let _refused = frame::decode::<ToWorker>(bytes);
    let _refused = frame::decode::<WorkerSettings>(bytes);
    let _refused = frame::decode::<control::ToGateway>(bytes);
    let _refused = frame::decode::<control::FromGateway>(bytes);
    let _refused = frame::decode::<admin::Request>(bytes);
    let _refused = frame::decode::<admin::Response>(bytes);
    // What a process says of its jail, over the line that it really has.
    if let Ok((mut ours, theirs)) = Oversight::of(jail::Kind::Engine, Places::default())
        && let Ok(theirs) = Channel::from_descriptor(theirs)
        && theirs.send(bytes, &[]).is_ok()
    {
        let _refused = ours.hear();
    }
});
