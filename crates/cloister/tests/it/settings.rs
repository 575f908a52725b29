use serde_json::{Value, json};

use crate::server::{Server, json_reply};
use crate::workplace::{Run, Workplace, finish};

fn models() -> Vec<u8> {
    let deployment = json!({"id": "code", "context_length": 4096, "cloister": {"up": true}});
    json_reply("200 OK", "", &json!({"object": "list", "data": [deployment]}))
}

/// Runs `models` with no server named but in the configuration.
fn run(place: &Workplace, environment: &[(&str, &str)]) -> Run {
    let mut command = place.command();
    command.args(["models", "--json"]).envs(environment.iter().copied());
    finish(command, "")
}

#[test]
fn server_and_token_come_from_the_file() {
    let place = Workplace::new();
    let configuration = format!("server = 'unix:{}'\ntoken_file = 'token'\n", place.socket().display());
    place.write("home/.config/cloister/config.toml", configuration);
    place.write("home/.config/cloister/token", "clst_1_2\n");
    let server = Server::play(&place.socket(), vec![models(), models()]);

    let first = run(&place, &[]).check(0);
    first.says("warning: others may read");
    assert_eq!(server.request().header("authorization"), Some("Bearer clst_1_2"));
    // The environment's token comes before the file's.
    run(&place, &[("CLOISTER_TOKEN", "clst_3_4")]).check(0);
    let request = server.request();
    assert_eq!(request.header("authorization"), Some("Bearer clst_3_4"));
    assert_eq!(request.line, "GET /v1/models HTTP/1.1");
    assert_eq!(request.header("host"), Some("localhost"));
}

#[test]
fn wrong_configuration_fails_before_anything_is_sent() {
    let place = Workplace::new();
    let cases = [
        ("sever = 'unix:/x'", 2, "unknown field `sever`"),
        ("server = 7", 2, "invalid type"),
        ("server = 'http://code.example:80'", 2, "`code.example` is a host name: Cloister resolves no names"),
        ("server = 'unix:relative'", 2, "is not absolute"),
        ("token_file = 'missing'", 1, "cannot read"),
    ];
    for (configuration, code, words) in cases {
        place.write("home/.config/cloister/config.toml", configuration);
        run(&place, &[]).check(code).says(words);
    }
    place.write("home/.config/cloister/config.toml", "");
    run(&place, &[("CLOISTER_TOKEN", "two words")]).check(2).says("CLOISTER_TOKEN cannot be used");
    run(&place, &[("CLOISTER_SERVER", "https://127.0.0.1:1")])
        .check(2)
        .says("the server's authority is not known");
}

#[test]
fn a_server_that_is_not_there() {
    let place = Workplace::new();
    let run = place.run(&["status"]).check(1);
    run.says("error[unreachable]: cannot reach the server at unix:").says("cause: No such file");
    run.says("hint: Is the daemon running (`cloisterd serve`)?");
}

#[test]
fn a_plaintext_way_to_another_machine_is_warned_of() {
    let place = Workplace::new();
    // Port 1 of an address of this machine that is not loopback by its number: refused at once.
    let run = place.run(&["models", "--server", "http://0.0.0.0:1"]).check(1);
    run.says("warning: http://0.0.0.0:1 is another machine");
}

#[test]
fn status_for_people_and_for_scripts() {
    let place = Workplace::new();
    let health = || json_reply("200 OK", "", &json!({"status": "ok"}));
    let _server = Server::play(&place.socket(), vec![health(), models(), health(), models()]);
    let run = place.run(&["status"]).check(0);
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!(lines[0], format!("server       unix:{} (from CLOISTER_SERVER)", place.socket().display()));
    assert_eq!(lines[1], "status       ok");
    assert!(lines[4].starts_with("code   yes  no    4096"), "{lines:?}");
    let run = place.run(&["status", "--json"]).check(0);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(report["health"], json!({"status": "ok"}));
    assert_eq!(report["deployments"][0]["id"], "code");
}
