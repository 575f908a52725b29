//! Parses files and says how many had errors and how fast it was; with one file, what was found in it.
#![expect(clippy::print_stdout, reason = "it is for people")]

use std::time::{Duration, Instant};

use languages::{Language, parse, surroundings};

fn main() {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let (mut files, mut errors, mut bytes, mut time, mut chunks, mut lines) = (0, 0, 0, Duration::ZERO, 0, 0);
    let mut slowest = (0.0, String::new());
    for path in &paths {
        let Ok(text) = std::fs::read(path) else { continue };
        let text = String::from_utf8_lossy(&text);
        let Some(language) = Language::detect(path, &text) else { continue };
        let start = Instant::now();
        let parsed = parse(language, &text);
        let took = start.elapsed();
        time += took;
        files += 1;
        bytes += text.len();
        chunks += parsed.chunks.len();
        lines += text.lines().count();
        let a_kib = took.as_secs_f64() * 1024.0 / (text.len() + 1024) as f64;
        if a_kib > slowest.0 {
            slowest = (a_kib, path.clone());
        }
        if parsed.has_errors {
            errors += 1;
            if paths.len() > 1 {
                println!("errors: {path}");
            }
        }
        if paths.len() == 1 {
            println!("imports {:?}\nunits {:?} errors {}", parsed.imports, parsed.units, parsed.has_errors);
            for definition in &parsed.definitions {
                println!(
                    "{}-{} {:?} {} {}| {:?} | {:?}",
                    definition.line,
                    definition.end_line,
                    definition.kind,
                    if definition.is_body { "body " } else { "" },
                    definition.qualified,
                    definition.signature,
                    definition.comment
                );
            }
            for chunk in &parsed.chunks {
                println!(
                    "=== {}-{} {} B {:?} {:?} defines {:?} refs {}",
                    chunk.first_line,
                    chunk.last_line,
                    chunk.bytes.len(),
                    chunk.kind,
                    chunk.name,
                    chunk.defines,
                    chunk.references.len()
                );
                if std::env::var_os("TEXT").is_some() {
                    println!("{}", &text[chunk.bytes.clone()]);
                }
            }
            let at = text.floor_char_boundary(text.len() / 2);
            let took = (0..50).map(|_| {
                let start = Instant::now();
                surroundings(language, &text[..at], &text[at..]);
                start.elapsed()
            });
            println!("surroundings in {:?}", took.min().unwrap_or_default());
        }
    }
    let mib = bytes as f64 / 1e6;
    println!(
        "{files} files, {errors} with errors, {mib:.1} MB, {:.1} MB/s, {chunks} chunks of {lines} lines; slowest {:.2} ms/KiB {}",
        mib / time.as_secs_f64(),
        slowest.0 * 1e3,
        slowest.1
    );
}
