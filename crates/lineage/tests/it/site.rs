//! A site with a ledger: answers are recorded as the daemon records them, by the ledger's own writer; no model is run.
#![allow(dead_code, reason = "also part of other crates' tests, which use other parts")]

use std::path::Path;
use std::sync::Arc;

use ledger::disk::{Disk, RealDisk};
use ledger::{
    Check, CheckOutcome, Choice, Commitment, Decision, ENROL_KEY, Entry, Event, Intent, Ledger, LedgerConfig,
    LedgerKeys, LocalNotary, Opening, Outcome, REVOKE_KEY, ResultLeaf, Salt, Salts,
};
use lineage::slice::{self, Header, Scope, Selection};
use protocol::Digest;
use protocol::worker::{Sampling, Times};
use ssh_key::private::Ed25519Keypair;
use ssh_key::{HashAlg, LineEnding, PrivateKey};

pub(crate) const ORIGIN: &str = "site.example/log";
/// Keys the fingerprints.
pub(crate) const KEY: [u8; 32] = [5; 32];
pub(crate) const REPOSITORY: &str = "https://git.example/flight.git";
pub(crate) const MODEL: Digest = Digest([0xaa; 32]);

pub(crate) struct Site {
    pub(crate) ledger: Ledger,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) verifier: String,
}

/// What an answer is recorded with.
pub(crate) struct Answer<'a> {
    pub(crate) person: &'a str,
    pub(crate) repository: Option<&'a str>,
    pub(crate) path: Option<&'a str>,
    pub(crate) text: &'a str,
    pub(crate) choice: Option<Choice>,
    pub(crate) accepted_bytes: Option<u64>,
    pub(crate) check: Option<CheckOutcome>,
    /// Matches with known code, as the result's body has them.
    pub(crate) matches: serde_json::Value,
}

impl<'a> Answer<'a> {
    pub(crate) fn accepted(text: &'a str, path: &'a str) -> Answer<'a> {
        Answer {
            person: "ada",
            repository: Some(REPOSITORY),
            path: Some(path),
            text,
            choice: Some(Choice::Accepted),
            accepted_bytes: None,
            check: Some(CheckOutcome::Passed),
            matches: serde_json::json!([]),
        }
    }
}

impl Site {
    pub(crate) fn new(directory: &Path) -> Site {
        Site::keyed(directory, [9; 32])
    }

