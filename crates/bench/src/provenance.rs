//! `cargo xtask bench provenance`: known code as a corpus. How fast it is built, how large it is, what a question costs, how
//! much of what is planted is found, and how much is found in code that is not known.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::provenance::document::{FILE_BYTES_MAX, Licence, Origin};
use ::provenance::lexeme::{self, Lexeme};
use ::provenance::segment::{Manifest, Options};
use ::provenance::trace::{Kind, Span};
use ::provenance::{Builder, Corpora, Limits, Segment, Surroundings, Trace};
use testkit::Failure;

use crate::quantiles::Quantiles;
use grams::Grams;

mod grams;

/// Texts of each row.
const ASKED: usize = 400;
/// Times that each is asked: what is warm is the best of them.
const TIMES: usize = 5;
/// Questions that are asked with nothing of the corpus in memory.
const ASKED_COLD: usize = 100;

/// `known`: folders of packages; `fresh`: a folder of code that is in none of them.
pub(crate) fn measure(known: &[PathBuf], fresh: &Path) -> Result<(), Failure> {
    let place = tempfile::tempdir()?;
    let folder = place.path().join("known");
    println!("| measure | value |\n|---|---|");
    let manifest = built(known, &folder)?;
    sizes(&manifest);
    let begun = Instant::now();
    let segment = Segment::open(&folder)?;
    let opened = begun.elapsed();
    let begun = Instant::now();
    segment.verify()?;
    println!(
        "| opened; verified | {:.1} ms; {:.1} s |",
        opened.as_secs_f64() * 1e3,
        begun.elapsed().as_secs_f64()
    );
    let corpora = Corpora::new(vec![Arc::new(segment)]);

    let grams = Grams::of(known)?;
    let known = texts(known)?;
    let unknown = texts(&[fresh.to_owned()])?;
    let mut draw = Draw(0x5eed);
    println!("\n| question | first time p50, p99 | warm p50, p99 | cut short |\n|---|---|---|---|");
    for length in [50, 200, 1000] {
        let texts = (0..ASKED).map(|_| draw.lexemes(&known, length).text).collect::<Vec<_>>();
        questions(&format!("{length} lexemes of known code"), &corpora, &texts)?;
    }
    let texts = (0..ASKED).map(|_| draw.bytes(&known, 1000)).collect::<Vec<_>>();
    questions("1 kB of known code", &corpora, &texts)?;
    let texts = (0..ASKED).map(|_| draw.bytes(&unknown, 1000)).collect::<Vec<_>>();
    questions("1 kB of other code", &corpora, &texts)?;
    let texts = (0..ASKED_COLD).map(|_| draw.bytes(&known, 1000)).collect::<Vec<_>>();
    cold(&folder, &texts)?;

    println!(
        "\n| planted in other code | found | by `cloister trace` | said to be common | missed, and not cut short | by windows of 64 grams of 30 bytes |\n|---|---|---|---|---|---|"
    );
    for length in [20, 25, 30, 31, 40, 65] {
        planted(
            &format!("{length} lexemes as they are"),
            (&corpora, &grams),
            &known,
            &unknown,
            &mut draw,
            length,
            plain,
        )?;
    }
    for length in [65, 100] {
        for (name, edit) in [
            ("reformatted", reformatted as fn(&Cut) -> String),
            ("renamed", renamed),
            ("renamed and reformatted", |cut| reformatted(&cut.with(renamed(cut)))),
            ("with a word changed in the middle", with_a_word_changed),
        ] {
            planted(
                &format!("{length} lexemes, {name}"),
                (&corpora, &grams),
                &known,
                &unknown,
                &mut draw,
                length,
                edit,
            )?;
        }
    }
    reports(&corpora, &unknown)
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type()?;
        if kind.is_dir() && entry.file_name() != ".git" {
            files(&entry.path(), found)?;
        } else if kind.is_file() && entry.metadata()?.len() <= FILE_BYTES_MAX as u64 {
            found.push(entry.path());
        }
    }
    Ok(())
}

