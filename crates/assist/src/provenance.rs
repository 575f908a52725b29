//! Which known code an answer matches, lexeme for lexeme, and what the site does about that.
//!
//! Corpora are asked as far as this person may see them. What is copied from the prompt's own context is named as such.

use std::sync::Arc;

use ::provenance::library::Visible;
use ::provenance::segment::Damaged;
use ::provenance::trace::{self, CorpusAsked, Limits, Nearby, Span, Surroundings};
use ::provenance::{lexeme, policy};
use identity::{Asked, Asking, Credential, LabelSet};
use ledger::Event;
use protocol::RecordNumber;
use protocol::corpora::{self, CorpusFacts};
use retrieval::Passage;
use serde::Serialize;

use crate::context::{parsed, repository_name};
use crate::{Ask, Assist, House, Refusal, RefusalKind, Request};

/// Bytes of what stands around an answer that are looked at with it: matches may reach over its edges.
const SURROUNDINGS_BYTES: usize = 2048;
/// Bytes of a text that somebody has traced.
pub const TRACE_BYTES_MAX: usize = Limits::THOROUGH.text_bytes_max;

/// What an answer, or a text, has in common with known code.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Provenance {
    /// The corpora that were asked, by name and digest.
    pub corpora: Vec<CorpusAsked>,
    /// Corpora that could not be asked: nothing is known of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_asked: Vec<String>,
    /// Lexemes of the text.
    pub lexemes: u32,
    /// The matches, in the order of the text. What is in none matches nothing in these corpora.
    pub matches: Vec<Match>,
    /// Whether the search was broken off at its limit: there may be more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut_short: bool,
}

/// A match, and what the site does about it.
#[derive(Clone, Debug, Serialize)]
pub struct Match {
    /// Where, and what it matches.
    #[serde(flatten)]
    pub span: Span,
    /// What the policy does about it.
    pub action: corpora::Action,
    /// The rule that says so, counted from 1; absent where it is the policy's own action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<u32>,
}

/// What came of comparing an answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traced {
    /// What this person is told.
    pub(crate) provenance: Provenance,
    /// Why the answer is withheld, if it is.
    pub(crate) withheld: Option<Withheld>,
}

/// Why an answer is withheld.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Withheld {
    /// It matches what a rule keeps out.
    Match(Box<Match>),
    /// It could not be compared to its end, so that nobody knows whether it does.
    NotCompared,
}

impl Withheld {
    pub(crate) fn refusal(&self, record: RecordNumber) -> Refusal {
        let message = match self {
            Withheld::Match(found) => in_words(found),
            Withheld::NotCompared => {
                "the answer is withheld: it could not be compared with all of the known code that \
                 the site's policy keeps out; ask for less at once"
                    .to_owned()
            }
        };
        Refusal::new(RefusalKind::Withheld, message).of(record)
    }
}

fn in_words(found: &Match) -> String {
    let span = &found.span;
    let origin = span.origins.first().map_or_else(String::new, |found| {
        let origin = &found.origin;
        let version = origin.version.as_ref().or(origin.commit.as_ref());
        let version = version.map(|version| format!(" {version}")).unwrap_or_default();
        format!(" {}{version}, {}:{}-{}", origin.package, origin.path, found.lines.0, found.lines.1)
    });
    let rule = found.rule.map_or_else(|| "policy".to_owned(), |rule| format!("policy (rule {rule})"));
    format!(
        "the answer is withheld by the site's {rule}: {} lexemes, lines {} to {} of it, match{origin} ({})",
        span.lexemes,
        span.lines.0,
        span.lines.1,
        span.licences.join(", "),
    )
}

/// A text that somebody has traced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The text; at most [`TRACE_BYTES_MAX`].
    pub text: String,
    /// The repository that it is in, or meant for.
    pub repository: Option<String>,
}

