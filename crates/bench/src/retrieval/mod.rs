//! `cargo xtask bench retrieval`: whether context from other files makes completions better, and by how much.
//!
//! Places where a line needs a name of another file ([`places`]) are completed as an editor asks, by `/infill` of a
//! running daemon, once for each way to choose the context ([`Variant`]). Everything is greedy and every answer is
//! kept, so a run that was cut off goes on, and a repeated one asks nothing.
//!
//! The ways that this module does not know itself are given by the caller ([`Hooks`]).

mod answers;
mod corpora;
mod declarations;
#[cfg(test)]
mod fixture;
mod grep;
mod jaccard;
mod measures;
mod ours;
mod places;
mod snippet;
mod source;
mod tables;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use protocol::Digest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use testkit::server::Server;
use testkit::{Failure, http};

pub(crate) use self::corpora::{Corpus, Repository, Split};
pub(crate) use self::ours::hooks;
pub(crate) use self::places::Place;
pub(crate) use self::snippet::Snippet;
pub(crate) use self::source::Language;

use self::answers::{Answered, Answers, Key};
use self::grep::Grep;
use self::tables::Outcome;

/// Of snippets, for every way to choose them.
pub(crate) const CONTEXT_BYTES_MAX: usize = 4_000;
/// Lines above the cursor's that [`Variant::NoContext`] has.
const NO_CONTEXT_LINES: usize = 5;
/// Before and behind a declaration.
const CEILING_LINES: usize = 10;
const ANSWER_TOKENS_MAX: u32 = 64;
/// Of a request that found no answer: a machine that has other work for two minutes must not end a run of hours.
const ATTEMPTS: usize = 3;
/// Room for 2,048 tokens of the file and the dense text of snippets.
const SLOT_TOKENS: &str = "6144";
/// Places of a language, where nothing else is asked for.
const PLACES_TEST: [(Language, usize); 4] =
    [(Language::Ada, 90), (Language::Vhdl, 70), (Language::Rust, 45), (Language::C, 45)];
const PLACES_TUNING: usize = 45;

/// What a run measures.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// A test model that fills in the middle.
    #[arg(long, default_value = testkit::places::CODER)]
    model: String,
    /// The folder with the corpora; answers are kept there, too.
    #[arg(long)]
    pub(crate) cache: PathBuf,
    /// Places of each language; 90 of Ada, 70 of VHDL, 45 of the others, 45 for tuning, by default.
    #[arg(long)]
    places: Option<usize>,
    /// Ways to choose the context; all that there are by default.
    #[arg(long, value_enum, value_delimiter = ',')]
    variants: Vec<Variant>,
    /// What is chosen by looking at figures is chosen on `tuning`.
    #[arg(long, value_enum, default_value = "test")]
    split: Split,
    /// Languages; all that have repositories by default.
    #[arg(long, value_enum, value_delimiter = ',')]
    language: Vec<Language>,
    /// What draws the places.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Figures as JSON.
    #[arg(long)]
    json: bool,
    /// Ask again what was answered before: after a change of the programs.
    #[arg(long)]
    afresh: bool,
    /// Print the places, a JSON object a line, and ask nothing.
    #[arg(long)]
    list: bool,
    /// Only whether the declarations are found: in seconds, without a model.
    #[arg(long)]
    recall: bool,
    /// Print each place with its answers, to be read by a person.
    #[arg(long)]
    show: bool,
}

/// A way to choose what a model sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Variant {
    /// A few lines before the cursor.
    NoContext,
    /// The file before and behind the cursor.
    FileOnly,
    /// And windows of open files, by the names they share with the lines before the cursor.
    Jaccard,
    /// And windows of all files, found by the names on the last lines.
    Grep,
    /// And what the index finds by BM25 alone.
    Bm25,
    /// And what the retriever finds by all that it has.
    Full,
    /// And the lines that declare the needed name: what no retriever can know, the ceiling of all.
    Ceiling,
}

impl Variant {
    fn name(self) -> &'static str {
        match self {
            Variant::NoContext => "no context",
            Variant::FileOnly => "file only",
            Variant::Jaccard => "Jaccard",
            Variant::Grep => "grep",
            Variant::Bm25 => "BM25",
            Variant::Full => "full",
            Variant::Ceiling => "ceiling",
        }
    }
}

/// Snippets for a place, the best first, none of them from the place's own file: the index may hold that file as it
/// stands on disk, with what is masked.
pub(crate) type Hook = Box<dyn Fn(&Place) -> Result<Vec<Snippet>, Failure>>;

/// The ways that another crate knows. One that is absent is not measured.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) bm25: Option<Hook>,
    pub(crate) full: Option<Hook>,
}

