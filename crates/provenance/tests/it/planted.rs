//! Parts of known files put between others.

use provenance::segment::Options;
use provenance::trace::{Kind, Span};
use provenance::{Limits, Nearby, Surroundings};

use crate::code::{Draw, build, corpora, cut, lexemes, longest_shared, origin, trace};

/// Files of names that the surroundings do not have.
fn known(draw: &mut Draw, files: usize) -> Vec<(String, provenance::document::Origin)> {
    (0..files)
        .map(|number| {
            (draw.file("k", 120), origin(&format!("git:p{}", number % 5), &format!("src/{number}.ada")))
        })
        .collect()
}

/// Inside a line, so that a mark with which it begins is not one of a comment.
fn between(draw: &mut Draw, planted: &str) -> String {
    format!("{}unseen {planted} unseen\n{}", draw.file("u", 6), draw.file("u", 6))
}

#[test]
fn exact_spans_of_31_lexemes_are_all_found_as_the_oracle_finds_them() {
    let mut draw = Draw::fresh();
    let folder = tempfile::tempdir().unwrap();
    let files = known(&mut draw, 40);
    build(&folder.path().join("s"), Options::default(), &files);
    let corpora = corpora(&folder.path().join("s"));
    for length in 31..=80 {
        for _ in 0..8 {
            let (text, origin) = &files[draw.below(files.len())];
            let planted = cut(&mut draw, text, length);
            let asked = between(&mut draw, planted);
            let (longest, bytes) = longest_shared(&asked, text);
            assert!(longest >= length);
            let trace = trace(&corpora, &asked);
            let covers = |span: &&Span| {
                let is_same = matches!(span.kind, Kind::Exact | Kind::Near { .. });
                is_same && span.start <= bytes.start && bytes.end <= span.end
            };
            let span = trace.spans.iter().find(covers);
            let span = span.unwrap_or_else(|| panic!("{length} lexemes: {planted}\n{:#?}", trace.spans));
            assert!(!trace.cut_short);
            let found = &span.origins[0];
            assert_eq!((&found.origin, found.corpus.as_str()), (origin, "known"));
            if span.kind == Kind::Exact {
                assert_eq!((span.start..span.end, span.lexemes as usize), (bytes, longest));
            }
            // The lines of the file hold what was planted.
            let lines: Vec<&str> = text.lines().collect();
            let shown = lines[found.lines.0 as usize - 1..found.lines.1 as usize].join("\n");
            assert!(shown.contains(planted), "{shown}\n---\n{planted}");
        }
    }
}

/// A shorter span is found when a hash that was chosen in its file lies inside it, and is asked for as well.
#[test]
fn shorter_spans_are_found_as_often_as_chance_has_it() {
    let mut draw = Draw::fresh();
    let folder = tempfile::tempdir().unwrap();
    let files = known(&mut draw, 40);
    build(&folder.path().join("s"), Options::default(), &files);
    let corpora = corpora(&folder.path().join("s"));
    let limits = Limits { lexemes_min: 16, ..Limits::default() };
    for length in [18, 24, 28, 30] {
        let tries = 1000;
        let found = (0..tries).filter(|_| {
            let (text, _) = &files[draw.below(files.len())];
            let planted = cut(&mut draw, text, length);
            let asked = between(&mut draw, planted);
            let trace = corpora.trace(&asked, Surroundings::default(), &[], &limits).unwrap();
            let at = u32::try_from(asked.find(planted).unwrap()).unwrap();
            trace.spans.iter().any(|span| span.start <= at && at < span.end)
        });
        let found = found.count() * 100 / tries;
        let expected = (0..10 * tries).filter(|_| chance(&mut draw, length - 15)).count() * 10 / tries;
        eprintln!("{length} lexemes: {found} % found, {expected} % expected");
        // Of 1,000 tries a standard deviation is 1.6 % at most: one run in a million is wrong to fail.
        assert!(found.abs_diff(expected) <= 8, "{length} lexemes: {found} % found, {expected} % expected");
    }
}

