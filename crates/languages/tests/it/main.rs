//! Detecting, cutting and reading of files, and what surrounds a cursor. Figures of speed are not tested.
#![allow(clippy::unwrap_used, reason = "a failing test may panic")]

mod answers;
mod checkers;
mod parse;
mod proofs;
mod properties;
mod repair;
mod surroundings;
mod tokens;

use languages::Language;

#[test]
fn names_come_back() {
    for language in Language::ALL {
        assert_eq!(Language::from_name(language.name()), Some(language));
        assert!(!language.line_comment().is_empty());
    }
    assert_eq!(Language::from_name("SPARK"), Some(Language::Ada));
    assert_eq!(Language::from_name("SystemVerilog"), Some(Language::Verilog));
    assert_eq!(Language::from_name("C++"), Some(Language::Cpp));
    assert_eq!(Language::from_name("prose"), None);
}

#[test]
fn languages_are_detected() {
    let cases = [
        ("src/a-b.ads", "", Some(Language::Ada)),
        ("A.ADB", "", Some(Language::Ada)),
        ("rtl/cpu.vhdl", "", Some(Language::Vhdl)),
        ("x.sv", "", Some(Language::Verilog)),
        ("proof.v", "Require Import Arith.", None),
        ("a.h", "int f(void);", Some(Language::C)),
        ("a.h", "namespace n {", Some(Language::Cpp)),
        ("C:\\src\\a.cxx", "", Some(Language::Cpp)),
        ("lib.rs", "", Some(Language::Rust)),
        ("a.F90", "", Some(Language::Fortran)),
        ("boot.S", "", Some(Language::Assembly)),
        ("pay.cbl", "", Some(Language::Cobol)),
        ("stack.pas", "", Some(Language::Pascal)),
        ("tool", "#!/usr/bin/env python3\n", Some(Language::Python)),
        ("tool", "#!/bin/sh\n", None),
        ("", "with Ada.Text_IO;\nprocedure Main is", Some(Language::Ada)),
        ("", "library ieee;\nuse ieee.std_logic_1164.all;", Some(Language::Vhdl)),
        ("README.md", "with Ada.Text_IO;", None),
    ];
    for (path, beginning, language) in cases {
        assert_eq!(Language::detect(path, beginning), language, "{path} {beginning}");
    }
}