fn built(known: &[PathBuf], folder: &Path) -> Result<Manifest, Failure> {
    // Once before, so that all are read from memory.
    read(known)?;
    let mut builder = Builder::new(folder, "known", Options::default())?;
    let (mut bytes, mut reading, mut packages) = (0, Duration::ZERO, 0);
    let (begun, begun_processor) = (Instant::now(), processor_time()?);
    for root in known {
        let mut found = Vec::new();
        files(root, &mut found)?;
        for path in found {
            let begun = Instant::now();
            let text = fs::read(&path)?;
            let is_text = !text[..text.len().min(8000)].contains(&0);
            reading += begun.elapsed();
            if !is_text {
                continue;
            }
            let inside = path.strip_prefix(root)?;
            let package =
                inside.components().next().map(|name| name.as_os_str().to_string_lossy().into_owned());
            bytes += text.len();
            let origin = Origin {
                package: format!("folder:{}", package.unwrap_or_default()),
                version: None,
                commit: None,
                path: inside.to_string_lossy().into_owned(),
                first_seen_unix_s: None,
                licence: Licence::unknown(),
            };
            builder.add(&text, origin)?;
            packages += 1;
        }
    }
    let manifest = builder.finish()?;
    let took = begun.elapsed().saturating_sub(reading);
    let processor = processor_time()?.saturating_sub(begun_processor);
    println!("| files, text | {packages}, {:.0} MB |", megabytes(bytes));
    println!(
        "| different files, their text, a lexeme | {}, {:.0} MB, {:.2} bytes |",
        manifest.documents,
        manifest.source_bytes as f64 / 1e6,
        manifest.source_bytes as f64 / manifest.lexemes as f64
    );
    println!(
        "| built, on one thread, without the reading of files | {:.1} s, {:.1} MB/s |",
        took.as_secs_f64(),
        megabytes(bytes) / took.as_secs_f64()
    );
    println!(
        "| processor time of it, with the reading | {:.1} s, {:.1} MB/s a core |",
        processor.as_secs_f64(),
        megabytes(bytes) / processor.as_secs_f64()
    );
    Ok(manifest)
}

fn read(folders: &[PathBuf]) -> Result<(), Failure> {
    let mut found = Vec::new();
    for folder in folders {
        files(folder, &mut found)?;
    }
    for path in found {
        drop(fs::read(path)?);
    }
    Ok(())
}

/// Of this process and the kernel for it.
fn processor_time() -> Result<Duration, Failure> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks =
        behind_name.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}

fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

fn sizes(manifest: &Manifest) {
    let share = |names: &[&str]| {
        let bytes = manifest
            .files
            .iter()
            .filter(|file| names.iter().any(|name| file.name.starts_with(name)))
            .map(|file| file.bytes)
            .sum::<u64>();
        bytes as f64 / manifest.source_bytes as f64
    };
    println!("| hashes and postings of lexemes as they are | {:.3} of the text |", share(&["exact."]));
    println!("| the same where names do not matter | {:.3} of the text |", share(&["renamed."]));
    println!("| the text itself, packed | {:.3} of it |", share(&["text"]));
    println!("| all | {:.3} of the text |", share(&[""]));
}

fn texts(folders: &[PathBuf]) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    for folder in folders {
        files(folder, &mut found)?;
    }
    let code = ["adb", "ads", "vhd", "c", "h", "rs", "py", "cpp"];
    found.retain(|path| {
        path.extension().is_some_and(|ending| code.iter().any(|code| ending.eq_ignore_ascii_case(code)))
    });
    let step = (found.len() / 4000).max(1);
    Ok(found.iter().step_by(step).filter_map(|path| fs::read_to_string(path).ok()).collect())
}

/// A part of a text.
struct Cut {
    text: String,
}

impl Cut {
    fn with(&self, text: String) -> Cut {
        Cut { text }
    }

