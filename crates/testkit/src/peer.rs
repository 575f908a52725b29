//! llama.cpp's own server, given by the path of its program, to measure against.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Failure, http, places};

/// It loads its model within this.
const START_WAIT_MAX: Duration = Duration::from_secs(120);

/// A running server, at its defaults but for what makes the two comparable: threads, slots, context.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    address: SocketAddr,
}

impl Peer {
    /// Starts the program on a free port of loopback.
    pub fn started(
        program: &Path,
        model: &str,
        threads: u32,
        slots: u32,
        slot_tokens: u32,
    ) -> Result<Peer, Failure> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(program)
            .arg("--model")
            .arg(places::model(model)?)
            .args(["--host", "127.0.0.1", "--port", &address.port().to_string()])
            .args(["--threads", &threads.to_string(), "--parallel", &slots.to_string()])
            .args(["--ctx-size", &(slots * slot_tokens).to_string(), "--no-webui"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let peer = Peer { child, address };
        let start = Instant::now();
        while !peer.is_up() {
            if start.elapsed() > START_WAIT_MAX {
                return Err(format!("{} did not start", program.display()).into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(peer)
    }

    fn is_up(&self) -> bool {
        let health = http::send_tcp(self.address, "GET", "/health", "").and_then(http::Sent::receive);
        health.is_ok_and(|response| response.status == 200)
    }

    /// Posts JSON and waits for the whole answer.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let response = http::send_tcp(self.address, "POST", path, &body.to_string())?.receive()?;
        if response.status == 200 { response.json() } else { Err(response.text().into()) }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_gone = self.child.wait();
    }
}
