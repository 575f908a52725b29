//! A site's policy: Cedar policies, read, validated against the schema, and ready to decide.
//!
//! Beside a site's own files there is always the floor, which nothing they say can undo. Who has no files of their own gets
//! the default ones. A policy that is not valid is none: nothing of it is used.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use cedar_policy::{ActionConstraint, EntityUid, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use miette::Diagnostic;
use protocol::Digest;
use sha2::{Digest as _, Sha256};

use crate::Principal;
use crate::about::About;
use crate::known::{Known, Persons};
use crate::names::Names;
use crate::verb::Verb;

/// What policies can speak of.
pub const SCHEMA: &str = include_str!("../policy/cloister.cedarschema");
/// What holds whatever a site's policy says.
pub const FLOOR: &str = include_str!("../policy/floor.cedar");
/// The policy of a site that has none of its own.
pub const DEFAULT: &str = include_str!("../policy/default.cedar");
/// Their files' names, in messages.
const FLOOR_NAME: &str = "floor.cedar";
const DEFAULT_NAME: &str = "default.cedar";
/// Ids that begin so are the floor's own.
const RESERVED: &str = "cloister.";

/// Files of a policy at most.
pub const FILES_MAX: usize = 64;
/// Bytes of all of them at most.
pub const FILES_BYTES_MAX: usize = 1 << 20;
/// Policies at most, the floor's among them.
pub const POLICIES_MAX: usize = 4096;
/// Bytes of a policy's id.
const ID_BYTES_MAX: usize = 128;
/// Things that are told of as wrong.
const PROBLEMS_MAX: usize = 64;

/// A file of policies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct PolicyFile {
    /// Its name, as `readers.cedar`.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// A policy that is valid. Shared, never changed.
pub struct Policy {
    digest: Digest,
    files: Vec<PolicyFile>,
    /// For each action, those that could be about it.
    by_verb: BTreeMap<Verb, About>,
    policies: usize,
    names: Names,
    /// All that policies name: persons, groups, roles, actions and things.
    named: HashSet<EntityUid>,
    persons: Persons,
}

/// What is wrong with a policy, and where.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The line, from 1; absent where it is about the whole file.
    pub line: Option<u32>,
    /// The character in it, from 1.
    pub column: Option<u32>,
    /// What is wrong.
    pub message: String,
}

/// Why there is no policy: at least one thing is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PolicyError(pub Vec<Problem>);

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl Problem {
    pub(crate) fn of_file(file: &str, message: impl fmt::Display) -> Problem {
        Problem { file: file.to_owned(), line: None, column: None, message: message.to_string() }
    }

    fn of(file: &PolicyFile, diagnostic: &dyn Diagnostic) -> Problem {
        let offset = diagnostic.labels().and_then(|mut labels| labels.next()).map(|label| label.offset());
        let place = offset.map(|offset| place(&file.text, offset));
        let mut message = diagnostic.to_string();
        if let Some(help) = diagnostic.help() {
            message = format!("{message} ({help})");
        }
        // Messages of a parser may show the text, which goes on for lines.
        let message = message.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        Problem {
            file: file.name.clone(),
            line: place.map(|(line, _)| line),
            column: place.map(|(_, column)| column),
            message,
        }
    }
}

/// Line and character of an offset in bytes, both from 1.
fn place(text: &str, offset: usize) -> (u32, u32) {
    let before = text.get(..offset.min(text.len())).unwrap_or(text);
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let line = before.bytes().filter(|byte| *byte == b'\n').count();
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
    (count(line + 1), count(column + 1))
}

impl Policy {
    /// The policy of a site that has none of its own.
    pub fn builtin() -> Result<Policy, PolicyError> {
        Policy::compile(vec![PolicyFile { name: DEFAULT_NAME.to_owned(), text: DEFAULT.to_owned() }])
    }