    fn lexemes(&self) -> Vec<Lexeme> {
        let mut lexemes = Vec::new();
        lexeme::lex(self.text.as_bytes(), &mut lexemes);
        lexemes
    }

    fn words(&self) -> Vec<&str> {
        let word =
            |lexeme: &Lexeme| self.text.get(lexeme.start as usize..lexeme.end as usize).unwrap_or_default();
        self.lexemes().iter().map(word).collect()
    }
}

/// SplitMix64.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end.max(1) as u64).unwrap_or_default()
    }

    fn lexemes(&mut self, texts: &[String], length: usize) -> Cut {
        for _ in 0..10_000 {
            let text = &texts[self.below(texts.len())];
            let mut lexemes = Vec::new();
            lexeme::lex(text.as_bytes(), &mut lexemes);
            if lexemes.len() > length {
                let first = self.below(lexemes.len() - length);
                let bytes = lexemes[first].start as usize..lexemes[first + length - 1].end as usize;
                return Cut { text: text.get(bytes).unwrap_or_default().to_owned() };
            }
        }
        Cut { text: String::new() }
    }

    fn bytes(&mut self, texts: &[String], length: usize) -> String {
        for _ in 0..10_000 {
            let text = &texts[self.below(texts.len())];
            if text.len() > length {
                let start = text.floor_char_boundary(self.below(text.len() - length));
                return text[start..text.floor_char_boundary(start + length)].to_owned();
            }
        }
        String::new()
    }
}

fn ask(corpora: &Corpora, text: &str) -> Result<Trace, Failure> {
    ask_within(corpora, text, &Limits::DEFAULT)
}

fn ask_within(corpora: &Corpora, text: &str, limits: &Limits) -> Result<Trace, Failure> {
    Ok(corpora.trace(text, Surroundings::default(), &[], limits)?)
}

fn questions(name: &str, corpora: &Corpora, texts: &[String]) -> Result<(), Failure> {
    let (mut first, mut warm, mut cut) = (Vec::new(), Vec::new(), 0);
    for text in texts {
        let mut times = Vec::new();
        for time in 0..TIMES {
            let begun = Instant::now();
            let trace = ask(corpora, text)?;
            times.push(begun.elapsed());
            cut += usize::from(time == 0 && trace.cut_short);
        }
        first.extend(times.first().copied());
        warm.extend(times.into_iter().min());
    }
    let (first, warm) = (Quantiles::of_times(first), Quantiles::of_times(warm));
    println!(
        "| {name} | {:.2}, {:.2} ms | {:.2}, {:.2} ms | {cut} of {} |",
        first.median(),
        first.at(99),
        warm.median(),
        warm.at(99),
        texts.len()
    );
    Ok(())
}

/// Questions of which nothing is in memory, neither of this process nor of the kernel.
fn cold(folder: &Path, texts: &[String]) -> Result<(), Failure> {
    let mut times = Vec::new();
    for text in texts {
        for entry in fs::read_dir(folder)? {
            rustix::fs::fadvise(&fs::File::open(entry?.path())?, 0, None, rustix::fs::Advice::DontNeed)?;
        }
        let begun = Instant::now();
        ask(&Corpora::new(vec![Arc::new(Segment::open(folder)?)]), text)?;
        times.push(begun.elapsed());
    }
    let times = Quantiles::of_times(times);
    println!(
        "| 1 kB of known code, opened for it, from disk | {:.1}, {:.1} ms | | |",
        times.median(),
        times.at(99)
    );
    Ok(())
}

