use testkit::draw::Draw;
use testkit::server::Server;
use testkit::{load, places};

/// A twentieth of the soak `replay`: eight clients, mixed lengths, cached prefixes, clients that hang up;
/// after a restart every finished answer is replayed alone.
#[test]
fn finished_answers_replay_to_the_same_bytes() {
    let seed = Draw::fresh("finished_answers_replay_to_the_same_bytes").number();
    let mut server = Server::started(places::CODER).unwrap();
    let replayed = load::load_and_replay(&mut server, seed, 10, 8, true, &mut |_| {}).unwrap();
    assert!(replayed.matches >= 4, "{replayed:?}");
    // A sample is drawn by its seed, and drawn again the same.
    let sample = || server.cloisterd(&["replay", "--sample", "2", "--seed", "7", "--json"]).unwrap();
    assert_eq!(sample(), "{\"same\":2,\"different\":0,\"failed\":0}\n");
    assert!(server.cloisterd(&["replay"]).is_err());
    server.stop().unwrap();
    assert_eq!(server.verify().unwrap()["verdict"], "passed");
}

/// A replay also runs without the daemon.
#[test]
fn replayed_offline() {
    let mut server = Server::started(places::SMALL).unwrap();
    let outcomes = load::run(&server.socket(), 7, 2, 1, false);
    server.stop().unwrap();
    for outcome in outcomes {
        if let load::Outcome::Answered { record, .. } = outcome {
            assert_eq!(server.replay(record).unwrap()["matches"], true);
        }
    }
}
