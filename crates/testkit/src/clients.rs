//! Other people's programs, unmodified, against a server of one's own: each as a person would start it, in a home of its
//! own. Where it looks for its makers it finds nothing: run this in a network that holds a loopback and nothing else.

pub mod vim;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::Server;
use crate::{Failure, places};

/// Where the programs are.
#[derive(Debug)]
pub struct Installed {
    /// The folder that `node_modules` is in.
    pub node: PathBuf,
    /// The Python that has aider.
    pub aider: PathBuf,
}

/// What was seen of one program.
#[derive(Debug)]
pub struct Seen {
    /// Requests of it that are on record.
    pub requests: u64,
    /// Those that were answered.
    pub answers: u64,
}

/// The programs, by their packages' names.
pub const NAMES: [&str; 6] = [
    "aider-chat",
    "opencode-ai",
    "@openai/codex",
    "@anthropic-ai/claude-code",
    "tabby-agent",
    "@continuedev/openai-adapters",
];

/// The longest that a program takes: prompts of ten thousand tokens, on two cores.
const WAIT_MAX: Duration = Duration::from_secs(1200);

/// Agents' prompts have ten thousand tokens and more before anybody said a word.
const DEPLOYED: [&str; 4] = ["--context-tokens", "32768", "--slots", "1"];

const GREETING: &str = "procedure Greet is\nbegin\n   null;\nend Greet;\n";

/// A script of ours that calls the package as Continue does.
const CONTINUE: &str = include_str!("clients/continue.mjs");

/// What a program is told.
struct Given<'a> {
    installed: &'a Installed,
    /// Its home; beneath it lies `work`, a folder with one file.
    home: &'a Path,
    url: &'a str,
    token: &'a str,
}

/// Starts a server and runs one of [`NAMES`] against it. An error says what went wrong with all that both said.
pub fn run(installed: &Installed, name: &str) -> Result<Seen, Failure> {
    let (server, url, token) = Server::with_token(places::CODER, &DEPLOYED)?;
    let home = server.root().join("home");
    fs::create_dir_all(home.join("work"))?;
    written(&home.join("work/greet.adb"), GREETING)?;
    let given = Given { installed, home: &home, url: &url, token: &token };
    let done = match name {
        "aider-chat" => given.aider(),
        "opencode-ai" => given.opencode(),
        "@openai/codex" => given.codex(),
        "@anthropic-ai/claude-code" => given.claude_code(),
        "tabby-agent" => given.tabby_agent(),
        "@continuedev/openai-adapters" => given.continue_adapters(),
        _ => Err(format!("{name:?} is none of {NAMES:?}").into()),
    };
    done.map_err(|error| format!("{name}: {error}\nthe server said:\n{}", server.log()))?;
    let seen = seen(&server)?;
    if seen.answers == 0 {
        return Err(format!("{name}: {} requests, and no answer on record", seen.requests).into());
    }
    server.end()?;
    Ok(seen)
}

/// Requests and answers of the one person there is, by token; each request has its result.
fn seen(server: &Server) -> Result<Seen, Failure> {
    let leaves: Value =
        serde_json::from_str(&server.cloisterd(&["ledger", "list", "--count", "1000", "--json"])?)?;
    let events: Vec<&Value> =
        leaves.as_array().into_iter().flatten().map(|leaf| &leaf["leaf"]["event"]).collect();
    let of = |kind: &str| events.iter().filter(|event| event["kind"] == kind).count() as u64;
    let intents = events.iter().filter(|event| event["kind"] == "intent");
    let others = intents.filter(|event| {
        event["identity"] != "ada" || !event["credential"].as_str().is_some_and(|by| by.starts_with("token:"))
    });
    if others.count() > 0 || of("intent") != of("result") {
        return Err(format!("a request without a result, or of somebody else: {leaves}").into());
    }
    let answered = events.iter().filter(|event| event["kind"] == "result" && event["outcome"] == "answered");
    Ok(Seen { requests: of("intent"), answers: answered.count() as u64 })
}