/// Whether two rows of random numbers that share `shared` in their middle choose one of these, each by windows of 16.
fn chance(draw: &mut Draw, shared: usize) -> bool {
    let middle: Vec<u64> = (0..shared).map(|_| draw.next()).collect();
    let mut chosen = || -> Vec<usize> {
        let mut side = || (0..30).map(|_| draw.next()).collect::<Vec<u64>>();
        let row = [side(), middle.clone(), side()].concat();
        let mut chosen: Vec<usize> = (0..row.len() - 15)
            .map(|start| (start..start + 16).min_by_key(|place| row[*place]).unwrap())
            .filter(|place| (30..30 + shared).contains(place))
            .collect();
        chosen.dedup();
        chosen
    };
    let (one, other) = (chosen(), chosen());
    one.iter().any(|place| other.contains(place))
}

#[test]
fn renamed_and_reformatted_spans_of_65_lexemes_are_found() {
    let mut draw = Draw::fresh();
    let folder = tempfile::tempdir().unwrap();
    let files = known(&mut draw, 40);
    build(&folder.path().join("s"), Options::default(), &files);
    let corpora = corpora(&folder.path().join("s"));
    for (edit, change) in [
        ("renamed", renamed as fn(&str) -> String),
        ("reformatted", reformatted),
        ("both", |text| reformatted(&renamed(text))),
    ] {
        let tries = 200;
        let mut found = 0;
        for _ in 0..tries {
            let (text, origin) = &files[draw.below(files.len())];
            let planted = change(cut(&mut draw, text, 65));
            let asked = between(&mut draw, &planted);
            let trace = trace(&corpora, &asked);
            let start = asked.find(&planted).unwrap();
            let end = start + planted.len();
            found += usize::from(trace.spans.iter().any(|span| {
                let both = (span.end as usize).min(end).saturating_sub((span.start as usize).max(start));
                both * 2 > end - start && span.origins.iter().any(|found| found.origin == *origin)
            }));
        }
        eprintln!("{edit}: {found} of {tries}");
        assert!(found * 100 >= tries * 95, "{edit}: {found} of {tries}");
    }
}

/// Each name of the corpus becomes another.
fn renamed(text: &str) -> String {
    text.replace("_k", "_other")
}

/// Other case, other lines, other marks of comments.
fn reformatted(text: &str) -> String {
    let text = text.replace("   -- ", "\t// ").replace(" := ", ":=").replace(", ", " ,\n      ");
    text.replace(" (", "(").to_uppercase().replace("\n   ", "\n")
}

#[test]
fn a_span_over_the_edge_counts_with_what_is_around() {
    let mut draw = Draw::fresh();
    let folder = tempfile::tempdir().unwrap();
    let files = known(&mut draw, 10);
    build(&folder.path().join("s"), Options::default(), &files);
    let corpora = corpora(&folder.path().join("s"));
    let text = &files[3].0;
    let places = lexemes(text);
    let at = |lexeme: usize| places[lexeme].start as usize;
    let around = Surroundings { before: &text[..at(200)], after: &text[at(220)..] };
    let trace = corpora.trace(&text[at(200)..at(220)], around, &[], &Limits::default()).unwrap();
    let span = &trace.spans[0];
    assert_eq!((span.lexemes, span.lexemes_around, &span.kind), (20, 128, &Kind::Exact));
    assert_eq!((span.start, trace.lexemes), (0, 20));
    // Less than 16 lexemes of the text say nothing.
    let around = Surroundings { before: &text[..at(200)], after: &text[at(210)..] };
    let trace = corpora.trace(&text[at(200)..at(210)], around, &[], &Limits::default()).unwrap();
    assert_eq!(trace.spans, []);
}

#[test]
fn what_the_prompt_held_is_said_to_be_from_there() {
    let mut draw = Draw::fresh();
    let folder = tempfile::tempdir().unwrap();
    let files = known(&mut draw, 10);
    build(&folder.path().join("s"), Options::default(), &files);
    let corpora = corpora(&folder.path().join("s"));
    let known = cut(&mut draw, &files[3].0, 60);
    let own = draw.file("mine", 20);
    let copied = cut(&mut draw, &own, 50);
    let asked = format!("{}{known}\n{}{copied}", draw.file("u", 4), draw.file("u", 4));
    let context = format!("{}{known}", draw.file("v", 9));
    let nearby = [Nearby { name: "own.adb", text: &own }, Nearby { name: "context", text: &context }];
    let trace = corpora.trace(&asked, Surroundings::default(), &nearby, &Limits::default()).unwrap();
    let said: Vec<(&Kind, bool)> =
        trace.spans.iter().map(|span| (&span.kind, span.origins.is_empty())).collect();
    let from = |name: &str| Kind::Copied { from: name.to_owned() };
    assert_eq!(said, [(&from("context"), false), (&from("own.adb"), true)]);
}

