//! Suggestions that were made, and what became of them: for decisions, and for hovers.

use std::collections::VecDeque;

use client::Findings;
use protocol::Digest;
use sha2::{Digest as _, Sha256};

use super::documents::{Document, Edit};

/// Suggestions that are remembered.
const REMEMBERED_MAX: usize = 512;
/// A longer document is not hashed with each suggestion.
const HASHED_BYTES_MAX: usize = 4 << 20;

/// What a model said, once.
#[derive(Debug)]
pub(super) struct Suggestion {
    pub(super) record: u64,
    pub(super) deployment: String,
    pub(super) text: String,
    pub(super) findings: Findings,
    shown: Option<Shown>,
    was_told_shown: bool,
    /// Bytes of it that were taken over in parts so far.
    parts_bytes: Option<u64>,
    is_decided: bool,
}

/// Where it was shown last.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) uri: String,
    /// Where the cursor was, and where what was taken over ends; edits move both.
    start: usize,
    end: usize,
    /// Bytes of the suggestion that stood there already.
    taken: usize,
    version: i64,
    digest_before: Option<String>,
}

/// What a person did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Shown,
    Accepted,
    PartlyAccepted,
    Rejected,
}

impl Choice {
    pub(super) fn word(self) -> &'static str {
        match self {
            Choice::Shown => "shown",
            Choice::Accepted => "accepted",
            Choice::PartlyAccepted => "partly_accepted",
            Choice::Rejected => "rejected",
        }
    }
}

/// A decision to post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) record: u64,
    pub(super) choice: Choice,
    pub(super) accepted_bytes: Option<u64>,
    pub(super) uri: Option<String>,
    pub(super) digest_before: Option<String>,
    pub(super) digest_after: Option<String>,
}

/// What is to be done about what a client said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    Post(Decision),
    /// A part was taken over; there may come more, so this waits.
    Wait,
}

/// The last suggestions, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Suggestions {
    all: VecDeque<Suggestion>,
}

impl Suggestions {
    /// A new one. Record 0 is of a server that keeps none: nothing can be decided about it.
    pub(super) fn add(&mut self, record: u64, deployment: String, text: String, findings: Findings) {
        if record == 0 || self.get(record).is_some() {
            return;
        }
        if self.all.len() == REMEMBERED_MAX {
            self.all.pop_front();
        }
        self.all.push_back(Suggestion {
            record,
            deployment,
            text,
            findings,
            shown: None,
            was_told_shown: false,
            parts_bytes: None,
            is_decided: false,
        });
    }

    pub(super) fn get(&self, record: u64) -> Option<&Suggestion> {
        self.all.iter().rev().find(|one| one.record == record)
    }

    fn get_mut(&mut self, record: u64) -> Option<&mut Suggestion> {
        self.all.iter_mut().rev().find(|one| one.record == record)
    }

    /// It was answered to the editor, which shows it at a place of a document.
    pub(super) fn showing(&mut self, record: u64, document: &Document, at: usize, taken: usize) {
        let Some(suggestion) = self.get_mut(record) else { return };
        suggestion.shown = Some(Shown {
            uri: document.uri.clone(),
            start: at,
            end: at,
            taken,
            version: document.version,
            digest_before: digest(document.text()),
        });
    }

