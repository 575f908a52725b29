//! Which known code an answer matches, lexeme for lexeme, and what the site does about that.
//!
//! Corpora are asked as far as this person may see them. What is copied from the prompt's own context is named as such.

use std::collections::BTreeSet;
use std::sync::Arc;

use ::provenance::library::Visible;
use ::provenance::segment::Damaged;
use ::provenance::trace::{self, CorpusAsked, Limits, Nearby, Span, Surroundings};
use ::provenance::{lexeme, policy};
use identity::{Action, Credential, LabelSet, Principal};
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

impl Provenance {
    /// The first match for which the answer is withheld.
    fn withheld_for(&self) -> Option<&Match> {
        self.matches.iter().find(|one| one.action == corpora::Action::Block)
    }

    /// Why the answer is withheld, if it is.
    pub(crate) fn refusal(&self, record: RecordNumber) -> Option<Refusal> {
        let found = self.withheld_for()?;
        let span = &found.span;
        let origin = span.origins.first().map_or_else(String::new, |found| {
            let origin = &found.origin;
            let version = origin.version.as_ref().or(origin.commit.as_ref());
            let version = version.map(|version| format!(" {version}")).unwrap_or_default();
            format!(" {}{version}, {}:{}-{}", origin.package, origin.path, found.lines.0, found.lines.1)
        });
        let rule = found.rule.map_or_else(|| "policy".to_owned(), |rule| format!("policy (rule {rule})"));
        let message = format!(
            "the answer is withheld by the site's {rule}: {} lexemes, lines {} to {} of it, match{origin} ({}); \
             record {record} has the whole of it",
            span.lexemes,
            span.lines.0,
            span.lines.1,
            span.licences.join(", "),
        );
        Some(Refusal::new(RefusalKind::Withheld, message).of(record))
    }
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
    visible: Arc<Visible>,
    /// Corpora that count, and of which this person must not learn but by a refusal.
    hidden: Arc<BTreeSet<String>>,
    policy: Arc<corpora::Policy>,
    /// Of the corpora that this person may see: an answer says what of them matches.
    pub(crate) labels: LabelSet,
    repository: Option<String>,
    before: String,
    after: String,
    /// What went into the prompt, and what that is called.
    nearby: Vec<(String, String)>,
    limits: Limits,
}

/// Whether a person may see what of a corpus matches.
fn may_see(principal: &Principal, corpus: &CorpusFacts) -> bool {
    let Ok(labels) = corpus.labels.join(",").parse::<LabelSet>() else { return false };
    identity::decide(principal, &Action::Read { readers: corpus.readers.clone() }, &labels).allowed
}

impl House {
    /// What an answer to this request will be compared with. Where answers may be withheld, nothing is answered while a
    /// corpus cannot be asked.
    pub(crate) fn known<'a>(
        &self,
        request: &Request,
        principal: &Principal,
        passages: impl Iterator<Item = &'a Passage>,
    ) -> Result<Known, Refusal> {
        // What nobody may see is withheld all the same: which rule says so is the site's, not the person's.
        let withholds = self.provenance.may_block();
        let visible = self.library.visible(|corpus| withholds || may_see(principal, corpus));
        let seen = self.library.visible(|corpus| may_see(principal, corpus)).labels;
        let hidden = visible.labels.keys().filter(|name| !seen.contains_key(*name)).cloned().collect();
        if let Some(name) = visible.not_asked.first().filter(|_| withholds) {
            let message = format!(
                "answers may have to be withheld by what is in the corpus {name}, which is not open: try again in a \
                 while; `cloisterd corpus list` says how it stands"
            );
            self.tally.count(&principal.name, request.dialect, "corpus not open");
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
            Ask::Chat { messages } => {
                messages.iter().for_each(|message| near("the conversation", &message.content));
            }
        }
        passages.for_each(|passage| near(&passage.file_name(), &passage.text));
        let repository = request.subject.repository.as_deref().map(repository_name);
        let (visible, policy) = (Arc::new(visible), Arc::clone(&self.provenance));
        let hidden = Arc::new(hidden);
        let mut labels = LabelSet::default();
        for of in seen.values() {
            labels = labels.join(&parsed(of)?);
        }
        Ok(Known {
            visible,
            hidden,
            policy,
            labels,
            repository,
            before,
            after,
            nearby,
            limits: Limits::DEFAULT,
        })
    }
}

impl Known {
    /// Whether answers may have to be withheld.
    pub(crate) fn withholds(&self) -> bool {
        self.policy.may_block()
    }

    /// What a text has in common with it.
    pub(crate) async fn trace(&self, text: &str) -> Result<Provenance, Refusal> {
        let (known, text) = (self.clone(), text.to_owned());
        let traced = tokio::task::spawn_blocking(move || known.trace_here(&text));
        let traced = traced.await.map_err(|_| Refusal::broken())?;
        // Half of what is known would look like all of it.
        traced.map_err(|error| {
            tracing::error!(%error, "a corpus cannot be asked");
            let message = format!("{error}: the administrator finds out by `cloisterd corpus verify`");
            Refusal::new(RefusalKind::EngineUnavailable, message)
        })
    }