#[test]
fn a_changed_word_makes_a_near_match() {
    let mut draw = Draw::fresh();
    let folder = tempfile::tempdir().unwrap();
    let files = known(&mut draw, 10);
    build(&folder.path().join("s"), Options::default(), &files);
    let corpora = corpora(&folder.path().join("s"));
    let known = cut(&mut draw, &files[3].0, 120);
    let middle = lexemes(known)[60].start as usize;
    let asked = format!("{}{}something else {}", draw.file("u", 4), &known[..middle], &known[middle..]);
    let trace = trace(&corpora, &asked);
    let [span] = &trace.spans[..] else { panic!("{:#?}", trace.spans) };
    assert!(matches!(span.kind, Kind::Near { similarity: 970..=990 }), "{:?}", span.kind);
    assert_eq!(span.documents, 1);
}

/// One hash in very many documents costs no more than another.
#[test]
fn what_is_everywhere_is_common_and_bounded() {
    let mut draw = Draw::seeded(1);
    let folder = tempfile::tempdir().unwrap();
    let header = draw.file("header", 12);
    let files: Vec<_> = (0..6000)
        .map(|number| {
            let text = format!("{header}{}", draw.file("k", 2));
            (text, origin(&format!("git:p{}", number % 50), &format!("src/{number}.ada")))
        })
        .collect();
    build(&folder.path().join("s"), Options::default(), &files);
    let corpora = corpora(&folder.path().join("s"));
    let trace = trace(&corpora, &header);
    let [span] = &trace.spans[..] else { panic!("{:#?}", trace.spans) };
    assert!(span.is_common && span.packages == 50 && span.documents >= 2000, "{span:#?}");
    assert_eq!((span.lexemes, span.origins.len()), (trace.lexemes, 10));
    assert_eq!(span.licences, ["MIT"]);
}

/// Of everything that the full search finds of 31 lexemes or more a span tells, and no exact span is longer than what it finds.
#[test]
fn the_full_search_finds_the_same() {
    let mut draw = Draw::fresh();
    let folder = tempfile::tempdir().unwrap();
    // Parts of files in other files, and files that repeat themselves.
    let mut files = known(&mut draw, 25);
    for number in 0..15 {
        let pieces: Vec<String> = (0..3)
            .map(|_| {
                let length = 20 + draw.below(80);
                let from = draw.below(25);
                cut(&mut draw, &files[from].0, length).to_owned()
            })
            .collect();
        let text = format!("{}\n{}\n{}\n{}", pieces[0], pieces[1], pieces[0], pieces[2]);
        files.push((text, origin("git:copies", &format!("{number}"))));
    }
    build(&folder.path().join("s"), Options::default(), &files);
    let corpora = corpora(&folder.path().join("s"));
    let index = provenance::exact::Index::of(&corpora).unwrap();
    for _ in 0..200 {
        let mut asked = draw.file("u", 2);
        for _ in 0..4 {
            let (file, length) = (draw.below(files.len()), 10 + draw.below(40));
            asked +=
                &format!("unseen {} unseen\n{}", cut(&mut draw, &files[file].0, length), draw.file("u", 1));
        }
        let trace = trace(&corpora, &asked);
        let runs = index.runs(&asked, 31);
        for run in &runs {
            // Of what overlaps, a better span may have left less than 31 lexemes to say.
            let of_run = |at: u32| run.start <= at && at < run.end;
            let told = |at: u32| trace.spans.iter().any(|span| span.start <= at && at < span.end);
            let places = lexemes(&asked);
            let left = places.iter().filter(|place| of_run(place.start) && !told(place.start)).count();
            assert!(left < 31, "{run:?} in\n{asked}\n{:#?}", trace.spans);
        }
        for span in trace.spans.iter().filter(|span| span.kind == Kind::Exact) {
            let found = runs.iter().any(|run| (run.start, run.end) == (span.start, span.end));
            assert!(found, "{span:?} in\n{asked}\n{runs:#?}");
        }
    }
}