    /// The client says that a person did this. `bytes`, of what was shown, where it was a part.
    pub(super) fn told(
        &mut self,
        record: u64,
        choice: Choice,
        bytes: Option<u64>,
        document: Option<&Document>,
    ) -> Told {
        let Some(suggestion) = self.get_mut(record) else { return Told::Nothing };
        if suggestion.is_decided {
            return Told::Nothing;
        }
        let taken = suggestion.shown.as_ref().map_or(0, |shown| shown.taken);
        let left = u64::try_from(suggestion.text.len().saturating_sub(taken)).unwrap_or(u64::MAX);
        let (before, after) = (
            suggestion.shown.as_ref().and_then(|shown| shown.digest_before.clone()),
            suggestion.digest_after(document),
        );
        let decision = |choice, accepted_bytes| Decision {
            record,
            choice,
            accepted_bytes,
            uri: document.map(|document| document.uri.clone()),
            digest_before: before.clone(),
            digest_after: if choice == Choice::Accepted || choice == Choice::PartlyAccepted {
                after
            } else {
                None
            },
        };
        match choice {
            Choice::Shown if suggestion.was_told_shown => Told::Nothing,
            Choice::Shown => {
                suggestion.was_told_shown = true;
                Told::Post(decision(choice, None))
            }
            Choice::Rejected if suggestion.parts_bytes.is_none() => {
                suggestion.is_decided = true;
                Told::Post(decision(choice, None))
            }
            Choice::Rejected => self.settle(record, document).map_or(Told::Nothing, Told::Post),
            Choice::Accepted | Choice::PartlyAccepted => {
                let bytes = bytes.unwrap_or(left).min(left);
                let parts = suggestion.parts_bytes.unwrap_or(0) + bytes;
                if bytes < left {
                    suggestion.parts_bytes = Some(parts);
                    suggestion.accepted_to(bytes);
                    return Told::Wait;
                }
                suggestion.is_decided = true;
                suggestion.accepted_to(bytes);
                Told::Post(decision(Choice::Accepted, Some(parts)))
            }
        }
    }

    /// Parts were taken over, and nothing came after: that is the decision.
    pub(super) fn settle(&mut self, record: u64, document: Option<&Document>) -> Option<Decision> {
        let suggestion = self.get_mut(record)?;
        if suggestion.is_decided {
            return None;
        }
        let bytes = suggestion.parts_bytes?;
        suggestion.is_decided = true;
        Some(Decision {
            record,
            choice: Choice::PartlyAccepted,
            accepted_bytes: Some(bytes),
            uri: suggestion.shown.as_ref().map(|shown| shown.uri.clone()),
            digest_before: suggestion.shown.as_ref().and_then(|shown| shown.digest_before.clone()),
            digest_after: suggestion.digest_after(document),
        })
    }

    /// Those of which parts were taken over and that are not decided.
    pub(super) fn unsettled(&self) -> Vec<u64> {
        let open = self.all.iter().filter(|one| !one.is_decided && one.parts_bytes.is_some());
        open.map(|one| one.record).collect()
    }

    /// The document of the last showing.
    pub(super) fn uri(&self, record: u64) -> Option<&str> {
        Some(self.get(record)?.shown.as_ref()?.uri.as_str())
    }

    /// A document was edited: places in it move.
    pub(super) fn edited(&mut self, uri: &str, edits: &[Edit]) {
        for suggestion in &mut self.all {
            let Some(shown) =
                suggestion.shown.as_mut().filter(|shown| shown.uri == uri && shown.end > shown.start)
            else {
                continue;
            };
            for edit in edits {
                let removed_to = edit.start + edit.removed;
                if removed_to <= shown.start {
                    shown.start = shown.start + edit.inserted - edit.removed;
                    shown.end = shown.end + edit.inserted - edit.removed;
                } else if edit.start < shown.end {
                    shown.start = shown.start.min(edit.start);
                    shown.end = (shown.end.max(removed_to) + edit.inserted) - edit.removed;
                }
            }
        }
    }

    /// The last one that was shown at a byte, or taken over around it.
    pub(super) fn at(&self, uri: &str, offset: usize) -> Option<(&Suggestion, (usize, usize))> {
        self.all.iter().rev().find_map(|suggestion| {
            let shown = suggestion.shown.as_ref().filter(|shown| shown.uri == uri)?;
            (shown.start..=shown.end).contains(&offset).then_some((suggestion, (shown.start, shown.end)))
        })
    }
}

impl Suggestion {
    fn accepted_to(&mut self, bytes: u64) {
        if let Some(shown) = &mut self.shown {
            let bytes = usize::try_from(bytes).unwrap_or(0);
            shown.end = shown.start + bytes;
        }
    }

    /// The document's digest, when it has changed since the suggestion was shown.
    fn digest_after(&self, document: Option<&Document>) -> Option<String> {
        let (document, shown) = (document?, self.shown.as_ref()?);
        (document.uri == shown.uri && document.version != shown.version).then(|| digest(document.text()))?
    }
}