/// What an answer is compared with, for one request.
#[derive(Clone)]
pub(crate) struct Known {
    /// The corpora that this person may see: what is said is said of these.
    visible: Arc<Visible>,
    /// All of them, where answers may be withheld: which rule says so is the site's, not the person's.
    all: Option<Arc<Visible>>,
    policy: Arc<corpora::Policy>,
    /// Of the corpora that this person may see: an answer says what of them matches.
    pub(crate) labels: LabelSet,
    repository: Option<String>,
    before: String,
    after: String,
    /// What went into the prompt, and what that is called.
    nearby: Arc<[(String, String)]>,
    limits: Limits,
}

/// Whether a person may see what of a corpus matches.
pub(crate) fn may_see(asking: &Asking<'_>, corpus: &CorpusFacts) -> bool {
    let Ok(labels) = corpus.labels.join(",").parse::<LabelSet>() else { return false };
    asking.decide(&Asked::of_corpus(&corpus.name, &corpus.readers, labels)).allowed
}

impl House {
    /// What an answer to this request will be compared with. Where answers may be withheld, nothing is answered while a
    /// corpus cannot be asked.
    pub(crate) fn known<'a>(
        &self,
        request: &Request,
        asking: &Asking<'_>,
        passages: impl Iterator<Item = &'a Passage>,
    ) -> Result<Known, Refusal> {
        let visible = self.library.visible(|corpus| may_see(asking, corpus));
        let all = self.provenance.may_block().then(|| self.library.visible(|_| true));
        if let Some(name) = all.iter().flat_map(|all| &all.not_asked).next() {
            let message = format!(
                "answers may have to be withheld by what is in the corpus {name}, which is not open: try again in a \
                 while; `cloisterd corpus list` says how it stands"
            );
            self.tally.count(&asking.principal().name, request.dialect, "corpus not open");
            return Err(Refusal::new(RefusalKind::Busy, message));
        }
        let (before, after) = match &request.ask {
            Ask::Fill { prefix, suffix, .. } => (ending(prefix), beginning(suffix)),
            Ask::Complete { prompt } => (ending(prompt), ""),
            Ask::Chat { .. } => ("", ""),
        };
        let (before, after) = (before.to_owned(), after.to_owned());
        let mut nearby = Vec::new();
        let mut near = |name: &str, text: &str| {
            nearby.push((name.to_owned(), text.to_owned()));
        };
        match &request.ask {
            Ask::Fill { prefix, suffix, extra } => {
                let own = request.subject.path.as_deref().unwrap_or("the file itself");
                near(own, prefix);
                near(own, suffix);
                extra.iter().for_each(|extra| near(&extra.file_name, &extra.text));
            }
            Ask::Complete { prompt } => near("the prompt", prompt),
            Ask::Chat { messages, .. } => {
                for message in messages {
                    near("the conversation", &message.content);
                    message.tool_calls.iter().for_each(|call| near("the conversation", &call.arguments));
                }
            }
        }
        passages.for_each(|passage| near(&passage.file_name(), &passage.text));
        let repository = request.subject.repository.as_deref().map(repository_name);
        let mut labels = LabelSet::default();
        for of in visible.labels.values() {
            labels = labels.join(&parsed(of)?);
        }
        Ok(Known {
            visible: Arc::new(visible),
            all: all.map(Arc::new),
            policy: Arc::clone(&self.provenance),
            labels,
            repository,
            before,
            after,
            nearby: nearby.into(),
            limits: Limits::DEFAULT,
        })
    }
}

impl Known {
    /// Whether answers may have to be withheld.
    pub(crate) fn withholds(&self) -> bool {
        self.all.is_some()
    }

    /// What a text has in common with it.
    pub(crate) async fn trace(&self, text: &str) -> Result<Traced, Refusal> {
        self.off_the_loop(text, |known, text| {
            let provenance = known.told(&text)?;
            let withheld = known.all_matches(&text)?.and_then(|all| known.withheld(&all));
            Ok(Traced { provenance, withheld })
        })
        .await
    }

