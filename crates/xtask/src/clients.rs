//! `cargo xtask client`: one of other people's programs against a server, in a network that holds a loopback and nothing
//! else. `soak clients` and `soak surface` run all but llama.vim, which is brought by hand.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;
use testkit::{
    clients::{self, Installed, NAMES, vim},
    surface,
};

use crate::{
    failure::{During as _, Failure},
    node,
    places::{Places, TEST_MODELS, TEST_PROGRAMS},
    process::{output_of, without_network},
    python,
};

/// Draws requests from the description of the HTTP surface.
pub(crate) const SCHEMATHESIS: &str = "schemathesis";
/// A plug-in for Vim.
const LLAMA_VIM: &str = "llama.vim";

/// Runs one program of other people's against a server; it is installed first, but for llama.vim.
#[derive(clap::Args)]
pub(crate) struct Client {
    /// Which, by its package.
    #[arg(value_parser = NAMES.into_iter().chain([SCHEMATHESIS, LLAMA_VIM]).collect::<Vec<_>>())]
    name: String,
    /// The folder with llama.vim's sources.
    #[arg(long, required_if_eq("name", LLAMA_VIM))]
    from: Option<PathBuf>,
    /// What schemathesis draws by.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Requests that schemathesis draws of each operation, at most, beside those that try each constraint.
    #[arg(long, default_value_t = 20)]
    examples: u64,
    /// In this network, as it is.
    #[arg(long, hide = true)]
    here: bool,
}

impl Client {
    pub(crate) fn run(&self, places: &Places) -> Result<(), Failure> {
        if !self.here {
            let from = self.from.as_deref().map(fs::canonicalize).transpose();
            let from = from.during(|| "the folder of llama.vim".to_owned())?;
            println!("{}", apart(places, &self.name, from.as_deref(), self.seed, self.examples)?.trim_end());
            return Ok(());
        }
        match (self.name.as_str(), &self.from) {
            (LLAMA_VIM, Some(from)) => llama_vim(places, from),
            (SCHEMATHESIS, _) => {
                let (program, description) =
                    (python::schemathesis(places)?, places.root.join("docs/openapi.json"));
                let drawn = surface::draw(&program, &description, self.seed, self.examples)
                    .during(|| SCHEMATHESIS.to_owned())?;
                let surface::Drawn { requests, accepted, answers } = drawn;
                println!(
                    "{COUNTED}{requests} requests, {accepted} answered with 200, {answers} records named and found"
                );
                Ok(())
            }
            (name, _) => {
                let installed = Installed { node: node::clients(places)?, aider: python::aider(places)? };
                let seen = clients::run(&installed, name).during(|| name.to_owned())?;
                println!("{COUNTED}{} requests, {} answers", seen.requests, seen.answers);
                Ok(())
            }
        }
    }
}

/// In Vim; what was seen goes to docs/evidence.
fn llama_vim(places: &Places, from: &Path) -> Result<(), Failure> {
    let git = |arguments: &[&str]| output_of(Command::new("git").arg("-C").arg(from).args(arguments));
    let commit = git(&["rev-parse", "HEAD"])?.trim().to_owned();
    if !git(&["status", "--porcelain"])?.is_empty() {
        return Err(Failure::new(format!("{} is not as its commit has it", from.display())));
    }
    let requests = places.target.join("llama-vim");
    let vim::Edited { seen, shown, line } = vim::run(from, &requests).during(|| LLAMA_VIM.to_owned())?;
    let version = output_of(Command::new("vim").arg("--version"))?;
    let evidence = json!({
        "client": LLAMA_VIM, "commit": commit, "editor": version.lines().next().unwrap_or_default(),
        "model": testkit::places::CODER, "typed": "_", "shown": shown, "line once it was taken over": line,
        "requests in the ledger": seen.requests, "answers": seen.answers,
    });
    let path = places.root.join("docs/evidence/llama-vim.json");
    let text = serde_json::to_string_pretty(&evidence).during(|| "the evidence".to_owned())?;
    fs::File::create(&path)
        .and_then(|mut file| writeln!(file, "{text}"))
        .during(|| path.display().to_string())?;
    println!("{COUNTED}{} requests, {} answers", seen.requests, seen.answers);
    println!("what it sent: {}; evidence: {}", requests.display(), path.display());
    Ok(())
}

/// What stands before the counts.
pub(crate) const COUNTED: &str = "client: ";

/// A program in a network of its own; what it printed.
pub(crate) fn apart(
    places: &Places,
    name: &str,
    from: Option<&Path>,
    seed: u64,
    examples: u64,
) -> Result<String, Failure> {
    // Installed where there is a network.
    match name {
        LLAMA_VIM => {}
        SCHEMATHESIS => drop(python::schemathesis(places)?),
        _ => {
            node::clients(places)?;
            python::aider(places)?;
        }
    }
    let program = env::current_exe().during(|| "this program".to_owned())?;
    let mut client = Command::new(program);
    client.args(["client", "--here", name, "--seed", &seed.to_string(), "--examples", &examples.to_string()]);
    if let Some(from) = from {
        client.arg("--from").arg(from);
    }
    client.env(TEST_PROGRAMS, places.release()).env(TEST_MODELS, places.models());
    output_of(&mut without_network(&client))
}