    pub(crate) fn keyed(directory: &Path, notary_key: [u8; 32]) -> Site {
        std::fs::create_dir_all(directory).unwrap();
        let notary = LocalNotary::open(&directory.join("notary"), ORIGIN, notary_key).unwrap();
        let verifier = notary.verifier();
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::create(&directory.join("ledger")).unwrap());
        let keys = LedgerKeys::new([7; 32]);
        let config = LedgerConfig::new(verifier.clone(), keys, Arc::clone(&disk), Box::new(notary));
        let config = LedgerConfig { disk_free_bytes_min: 0, ..config };
        Site { ledger: Ledger::open(config).unwrap().0, disk, verifier }
    }

    /// The policy that an auditor keeps.
    pub(crate) fn policy(&self) -> String {
        format!("log {}\nquorum none\n", self.verifier)
    }

    pub(crate) fn append(&self, event: Event) -> u64 {
        self.ledger.append_blocking(Entry { event, body: None }).unwrap().index
    }

    /// Records an answer, and what became of it. Answers the record's number.
    pub(crate) fn answer(&self, answer: &Answer<'_>) -> u64 {
        let salt = Salt::from([1; 16]);
        let digest = Digest([0; 32]);
        let empty = Commitment::new(&salt, b"");
        let record = self.append(Event::Intent(Box::new(Intent {
            identity: answer.person.to_owned(),
            credential: "uid:1".to_owned(),
            labels: Vec::new(),
            policy: digest,
            action: "fill".to_owned(),
            dialect: "test".to_owned(),
            deployment: "coder".to_owned(),
            repository: answer.repository.map(str::to_owned),
            path: answer.path.map(str::to_owned),
            model: Some(MODEL),
            upstream: None,
            template: Digest([0xbb; 32]),
            engine_build: digest,
            lock: None,
            cpu_level: String::new(),
            cpu_features: String::new(),
            llama_version: String::new(),
            profile: "reproducible".to_owned(),
            reproducible: true,
            sampling: Sampling::GREEDY,
            tokens_max: 256,
            stop_strings: 0,
            predict_ms_max: None,
            prompt_tokens: 10,
            prompt: empty,
            context: empty,
        })));
        let fingerprints = ledger::fingerprints(&KEY, answer.text);
        let event = Event::Result(Box::new(ResultLeaf {
            record,
            outcome: Outcome::Answered,
            detail: String::new(),
            stop: None,
            output: Commitment::new(&salt, answer.text.as_bytes()),
            answer_tokens: 1,
            prompt_tokens_cached: 0,
            times: Times::default(),
            fingerprints: fingerprints.digest(),
        }));
        let opening = Opening {
            salts: Salts { output: Some(salt), ..Salts::default() },
            output_text: Some(answer.text.to_owned()),
            fingerprints: Some(fingerprints),
            ..Opening::default()
        };
        let mut body = serde_json::to_value(opening).unwrap();
        body["provenance"] = serde_json::json!({
            "corpora": [{ "name": "known", "root": "sha256:00" }],
            "matches": answer.matches,
        });
        let body = Some(body.to_string().into_bytes());
        self.ledger.append_blocking(Entry { event, body }).unwrap();
        if let Some(outcome) = answer.check {
            self.append(Event::Check(Box::new(Check {
                record,
                checker: "gnat".to_owned(),
                version: "12".to_owned(),
                command: Vec::new(),
                outcome,
                errors: u32::from(outcome == CheckOutcome::Failed),
                warnings: 0,
                notes: 0,
                diagnostics: empty,
            })));
        }
        if let Some(choice) = answer.choice {
            self.append(Event::Decision(Box::new(Decision {
                record,
                identity: answer.person.to_owned(),
                credential: "uid:1".to_owned(),
                choice,
                accepted_bytes: answer.accepted_bytes,
                path: answer.path.map(str::to_owned),
                digest_before: None,
                digest_after: None,
                client: None,
            })));
        }
        record
    }

    /// Enrols a person's key, or revokes it.
    pub(crate) fn key(&self, action: &str, person: &Person) {
        assert!([ENROL_KEY, REVOKE_KEY].contains(&action));
        self.append(Event::Administration {
            actor: "root (uid:0)".to_owned(),
            action: action.to_owned(),
            subject: person.name.to_owned(),
            detail: person.public(),
        });
    }

    /// A slice, as `cloisterd ledger slice` writes it.
    pub(crate) fn slice(&self, scope: Scope) -> Vec<u8> {
        let selection = Selection { scope: scope.clone(), end: self.ledger.head().size };
        let contents = slice::seal(&self.ledger, &selection, &KEY).unwrap();
        let seal = self.append(Event::Administration {
            actor: "root (uid:0)".to_owned(),
            action: slice::ACTION.to_owned(),
            subject: scope.subject(),
            detail: contents.detail(selection.end),
        });
        let head = self.ledger.sign().unwrap();
        let header = Header {
            origin: ORIGIN.to_owned(),
            scope,
            end: selection.end,
            key: protocol::digest::hex(&KEY),
            seal,
            seal_leaf: String::from_utf8(self.ledger.leaf(seal).unwrap()).unwrap(),
            checkpoint: head.checkpoint.unwrap(),
        };
        let mut out = header.beginning().unwrap();
        let mut indexes = vec![seal];
        let mut before = Some(selection.end);
        while let Some(from) = before {
            let chunk = slice::page(&self.ledger, &selection, from).unwrap();
            if chunk.items > 0 {
                out.extend(chunk.encoded());
                indexes.extend(chunk.indexes());
            }
            before = chunk.next;
        }
        let proof = slice::prove(&*self.disk, indexes, head.size_signed).unwrap();
        out.extend(slice::end(&proof));
        out
    }
}

/// A person with a key that is the same in each run.
pub(crate) struct Person {
    pub(crate) name: &'static str,
    key: PrivateKey,
}

impl Person {
    pub(crate) fn new(name: &'static str, seed: u8) -> Person {
        Person { name, key: PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32])) }
    }

    /// As OpenSSH's line.
    pub(crate) fn public(&self) -> String {
        self.key.public_key().to_openssh().unwrap()
    }

    /// As the file of a private key, for `ssh-keygen`.
    pub(crate) fn private(&self) -> String {
        self.key.to_openssh(LineEnding::LF).unwrap().to_string()
    }

    pub(crate) fn sign(&self, namespace: &str, text: &str) -> String {
        let signed = self.key.sign(namespace, HashAlg::Sha512, text.as_bytes()).unwrap();
        signed.to_pem(LineEnding::LF).unwrap()
    }
}
