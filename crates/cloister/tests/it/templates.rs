//! The templates of `pipelines/`: each is read as its program reads it, and its commands are run in real repositories.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use ledger::ENROL_KEY;
use serde_json::{Value, json};

use crate::bundle::write_keys;
use crate::formats::ask;
use crate::lineage::{Case, PATH, TEXT};
use crate::site::{Answer, Person};
use crate::workplace::{Run, finish};

fn template(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines").join(name).canonicalize().unwrap()
}

fn text(name: &str) -> String {
    fs::read_to_string(template(name)).unwrap()
}

/// A file of a forge, as YAML, if its own schema lets it pass.
fn yaml(name: &str, schema: &str) -> Value {
    ask(&json!({ "of": "workflow", "file": template(name), "schema": schema })).unwrap()["document"].clone()
}

/// A server's repository, and a clone in which somebody asks for a branch to be merged.
struct Forge {
    case: Case,
    grace: Person,
}

impl Forge {
    fn new() -> Forge {
        let case = Case::new();
        write_keys(&case.place, 7);
        let grace = Person::new("grace", 2);
        case.site.key(ENROL_KEY, &grace);
        case.site.answer(&Answer::accepted(TEXT, PATH));
        case.pasted(TEXT);
        case.slice();
        case.git(&["clone", "-q", "--bare", "repository", "server.git"], ".");
        case.git(&["remote", "add", "origin", "../server.git"], "repository");
        case.git(&["fetch", "-q", "origin"], "repository");
        Forge { case, grace }
    }

    /// Runs a script as a runner does: by the shell, in the clone, with what the site sets.
    fn shell(&self, script: &str, variables: &[(&str, &str)]) -> Run {
        let mut command = Command::new("sh");
        command.args(["-eu", "-c", script]).current_dir(self.case.place.path("repository")).env_clear();
        let programs = Path::new(env!("CARGO_BIN_EXE_cloister")).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        let own = self.case.place.path("bin");
        command.env("PATH", format!("{}:{}:{path}", own.display(), programs.display()));
        command.env("HOME", self.case.place.path("home"));
        command.env("CLOISTER_POLICY", template("gate.cedar"));
        command.env("CLOISTER_SLICE", "../slice").env("CLOISTER_LOG_POLICY", "../log.policy");
        command.env("CLOISTER_KEY", "../key.pem").envs(variables.iter().copied());
        finish(command, "")
    }

    fn approve(&self) {
        self.case.approve(&self.grace, &format!("{PATH}:3-10")).check(0);
        self.case.commit("grace approves");
    }

    /// Refused as long as nobody approved, then passed.
    fn refuses_and_passes(&self, script: &str, variables: &[(&str, &str)]) {
        let refused = self.shell(script, variables).check(1);
        let said = format!("{}{}", refused.out, refused.err);
        assert!(said.contains("approval: somebody who did not ask for the lines"), "{said}");
        self.approve();
        self.shell(script, variables).check(0);
    }

    fn git(&self, arguments: &[&str]) -> Run {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(self.case.place.path("repository"));
        command.env("GIT_CONFIG_GLOBAL", "/dev/null");
        finish(command, "")
    }
}

fn lines(script: &Value) -> String {
    let lines: Vec<&str> = script.as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    lines.join("\n")
}

#[test]
fn gitlab() {
    let document = yaml("gitlab-ci.yml", "gitlab-ci");
    let job = &document["ai-lines"];
    let forge = Forge::new();
    let variables = [("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main")];
    forge.refuses_and_passes(&lines(&job["script"]), &variables);
    forge.shell(&lines(&job["after_script"]), &variables).check(0);
    let signed = &document["ai-lines-signed"];
    let before = forge.git(&["rev-parse", "origin/main"]).out;
    let variables = [("CI_COMMIT_BEFORE_SHA", before.trim()), ("CI_COMMIT_SHA", "HEAD")];
    forge.shell(&lines(&signed["script"]), &variables).check(0);
    for file in [job, signed].iter().flat_map(|job| job["artifacts"]["paths"].as_array().unwrap()) {
        let path = format!("repository/{}", file.as_str().unwrap());
        assert!(forge.case.place.path(&path).is_file(), "{path}");
    }
}

#[test]
fn github_enterprise_server() {
    let document = yaml("github-actions.yml", "github-workflows");
    let job = &document["jobs"]["gate"];
    let scripts: Vec<&str> =
        job["steps"].as_array().unwrap().iter().filter_map(|step| step["run"].as_str()).collect();
    assert_eq!(scripts.len(), 2);
    let forge = Forge::new();
    let variables = [("BASE", "origin/main"), ("HEAD", "HEAD")];
    for name in ["BASE", "HEAD", "CLOISTER_POLICY", "CLOISTER_SLICE", "CLOISTER_LOG_POLICY"] {
        assert!(job["env"][name].is_string(), "{name}");
    }
    forge.shell(scripts[0], &variables).check(0);
    forge.refuses_and_passes(scripts[1], &variables);
}

#[test]
fn bitbucket_data_center_with_bamboo() {
    let document = yaml("bamboo.yml", "bamboo-spec");
    let script = document["Gate"]["tasks"][1]["script"]["scripts"][0].as_str().unwrap();
    Forge::new().refuses_and_passes(script, &[("bamboo_repository_pr_targetBranch", "main")]);
}

