use testkit::draw::Draw;
use testkit::server::Server;
use testkit::{crash, places};

/// A twentieth of the soak `crash`.
#[test]
fn no_answered_request_is_missing_after_a_crash() {
    let seed = Draw::fresh("no_answered_request_is_missing_after_a_crash").number();
    let mut server = Server::started(places::SMALL).unwrap();
    let crashes = crash::run(&mut server, seed, 10, false, &mut |_| {}).unwrap();
    assert_eq!(crashes.killed.values().sum::<u64>(), 10);
    assert!(crashes.answered > 0, "seed {seed}: nothing was answered, so nothing was checked: {crashes:?}");
    server.stop().unwrap();
}
