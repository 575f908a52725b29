//! The assessor's pack: what the ledger shows of a period, for whoever assesses the site by a framework of
//! controls. Pure functions: leaves in, files out. Whoever calls them reads the ledger and writes the files.
//!
//! It claims no more than the leaves hold: a control that they do not evidence says so.

mod chart;
mod controls;
mod html;
mod report;
mod summary;

pub use controls::{Control, FRAMEWORKS, Framework, framework};
pub use summary::{Example, Gap, Gaps, Group, LeafKind, Summary};

use jiff::Timestamp;
use protocol::Digest;
use serde_json::json;

/// What the pack is about, beside the leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The log's name.
    pub origin: String,
    /// The ledger's directory, as the line that verifies it names it.
    pub ledger: String,
    /// The tlog-policy that names the log's key.
    pub policy: String,
    /// The signed note that the pack speaks of.
    pub checkpoint: String,
    /// Leaves under that note.
    pub size: u64,
    /// The leaf that records that this pack was made.
    pub made: Example,
    /// The software that made it.
    pub software: String,
    /// Whether proofs of the examples are beside the pages. A proof carries its leaf, with the person's name.
    pub proofs: bool,
}

/// A file of the pack: its name, with `/` between folders, and its text.
pub type PackFile = (String, String);

/// The pack's files.
pub fn pack(scope: &Scope, summary: &Summary, frameworks: &[&'static Framework]) -> Vec<PackFile> {
    let mut files = vec![
        ("README.md".to_owned(), readme(scope, summary, frameworks)),
        ("log.policy".to_owned(), scope.policy.clone()),
        ("checkpoint".to_owned(), scope.checkpoint.clone()),
        ("examples.jsonl".to_owned(), examples(scope, summary)),
        ("report.html".to_owned(), report::page(scope, summary)),
    ];
    for framework in frameworks {
        files.push((format!("controls/{}.md", framework.name), controls::page(framework, scope, summary)));
    }
    files
}

/// The line that checks the ledger against the pack, run in the pack's folder.
pub fn verify_line(scope: &Scope) -> String {
    let ledger = scope.ledger.replace('\'', r"'\''");
    format!("cloister ledger verify '{ledger}' --policy log.policy --seen checkpoint --seen examples.jsonl")
}

/// The line that checks one proof, run in the pack's folder.
pub fn check_proof_line(scope: &Scope) -> String {
    format!("cloister ledger check-proof {} --policy log.policy", proof_name(scope.made.index))
}

/// The file of a leaf's proof.
pub fn proof_name(index: u64) -> String {
    format!("proofs/{index}.tlog-proof")
}

fn readme(scope: &Scope, summary: &Summary, frameworks: &[&'static Framework]) -> String {
    let mut controls = String::new();
    for framework in frameworks {
        controls.push_str(&format!("| `controls/{}.md` | {} |\n", framework.name, framework.title));
    }
    let (proofs, proofs_row) = if scope.proofs {
        let text = format!(
            "Without the ledger, one leaf at a time: each leaf of `examples.jsonl` has a proof that carries it, as \
             that of this pack's making:\n\n\
             ```sh\n{}\n```\n\n\
             Where `log.policy` demands witnesses, a leaf that they have not cosigned yet is not proven so: its proof \
             is refused until `cloister ledger proof` makes a new one.\n\n",
            check_proof_line(scope)
        );
        (text, "| `proofs/` | a C2SP tlog-proof of each of them, which carries the leaf |\n")
    } else {
        (String::new(), "")
    };
    format!(
        "# Evidence from a Cloister ledger\n\n\
         Log `{origin}`, {period}. Made by {software} from the {size} leaves that `checkpoint` signs; that it was \
         made is leaf {made}.\n\n\
         ## Check it, without the daemon and without a network\n\n\
         In this folder, with read access to the ledger's directory or a copy of it (put its path in the line):\n\n\
         ```sh\n{line}\n```\n\n\
         It hashes every leaf, rebuilds the tree, checks the checkpoint's signature with the key in `log.policy`, and \
         compares with `checkpoint` and with the leaves in `examples.jsonl`. It must end in `verified: no problem was \
         found`. With `--body-key` it opens the texts too, which only the owner of the data can.\n\n\
         {proofs}\
         Compare `log.policy` with the one you were given when the log began: whoever can replace both the log and this \
         key can pass. Keep `checkpoint`: a later ledger that does not contain it was rolled back or rewritten.\n\n\
         | file | holds |\n|---|---|\n\
         | `report.html` | the period at a glance: use, refusals, gaps. It loads nothing |\n\
         {controls}\
         | `checkpoint` | the signed note over {size} leaves |\n\
         | `log.policy` | the key that signs it, as a C2SP tlog-policy |\n\
         | `examples.jsonl` | numbers and hashes of leaves that the pages name as examples |\n\
         {proofs_row}\n\
         ## What it is not\n\n\
         The counts come from leaves, which hold no prompt, context or answer. They were made on the machine that \
         writes the ledger: the line above shows that the leaves are whole and unaltered, not that a compromised \
         machine wrote true ones. Reading the ledger again, with `cloisterd ledger list`, gives the same counts.\n",
        origin = scope.origin,
        period = period(summary),
        software = scope.software,
        size = scope.size,
        made = scope.made.index,
        line = verify_line(scope),
    )
}

/// Receipts of the leaves that the pages name, in the form that `--seen` takes.
fn examples(scope: &Scope, summary: &Summary) -> String {
    let line = |example: Example| {
        let receipt = json!({
            "server": scope.origin,
            "time_unix_ms": example.time_unix_ms,
            "record": example.index,
            "leaf": { "index": example.index, "hash": Digest(example.hash).hex() },
        });
        format!("{receipt}\n")
    };
    example_leaves(scope, summary).into_iter().map(line).collect()
}

/// The leaves that the pages name, and that of the pack's making.
pub fn example_leaves(scope: &Scope, summary: &Summary) -> Vec<Example> {
    let mut all: Vec<Example> =
        summary.kinds.values().flat_map(|kind| kind.examples.iter().copied()).collect();
    all.push(scope.made);
    all.sort_unstable_by_key(|example| example.index);
    all.dedup_by_key(|example| example.index);
    all
}

fn period(summary: &Summary) -> String {
    days(summary.from_unix_ms, summary.to_unix_ms)
}

/// As `2026-11-01 to 2026-11-30 (UTC)`; both days are in it.
pub(crate) fn days(from_unix_ms: u64, to_unix_ms: u64) -> String {
    format!("{} to {} (UTC)", day(from_unix_ms), day(to_unix_ms.saturating_sub(1)))
}

fn day(unix_ms: u64) -> String {
    timestamp(unix_ms).map_or_else(|| "?".to_owned(), |time| time.strftime("%Y-%m-%d").to_string())
}

fn moment(unix_ms: u64) -> String {
    timestamp(unix_ms).map_or_else(|| "?".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

fn timestamp(unix_ms: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(unix_ms).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use ledger::{
        ClockState, Commitment, Decision, Event, Intent, Leaf, Login, LoginOutcome, Refusal, SCHEMA,
    };
    use protocol::worker::Sampling;

    use super::*;

    const HOSTILE: &str = "<script>alert('x')</script>";
    /// 2026-11-01.
    const FROM: u64 = 1_793_491_200_000;
    const DAY: u64 = 24 * 60 * 60 * 1000;

    fn intent(identity: &str, deployment: &str) -> Event {
        let digest = Digest([1; 32]);
        Event::Intent(Box::new(Intent {
            identity: identity.to_owned(),
            credential: "token:1".to_owned(),
            labels: Vec::new(),
            policy: digest,
            action: "chat".to_owned(),
            dialect: "openai.chat".to_owned(),
            repository: None,
            path: None,
            deployment: deployment.to_owned(),
            model: Some(digest),
            upstream: None,
            template: digest,
            engine_build: digest,
            lock: None,
            cpu_level: String::new(),
            cpu_features: String::new(),
            llama_version: String::new(),
            profile: String::new(),
            reproducible: true,
            sampling: Sampling::GREEDY,
            tokens_max: 1,
            stop_strings: 0,
            predict_ms_max: None,
            prompt_tokens: 1,
            prompt: Commitment(digest),
            context: Commitment(digest),
        }))
    }

    fn block(record: u64) -> Event {
        let output = Commitment(Digest([1; 32]));
        Event::Block(ledger::Block { record, number: 0, output, output_bytes: 1 })
    }

    /// A few leaves with words of a person who means ill wherever a leaf has words.
    fn hostile(pseudonyms: bool) -> (Scope, Summary) {
        let clock = Some(ClockState { synchronised: Some(false), error_ms_max: None });
        let refusal = Refusal {
            identity: Some(HOSTILE.to_owned()),
            dialect: HOSTILE.to_owned(),
            reason: format!("{HOSTILE} is not cleared"),
            count: 3,
            action: Some(HOSTILE.to_owned()),
            policy: Some(Digest([0; 32])),
            rule: Some(HOSTILE.to_owned()),
        };
        let login = Login {
            identity: None,
            credential: HOSTILE.to_owned(),
            surface: HOSTILE.to_owned(),
            outcome: LoginOutcome::Refused,
            reason: HOSTILE.to_owned(),
            count: 7,
        };
        let decision = Decision {
            record: 2,
            identity: HOSTILE.to_owned(),
            credential: "token:1".to_owned(),
            choice: ledger::Choice::Accepted,
            accepted_bytes: None,
            path: Some(HOSTILE.to_owned()),
            digest_before: None,
            digest_after: None,
            client: Some(HOSTILE.to_owned()),
        };
        let administration = Event::Administration {
            actor: HOSTILE.to_owned(),
            action: HOSTILE.to_owned(),
            subject: HOSTILE.to_owned(),
            detail: HOSTILE.to_owned(),
        };
        let events = [
            (FROM - 1, intent("before", "code")),
            (FROM, Event::Start { software: HOSTILE.to_owned(), clock }),
            (FROM + 5, intent(HOSTILE, HOSTILE)),
            (FROM + 6, block(2)),
            (FROM + 3, Event::Refusal(refusal)),
            (FROM + DAY, Event::Login(login)),
            (FROM + DAY, Event::Decision(Box::new(decision))),
            (FROM + 3 * DAY - 1, administration),
            (FROM + 3 * DAY, intent("after", "code")),
        ];
        let mut summary = Summary::new(FROM, FROM + 3 * DAY, pseudonyms);
        for (index, (time_unix_ms, event)) in (0..).zip(events) {
            summary.add(index, [9; 32], &Leaf { schema: SCHEMA, time_unix_ms, event, body: None });
        }
        summary.finish();
        let scope = Scope {
            origin: "example.org/log".to_owned(),
            ledger: "/data/it's/ledger".to_owned(),
            policy: "log key\n".to_owned(),
            checkpoint: "note\n".to_owned(),
            size: 9,
            made: Example { index: 8, hash: [9; 32], time_unix_ms: FROM + 3 * DAY },
            software: "cloister".to_owned(),
            proofs: !pseudonyms,
        };
        (scope, summary)
    }

    #[test]
    fn what_a_period_comes_to() {
        let (_, summary) = hostile(false);
        assert_eq!((summary.count("intent"), summary.count("start"), summary.count("genesis")), (1, 1, 0));
        assert_eq!(summary.persons.rows(), [(HOSTILE, 1)]);
        assert_eq!(summary.refusals.rows()[0].1, 3);
        assert_eq!(summary.logins.rows()[0].1, 7);
        assert_eq!(summary.decisions.rows(), [("accepted", 1)]);
        assert_eq!(summary.kinds["intent"].examples[0].index, 2);
        let found: Vec<(u64, Option<u64>)> = summary
            .gaps
            .rows()
            .filter(|(_, count, _)| *count > 0)
            .map(|(_, count, gaps)| (count, gaps[0].index))
            .collect();
        // The clock's jump and its state, the days without a probe, the request without a result.
        assert_eq!(found.len(), 4, "{:?}", summary.gaps);
        assert!(
            found.contains(&(1, Some(4))) && found.contains(&(1, Some(2))) && found.contains(&(1, Some(1)))
        );
    }

    /// Whatever a leaf says, the page is markup of ours, loads nothing and runs nothing.
    #[test]
    fn a_report_runs_nothing_of_a_leafs() {
        let (scope, summary) = hostile(false);
        let files = pack(&scope, &summary, &FRAMEWORKS);
        let report = &files.iter().find(|(name, _)| name == "report.html").unwrap().1;
        assert!(report.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"));
        for unwanted in
            ["<script", "://", "src=", "url(", "@import", "javascript", "onload", "<link", "<iframe"]
        {
            assert!(!report.to_lowercase().contains(unwanted), "{unwanted}");
        }
        assert_eq!(report.matches("<table>").count(), report.matches("<caption>").count());
        assert_eq!(report.matches("<svg").count(), report.matches("aria-label").count());
        assert!(report.contains("2026-11-01 to 2026-11-03 (UTC)"), "{report}");
        assert!(
            files.iter().all(|(name, text)| name.ends_with(".html") || !text.contains("<script")),
            "no page names it"
        );
    }

    #[test]
    fn persons_are_numbered_where_asked() {
        let (scope, summary) = hostile(true);
        assert_eq!(summary.persons.rows(), [("person 1", 1)]);
        assert_eq!(summary.refusals.rows(), [("refused by the policy", 3)]);
        let report = report::page(&scope, &summary);
        assert!(report.contains("person 1"));
    }

    #[test]
    fn the_line_and_the_examples() {
        let (scope, summary) = hostile(false);
        assert_eq!(
            verify_line(&scope),
            r"cloister ledger verify '/data/it'\''s/ledger' --policy log.policy --seen checkpoint --seen examples.jsonl"
        );
        let (pseudonymous, _) = hostile(true);
        let line = "\ncloister ledger check-proof proofs/8.tlog-proof --policy log.policy\n";
        for (scope, has_proofs) in [(&scope, true), (&pseudonymous, false)] {
            let text = readme(scope, &summary, &[]);
            assert_eq!((text.contains(line), text.contains("proofs/")), (has_proofs, has_proofs), "{text}");
        }
        let lines = examples(&scope, &summary);
        let indexes: Vec<u64> = lines
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["leaf"]["index"].as_u64().unwrap()
            })
            .collect();
        assert_eq!(indexes, [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