    async fn off_the_loop<T: Send + 'static>(
        &self,
        text: &str,
        work: impl FnOnce(&Known, String) -> Result<T, Damaged> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (known, text) = (self.clone(), text.to_owned());
        let done = tokio::task::spawn_blocking(move || work(&known, text));
        let done = done.await.map_err(|_| Refusal::broken())?;
        // Half of what is known would look like all of it.
        done.map_err(|error| {
            tracing::error!(%error, "a corpus cannot be asked");
            let message = format!("{error}: the administrator finds out by `cloisterd corpus verify`");
            Refusal::new(RefusalKind::EngineUnavailable, message)
        })
    }

    fn ask(&self, of: &Visible, text: &str, limits: &Limits) -> Result<trace::Trace, Damaged> {
        let surroundings = Surroundings { before: &self.before, after: &self.after };
        let nearby: Vec<Nearby<'_>> = self.nearby.iter().map(|(name, text)| Nearby { name, text }).collect();
        of.corpora.trace(text, surroundings, &nearby, limits)
    }

    fn judged(&self, span: Span) -> Match {
        let (action, rule) = policy::decide(&self.policy, &span, self.repository.as_deref());
        Match { span, action, rule }
    }

    /// What this person is told. Beside what says most, every exact match that the policy has a word about.
    fn told(&self, text: &str) -> Result<Provenance, Damaged> {
        let all_exact = self.policy.may_warn();
        let trace::Trace { asked, lexemes, spans, exact, cut_short } =
            self.ask(&self.visible, text, &Limits { all_exact, ..self.limits.clone() })?;
        let beside = exact.into_iter().filter(|span| !spans.contains(span)).collect::<Vec<Span>>();
        let beside = beside.into_iter().map(|span| self.judged(span));
        let beside = beside.filter(|one| one.action != corpora::Action::Annotate).collect::<Vec<Match>>();
        let mut matches: Vec<Match> = spans.into_iter().map(|span| self.judged(span)).chain(beside).collect();
        matches.sort_by_key(|one| (one.span.start, std::cmp::Reverse(one.span.end)));
        let not_asked = self.visible.not_asked.clone();
        Ok(Provenance { corpora: asked, not_asked, lexemes, matches, cut_short })
    }

    /// All that the policy goes by; nothing where it withholds nothing.
    fn all_matches(&self, text: &str) -> Result<Option<trace::Trace>, Damaged> {
        let Some(all) = &self.all else { return Ok(None) };
        self.ask(all, text, &Limits { all_exact: true, ..Limits::THOROUGH }).map(Some)
    }

    fn withheld(&self, all: &trace::Trace) -> Option<Withheld> {
        let judged = all.exact.iter().map(|span| self.judged(span.clone()));
        let mut blocked = judged.filter(|one| one.action == corpora::Action::Block);
        let found = blocked.next().map(|found| Withheld::Match(Box::new(found)));
        found.or(all.cut_short.then_some(Withheld::NotCompared))
    }

    /// Bytes of a text that goes on, that may be shown: the rest may yet become part of a match that is withheld. The
    /// other answer is such a match, where there is one already.
    pub(crate) async fn decided(&self, text: &str) -> Result<(usize, Option<Withheld>), Refusal> {
        self.off_the_loop(text, |known, text| {
            let Some(all) = known.all_matches(&text)? else { return Ok((text.len(), None)) };
            match known.withheld(&all) {
                Some(Withheld::Match(found)) => {
                    return Ok((found.span.start as usize, Some(Withheld::Match(found))));
                }
                // The end of the answer decides.
                Some(Withheld::NotCompared) => return Ok((0, None)),
                None => {}
            }
            // No match shorter than this is sure to be found, and the last word may go on.
            let mut lexemes = Vec::new();
            lexeme::lex(text.as_bytes(), &mut lexemes);
            let from_end = |count: usize| {
                lexemes
                    .len()
                    .checked_sub(count)
                    .and_then(|first| lexemes.get(first))
                    .map_or(0, |one| one.start)
            };
            let (tail, last_words) = (from_end(Limits::DEFAULT.lexemes_min as usize + 1), from_end(2));
            let grows = all.exact.iter().chain(&all.spans).filter(|span| span.end >= last_words);
            let decided = grows.map(|span| span.start).chain([tail]).min().unwrap_or(tail);
            Ok((decided as usize, None))
        })
        .await
    }
}

