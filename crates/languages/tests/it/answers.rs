//! Code in an answer.

use languages::{Language, fenced, is_whole_unit};

#[test]
fn blocks_are_found() {
    let answer = "Here:\n```ada\nwith A;\n```\n1. so\n   ~~~~ {.VHDL}\n   ~~~\n   entity e is\n   ~~~~\n``` `x`\n\
                  ```\nplain\n````\n```rust,ignore\nfn f";
    let found: Vec<_> = fenced(answer)
        .into_iter()
        .map(|block| (block.language, &answer[block.text], block.is_closed))
        .collect();
    assert_eq!(
        found,
        [
            (Some(Language::Ada), "with A;\n", true),
            (Some(Language::Vhdl), "   ~~~\n   entity e is\n", true),
            (None, "plain\n", true),
            (Some(Language::Rust), "fn f", false),
        ]
    );
}

#[test]
fn fragments_are_told_from_units() {
    let cases = [
        (Language::Ada, "-- with\nPragma Ada_2022;\nprocedure P is null;", true),
        (Language::Ada, "  X := 1;", false),
        (Language::Ada, "type T is range 1 .. 2;", false),
        (Language::Ada, "-- nothing", false),
        (Language::Vhdl, "Library ieee;", true),
        (Language::Vhdl, "process (clk) begin", false),
        (Language::Python, "return 1", true),
    ];
    for (language, text, expected) in cases {
        assert_eq!(is_whole_unit(language, text), expected, "{text}");
    }
}
