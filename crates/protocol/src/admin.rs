//! Administration commands and the gateway, over the admin Unix socket; the peer's credentials are
//! the identity, the same `decide()` allows it and the same ledger records it. One request and one
//! answer a connection, each a [`frame`](crate::frame).

use serde::{Deserialize, Serialize};

use crate::Digest;

/// The version of this conversation.
pub const VERSION: u32 = 4;

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// [`VERSION`].
    pub version: u32,
    /// What to do.
    pub command: Command,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Adds a person.
    UserAdd {
        /// Unique name.
        name: String,
        /// Labels this person is cleared for.
        labels: Vec<String>,
        /// Groups this person is in.
        groups: Vec<String>,
    },
    /// Puts a person into groups, and out of all others.
    UserGroups {
        /// The person.
        name: String,
        /// The groups.
        groups: Vec<String>,
    },
    /// Gives a person roles, and takes all others.
    UserRoles {
        /// The person.
        name: String,
        /// The roles.
        roles: Vec<String>,
    },
    /// The policy in force. The answer: `policy`, its digest, `files_digest`, `default`, `leaf` and the `files`; `unusable`
    /// says why there is none.
    PolicyShow,
    /// What persons are to sign so that these files, as names and texts, are in force; none for the default ones. The
    /// answer: `text`, `files_digest` and `policy`.
    PolicyText {
        /// The files.
        files: Vec<(String, String)>,
    },
    /// Writes down that these files are to be in force. The answer: `leaf` and `approved_by`.
    PolicySet {
        /// The files; none for the default ones.
        files: Vec<(String, String)>,
        /// OpenSSH's armored signatures of the text.
        signatures: Vec<String>,
    },
    /// Takes the policy's files as they are now. The answer is that of [`Command::PolicyShow`].
    PolicyReload,
    /// Decides of one request, and says by which rule. The answer: `allowed`, `rules`, `reason`, `policy`.
    PolicyExplain {
        /// The request, as a case of a policy's test in JSON.
        case: String,
    },
    /// The last requests, as cases of a policy's test.
    PolicyIntents {
        /// At most that many.
        count: u32,
    },
    /// Finds what a source reached. The answer: `records`, each with `how`; the `leaves` with their bodies; the `texts` of
    /// erasures to be signed; `unreadable` records.
    Spill {
        /// The source.
        source: String,
        /// Why, on one line. It stays in the ledger.
        reason: String,
    },
    /// Lists persons.
    UserList,
    /// Issues a token; its text is in the answer, once.
    TokenIssue {
        /// Whose.
        user: String,
        /// What it is for, in words.
        note: String,
        /// Actions and groups of actions that it is limited to; none: no limit.
        scope: Vec<String>,
        /// How long it is good; for ever, if absent.
        days: Option<u32>,
    },
    /// Revokes a token.
    TokenRevoke {
        /// The token's id, not its secret.
        id: String,
    },
    /// Lists tokens, without secrets.
    TokenList,
    /// Lists records, newest first.
    LedgerList {
        /// At most that many.
        count: u32,
        /// Only those before this index.
        before: Option<u64>,
    },
    /// Shows a leaf with its body and all leaves that name it.
    LedgerShow {
        /// The record's number.
        record: u64,
    },
    /// Runs a record again and compares.
    Replay {
        /// The record's number.
        record: u64,
    },
    /// Deployments, workers, ledger's head.
    Status,
    /// Has the jails looked at, and that recorded. The answer: `record`, and the `posture` itself.
    AirgapVerify,
    /// What a witness is to cosign, as the text of a request.
    WitnessExport {
        /// Leaves that the witness has cosigned; without a number, those of the last cosigned checkpoint.
        since: Option<u64>,
    },
    /// Takes in what a witness cosigned.
    WitnessImport {
        /// The signed note.
        checkpoint: String,
        /// The policy that knows the witness, as octets of C2SP tlog-policy.
        policy: Vec<u8>,
    },
    /// Writes down that a witness is about to be added to the policy, which lies where only the
    /// administrator reaches it.
    WitnessAdd {
        /// Its name in the policy.
        name: String,
        /// Its verifier key.
        key: String,
    },
    /// Records that an assessor's pack is made, and has the log signed up to there. The answer: `leaf`, its
    /// `hash` and `time_unix_ms`, and the `checkpoint` over `size` leaves, that one among them.
    LedgerEvidence {
        /// The frameworks' names.
        controls: Vec<String>,
        /// The period's first moment, in milliseconds since 1970.
        from_unix_ms: u64,
        /// The first moment after it.
        to_unix_ms: u64,
        /// Whether persons are numbered instead of named.
        pseudonyms: bool,
    },
    /// Has what is durable signed, before and while the ledger is copied. The answer: `size`, the leaves signed.
    LedgerBackup {
        /// Where the copy goes, which is recorded; without it, nothing is.
        to: Option<String>,
    },
    /// Finds records, newest first.
    LedgerQuery {
        /// Which.
        filter: Filter,
        /// Only those before this index.
        before: Option<u64>,
        /// At most that many.
        count: u32,
    },
    /// Leaves in order, for an export; one page of it.
    LedgerExport {
        /// Which. Its `text` must be absent: an export holds no bodies.
        filter: Filter,
        /// The first leaf to look at.
        from: u64,
        /// At most that many.
        count: u32,
    },
    /// Enrols a key that approves in a person's name.
    UserEnrolKey {
        /// Whose.
        user: String,
        /// The public key, as OpenSSH's one line.
        key: String,
    },
    /// Revokes it.
    UserRevokeKey {
        /// Whose.
        user: String,
        /// The public key, as OpenSSH's one line.
        key: String,
    },
    /// Lists such keys.
    UserKeys,
    /// What two persons are to sign, so that bodies are erased. The answer: `text`, and the `leaves` in it.
    EraseRequest {
        /// Records, each with all the leaves that name it.
        records: Vec<u64>,
        /// Single leaves.
        leaves: Vec<u64>,
        /// Why, on one line.
        reason: String,
    },
    /// Takes a step of a model's way through the vault. The answer: `leaf`, `size` (leaves that are signed, that
    /// one among them), and `approved_by`.
    ModelStep {
        /// The step.
        step: Box<ModelStep>,
        /// OpenSSH's armored signatures of its text.
        signatures: Vec<String>,
    },
    /// What persons are to sign, so that a step can be taken. The answer: `text`, and whether it is `needed`.
    ModelText {
        /// The step.
        step: Box<ModelStep>,
    },
    /// How all objects and deployments stand. The answer: `objects`, `aliases` and `withdrawn`.
    ModelStates,
    /// Writes down that signatures of a key or an authority are about to be believed, or to be no more; the files
    /// lie where only the administrator reaches them.
    ModelTrust {
        /// Whether it is added; removed otherwise.
        added: bool,
        /// Its name.
        name: String,
        /// What it is.
        detail: String,
    },
    /// Has the daemon serve what `deployments.lock` says now. The answer: the aliases that are `served`, and why
    /// others are `refused`.
    Reload,
    /// Writes down that a source of local context is about to be added, changed or removed; `sources.toml` lies where
    /// only the administrator reaches it.
    SourceChange {
        /// What, as `repo add`.
        action: String,
        /// The source.
        name: String,
        /// More, in words.
        detail: String,
    },
    /// Has the daemon take what `sources.toml` says now. The answer: the `sources`. What is not among them is in no
    /// index any more.
    SourceReload,
    /// Has a source indexed.
    SourceSynchronise {
        /// The source.
        name: String,
    },
    /// How all sources stand. The answer: `sources`.
    SourceStates,
    /// Files of a source that are not in its index. The answer: `left_out`.
    SourceLeftOut {
        /// The source.
        name: String,
        /// At most that many.
        count: u32,
    },
    /// Pieces of a source that look as if they addressed the assistant. The answer: `suspicious`.
    SourceSuspicious {
        /// The source.
        name: String,
        /// At most that many.
        count: u32,
    },
    /// Writes down that a corpus of known code is about to be added, replaced or removed; `corpora.toml` lies where only
    /// the administrator reaches it.
    CorpusChange {
        /// What, as `corpus build`.
        action: String,
        /// The corpus.
        name: String,
        /// More, in words.
        detail: String,
    },
    /// Has the daemon take what `corpora.toml` says now. What is not among them is let go of.
    CorpusReload,
    /// How all corpora stand. The answer: `corpora`.
    CorpusStates,
    /// Erases the bodies that a signed text names.
    Erase {
        /// The text.
        text: String,
        /// OpenSSH's armored signatures of it.
        signatures: Vec<String>,
    },
    /// Disables a person: whatever names them lets nobody in from now on.
    UserDisable {
        /// The person.
        name: String,
    },
    /// What a person is cleared for, instead of what it was.
    UserLabels {
        /// The person.
        name: String,
        /// The labels.
        labels: Vec<String>,
    },
    /// Records that a slice of the ledger is handed out, with the digest of what will be in it, and has the log signed up
    /// to there. The answer: `seal` (that leaf's number), `leaf` (its bytes), `end`, `key`, `origin`, `checkpoint` and
    /// `size`.
    LedgerSlice {
        /// What is taken.
        scope: SliceScope,
    },
    /// One chunk of a slice that was recorded, newest first. The answer: `chunk` (base64, as it lies in a file; empty
    /// where it has no item), `indexes` of its leaves, and `next`.
    LedgerSliceChunk {
        /// What is taken.
        scope: SliceScope,
        /// As the record of it said.
        end: u64,
        /// Only what lies before this leaf: `end` at first, then `next`.
        before: u64,
    },
}