#[test]
fn jenkins() {
    let text = text("Jenkinsfile");
    let (_, rest) = text.split_once("sh '''").unwrap();
    let (script, _) = rest.split_once("'''").unwrap();
    assert!(!script.contains('\\'), "Groovy would change it");
    assert_eq!(text.matches('{').count(), text.matches('}').count());
    Forge::new().refuses_and_passes(script, &[("CHANGE_TARGET", "main")]);
}

#[test]
fn make() {
    let forge = Forge::new();
    let script = format!(
        "make -s -f {} gate SLICE=\"$CLOISTER_SLICE\" LOG_POLICY=\"$CLOISTER_LOG_POLICY\" POLICY=\"$CLOISTER_POLICY\" BASE=origin/main",
        template("Makefile").display()
    );
    let refused = forge.shell(&script, &[]).check(2);
    assert!(refused.out.contains("approval: somebody"), "{refused:#?}");
    let review = forge.shell(&script.replace(" gate ", " review "), &[]).check(0);
    assert!(review.out.contains("ai-verbatim"), "{review:#?}");
    forge.approve();
    forge.shell(&script, &[]).check(0);
    forge.case.git(&["tag", "v1"], "repository");
    let evidence = script.replace(" gate ", " evidence TAG=v1 KEY=../key.pem ");
    forge.shell(&evidence, &[]).check(0);
    let verify = ["ledger", "verify", "repository/evidence-v1", "--key", "pub.pem", "--policy", "log.policy"];
    forge.case.place.run(&verify).check(0);
}

/// Gerrit itself is not here: what its `ssh` would be told is written down.
#[test]
fn gerrit() {
    let forge = Forge::new();
    let told = forge.case.place.path("told");
    let ssh =
        forge.case.place.write("bin/ssh", format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > {}\n", told.display()));
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
    let script = template("gerrit-vote").display().to_string();
    let vote = |code: i32, expected: &str| {
        let variables = [
            ("GERRIT_BRANCH", "main"),
            ("GERRIT_PATCHSET_REVISION", "HEAD"),
            ("GERRIT_HOST", "gerrit.example"),
        ];
        forge.shell(&script, &variables).check(code);
        let told = fs::read_to_string(&told).unwrap();
        assert!(told.contains(&format!("AI-Lines={expected}")), "{told}");
        assert!(told.starts_with("-p\n29418\ngerrit.example\ngerrit\nreview\n"), "{told}");
        told
    };
    assert!(vote(1, "-1").contains("somebody who did not ask for the lines"));
    forge.approve();
    vote(0, "+1");
}

/// Pushes to a real bare repository with the hook.
#[test]
fn a_server_that_takes_no_lines_that_the_gate_refuses() {
    let forge = Forge::new();
    let place = &forge.case.place;
    forge.case.git(&["init", "-q", "--bare", "-b", "main", "guarded.git"], ".");
    let hook = place.write("guarded.git/hooks/pre-receive", text("pre-receive"));
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let set = |name: &str, value: &Path| {
        let value = value.to_str().unwrap();
        forge.case.git(&["config", "--add", &format!("cloister.{name}"), value], "guarded.git");
    };
    let push = |what: &str, code: i32, words: &str| {
        let run = forge.git(&["push", "../guarded.git", what]);
        assert!(run.err.contains(words), "{what}: {words}: {run:#?}");
        run.check(code);
    };
    push("main:main", 1, "cloister.policy is not set: nothing can be pushed");
    set("policy", &template("gate.cedar"));
    set("slice", &place.path("slice"));
    set("logPolicy", &place.path("log.policy"));
    set("program", Path::new(env!("CARGO_BIN_EXE_cloister")));
    set("branch", Path::new("refs/heads/main"));
    set("branch", Path::new("refs/heads/release"));
    push("main:main", 0, "passed");
    // A branch that is nobody's concern; the guarded one; one that is there for the first time.
    push("feature:refs/heads/feature", 0, "new branch");
    for guarded in ["feature:main", "feature:refs/heads/release"] {
        push(guarded, 1, "refused by the gate over the assistant's lines");
    }
    // Two at once: one is refused, and with it the push.
    let run =
        forge.git(&["push", "--atomic", "../guarded.git", "main:refs/heads/x", "feature:main"]).check(1);
    assert!(run.err.contains("refs/heads/main: refused"), "{run:#?}");
    forge.approve();
    push("feature:main", 0, "passed");
    push("feature:refs/heads/release", 0, "passed");
    // The same lines once more, in a file of which nobody approved anything.
    forge.case.file("src/flight/other.adb", &format!("package body Other is\n{TEXT}end Other;\n"));
    forge.case.commit("other");
    push("feature:main", 1, "refused by the gate");
    // Without the slice nothing is taken; a branch may go.
    forge.case.git(&["reset", "-q", "--hard", "HEAD~1"], "repository");
    forge.case.file("README", "more\n");
    forge.case.commit("more");
    fs::rename(place.path("slice"), place.path("elsewhere")).unwrap();
    push("feature:main", 1, "cannot read");
    push(":refs/heads/release", 0, "deleted");
    fs::rename(place.path("elsewhere"), place.path("slice")).unwrap();
    push("feature:main", 0, "passed");
}