    /// Reads and validates a site's files, and the floor beside them.
    pub fn compile(mut files: Vec<PolicyFile>) -> Result<Policy, PolicyError> {
        files.sort();
        let mut problems = wrong_files(&files);
        if !problems.is_empty() {
            return Err(PolicyError(problems));
        }
        let floor = PolicyFile { name: FLOOR_NAME.to_owned(), text: FLOOR.to_owned() };
        let mut all = Collected::default();
        for file in std::iter::once(&floor).chain(&files) {
            all.add(file, file.name == FLOOR_NAME, &mut problems);
        }
        if all.policies.len() > POLICIES_MAX {
            let message =
                format!("{} policies are too many: at most {POLICIES_MAX} are possible", all.policies.len());
            problems.push(Problem::of_file("the policy", message));
        }
        if problems.is_empty() {
            problems = all.validate();
        }
        if !problems.is_empty() {
            problems.truncate(PROBLEMS_MAX);
            return Err(PolicyError(problems));
        }
        let names = Names::new().map_err(|problem| PolicyError(vec![problem]))?;
        let by_verb = all.by_verb(&names);
        let policies = all.policies.values().map(|(policy, _)| policy);
        let named = policies.flat_map(cedar_policy::Policy::entity_literals).collect();
        Ok(Policy {
            digest: digest(&files),
            named,
            by_verb,
            policies: all.policies.len(),
            names,
            files,
            persons: Persons::default(),
        })
    }

    /// What it is known by: the digest of the schema, the floor and the files.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The digest of the site's files alone, which is what persons approve; `None` of the default policy.
    pub fn files_digest(&self) -> Option<Digest> {
        (!self.is_builtin())
            .then(|| digest_of([("cloister site policy 1", "")].into_iter().chain(parts(&self.files))))
    }

    /// The site's files, by name.
    pub fn files(&self) -> &[PolicyFile] {
        &self.files
    }

    /// Policies in it, the floor's among them.
    pub fn policies(&self) -> usize {
        self.policies
    }

    /// Whether it is the one of a site that has none.
    pub fn is_builtin(&self) -> bool {
        matches!(&*self.files, [file] if file.name == DEFAULT_NAME && file.text == DEFAULT)
    }

    /// Those that could be about an action.
    pub(crate) fn about(&self, verb: Verb) -> Option<&About> {
        self.by_verb.get(&verb)
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// A person, as Cedar sees them.
    pub(crate) fn known(&self, principal: &Principal) -> Arc<Known> {
        self.persons.known(&self.names, &self.named, principal)
    }
}

/// Says what it is, not what is in it.
impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("digest", &self.digest).finish_non_exhaustive()
    }
}

fn digest(files: &[PolicyFile]) -> Digest {
    let own = [("cloister policy 3", SCHEMA), (FLOOR_NAME, FLOOR)];
    digest_of(own.into_iter().chain(parts(files)))
}

fn parts(files: &[PolicyFile]) -> impl Iterator<Item = (&str, &str)> {
    files.iter().map(|file| (file.name.as_str(), file.text.as_str()))
}

fn digest_of<'a>(parts: impl Iterator<Item = (&'a str, &'a str)>) -> Digest {
    let mut hasher = Sha256::new();
    for (name, text) in parts {
        // Lengths first: no two lists of files make the same bytes.
        hasher.update(format!("{} {}\n", name.len(), text.len()));
        hasher.update(name);
        hasher.update(text);
    }
    Digest(hasher.finalize().into())
}

/// Whether a text can name a file of policies.
pub fn is_policy_file_name(name: &str) -> bool {
    name.len() <= 128
        && name.strip_suffix(".cedar").is_some_and(|stem| !stem.is_empty() && !stem.starts_with('.'))
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-".contains(&c))
}

fn wrong_files(files: &[PolicyFile]) -> Vec<Problem> {
    let mut problems = Vec::new();
    if files.is_empty() {
        problems.push(Problem::of_file("the policy", "there is no file in it"));
    }
    if files.len() > FILES_MAX {
        let message = format!("{} files are too many: at most {FILES_MAX} are possible", files.len());
        problems.push(Problem::of_file("the policy", message));
    }
    let bytes: usize = files.iter().map(|file| file.text.len()).sum();
    if bytes > FILES_BYTES_MAX {
        let message = format!("{bytes} bytes are too many: at most {FILES_BYTES_MAX} are possible");
        problems.push(Problem::of_file("the policy", message));
    }
    for (place, PolicyFile { name, .. }) in files.iter().enumerate() {
        let reserved = name == FLOOR_NAME;
        if !is_policy_file_name(name) || reserved {
            let message = "a file of policies is named as readers.cedar: letters, digits, `.`, `_`, `-`; not floor.cedar";
            problems.push(Problem::of_file(&name.escape_debug().to_string(), message));
        }
        if files.iter().take(place).any(|other| other.name == *name) {
            problems.push(Problem::of_file(name, "a file of that name is there already"));
        }
    }
    problems
}

