//! Whatever is asked, the answer is in range and always the same.

use std::sync::LazyLock;

use proptest::prelude::*;
use provenance::segment::Options;
use provenance::{Corpora, Limits, Nearby, Surroundings};

use crate::code::{Draw, build, corpora, origin};

static KNOWN: LazyLock<(Corpora, String)> = LazyLock::new(|| {
    let mut draw = Draw::seeded(7);
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("s");
    let files: Vec<_> =
        (0..4).map(|number| (draw.file("é", 50), origin("git:a", &format!("{number}")))).collect();
    let zeros = ("0, ".repeat(3000), origin("git:a", "zeros"));
    build(&folder, Options::default(), &[&files[..], &[zeros]].concat());
    // What is mapped stays when its name goes.
    (corpora(&folder), files[0].0.clone())
});

proptest! {
    #[test]
    fn is_traced(
        words in prop::collection::vec("[a-c]{0,2}|[0,]{1,40}|\\PC{0,9}", 0..40),
        cuts in prop::array::uniform4(0usize..3000),
        small in any::<bool>(),
    ) {
        let (corpora, known) = &*KNOWN;
        let part = |from: usize, to: usize| {
            let (from, to) = (known.floor_char_boundary(from.min(to)), known.floor_char_boundary(from.max(to)));
            &known[from..to]
        };
        let text = format!("{}{}{}", words.join(" "), part(cuts[0], cuts[1]), words.concat());
        let surroundings = Surroundings { before: part(cuts[1], cuts[2]), after: part(cuts[2], cuts[3]) };
        let nearby = [Nearby { name: "all", text: known }, Nearby { name: "own", text: &text }];
        let limits = if small {
            Limits {
                lexemes_min: 0,
                renamed_lexemes_min: 0,
                inside_lexemes_min: 0,
                spans_max: 2,
                origins_max: 0,
                text_bytes_max: 700,
                nearby_bytes_max: 300,
                postings_max: 3,
                read_bytes_max: 3000,
                ..Limits::default()
            }
        } else {
            Limits::default()
        };
        let trace = corpora.trace(&text, surroundings, &nearby[..usize::from(small)], &limits).unwrap();
        for span in &trace.spans {
            prop_assert!(span.start < span.end && span.end as usize <= text.len());
            prop_assert!(text.is_char_boundary(span.start as usize) && text.is_char_boundary(span.end as usize));
            prop_assert!(span.lines.0 <= span.lines.1 && span.lexemes > 0);
        }
        prop_assert!(trace.spans.len() <= limits.spans_max);
        let again = corpora.trace(&text, surroundings, &nearby[..usize::from(small)], &limits).unwrap();
        prop_assert_eq!(trace, again);
    }
}
