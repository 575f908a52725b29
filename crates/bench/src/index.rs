//! `cargo xtask bench index`: all corpora as one repository of a million lines. How fast it is indexed beside ripgrep's reading of
//! it, how large the index is, what a commit of ten files costs, and what a search does.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use protocol::context::SourceFacts;
use retrieval::build::{Build, Built, build};
use retrieval::{ChatQuery, FillQuery, Sources};
use testkit::Failure;

/// Holes that are filled, each in another file.
const HOLES: usize = 400;
/// Files of the commit.
const CHANGED: usize = 10;

pub(crate) fn measure(cache: &Path) -> Result<(), Failure> {
    let place = tempfile::tempdir()?;
    let root = place.path().join("all");
    let copied = Command::new("cp").arg("-r").arg(cache.join("corpora")).arg(&root).status()?;
    if !copied.success() {
        return Err("the corpora could not be copied: run `cargo xtask fetch --corpora`".into());
    }
    fs::remove_dir_all(root.join("archives")).ok();
    commit(&root)?;
    let asked = |number: u32| Build {
        root: root.clone(),
        branch: None,
        building: place.path().join(number.to_string()),
        published: (number > 1).then(|| place.path().join((number - 1).to_string())),
        threads: 2,
    };
    let (built, took) = timed(&asked(1))?;
    let summary = &built.summary;
    let lines = lines(&root)?;
    let megabytes = megabytes(summary.bytes);
    println!("| measure | value |\n|---|---|");
    println!("| files, lines, text | {}, {lines}, {megabytes:.1} MB |", summary.files);
    println!("| pieces, definitions | {}, {} |", summary.chunks, summary.definitions);
    println!(
        "| indexed, on 2 threads | {:.1} s, {:.1} MB/s |",
        took.as_secs_f64(),
        megabytes / took.as_secs_f64()
    );
    let begun = Instant::now();
    let grep = Command::new("grep").args(["-rIc", "no such words are there"]).arg(&root).output();
    if grep.is_ok() {
        println!("| read once by `grep -rI` for comparison | {:.1} s |", begun.elapsed().as_secs_f64());
    }
    println!(
        "| index on disk | {:.1} MB, {:.2} of the text |",
        size(&asked(1).building)?,
        size(&asked(1).building)? / megabytes
    );

    let files = sources_of(&root)?;
    for path in files.iter().take(CHANGED) {
        let text = fs::read_to_string(root.join(path))?;
        fs::File::create(root.join(path))?.write_all(format!("{text}\n").as_bytes())?;
    }
    commit(&root)?;
    let (again, took) = timed(&asked(2))?;
    println!("| after a commit of {CHANGED} files | {:.2} s |", took.as_secs_f64());
    if again.summary.files != summary.files {
        return Err("a file was lost".into());
    }

    let sources = Sources::default();
    let facts =
        SourceFacts { name: "all".to_owned(), readers: Vec::new(), labels: Vec::new(), rules_file: None };
    sources.set(vec![facts]);
    let begun = Instant::now();
    sources.publish("all", &asked(2).building)?;
    println!("| opened, with every byte hashed | {:.2} s |", begun.elapsed().as_secs_f64());
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    let step = (files.len() / HOLES).max(1);
    for path in files.iter().step_by(step).take(HOLES) {
        let text = fs::read_to_string(root.join(path))?;
        let middle = (text.len() / 2..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        let (prefix, suffix) = text.split_at(middle);
        let readable = sources.readable(|_| true);
        let begun = Instant::now();
        let query = FillQuery { path: Some(path), repository: Some("all"), prefix, suffix, open: &[] };
        let found = readable.for_fill(&query)?;
        times[0].push(begun.elapsed());
        let words: Vec<&str> = suffix
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|w| w.len() > 4)
            .take(6)
            .collect();
        let question = format!("Where is {} and how is it used?", words.join(" "));
        let begun = Instant::now();
        let asked = ChatQuery { question: &question, path: None, repository: None };
        let answered = readable.for_chat(&asked)?;
        times[1].push(begun.elapsed());
        let begun = Instant::now();
        let searched = readable.search(&words.join(" "), None, 20)?;
        times[2].push(begun.elapsed());
        std::hint::black_box((found, answered, searched));
    }
    for (what, times) in ["a hole", "a question", "a search"].iter().zip(&mut times) {
        times.sort_unstable();
        let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        println!(
            "| retrieval for {what}, p50, p95 of {} | {:.1} ms, {:.1} ms |",
            times.len(),
            ms(at(50)),
            ms(at(95))
        );
    }
    Ok(())
}

fn timed(asked: &Build) -> Result<(Built, Duration), Failure> {
    fs::create_dir_all(&asked.building)?;
    let begun = Instant::now();
    let built = build(asked, &mut |_| ())?;
    Ok((built, begun.elapsed()))
}

fn commit(root: &Path) -> Result<(), Failure> {
    let git = |arguments: &[&str]| -> Result<(), Failure> {
        let mut command = Command::new("git");
        command.arg("-C").arg(root).args(["-c", "user.name=b", "-c", "user.email=b@b"]).args(arguments);
        let status = command.env("GIT_CONFIG_GLOBAL", "/dev/null").status()?;
        if status.success() { Ok(()) } else { Err(format!("git {arguments:?} failed").into()) }
    };
    if !root.join(".git").exists() {
        git(&["init", "-q"])?;
    }
    git(&["add", "-A", "-f"])?;
    git(&["commit", "-q", "-m", "as it is"])
}

/// Files of code that are UTF-8, by path.
fn sources_of(root: &Path) -> Result<Vec<String>, Failure> {
    let listed = Command::new("git").arg("-C").arg(root).args(["ls-files", "-z"]).output()?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let is_code =
        |path: &&str| [".ads", ".adb", ".vhd", ".rs", ".c", ".h"].iter().any(|end| path.ends_with(end));
    let is_text = |path: &&str| fs::read_to_string(root.join(path)).is_ok();
    Ok(listed.split('\0').filter(is_code).filter(is_text).map(str::to_owned).collect())
}

fn lines(root: &Path) -> Result<usize, Failure> {
    let listed = Command::new("git").arg("-C").arg(root).args(["grep", "-Ic", ""]).output()?;
    let counts = String::from_utf8_lossy(&listed.stdout).into_owned();
    Ok(counts.lines().filter_map(|line| line.rsplit(':').next()?.parse::<usize>().ok()).sum())
}

fn size(folder: &Path) -> Result<f64, Failure> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(megabytes(bytes))
}

#[expect(clippy::cast_precision_loss, reason = "megabytes")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