/// `hooks` is called once, with the repositories that places are drawn from.
pub(crate) fn measure(
    options: &Options,
    hooks: impl FnOnce(&[Corpus]) -> Result<Hooks, Failure>,
) -> Result<(), Failure> {
    let wanted = |language: &Language| options.language.is_empty() || options.language.contains(language);
    let corpora: Vec<Corpus> = corpora::corpora(&options.cache)?
        .into_iter()
        .filter(|corpus| corpus.split == options.split && wanted(&corpus.language))
        .collect();
    let repositories: BTreeMap<String, Repository> = corpora
        .iter()
        .map(|corpus| Ok((corpus.name.clone(), Repository::read(corpus)?)))
        .collect::<Result<_, Failure>>()?;
    let places = draw(options, &repositories);
    if options.list {
        for place in &places {
            println!("{}", serde_json::to_string(place)?);
        }
        return Ok(());
    }
    let hooks = hooks(&corpora)?;
    let variants = variants(options, &hooks)?;
    let outcomes = Run::new(options, &repositories, &hooks)?.all(&places, &variants)?;
    if options.show {
        tables::show(&outcomes);
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&tables::figures(&outcomes, &variants))?);
    } else {
        let split =
            options.split.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
        println!("\nModel: {}. Split: {split}. Seed: {}.", options.model, options.seed);
        tables::print(&outcomes, &variants, !options.recall);
    }
    Ok(())
}

/// The places of each language, and a word on each.
fn draw(options: &Options, repositories: &BTreeMap<String, Repository>) -> Vec<Place> {
    let mut places = Vec::new();
    for (language, default) in PLACES_TEST {
        let of_language: Vec<&Repository> =
            repositories.values().filter(|repository| repository.corpus.language == language).collect();
        let default = if options.split == Split::Test { default } else { PLACES_TUNING };
        let drawn = places::draw(&of_language, options.seed, options.places.unwrap_or(default));
        if !of_language.is_empty() {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            drawn.iter().for_each(|place| *counts.entry(&place.corpus).or_default() += 1);
            let counts: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
            eprintln!("bench: seed {}: {} places, {}", options.seed, language.name(), counts.join(", "));
        }
        places.extend(drawn);
    }
    places
}

fn variants(options: &Options, hooks: &Hooks) -> Result<Vec<Variant>, Failure> {
    let known = |variant: &Variant| match variant {
        Variant::Bm25 => hooks.bm25.is_some(),
        Variant::Full => hooks.full.is_some(),
        _ => true,
    };
    if options.variants.is_empty() {
        return Ok(Variant::value_variants().iter().copied().filter(known).collect());
    }
    match options.variants.iter().find(|variant| !known(variant)) {
        Some(unknown) => Err(format!("{} is not there yet", unknown.name()).into()),
        None => Ok(options.variants.clone()),
    }
}

struct Run<'a> {
    repositories: &'a BTreeMap<String, Repository>,
    hooks: &'a Hooks,
    greps: BTreeMap<&'a str, Grep>,
    model: &'a str,
    /// The SHA-256 of the weights.
    digest: String,
    /// None where nothing is asked.
    answers: Option<Answers>,
    /// Started when the first answer is missing.
    server: Option<Server>,
}