fn planted(
    name: &str,
    (corpora, grams): (&Corpora, &Grams),
    known: &[String],
    unknown: &[String],
    draw: &mut Draw,
    length: usize,
    edit: fn(&Cut) -> String,
) -> Result<(), Failure> {
    let (mut found, mut thoroughly, mut common, mut silent, mut by_grams) = (0, 0, 0, 0, 0);
    for _ in 0..ASKED {
        let planted = edit(&draw.lexemes(known, length));
        let before = format!("{} unseen ", draw.lexemes(unknown, 40).text);
        let asked = format!("{before}{planted} unseen {}", draw.lexemes(unknown, 40).text);
        let place = before.len()..before.len() + planted.len();
        let over_half = |span: &Span| {
            let both =
                (span.end as usize).min(place.end).saturating_sub((span.start as usize).max(place.start));
            both * 2 > place.len()
        };
        let trace = ask(corpora, &asked)?;
        let span = trace.spans.iter().find(|span| over_half(span));
        thoroughly += usize::from(
            span.is_some() || ask_within(corpora, &asked, &Limits::THOROUGH)?.spans.iter().any(over_half),
        );
        found += usize::from(span.is_some());
        common += usize::from(span.is_some_and(|span| span.is_common));
        silent += usize::from(span.is_none() && !trace.cut_short);
        by_grams += usize::from(grams.know(&asked, &place));
    }
    let share = |count: usize| count as f64 * 100.0 / ASKED as f64;
    println!(
        "| {name} | {:.1} % | {:.1} % | {:.1} % | {:.1} % | {:.1} % |",
        share(found),
        share(thoroughly),
        share(common),
        share(silent),
        share(by_grams)
    );
    Ok(())
}

fn plain(cut: &Cut) -> String {
    cut.text.clone()
}

/// Each lexeme by itself, eight on a line.
fn reformatted(cut: &Cut) -> String {
    cut.words().chunks(8).map(|line| line.join(" ")).collect::<Vec<_>>().join("\n  ")
}

/// Names that somebody made up, by their form, become others; the same ones the same.
fn renamed(cut: &Cut) -> String {
    let (mut text, mut end) = (String::new(), 0);
    for lexeme in cut.lexemes() {
        let (start, behind) = (lexeme.start as usize, lexeme.end as usize);
        let word = cut.text.get(start..behind).unwrap_or_default();
        let begins = word.starts_with(|first: char| first.is_ascii_alphabetic());
        let is_made_up = word.contains('_') || word.chars().skip(1).any(char::is_uppercase);
        text.push_str(cut.text.get(end..start).unwrap_or_default());
        let is_type = word.eq_ignore_ascii_case("std_logic") || word.eq_ignore_ascii_case("std_logic_vector");
        if begins && is_made_up && !is_type && word.chars().any(char::is_lowercase) {
            text.push_str("other_");
        }
        text.push_str(word);
        end = behind;
    }
    text
}

fn with_a_word_changed(cut: &Cut) -> String {
    let lexemes = cut.lexemes();
    let middle =
        lexemes.get(lexemes.len() / 2).map_or(0..0, |lexeme| lexeme.start as usize..lexeme.end as usize);
    let mut text = cut.text.clone();
    text.replace_range(middle, "changed_here");
    text
}

/// What is said of code that is not known.
fn reports(corpora: &Corpora, unknown: &[String]) -> Result<(), Failure> {
    let (mut lexemes, mut kinds, mut common) = (0u64, [0; 3], 0);
    let mut long = 0;
    for text in unknown {
        let trace = ask(corpora, text)?;
        lexemes += u64::from(trace.lexemes);
        for span in trace.spans {
            let kind = match span.kind {
                Kind::Exact => 0,
                Kind::Near { .. } => 1,
                Kind::Renamed { .. } | Kind::Copied { .. } => 2,
            };
            common += usize::from(span.is_common);
            if !span.is_common {
                kinds[kind] += 1;
                long += usize::from(span.lexemes >= 65);
            }
        }
    }
    println!("\n| other code, of {} files and {lexemes} lexemes | spans |\n|---|---|", unknown.len());
    println!("| said to be common | {common} |");
    let [exact, near, renamed] = kinds;
    println!("| exact; near; renamed | {exact}; {near}; {renamed} |");
    println!("| of these, with 65 lexemes or more | {long} |");
    Ok(())
}
