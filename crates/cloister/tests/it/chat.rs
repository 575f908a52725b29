use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::json;

use crate::server::{End, Server, json_reply, stream_reply};
use crate::workplace::Workplace;

#[test]
fn a_message_comes_from_stdin_when_it_is_no_terminal() {
    let place = Workplace::new();
    let server = Server::play(&place.socket(), vec![stream_reply(&["ok"], End::Whole)]);
    let run = place.run_with(&["chat", "--max-tokens", "7"], "Hello,\nworld\n").check(0);
    assert_eq!(run.out, "ok");
    let body = server.request().body;
    assert_eq!(body["messages"], json!([{"role": "user", "content": "Hello,\nworld\n"}]));
    assert_eq!(body["max_tokens"], 7);
}

#[test]
fn no_message_is_an_error() {
    let place = Workplace::new();
    place.run_with(&["chat"], "\n").check(2).says("standard input holds no message");
}

/// A conversation on a terminal.
struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    shown: String,
}

impl Terminal {
    fn open(place: &Workplace) -> Terminal {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let path = ptsname(&keyboard, Vec::new()).unwrap();
        let terminal = File::options().read(true).write(true).open(path.to_str().unwrap()).unwrap();
        let side = || Stdio::from(OwnedFd::from(terminal.try_clone().unwrap()));
        let child = place
            .command()
            .args(["chat", "--server", &format!("unix:{}", place.socket().display())])
            .stdin(side())
            .stdout(side())
            .stderr(side())
            .spawn()
            .unwrap();
        let keyboard = File::from(keyboard);
        let mut display = keyboard.try_clone().unwrap();
        let (sender, screen) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Reading fails when the last of the other side is closed.
            while let Ok(read @ 1..) = display.read(&mut buffer) {
                if sender.send(buffer[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal { child, keyboard, screen, shown: String::new() }
    }

    fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the screen shows the words, and forgets what was before their end.
    fn shows(&mut self, words: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(at) = self.shown.find(words) {
                self.shown.drain(..at + words.len());
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let bytes = self.screen.recv_timeout(left);
            let bytes = bytes.unwrap_or_else(|_| panic!("{words:?} is not shown: {:?}", self.shown));
            self.shown.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
    }

    fn ends(mut self) {
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_conversation_remembers_until_it_starts_over() {
    let place = Workplace::new();
    let refusal = json_reply("429 Too Many Requests", "", &json!({"error": {"message": "too many"}}));
    let replies = vec![
        stream_reply(&["An", "swer one"], End::Whole),
        refusal,
        stream_reply(&["Answer \u{1b}[2Jtwo"], End::Whole),
        stream_reply(&["Answer three"], End::Whole),
    ];
    let server = Server::play(&place.socket(), replies);
    let user = |text: &str| json!({"role": "user", "content": text});
    let assistant = |text: &str| json!({"role": "assistant", "content": text});

    let mut terminal = Terminal::open(&place);
    terminal.shows("> ");
    terminal.types("one\\\nmore\n");
    terminal.shows("Answer one");
    terminal.shows("[record 13");
    assert_eq!(server.request().body["messages"], json!([user("one\nmore")]));

    // A message that is refused is not part of the conversation.
    terminal.types("refused\n");
    terminal.shows("error[busy]: too many");
    assert_eq!(server.request().body["messages"].as_array().unwrap().len(), 3);

    terminal.shows("> ");
    terminal.types("two\n");
    terminal.shows("Answer ␛[2Jtwo");
    let expected = json!([user("one\nmore"), assistant("Answer one"), user("two")]);
    assert_eq!(server.request().body["messages"], expected);

    terminal.types("/new\n");
    terminal.shows("a new conversation");
    terminal.types("three\n");
    terminal.shows("Answer three");
    assert_eq!(server.request().body["messages"], json!([user("three")]));
    terminal.types("/quit\n");
    terminal.ends();
}

#[test]
fn an_interrupt_stops_the_answer_and_then_the_conversation() {
    let place = Workplace::new();
    let listener = UnixListener::bind(place.socket()).unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        assert!(stream.read(&mut buffer).unwrap() > 0);
        stream.write_all(&stream_reply(&["It goes on and"], End::Cut)).unwrap();
        // The rest never comes; the client hangs up instead.
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert_eq!(stream.read(&mut buffer).unwrap(), 0);
    });
    let mut terminal = Terminal::open(&place);
    terminal.shows("> ");
    terminal.types("go on\n");
    terminal.shows("It goes on and");
    terminal.interrupt();
    terminal.shows("[stopped]");
    server.join().unwrap();
    terminal.shows("> ");
    terminal.interrupt();
    terminal.ends();
}