/// Policies of all files, by their ids.
#[derive(Default)]
struct Collected<'a> {
    policies: BTreeMap<String, (cedar_policy::Policy, &'a PolicyFile)>,
}

impl<'a> Collected<'a> {
    fn add(&mut self, file: &'a PolicyFile, is_floor: bool, problems: &mut Vec<Problem>) {
        let parsed: PolicySet = match file.text.parse() {
            Ok(parsed) => parsed,
            Err(error) => {
                let errors: &cedar_policy::ParseErrors = &error;
                problems.extend(errors.iter().take(PROBLEMS_MAX).map(|error| Problem::of(file, error)));
                return;
            }
        };
        if let Some(template) = parsed.templates().next() {
            let message = format!(
                "`{}` has a slot: policies here name whom they are about",
                shown(template.annotation("id"))
            );
            problems.push(Problem::of_file(&file.name, message));
        }
        for policy in parsed.policies() {
            let id = policy.annotation("id").unwrap_or_default().to_owned();
            let wrong = if id.is_empty() {
                Some("a policy has no @id(\"…\"), by which it is named in records".to_owned())
            } else if id.len() > ID_BYTES_MAX || id.chars().any(|c| c.is_control() || c.is_whitespace()) {
                Some(format!("`{}` is no id: 1 to {ID_BYTES_MAX} bytes without spaces", id.escape_debug()))
            } else if id.starts_with(RESERVED) && !is_floor {
                Some(format!("`{id}`: ids that begin with `{RESERVED}` are Cloister's own"))
            } else if self.policies.contains_key(&id) {
                Some(format!("there are two policies `{id}`"))
            } else {
                None
            };
            match wrong {
                Some(message) => {
                    let mut problem = Problem::of_file(&file.name, message);
                    let line =
                        file.text.find(&format!("@id(\"{id}\")")).map(|offset| place(&file.text, offset));
                    (problem.line, problem.column) = (line.map(|at| at.0), line.map(|at| at.1));
                    problems.push(problem);
                }
                None => {
                    let policy = policy.new_id(PolicyId::new(&id));
                    self.policies.insert(id, (policy, file));
                }
            }
        }
    }

    /// What the schema has against it, warnings too: a policy that can never apply was meant otherwise.
    fn validate(&self) -> Vec<Problem> {
        let schema = match schema() {
            Ok(schema) => schema,
            Err(problem) => return vec![problem],
        };
        let set = match PolicySet::from_policies(self.policies.values().map(|(policy, _)| policy.clone())) {
            Ok(set) => set,
            Err(error) => return vec![Problem::of_file("the policy", error)],
        };
        let result = Validator::new(schema).validate(&set, ValidationMode::Strict);
        let of =
            |id: &PolicyId, diagnostic: &dyn Diagnostic| match self.policies.get(AsRef::<str>::as_ref(id)) {
                Some((_, file)) => Problem::of(file, diagnostic),
                None => Problem::of_file("the policy", diagnostic),
            };
        let errors = result.validation_errors().map(|error| of(error.policy_id(), error));
        let warnings = result.validation_warnings().map(|warning| of(warning.policy_id(), warning));
        errors.chain(warnings).take(PROBLEMS_MAX).collect()
    }

    /// Sorted by what each can be about, which its scope says: those that cannot are not looked at.
    fn by_verb(&self, known: &Names) -> BTreeMap<Verb, About> {
        let about = |verb: Verb| {
            let mut names = BTreeSet::from([known.action(verb.name())]);
            names.extend(verb.group().map(|group| known.action(group)));
            let applies = |policy: &&cedar_policy::Policy| match policy.action_constraint() {
                ActionConstraint::Any => true,
                ActionConstraint::Eq(action) => names.contains(&action),
                ActionConstraint::In(actions) => actions.iter().any(|action| names.contains(action)),
            };
            let policies = self.policies.values().map(|(policy, _)| policy).filter(applies);
            About::new(policies, known)
        };
        Verb::ALL.into_iter().map(|verb| (verb, about(verb))).collect()
    }
}

fn shown(id: Option<&str>) -> String {
    id.unwrap_or("a policy without an id").escape_debug().to_string()
}

/// The schema, which is a part of this program.
pub(crate) fn schema() -> Result<Schema, Problem> {
    let schema = Schema::from_cedarschema_str(SCHEMA);
    schema.map(|(schema, _)| schema).map_err(|error| Problem::of_file("cloister.cedarschema", error))
}