impl Command {
    /// Whether it is about sources of local context.
    pub fn is_of_sources(&self) -> bool {
        matches!(
            self,
            Command::SourceReload
                | Command::SourceSynchronise { .. }
                | Command::SourceStates
                | Command::SourceLeftOut { .. }
                | Command::SourceSuspicious { .. }
        )
    }
}

/// A step of a model's way; the fields are those of a `model` leaf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelStep {
    /// Its name, as `promoted`.
    pub step: String,
    /// SHA-256 of the object's description.
    pub object: Option<Digest>,
    /// Its name and version.
    pub title: String,
    /// SHA-256 of its weights.
    pub weights: Option<Digest>,
    /// Who signed it outside.
    pub signer: Option<String>,
    /// The deployment's alias.
    pub alias: Option<String>,
    /// SHA-256 of the deployment's lock.
    pub lock: Option<Digest>,
    /// The lock itself, a reason, or a report.
    pub detail: String,
}

/// Which records a query or an export is for. What is absent is not asked; all that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Who asked, or administered: the whole name.
    pub person: Option<String>,
    /// At this time or later, in milliseconds since 1970.
    pub since_unix_ms: Option<u64>,
    /// Before this time, in milliseconds since 1970.
    pub until_unix_ms: Option<u64>,
    /// The leaf's kind, as `intent`.
    pub kind: Option<String>,
    /// The weights' digest, whole or its first digits (4 at least), with or without `sha256:`; or the name
    /// that an upstream engine states.
    pub model: Option<String>,
    /// The deployment's alias.
    pub deployment: Option<String>,
    /// The repository, as the client named it.
    pub repository: Option<String>,
    /// The beginning of a path; or a pattern, where `*` and `?` stay within a directory and `**` does not.
    pub path: Option<String>,
    /// A label of the record.
    pub label: Option<String>,
    /// How it ended, as `answered`.
    pub outcome: Option<String>,
    /// What was asked or done, as `chat` or `token issue`.
    pub action: Option<String>,
    /// Words that must all occur in prompt, context or answer, in any case.
    pub text: Option<String>,
}

/// What a slice of the ledger holds: fingerprints of answers and leaves about them, no text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceScope {
    /// Records of this repository, as clients name it; without it, of all.
    pub repository: Option<String>,
    /// Also records that name no repository, as those of chats outside of an editor.
    pub unnamed: bool,
    /// Also answers that a person rejected.
    pub rejected: bool,
    /// Records from this time on, in milliseconds since 1970.
    pub since_unix_ms: Option<u64>,
}

impl SliceScope {
    /// In words, as the ledger has it.
    pub fn subject(&self) -> String {
        match (&self.repository, self.unnamed) {
            (Some(repository), true) => format!("{repository}, and records of no repository"),
            (Some(repository), false) => repository.clone(),
            (None, _) => "every repository".to_owned(),
        }
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Response {
    /// A JSON document, its shape given by the command.
    Ok(String),
    /// Why not, and what to do.
    Failed {
        /// One line.
        error: String,
        /// What to do, or empty.
        hint: String,
    },
}
