//! Lines told by their content: what is found over scripted histories of git repositories, by kind; and how long a review
//! of ten thousand lines takes against a slice of many records.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ledger::Choice;
use lineage::slice::Scope;
use testkit::draw::Draw;
use testkit::histories::{self, Kind, Score, Texts};
use testkit::{Failure, places};

use crate::site::{Answer, Site};

/// The same in each run.
const SEED: u64 = 2026;
const WRITERS: u64 = 64;
/// Lines of the change that is reviewed.
const LINES: u64 = 10_000;
const REVIEWS: usize = 5;

pub(crate) fn measure(histories: u64, records: u64) -> Result<(), Failure> {
    accuracy(histories)?;
    speed(records)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    Ok(File::create(path)?.write_all(bytes)?)
}

/// `cloister review` of a repository beside its slice.
fn review(folder: &Path, base: &str) -> Result<serde_json::Value, Failure> {
    let mut command = Command::new(places::program("cloister")?);
    command.args(["review", "--json", "--all", "--slice", "slice", "--log-policy", "log.policy"]);
    let output = command.args(["--repository", "repository", "--base", base]).current_dir(folder).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Real texts in three languages.
fn texts() -> Result<Vec<(&'static str, Texts)>, Failure> {
    let folders = std::fs::read_dir("/usr/lib/gcc/x86_64-linux-gnu")?;
    let ada: Vec<PathBuf> = folders.filter_map(|entry| Some(entry.ok()?.path().join("adainclude"))).collect();
    let ada = ada.iter().find(|folder| folder.is_dir()).ok_or("the Ada run-time library is not here")?;
    let rust = ["assist", "gateway", "ledger", "models", "oms", "protocol", "tlog", "cloisterd", "cloister"];
    let rust: Vec<PathBuf> = rust.iter().map(|name| Path::new("crates").join(name).join("src")).collect();
    let rust: Vec<&Path> = rust.iter().map(PathBuf::as_path).collect();
    Ok(vec![
        ("Ada", Texts::read(&[ada], ".adb")?),
        ("C", Texts::read(&[Path::new("/usr/include"), Path::new("/usr/include/linux")], ".h")?),
        ("Rust", Texts::read(&rust, ".rs")?),
    ])
}

fn accuracy(count: u64) -> Result<(), Failure> {
    let texts = texts()?;
    let mut draw = Draw::new(SEED);
    let mut scores: BTreeMap<Kind, (u64, Score)> = BTreeMap::new();
    for number in 0..count {
        let kind = Kind::ALL[usize::try_from(number).unwrap_or(0) % Kind::ALL.len()];
        let (_, texts) = &texts[usize::try_from(number / Kind::ALL.len() as u64).unwrap_or(0) % texts.len()];
        let folder = tempfile::tempdir()?;
        let history = histories::make(kind, &folder.path().join("repository"), texts, &mut draw)?;
        let site = Site::new(&folder.path().join("site"));
        for answer in &history.answers {
            let choice = Some(if answer.accepted { Choice::Accepted } else { Choice::Shown });
            site.answer(&Answer { choice, ..Answer::accepted(&answer.text, &answer.path) });
        }
        write(&folder.path().join("log.policy"), site.policy().as_bytes())?;
        write(&folder.path().join("slice"), &site.slice(Scope::default()))?;
        let mut score = Score::default();
        let wrong = score.add(&history, &review(folder.path(), &history.base)?)?;
        if score.false_verbatim > 0 || score.verbatim.0 != score.verbatim.1 {
            eprintln!("bench: history {number}, {}: {score:?}\n{}", kind.name(), wrong.join("\n"));
        }
        let (histories, all) = scores.entry(kind).or_default();
        *histories += 1;
        all.merge(&score);
    }
    println!(
        "\n| histories | | verbatim found | as verbatim | common | changed found | persons' lines | graded verbatim | graded AI | precision |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let percent = |tenths: u64| format!("{}.{} %", tenths / 10, tenths % 10);
    for (kind, (histories, score)) in &scores {
        println!(
            "| {} | {histories} | {} of {} | {} | {} | {} of {} ({}) | {} | {} | {} | {} |",
            kind.name(),
            score.verbatim.1,
            score.verbatim.0,
            score.as_verbatim,
            score.common,
            score.changed.1,
            score.changed.0,
            percent(score.recall_of_changed()),
            score.human,
            score.false_verbatim,
            score.false_ai,
            percent(score.precision()),
        );
    }
    Ok(())
}

/// An answer of a few lines, different for each number.
fn answer(draw: &mut Draw) -> String {
    let lines = 2 + draw.below(10);
    let mut text = String::new();
    for _ in 0..lines {
        text.push_str(&format!(
            "      Sensor_{} := Read (Port => {}, Mask => 16#{:x}#) + Offset_{};\n",
            draw.below(90_000),
            draw.below(64),
            draw.below(1 << 24),
            draw.below(900)
        ));
    }
    text
}

/// Lines of a person, of another shape.
fn own(draw: &mut Draw) -> String {
    let line = |_| {
        let mut number = || draw.below(1 << 20);
        format!("      if Valve_{} > Limit_{} then Close (Valve_{}); end if;\n", number(), number(), number())
    };
    (0..7).map(line).collect()
}

fn speed(records: u64) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let site = Site::new(&folder.path().join("site"));
    let (start, next) = (Instant::now(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= records {
                        return;
                    }
                    if number.is_multiple_of(100_000) {
                        eprintln!(
                            "bench: {number} of {records} records, {:.0} s",
                            start.elapsed().as_secs_f64()
                        );
                    }
                    let path = format!("src/unit_{}.adb", number % 997);
                    site.answer(&Answer::accepted(&answer(&mut Draw::new(number)), &path));
                }
            });
        }
    });
    let written = start.elapsed();
    let start = Instant::now();
    let slice = site.slice(Scope::default());
    let made = start.elapsed();
    write(&folder.path().join("slice"), &slice)?;
    write(&folder.path().join("log.policy"), site.policy().as_bytes())?;

    // Half of the lines are of answers, in every tenth file edited; half are nobody's.
    let repository = folder.path().join("repository");
    std::fs::create_dir_all(repository.join("src"))?;
    let git = |arguments: &[&str]| -> Result<(), Failure> {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=ada", "-c", "user.email=ada@site.example"]).args(arguments);
        let done = command.current_dir(&repository).output()?.status.success();
        if done { Ok(()) } else { Err(format!("git {arguments:?} failed").into()) }
    };
    git(&["init", "-q", "-b", "main"])?;
    git(&["commit", "-q", "--allow-empty", "-m", "the beginning"])?;
    git(&["checkout", "-q", "-b", "feature"])?;
    let (mut draw, mut lines, mut unit) = (Draw::new(SEED), 0, 0);
    while lines < LINES {
        let mut text = String::new();
        for _ in 0..8 {
            text.push_str(&answer(&mut Draw::new(draw.below(records))));
            text.push_str(&own(&mut draw));
        }
        if unit % 10 == 0 {
            text = text.replace("Mask", "Bits");
        }
        lines += text.lines().count() as u64;
        write(&repository.join(format!("src/unit_{unit}.adb")), text.as_bytes())?;
        unit += 1;
    }
    git(&["add", "-A"])?;
    git(&["commit", "-q", "-m", "a large change"])?;
    let mut times = Vec::new();
    let mut found = serde_json::Value::Null;
    for _ in 0..REVIEWS {
        let start = Instant::now();
        found = review(folder.path(), "main")?["lines"].clone();
        times.push(start.elapsed());
    }
    times.sort();
    println!("\n| a review of {lines} lines against {records} records | |\n|---|---|");
    println!("| records written | {:.0} s |", written.as_secs_f64());
    println!("| slice made | {:.1} s, {} MiB |", made.as_secs_f64(), slice.len() >> 20);
    println!("| `cloister review`, median of {REVIEWS} | {:.2} s |", times[REVIEWS / 2].as_secs_f64());
    println!("| lines by grade | {found} |");
    Ok(())
}