impl Given<'_> {
    /// A program with a home, the few variables that any has, and none of this process's.
    fn program(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", self.home).env("TERM", "dumb").env("LANG", "C.UTF-8");
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.current_dir(self.home.join("work")).stdin(Stdio::null());
        command
    }

    fn node_program(&self, name: &str) -> Command {
        self.program(self.installed.node.join("node_modules/.bin").join(name))
    }

    fn aider(&self) -> Result<(), Failure> {
        let mut aider = self.program(&self.installed.aider);
        aider.args(["-m", "aider", "--model", "openai/coder", "--yes-always", "--no-git", "--no-stream"]);
        aider.args(["--analytics-disable", "--no-check-update", "--no-show-release-notes"]);
        aider.args(["--no-show-model-warnings", "--no-detect-urls", "--edit-format", "whole"]);
        aider.args(["--message", "Print a greeting with Ada.Text_IO.", "greet.adb"]);
        aider.env("OPENAI_API_BASE", format!("{}/v1", self.url)).env("OPENAI_API_KEY", self.token);
        aider.env("LITELLM_LOCAL_MODEL_COST_MAP", "True");
        ended_well(aider)
    }

    fn opencode(&self) -> Result<(), Failure> {
        let model = json!({ "name": "coder", "limit": { "context": 32768, "output": 256 } });
        let configuration = json!({
            "autoupdate": false,
            "share": "disabled",
            "enabled_providers": ["cloister"],
            "model": "cloister/coder",
            "small_model": "cloister/coder",
            "provider": { "cloister": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "Cloister",
                "options": { "baseURL": format!("{}/v1", self.url), "apiKey": self.token },
                "models": { "coder": model },
            } },
        });
        written(&self.home.join("work/opencode.json"), &configuration.to_string())?;
        let mut opencode = self.node_program("opencode");
        opencode.env("OPENCODE_DISABLE_MODELS_FETCH", "1").env("OPENCODE_DISABLE_AUTOUPDATE", "1");
        opencode.env("OPENCODE_DISABLE_LSP_DOWNLOAD", "1");
        opencode.args(["run", "--pure", "--model", "cloister/coder", "Say hello in one word."]);
        ended_well(opencode)
    }

    fn codex(&self) -> Result<(), Failure> {
        let configuration = format!(
            "model = \"coder\"\nmodel_provider = \"cloister\"\ncheck_for_update_on_startup = false\n\
             model_context_window = 32768\nmodel_max_output_tokens = 256\nweb_search = \"disabled\"\n\
             [analytics]\nenabled = false\n\
             [model_providers.cloister]\nname = \"Cloister\"\nbase_url = \"{}/v1\"\nenv_key = \"CLOISTER_TOKEN\"\n\
             wire_api = \"responses\"\nstream_idle_timeout_ms = 1000000\nrequest_max_retries = 0\n",
            self.url
        );
        fs::create_dir_all(self.home.join(".codex"))?;
        written(&self.home.join(".codex/config.toml"), &configuration)?;
        let mut codex = self.node_program("codex");
        codex.env("CLOISTER_TOKEN", self.token);
        codex.args(["exec", "--skip-git-repo-check", "--sandbox", "read-only", "Say hello in one word."]);
        ended_well(codex)
    }

    fn claude_code(&self) -> Result<(), Failure> {
        let mut claude = self.node_program("claude");
        claude.env("ANTHROPIC_BASE_URL", self.url).env("ANTHROPIC_AUTH_TOKEN", self.token);
        for model in ["ANTHROPIC_MODEL", "ANTHROPIC_SMALL_FAST_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL"] {
            claude.env(model, "coder");
        }
        claude.env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1").env("DISABLE_AUTOUPDATER", "1");
        claude.env("CLAUDE_CODE_MAX_OUTPUT_TOKENS", "2048").env("API_TIMEOUT_MS", "1200000");
        // With its own words a small model goes on and on, and an answer that does not end is an error of its.
        claude.args(["--print", "--system-prompt", "You answer in one word.", "Say hello."]);
        ended_well(claude)
    }

    fn continue_adapters(&self) -> Result<(), Failure> {
        // Beside `node_modules`, where an import is looked for.
        let script = self.installed.node.join("continue.mjs");
        written(&script, CONTINUE)?;
        let mut node = self.program("node");
        node.arg(&script).arg(self.url).arg(self.token);
        ended_well(node)
    }

    /// A language server that asks ours: a file is opened, and a completion asked for.
    fn tabby_agent(&self) -> Result<(), Failure> {
        let configuration = format!(
            "[server]\nendpoint = \"{}\"\ntoken = \"{}\"\n[anonymousUsageTracking]\ndisable = true\n",
            self.url, self.token
        );
        let folder = self.home.join(".tabby-client/agent");
        fs::create_dir_all(&folder)?;
        written(&folder.join("config.toml"), &configuration)?;
        let mut agent = self.node_program("tabby-agent");
        let log = File::create(self.home.join("stderr"))?;
        agent.args(["--lsp", "--stdio"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut agent = agent.spawn()?;
        let items = completed(&mut agent, &self.home.join("work"));
        agent.kill()?;
        agent.wait()?;
        let log = || fs::read_to_string(self.home.join("stderr")).unwrap_or_default();
        let items = items.map_err(|error| format!("{error}\n{}", log()))?;
        if items.to_string().contains("newText") || items.to_string().contains("insertText") {
            Ok(())
        } else {
            Err(format!("no completion came: {items}\n{}", log()).into())
        }
    }
}

/// What a language server offers in the middle of a file.
fn completed(agent: &mut Child, work: &Path) -> Result<Value, Failure> {
    let mut input = agent.stdin.take().ok_or("no standard input")?;
    let mut output = BufReader::new(agent.stdout.take().ok_or("no standard output")?);
    let folder = format!("file://{}", work.display());
    let document = json!({ "uri": format!("{folder}/greet.adb"), "languageId": "ada", "version": 1,
        "text": "with Ada.Text_IO; use Ada.Text_IO;\nprocedure Greet is\nbegin\n   Put_\nend Greet;\n" });
    let place = json!({ "line": 3, "character": 7 });
    let mut send = |message: Value| -> Result<(), Failure> {
        let text = message.to_string();
        write!(input, "Content-Length: {}\r\n\r\n{text}", text.len())?;
        Ok(input.flush()?)
    };
    send(json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "processId": null, "rootUri": folder, "workspaceFolders": [{ "uri": folder, "name": "work" }],
        "capabilities": { "textDocument": { "completion": {}, "inlineCompletion": {} }, "workspace": { "workspaceFolders": true } } } }))?;
    loop {
        let message = received(&mut output)?;
        match (message["id"].clone(), message["method"].as_str()) {
            (Value::Null, _) => {}
            // What it asks of an editor: this one has no answer.
            (id, Some(_)) => send(json!({ "jsonrpc": "2.0", "id": id, "result": null }))?,
            (id, None) if id == 1 => {
                send(json!({ "jsonrpc": "2.0", "method": "initialized", "params": {} }))?;
                send(json!({ "jsonrpc": "2.0", "method": "textDocument/didOpen",
                    "params": { "textDocument": document } }))?;
                send(json!({ "jsonrpc": "2.0", "id": 2, "method": "textDocument/completion", "params": {
                    "textDocument": { "uri": document["uri"] }, "position": place,
                    "context": { "triggerKind": 1 } } }))?;
            }
            _ => return Ok(message),
        }
    }
}