impl<'a> Run<'a> {
    fn new(
        options: &'a Options,
        repositories: &'a BTreeMap<String, Repository>,
        hooks: &'a Hooks,
    ) -> Result<Run<'a>, Failure> {
        let mut hash = Sha256::new();
        let mut answers = None;
        if !options.recall {
            let mut weights = std::fs::File::open(testkit::places::model(&options.model)?)?;
            std::io::copy(&mut weights, &mut HashWriter(&mut hash))?;
            answers = Some(Answers::open(&options.cache.join("retrieval/answers.jsonl"), options.afresh)?);
        }
        Ok(Run {
            repositories,
            hooks,
            greps: BTreeMap::new(),
            model: &options.model,
            digest: Digest(hash.finalize().into()).to_string(),
            answers,
            server: None,
        })
    }

    fn all(mut self, places: &[Place], variants: &[Variant]) -> Result<Vec<Outcome>, Failure> {
        let template = "  {msg:24} {bar:32} {pos} of {len} {eta:>6} to go";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new((places.len() * variants.len()) as u64).with_style(style);
        let mut outcomes = Vec::new();
        for place in places {
            for &variant in variants {
                bar.set_message(format!("{}, {}", place.corpus, variant.name()));
                outcomes.push(self.one(place, variant)?);
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        Ok(outcomes)
    }

    fn one(&mut self, place: &Place, variant: Variant) -> Result<Outcome, Failure> {
        let repository = self.repositories.get(&place.corpus).ok_or("a place of no repository")?;
        let source = repository.file(&place.file).ok_or("a place in no file")?;
        let started = Instant::now();
        let mut ranked = match (variant, &self.hooks.bm25, &self.hooks.full) {
            (Variant::Jaccard, ..) => jaccard::snippets(repository, place),
            (Variant::Grep, ..) => {
                let grep = self.greps.entry(&repository.corpus.name).or_insert_with(|| Grep::of(repository));
                grep.snippets(repository, place)
            }
            (Variant::Ceiling, ..) => declaring(repository, place),
            (Variant::Bm25, Some(hook), _) | (Variant::Full, _, Some(hook)) => hook(place)?,
            _ => Vec::new(),
        };
        let retrieval_ms = started.elapsed().as_secs_f64() * 1e3;
        // What is masked stands in the file on disk.
        ranked.retain(|snippet| snippet.file_name != place.file);
        let used = snippet::fitting(&ranked, CONTEXT_BYTES_MAX);
        let (mut before, mut behind) = place.around(&source.text);
        if variant == Variant::NoContext {
            let begin =
                before.rmatch_indices('\n').nth(NO_CONTEXT_LINES).map_or(0, |(newline, _)| newline + 1);
            (before, behind) = (&before[begin..], "");
        }
        let body = request(before, behind, &used);
        let key = Key {
            model: self.digest.clone(),
            variant: variant.name().to_owned(),
            place: place.id.clone(),
            context: Digest(Sha256::digest(body.to_string()).into()).to_string(),
        };
        let answered = self.answer(key, &body)?;
        Ok(Outcome::new(place.clone(), variant, &ranked, &used, answered, retrieval_ms))
    }

    /// The kept answer, or a new one, which is kept.
    fn answer(&mut self, key: Key, body: &Value) -> Result<Answered, Failure> {
        match &self.answers {
            None => return Ok(Answered::default()),
            Some(answers) => {
                if let Some(answered) = answers.known(&key) {
                    return Ok(answered.clone());
                }
            }
        }
        let answered = self.ask(body)?;
        if let Some(answers) = &mut self.answers {
            answers.add(key, answered.clone())?;
        }
        Ok(answered)
    }

    fn ask(&mut self, body: &Value) -> Result<Answered, Failure> {
        let server = match &mut self.server {
            Some(server) => server,
            none => {
                let mut server = Server::new(self.model, &["--slots", "1", "--context-tokens", SLOT_TOKENS])?;
                server.start()?;
                none.insert(server)
            }
        };
        let mut failures = 0;
        let (response, ms) = loop {
            let started = Instant::now();
            match http::post(&server.socket(), "/infill", body) {
                Ok(response) => break (response, started.elapsed().as_secs_f64() * 1e3),
                Err(failure) if failures + 1 == ATTEMPTS => {
                    return Err(format!("no answer, {ATTEMPTS} times: {failure}\n{}", server.log()).into());
                }
                Err(_) => failures += 1,
            }
        };
        if response.status != 200 {
            return Err(response.text().into());
        }
        let answer = response.json()?;
        let text = answer["content"].as_str().ok_or("an answer without content")?.to_owned();
        Ok(Answered { text, ms, prompt_tokens: answer["tokens_evaluated"].as_u64().unwrap_or(0) })
    }
}

/// The declarations of the needed name, each in the midst of some lines.
fn declaring(repository: &Repository, place: &Place) -> Vec<Snippet> {
    let snippet = |definition: &places::Definition| {
        let source = repository.file(&definition.file)?;
        let first = (definition.line - 1).saturating_sub(CEILING_LINES);
        Some(Snippet::of(source, first, definition.line + CEILING_LINES))
    };
    place.definitions.iter().filter_map(snippet).collect()
}

/// As an editor asks for a line; the most useful snippet is the last, nearest to the file.
fn request(before: &str, behind: &str, snippets: &[Snippet]) -> Value {
    let extra: Vec<Value> = snippets
        .iter()
        .rev()
        .map(|snippet| json!({"filename": snippet.file_name, "text": snippet.text}))
        .collect();
    json!({
        "input_prefix": before, "input_suffix": behind, "input_extra": extra, "prompt": "",
        "n_predict": ANSWER_TOKENS_MAX, "temperature": 0, "until": "line", "stream": false,
    })
}

struct HashWriter<'a>(&'a mut Sha256);

impl std::io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_useful_snippet_is_the_last() {
        let snippet = |name: &str| Snippet {
            file_name: name.into(),
            text: "x\n".into(),
            first_line: 1,
            last_line: 1,
            parts: Vec::new(),
        };
        let body = request("a", "b", &[snippet("best"), snippet("second")]);
        let names: Vec<&str> = body["input_extra"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|extra| extra["filename"].as_str())
            .collect();
        assert_eq!(names, ["second", "best"]);
        assert_eq!((body["input_prefix"].as_str(), body["until"].as_str()), (Some("a"), Some("line")));
    }
}
