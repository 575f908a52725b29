use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use approval::SIGNATURE_BYTES_MAX;
use clap::{Args, Subcommand};
use identity::{Case, Cases, Expected, Lattice, Person, Policy, PolicyFile, Thing};
use ledger::{POLICY_NAMESPACE, POLICY_PERSONS};
use protocol::admin::Command;
use serde_json::{Value, json};

use super::Outcome;
use super::administer::ask;
use crate::data::Data;
use crate::output::{self, Hinted};
use crate::settings::Settings;
use crate::{file, policies};

/// Bytes of a file of cases.
const CASES_BYTES_MAX: usize = 16 << 20;

/// Who may do what: the site's policy, in Cedar; docs/policy.md.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Shows the policy in force, with the leaf that installed it.
    Show {
        /// Print the schema instead: what policies can speak of.
        #[arg(long)]
        schema: bool,
        /// Print the default policy and the floor instead, to begin one's own from.
        #[arg(long, conflicts_with = "schema")]
        default: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Validates files against the schema, with line numbers.
    Check {
        /// A folder of .cedar files, or single ones.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Says what is decided of one request, and which rule decides it.
    Explain(Box<Explain>),
    /// Runs a site's tests: files of cases, in TOML or JSON.
    Test {
        /// Files of cases.
        #[arg(required = true)]
        cases: Vec<PathBuf>,
        /// The policy; the site's own where absent, which need not be in force.
        #[arg(long = "policy", value_name = "PATH")]
        policy: Vec<PathBuf>,
    },
    /// Says which decisions another policy changes: of cases, and of the last requests on record.
    Diff {
        /// The other policy: a folder of .cedar files, or single ones.
        #[arg(required = true)]
        other: Vec<PathBuf>,
        /// Files of cases; may be repeated.
        #[arg(long = "cases", value_name = "FILE")]
        cases: Vec<PathBuf>,
        /// So many of the last requests are decided again.
        #[arg(long, default_value_t = 1000)]
        records: u32,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Writes the text that two persons sign so that files become the policy.
    Request(Request),
    /// Installs files that two persons approved as the policy, at once.
    ///
    /// Each signs the text of `cloisterd policy request` with a key enrolled to them: ssh-keygen -Y sign -n policy@cloister
    /// -f KEY FILE. Without approvals, it puts the files back that are approved already.
    Set(Set),
}

/// One request.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// Who asks; a known user, unless roles, groups or labels are given.
    person: String,
    /// The action, as `read-record`.
    action: String,
    /// A deployment's alias.
    #[arg(long)]
    deployment: Option<String>,
    /// A source's name.
    #[arg(long)]
    source: Option<String>,
    /// A corpus's name.
    #[arg(long)]
    corpus: Option<String>,
    /// A record's number.
    #[arg(long)]
    record: Option<u64>,
    /// Whose record it is.
    #[arg(long, default_value = "")]
    owner: String,
    /// A reader of the source or corpus; may be repeated.
    #[arg(long = "reader", value_name = "NAME")]
    readers: Vec<String>,
    /// A label of it; may be repeated.
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// A label that an answer would carry; may be repeated.
    #[arg(long = "carried", value_name = "LABEL")]
    carried: Vec<String>,
    /// A role of the person; may be repeated.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// A group of the person; may be repeated.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// A label that the person is cleared for; may be repeated.
    #[arg(long = "clearance", value_name = "LABEL")]
    clearance: Vec<String>,
    /// The command that is run.
    #[arg(long, default_value = "")]
    command: String,
    /// Whose request is approved.
    #[arg(long, default_value = "")]
    requester: String,
    /// The surface and dialect.
    #[arg(long, default_value = "")]
    dialect: String,
    /// When, in seconds since 1970; now where absent.
    #[arg(long, default_value_t = 0)]
    time_unix_s: i64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What is to be approved.
#[derive(Debug, Args)]
pub(crate) struct Request {
    /// A folder of .cedar files, or single ones.
    #[arg(required_unless_present = "default")]
    files: Vec<PathBuf>,
    /// The default policy again.
    #[arg(long, conflicts_with = "files")]
    default: bool,
    /// Where to write the text.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// What is installed.
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// A folder of .cedar files, or single ones.
    #[arg(required_unless_present = "default")]
    files: Vec<PathBuf>,
    /// The default policy again.
    #[arg(long, conflicts_with = "files")]
    default: bool,
    /// A signature of the text; given once for each person.
    #[arg(long = "approval", value_name = "FILE.sig")]
    approvals: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl PolicyCommand {
    pub(crate) fn run(self, data: &Path) -> Outcome {
        match self {
            PolicyCommand::Show { schema: true, .. } => {
                output::line(identity::SCHEMA)?;
                Ok(ExitCode::SUCCESS)
            }
            PolicyCommand::Show { default: true, .. } => {
                output::line(identity::FLOOR)?;
                output::line(identity::DEFAULT)?;
                Ok(ExitCode::SUCCESS)
            }
            PolicyCommand::Show { json, .. } => show(data, json),
            PolicyCommand::Check { files } => check(&files),
            PolicyCommand::Explain(explain) => explain.run(data),
            PolicyCommand::Test { cases, policy } => test(data, &cases, &policy),
            PolicyCommand::Diff { other, cases, records, json } => diff(data, &other, &cases, records, json),
            PolicyCommand::Request(request) => request.run(data),
            PolicyCommand::Set(set) => set.run(data),
        }
    }
}

fn show(data: &Path, json: bool) -> Outcome {
    let shown = ask(data, Command::PolicyShow)?;
    if json {
        output::document(&shown, true)?;
        return Ok(ExitCode::SUCCESS);
    }
    usable(&shown)?;
    let by = match (shown["default"] == true, shown["leaf"].as_u64()) {
        (true, None) => "the default policy; this site has none of its own".to_owned(),
        (true, Some(leaf)) => format!("the default policy, by leaf {leaf}"),
        (false, leaf) => format!("the site's own, by leaf {}", leaf.unwrap_or_default()),
    };
    output::say(&format!("{by}: {}", shown["policy"].as_str().unwrap_or_default()));
    for file in shown["files"].as_array().into_iter().flatten() {
        output::line(&format!("// {}", file["name"].as_str().unwrap_or_default()))?;
        output::line(file["text"].as_str().unwrap_or_default())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether there is a policy to show.
fn usable(shown: &Value) -> Result<(), Hinted> {
    let Some(why) = shown["unusable"].as_str() else { return Ok(()) };
    let error = format!("nothing is answered, since the policy cannot be used: {why}");
    Err(Hinted::new(error, "docs/policy.md says how to mend it"))
}

fn check(files: &[PathBuf]) -> Outcome {
    match Policy::compile(policies::named(files)?) {
        Ok(policy) => {
            output::say(&format!("{} policies are valid, those of the floor among them", policy.policies()));
            if let Some(digest) = policy.files_digest() {
                output::line(&digest.to_string())?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            for problem in &error.0 {
                output::line(&problem.to_string())?;
            }
            let count = error.0.len();
            let hint = "the schema: `cloisterd policy show --schema`";
            Err(Hinted::new(format!("{count} things are wrong"), hint).into())
        }
    }
}

impl Explain {
    fn run(self, data: &Path) -> Outcome {
        let Explain { person, action, deployment, source, corpus, record, owner, readers, labels, .. } = self;
        let case = Case {
            name: String::new(),
            person: Person {
                name: person,
                roles: self.roles,
                groups: self.groups,
                labels: self.clearance,
                ..Person::default()
            },
            action,
            resource: Thing { deployment, source, corpus, record, owner, readers, labels },
            carried: self.carried,
            command: self.command,
            requester: self.requester,
            dialect: self.dialect,
            time_unix_s: self.time_unix_s,
            expect: Expected::Allow,
            rule: String::new(),
        };
        let decided = ask(data, Command::PolicyExplain { case: serde_json::to_string(&case)? })?;
        if self.json {
            output::document(&decided, true)?;
            return Ok(ExitCode::SUCCESS);
        }
        let rules: Vec<&str> =
            decided["rules"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let (allowed, rules) = (decided["allowed"] == true, rules.join(", "));
        let said = match (allowed, rules.as_str()) {
            (true, rules) => format!("allowed by {rules}"),
            (false, "") => "denied: nothing permits it".to_owned(),
            (false, rules) => format!("denied by {rules}"),
        };
        output::line(&said)?;
        output::say(decided["reason"].as_str().unwrap_or_default());
        Ok(ExitCode::SUCCESS)
    }
}

fn read_cases(path: &Path) -> Result<Cases, Box<dyn std::error::Error>> {
    let text = file::read_text(path, CASES_BYTES_MAX)?;
    let is_json = path.extension().is_some_and(|ending| ending == "json");
    let cases = if is_json {
        serde_json::from_str(&text).map_err(|error| error.to_string())
    } else {
        toml::from_str(&text).map_err(|error| error.to_string())
    };
    cases.map_err(|error| format!("{}: {error}", path.display()).into())
}

fn lattice_of(data: &Data) -> Result<Lattice, Box<dyn std::error::Error>> {
    Ok(Lattice::new(&Settings::read(data.root())?.labels)?)
}

fn compiled(files: Vec<PolicyFile>) -> Result<Arc<Policy>, Box<dyn std::error::Error>> {
    let policy = if files.is_empty() { Policy::builtin() } else { Policy::compile(files) };
    Ok(Arc::new(
        policy.map_err(|error| Hinted::new(error.to_string(), "`cloisterd policy check` lists all"))?,
    ))
}

fn test(data: &Path, cases: &[PathBuf], policy: &[PathBuf]) -> Outcome {
    let data = Data::open(data)?;
    let files = if policy.is_empty() {
        policies::read(&data.path(policies::FOLDER))?
    } else {
        policies::named(policy)?
    };
    let (policy, lattice) = (compiled(files)?, lattice_of(&data)?);
    let (mut passed, mut failed) = (0, 0);
    for path in cases {
        let outcomes = read_cases(path)?.run(&policy, &lattice);
        for outcome in outcomes.map_err(|error| format!("{}: {error}", path.display()))? {
            if outcome.wrong.is_empty() {
                passed += 1;
            } else {
                failed += 1;
                output::line(&format!("{}: {}: {}", path.display(), outcome.name, outcome.wrong))?;
            }
        }
    }
    output::say(&format!("{passed} cases are decided as expected, {failed} are not"));
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn diff(data: &Path, other: &[PathBuf], cases: &[PathBuf], records: u32, json: bool) -> Outcome {
    let shown = ask(data, Command::PolicyShow)?;
    usable(&shown)?;
    let files: Vec<PolicyFile> = serde_json::from_value(shown["files"].clone())?;
    let (before, after) = (compiled(files)?, compiled(policies::named(other)?)?);
    let lattice = lattice_of(&Data::open(data)?)?;
    let mut all = Vec::new();
    for path in cases {
        all.push(read_cases(path)?);
    }
    if records > 0 {
        all.push(serde_json::from_value(ask(data, Command::PolicyIntents { count: records })?)?);
    }
    let (mut changed, mut decided) = (Vec::new(), 0);
    for cases in &all {
        let lattice = cases.lattice(&lattice)?;
        for (number, case) in (1..).zip(&cases.case) {
            let old = case.run(number, &before, &lattice)?;
            let new = case.run(number, &after, &lattice)?;
            decided += 1;
            if (old.allowed, &old.rules) != (new.allowed, &new.rules) {
                changed.push(json!({
                    "case": old.name,
                    "person": case.person.name,
                    "action": case.action,
                    "before": { "allowed": old.allowed, "rules": old.rules },
                    "after": { "allowed": new.allowed, "rules": new.rules },
                }));
            }
        }
    }
    if json {
        output::document(&json!({ "decided": decided, "changed": changed }), true)?;
        return Ok(ExitCode::SUCCESS);
    }
    let said = |decision: &Value| {
        let rules: Vec<&str> =
            decision["rules"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        format!("{} [{}]", if decision["allowed"] == true { "allow" } else { "deny" }, rules.join(", "))
    };
    for row in &changed {
        let word = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let (old, new) = (said(&row["before"]), said(&row["after"]));
        output::line(&format!(
            "{}: {} {}: {old} becomes {new}",
            word("case"),
            word("person"),
            word("action")
        ))?;
    }
    output::say(&format!("{} of {decided} decisions change", changed.len()));
    Ok(ExitCode::SUCCESS)
}

fn texts(files: &[PolicyFile]) -> Vec<(String, String)> {
    files.iter().map(|file| (file.name.clone(), file.text.clone())).collect()
}

impl Request {
    fn run(self, data: &Path) -> Outcome {
        let files = if self.default { Vec::new() } else { policies::named(&self.files)? };
        let answer = ask(data, Command::PolicyText { files: texts(&files) })?;
        let text = answer["text"].as_str().ok_or("the daemon's answer has no text")?;
        file::write(&self.out, text.as_bytes())?;
        let out = self.out.display();
        output::say("nothing is changed yet");
        output::say(&format!(
            "{POLICY_PERSONS} persons compare the digest with `cloisterd policy check`, and sign: \
             ssh-keygen -Y sign -n {POLICY_NAMESPACE} -f KEY {out}"
        ));
        output::say("then: cloisterd policy set FILES --approval FIRST.sig --approval SECOND.sig");
        output::line(answer["files_digest"].as_str().unwrap_or("default"))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Set {
    fn run(self, data: &Path) -> Outcome {
        let files = if self.default { Vec::new() } else { policies::named(&self.files)? };
        let signatures: Result<Vec<String>, _> =
            self.approvals.iter().map(|path| file::read_text(path, SIGNATURE_BYTES_MAX)).collect();
        // The leaf first, then the files: what the ledger does not know is not in force.
        let mut answer = ask(data, Command::PolicySet { files: texts(&files), signatures: signatures? })?;
        let opened = Data::open(data)?;
        policies::install(&opened, &files)?;
        let in_force = ask(data, Command::PolicyReload)?;
        answer["in_force"] = in_force["policy"].clone();
        output::document(&answer, self.json)?;
        Ok(ExitCode::SUCCESS)
    }
}