    fn trace_here(&self, text: &str) -> Result<Provenance, Damaged> {
        let surroundings = Surroundings { before: &self.before, after: &self.after };
        let nearby: Vec<Nearby<'_>> = self.nearby.iter().map(|(name, text)| Nearby { name, text }).collect();
        let trace::Trace { asked, lexemes, spans, cut_short } =
            self.visible.corpora.trace(text, surroundings, &nearby, &self.limits)?;
        let judged = |span: Span| {
            let (action, rule) = policy::decide(&self.policy, &span, self.repository.as_deref());
            Match { span, action, rule }
        };
        let matches = spans.into_iter().map(judged).filter_map(|one| self.shown(one)).collect();
        let is_seen = |name: &String| !self.hidden.contains(name);
        let corpora = asked.into_iter().filter(|asked| is_seen(&asked.name)).collect();
        let not_asked = self.visible.not_asked.iter().filter(|name| is_seen(name)).cloned().collect();
        Ok(Provenance { corpora, not_asked, lexemes, matches, cut_short })
    }

    /// A match without what this person must not learn; nothing where nothing is left. What is withheld stays whole: it is
    /// for the record and the refusal.
    fn shown(&self, mut one: Match) -> Option<Match> {
        let is_hidden = |name: &String| self.hidden.contains(name);
        if one.action == corpora::Action::Block || !one.span.corpora.iter().any(is_hidden) {
            return Some(one);
        }
        one.span.corpora.retain(|name| !is_hidden(name));
        one.span.origins.retain(|found| !is_hidden(&found.corpus));
        if one.span.origins.is_empty() {
            return None;
        }
        // What was counted was counted in all of them.
        let licences = one.span.origins.iter().flat_map(|found| policy::names(&found.origin.licence));
        let licences: BTreeSet<String> = licences.collect();
        one.span.licences = licences.into_iter().collect();
        (one.span.documents, one.span.packages) = (1, 1);
        Some(one)
    }

    /// Bytes of a text that goes on, that may be shown: the rest may yet become part of a match that is withheld. The
    /// other answer is whether there is such a match already.
    pub(crate) async fn decided(&self, text: &str) -> Result<(usize, bool), Refusal> {
        let found = self.trace(text).await?;
        if let Some(withheld) = found.withheld_for() {
            return Ok((withheld.span.start as usize, true));
        }
        // No match shorter than this is sure to be found, and the last word may go on.
        let mut lexemes = Vec::new();
        lexeme::lex(text.as_bytes(), &mut lexemes);
        let from_end = |count: usize| {
            lexemes.len().checked_sub(count).and_then(|first| lexemes.get(first)).map_or(0, |one| one.start)
        };
        let (tail, last_words) = (from_end(self.limits.lexemes_min as usize + 1), from_end(2));
        let grows = found.matches.iter().filter(|one| one.span.end >= last_words);
        let decided = grows.map(|one| one.span.start).chain([tail]).min().unwrap_or(tail);
        Ok((decided as usize, false))
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
        let place = house.admission.enter(&principal.name);
        let _place = place.map_err(|(kind, message)| {
            house.tally.count(&principal.name, DIALECT, "limit of requests");
            Refusal::new(kind, message)
        })?;
        let visible = house.library.visible(|corpus| may_see(&principal, corpus));
        let labels = visible.labels.clone();
        let known = Known {
            visible: Arc::new(visible),
            hidden: Arc::default(),
            policy: Arc::clone(&house.provenance),
            labels: LabelSet::default(),
            repository: trace.repository.as_deref().map(repository_name),
            before: String::new(),
            after: String::new(),
            nearby: Vec::new(),
            limits: Limits::THOROUGH,
        };
        let Trace { text, .. } = trace;
        let provenance = known.trace(&text).await?;
        let shown = provenance.matches.iter().flat_map(|one| &one.span.corpora);
        let mut joined = LabelSet::default();
        for corpus in shown {
            joined =
                joined.join(&labels.get(corpus).map_or_else(|| Ok(LabelSet::default()), |of| parsed(of))?);
        }
        let leaf = ledger::Lookup {
            identity: principal.name.clone(),
            credential: principal.credential.clone(),
            labels: joined.names(),
            policy: identity::policy_digest(),
            action: "trace".to_owned(),
            shown: u32::try_from(provenance.matches.len()).unwrap_or(u32::MAX),
        };
        let body = serde_json::json!({ "question": { "trace": text }, "shown": &provenance });
        let receipt =
            house.append(Event::Lookup(Box::new(leaf)), Some(body.to_string().into_bytes())).await?;
        Ok((RecordNumber(receipt.index), provenance))
    }
}
