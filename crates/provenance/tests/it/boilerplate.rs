//! What everybody writes is said to be common, what one package has is not.

use provenance::segment::Options;
use provenance::trace::Kind;

use crate::code::{Draw, build, corpora, origin, trace};

const ADA: &str = "with Ada.Text_IO; use Ada.Text_IO;
with Ada.Integer_Text_IO; use Ada.Integer_Text_IO;
with Ada.Strings.Unbounded; use Ada.Strings.Unbounded;
with Interfaces; use Interfaces;
with Ada.Command_Line; use Ada.Command_Line;
";
const VHDL: &str = "library ieee;
  use ieee.std_logic_1164.all;
  use ieee.numeric_std.all;
library work;
  use work.types.all;
  use work.registers.all;
  use work.clocks.all;
";
const GETTERS: &str = "    pub fn name(&self) -> &str {
        &self.name
    }
    pub fn len(&self) -> usize {
        self.items.len()
    }
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
";
const HEADER: &str = "-- Permission is hereby granted, free of charge, to any person obtaining a copy
-- of this software and associated documentation files (the \"Software\"), to deal
-- in the Software without restriction, including without limitation the rights
-- to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
";

#[test]
fn in_many_packages() {
    let mut draw = Draw::fresh();
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for package in 0..20 {
        for (name, text) in [("a.adb", ADA), ("b.vhd", VHDL), ("c.rs", GETTERS)] {
            let text = format!("{HEADER}{text}{}", draw.file("k", 40));
            files.push((text, origin(&format!("git:{package}"), name)));
        }
    }
    build(&folder.path().join("s"), Options::default(), &files);
    let corpora = corpora(&folder.path().join("s"));
    for (text, packages, documents) in [(ADA, 20, 20), (VHDL, 20, 20), (GETTERS, 20, 20), (HEADER, 20, 60)] {
        let asked = format!("unseen {} unseen {}", text.trim_start_matches("-- "), draw.file("u", 5));
        let trace = trace(&corpora, &asked);
        let [span] = &trace.spans[..] else { panic!("{:#?}", trace.spans) };
        assert!(span.is_common && span.kind == Kind::Exact, "{span:#?}");
        assert_eq!((span.packages, span.documents), (packages, documents), "{text}");
    }
    // What follows in one of them is one package's.
    let own: String = files[7].0.lines().rev().take(8).collect::<Vec<_>>().into_iter().rev().collect();
    let trace = trace(&corpora, &own);
    let [span] = &trace.spans[..] else { panic!("{:#?}", trace.spans) };
    assert!(!span.is_common && span.packages == 1 && span.documents == 1, "{span:#?}");
}

/// By its words alone: they say little, so that two who have it need not know of each other.
#[test]
fn in_one_package_of_few_words() {
    let mut draw = Draw::fresh();
    let folder = tempfile::tempdir().unwrap();
    let mut files: Vec<_> =
        (0..30).map(|number| (draw.file("k", 100), origin("git:a", &format!("{number}")))).collect();
    // Its words are in many files, each elsewhere.
    let withs = [
        "with Ada.Text_IO;",
        "use Ada.Text_IO;",
        "with Ada.Integer_Text_IO;",
        "use Ada.Integer_Text_IO;",
        "with Ada.Strings.Unbounded;",
        "use Ada.Strings.Unbounded;",
        "with Interfaces;",
        "use Interfaces;",
    ];
    for (text, _) in &mut files {
        *text = format!("{}\n{text}", (0..20).map(|_| draw.of(&withs)).collect::<String>());
    }
    files[0].0 = format!("{ADA}{}", draw.file("k", 10));
    build(&folder.path().join("s"), Options::default(), &files);
    let trace = trace(&corpora(&folder.path().join("s")), ADA);
    let [span] = &trace.spans[..] else { panic!("{:#?}", trace.spans) };
    assert!(span.is_common && span.packages == 1, "{span:#?}");
}