/// The next message of a language server.
fn received(output: &mut impl BufRead) -> Result<Value, Failure> {
    let mut length = None;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line)? == 0 {
            return Err("it hung up".into());
        }
        if let Some(number) = line.strip_prefix("Content-Length:") {
            length = Some(number.trim().parse::<usize>()?);
        }
        if line.trim().is_empty() {
            let mut bytes = vec![0; length.ok_or("a message without a length")?];
            output.read_exact(&mut bytes)?;
            return Ok(serde_json::from_slice(&bytes)?);
        }
    }
}

/// Runs a program to its end. One that fails, or does not end, is an error with what it said.
fn ended_well(mut command: Command) -> Result<(), Failure> {
    let (said, reader) = (tempfile::tempfile()?, |file: &mut File| -> Result<String, Failure> {
        use std::io::Seek as _;
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    });
    command.stdout(said.try_clone()?).stderr(said.try_clone()?);
    let (mut child, mut said) = (command.spawn()?, said);
    let deadline = Instant::now() + WAIT_MAX;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Err(format!("it did not end within {WAIT_MAX:?}:\n{}", reader(&mut said)?).into());
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    if status.success() { Ok(()) } else { Err(format!("{status}:\n{}", reader(&mut said)?).into()) }
}

fn written(path: &Path, text: &str) -> Result<(), Failure> {
    Ok(File::create(path)?.write_all(text.as_bytes())?)
}
