//! What the site's compilers say of a file as it is, and what of it is mended by their words alone. No model is asked.
//!
//! A lookup like a search: the text and what was said are its body, and its leaf is durable before anything is answered.

use std::collections::HashSet;

use identity::Credential;
use languages::{Diagnostic, Language, Severity, fixes};
use ledger::Event;
use protocol::RecordNumber;
use serde::Serialize;
use serde_json::json;

use crate::checks::{Check, Whole};
use crate::context::labels_of_source;
use crate::generate::FIXES_MAX;
use crate::{Assist, House, Refusal, Subject};

/// A file that somebody has looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCheck {
    /// Its path, and the repository that it is in: where that is a source that this person may read, its other files are
    /// looked at, too.
    pub subject: Subject,
    /// Its language; told by the path, or the text, when absent.
    pub language: Option<Language>,
    /// All of it: at most [`protocol::check::TEXT_BYTES_MAX`].
    pub text: String,
    /// Whether what the compiler's words allow is mended.
    pub mend: bool,
}

/// What was said of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckedFile {
    /// By each checker that had a word on it; none where its language is not known here.
    pub checks: Vec<Check>,
    /// The file with fewer errors, where something could be mended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mended: Option<Mended>,
}

/// A file that was mended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mended {
    /// All of it.
    pub text: String,
    /// What was mended, in words.
    pub what: Vec<&'static str>,
    /// What is said of it now.
    pub checks: Vec<Check>,
}

impl Assist {
    /// What the compilers say of a file.
    pub async fn check_file(
        &self,
        credential: &Credential,
        asked: FileCheck,
    ) -> Result<(RecordNumber, CheckedFile), Refusal> {
        const DIALECT: &str = "cloister.check";
        let house = &self.house;
        let principal = house.identify(credential, DIALECT)?;
        let _place = house.admit(DIALECT, &principal)?;
        let asking = house.asking(&principal, DIALECT);
        let FileCheck { subject: Subject { path, repository }, language, text, mend } = asked;
        let path = path.unwrap_or_default();
        let language = language.or_else(|| Language::detect(&path, &text));
        let source = house.source_of(repository.as_deref(), &asking);
        let checked = match language {
            Some(language) => {
                let whole = Whole { language, path: &path, source: source.as_ref() };
                house.check_whole(&whole, &text, mend).await
            }
            None => CheckedFile { checks: Vec::new(), mended: None },
        };
        let labels = labels_of_source(source.as_ref())?;
        let remarks = checked.checks.iter().map(|check| check.remarks.len()).sum::<usize>();
        let leaf = ledger::Lookup {
            identity: principal.name.clone(),
            credential: principal.credential.clone(),
            labels: house.identity.lattice().reduced(&labels).names(),
            policy: asking.policy(),
            action: "check".to_owned(),
            shown: u32::try_from(remarks).unwrap_or(u32::MAX),
        };
        let question = json!({ "check": text, "path": path, "language": language.map(Language::name) });
        let body = json!({ "question": question, "shown": &checked });
        let receipt =
            house.append(Event::Lookup(Box::new(leaf)), Some(body.to_string().into_bytes())).await?;
        Ok((RecordNumber(receipt.index), checked))
    }
}

impl House {
    async fn check_whole(&self, whole: &Whole<'_>, text: &str, mend: bool) -> CheckedFile {
        let Some((checks, said)) = self.opinions(whole, text).await else {
            return CheckedFile { checks: Vec::new(), mended: None };
        };
        let mended = if mend { self.mended(whole, text.to_owned(), said).await } else { None };
        CheckedFile { checks, mended }
    }

    /// The text with fewest errors of those that the compiler's words lead to; none where that is the text itself.
    async fn mended(&self, whole: &Whole<'_>, mut text: String, mut said: Vec<Diagnostic>) -> Option<Mended> {
        let errors = |said: &[Diagnostic]| said.iter().filter(|one| one.severity == Severity::Error).count();
        let (mut fewest, mut best, mut what) = (errors(&said), None, Vec::new());
        let mut seen = HashSet::from([text.clone()]);
        for _ in 0..FIXES_MAX {
            let fixed = fixes(whole.language, &text, 0..text.len(), &said, true);
            // What only stands for something that is missing is no suggestion.
            let Some(fixed) = fixed.filter(|fixed| !fixed.stub && seen.insert(fixed.text.clone())) else {
                break;
            };
            what.extend(fixed.what);
            text = fixed.text;
            let (checks, now) = self.opinions(whole, &text).await?;
            said = now;
            if checks.iter().all(|check| check.reason.is_none()) && errors(&said) < fewest {
                fewest = errors(&said);
                best = Some(Mended { text: text.clone(), what: what.clone(), checks });
            }
        }
        best
    }
}