/// The last bytes of a text.
fn ending(text: &str) -> &str {
    let from = text.len().saturating_sub(SURROUNDINGS_BYTES);
    &text[text.ceil_char_boundary(from)..]
}

/// The first bytes of a text.
fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(SURROUNDINGS_BYTES)]
}

impl Assist {
    /// What any text has in common with known code. The lookup's leaf is durable before anything is answered.
    pub async fn trace(
        &self,
        credential: &Credential,
        trace: Trace,
    ) -> Result<(RecordNumber, Provenance), Refusal> {
        const DIALECT: &str = "cloister.trace";
        let house = &self.house;
        let principal = house.identify(credential, DIALECT)?;
        let _place = house.admit(DIALECT, &principal)?;
        let asking = house.asking(&principal, DIALECT);
        let visible = house.library.visible(|corpus| may_see(&asking, corpus));
        let policy = asking.policy();
        let labels = visible.labels.clone();
        let known = Known {
            visible: Arc::new(visible),
            all: None,
            policy: Arc::clone(&house.provenance),
            labels: LabelSet::default(),
            repository: trace.repository.as_deref().map(repository_name),
            before: String::new(),
            after: String::new(),
            nearby: Arc::default(),
            limits: Limits::THOROUGH,
        };
        let Trace { text, .. } = trace;
        let Traced { provenance, .. } = known.trace(&text).await?;
        let shown = provenance.matches.iter().flat_map(|one| &one.span.corpora);
        let mut joined = LabelSet::default();
        for corpus in shown {
            joined =
                joined.join(&labels.get(corpus).map_or_else(|| Ok(LabelSet::default()), |of| parsed(of))?);
        }
        let leaf = ledger::Lookup {
            identity: principal.name.clone(),
            credential: principal.credential.clone(),
            labels: house.identity.lattice().reduced(&joined).names(),
            policy,
            action: "trace".to_owned(),
            shown: u32::try_from(provenance.matches.len()).unwrap_or(u32::MAX),
        };
        let body = serde_json::json!({ "question": { "trace": text }, "shown": &provenance });
        let receipt =
            house.append(Event::Lookup(Box::new(leaf)), Some(body.to_string().into_bytes())).await?;
        Ok((RecordNumber(receipt.index), provenance))
    }
}

#[cfg(test)]
mod tests {
    use ::provenance::document::{Licence, Origin, Standing};
    use ::provenance::segment::{Builder, Options, Segment};
    use ::provenance::trace::Corpora;

    use super::*;

    /// Words that say something, different ones from each seed.
    fn code(seed: u32, statements: u32) -> String {
        let word = |number: u32| {
            let mixed = (number ^ seed).wrapping_mul(2_654_435_761).rotate_left(11).wrapping_mul(40_503);
            format!("w{:x}", mixed & 0xfffff)
        };
        let statement =
            |n: u32| format!("   {} := {} ({});\n", word(3 * n), word(3 * n + 1), word(3 * n + 2));
        (0..statements).map(statement).collect()
    }