fn digest(text: &str) -> Option<String> {
    (text.len() <= HASHED_BYTES_MAX).then(|| Digest(Sha256::digest(text).into()).to_string())
}

#[cfg(test)]
mod tests {
    use super::super::documents::{Documents, Encoding};
    use super::super::types::{ContentChange, TextDocumentItem};
    use super::*;

    fn document(documents: &mut Documents, text: &str) {
        let uri = "file:///a".to_owned();
        if documents.get(&uri).is_some() {
            let change = ContentChange { range: None, text: text.into() };
            documents.change(&uri, None, &[change], Encoding::Utf8).unwrap();
        } else {
            documents.open(TextDocumentItem {
                uri,
                language_id: String::new(),
                version: 1,
                text: text.into(),
            });
        }
    }

    fn posted(told: Told) -> (Choice, Option<u64>) {
        match told {
            Told::Post(decision) => (decision.choice, decision.accepted_bytes),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_final_decision() {
        let (mut documents, mut suggestions) = (Documents::default(), Suggestions::default());
        document(&mut documents, "x := ;");
        suggestions.add(7, "code".into(), "alpha beta".into(), Findings::default());
        suggestions.showing(7, documents.get("file:///a").unwrap(), 5, 0);
        let before = digest("x := ;");
        assert_eq!(posted(suggestions.told(7, Choice::Shown, None, None)), (Choice::Shown, None));
        assert_eq!(suggestions.told(7, Choice::Shown, None, None), Told::Nothing);
        document(&mut documents, "x := alpha beta;");
        let Told::Post(decision) = suggestions.told(7, Choice::Accepted, None, documents.get("file:///a"))
        else {
            panic!("it is posted");
        };
        assert_eq!((decision.choice, decision.accepted_bytes), (Choice::Accepted, Some(10)));
        assert_eq!((decision.digest_before, decision.digest_after), (before, digest("x := alpha beta;")));
        assert_eq!(suggestions.told(7, Choice::Rejected, None, None), Told::Nothing);
        assert_eq!(suggestions.told(8, Choice::Accepted, None, None), Told::Nothing);
        assert_eq!(suggestions.at("file:///a", 9).unwrap().1, (5, 15));
    }

    #[test]
    fn parts_are_one_decision() {
        let (mut documents, mut suggestions) = (Documents::default(), Suggestions::default());
        document(&mut documents, "");
        for record in [7, 8, 9] {
            suggestions.add(record, "code".into(), "alpha beta".into(), Findings::default());
            suggestions.showing(record, documents.get("file:///a").unwrap(), 0, 0);
            assert_eq!(suggestions.told(record, Choice::Accepted, Some(6), None), Told::Wait);
        }
        // The rest is shown anew, and taken over too.
        suggestions.showing(7, documents.get("file:///a").unwrap(), 6, 6);
        assert_eq!(posted(suggestions.told(7, Choice::Accepted, None, None)), (Choice::Accepted, Some(10)));
        assert_eq!(
            posted(suggestions.told(8, Choice::Rejected, None, None)),
            (Choice::PartlyAccepted, Some(6))
        );
        assert_eq!(suggestions.unsettled(), [9]);
        assert_eq!(suggestions.settle(9, None).unwrap().accepted_bytes, Some(6));
        assert_eq!(suggestions.settle(9, None), None);
    }

    #[test]
    fn places_move_with_edits() {
        let (mut documents, mut suggestions) = (Documents::default(), Suggestions::default());
        document(&mut documents, "0123456789");
        suggestions.add(7, "code".into(), "abcd".into(), Findings::default());
        suggestions.showing(7, documents.get("file:///a").unwrap(), 5, 0);
        suggestions.told(7, Choice::Accepted, None, None);
        let mut check = |edit: (usize, usize, usize), expected| {
            let (start, removed, inserted) = edit;
            suggestions.edited("file:///a", &[Edit { start, removed, inserted }]);
            assert_eq!(suggestions.at("file:///a", expected).map(|at| at.1.0), Some(expected));
        };
        check((0, 0, 3), 8);
        check((20, 2, 0), 8);
        check((2, 4, 1), 5);
        check((6, 1, 2), 5);
        check((3, 4, 1), 3);
    }
}