    fn known(files: &[(&str, &str, &str)], rules: Vec<corpora::Rule>) -> (tempfile::TempDir, Known) {
        let folder = tempfile::tempdir().unwrap();
        let segments = files.iter().map(|(corpus, licence, text)| {
            let path = folder.path().join(corpus);
            let mut builder = Builder::new(&path, corpus, Options::default()).unwrap();
            let licence = Licence { standing: Standing::Stated((*licence).to_owned()), evidence: Vec::new() };
            let origin = Origin {
                package: format!("folder:{corpus}"),
                version: None,
                commit: None,
                path: "a.adb".to_owned(),
                first_seen_unix_s: None,
                licence,
            };
            builder.add(text.as_bytes(), origin).unwrap();
            builder.finish().unwrap();
            ((*corpus).to_owned(), Arc::new(Segment::open(&path).unwrap()))
        });
        let all = Visible { corpora: Corpora::named(segments.collect()), ..Visible::default() };
        let known = Known {
            // This person may see none of them.
            visible: Arc::default(),
            all: Some(Arc::new(all)),
            policy: Arc::new(corpora::Policy { rules, ..corpora::Policy::default() }),
            labels: LabelSet::default(),
            repository: None,
            before: String::new(),
            after: String::new(),
            nearby: Arc::default(),
            limits: Limits::DEFAULT,
        };
        (folder, known)
    }

    fn no_gpl(lexemes_min: u32) -> corpora::Rule {
        corpora::Rule {
            licences: vec!["GPL-*".to_owned()],
            corpora: Vec::new(),
            repositories: Vec::new(),
            lexemes_min: Some(lexemes_min),
            action: corpora::Action::Block,
        }
    }

    /// However far the text has come, nothing of what is withheld in the end was shown.
    #[tokio::test]
    async fn nothing_of_a_match_is_shown_before_it_is_withheld() {
        let theirs = code(1, 30);
        let (_folder, known) = known(&[("secret", "GPL-3.0-only", &theirs)], vec![no_gpl(100)]);
        let own = code(2, 20);
        let text = format!("{own}{theirs}");
        let mut verdict = None;
        let mut shown = 0;
        for end in (1..=text.len()).step_by(5) {
            let (decided, withheld) = known.decided(&text[..end]).await.unwrap();
            assert!(decided <= own.len() + "   ".len(), "{decided} of {}, at {end}", own.len());
            shown = shown.max(decided);
            verdict = verdict.or(withheld);
        }
        assert!(matches!(verdict, Some(Withheld::Match(_))));
        // What is nobody's was shown as it came.
        assert!(shown > own.len() / 2, "{shown}");
        let traced = known.trace(&text).await.unwrap();
        assert!(matches!(traced.withheld, Some(Withheld::Match(_))));
        // Who may not see a corpus is told nothing of it beside the refusal.
        assert!(traced.provenance.matches.is_empty() && traced.provenance.corpora.is_empty());
    }

    /// A changed word, or a longer match of another licence, hides nothing from the policy.
    #[tokio::test]
    async fn what_is_shown_is_not_what_is_judged() {
        let theirs = code(1, 30);
        let longer = format!("{}{theirs}", code(3, 2));
        let files = [("gpl", "GPL-3.0-only", theirs.as_str()), ("mit", "MIT", longer.as_str())];
        let (_folder, both) = known(&files, vec![no_gpl(65)]);
        let traced = both.trace(&longer).await.unwrap();
        assert!(matches!(traced.withheld, Some(Withheld::Match(_))));
        let (_folder, one) = known(&files[..1], vec![no_gpl(65)]);
        let middle = theirs[..theirs.len() * 3 / 4].rfind('w').unwrap();
        let changed = format!("{}x{}", &theirs[..middle], &theirs[middle + 1..]);
        assert!(matches!(one.trace(&changed).await.unwrap().withheld, Some(Withheld::Match(_))));
        // What is nobody's, and what is too short, is not withheld.
        assert!(one.trace(&code(2, 30)).await.unwrap().withheld.is_none());
        let short: String = theirs.lines().take(5).map(|line| format!("{line}\n")).collect();
        assert!(one.trace(&short).await.unwrap().withheld.is_none());
    }
}
