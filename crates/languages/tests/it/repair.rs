//! Each kind of mistake, with the real compilers: before its fix the text fails, after it it is clean, and nothing outside
//! the hole has changed. A case names the kind, what stands before the hole, in it and behind it.

use std::fs::File;
use std::io::Write;
use std::process::Command;

use languages::{
    Diagnostic, Language, Limits, RoundKind, Rounds, Severity, Want, finish, fixes, is_unfinished, trim,
};
use proptest::prelude::*;

/// What the language's compiler says of the text.
fn check(language: Language, text: &str) -> Vec<Diagnostic> {
    let folder = tempfile::tempdir().expect("a folder");
    let (name, program, arguments): (_, _, &[&str]) = match language {
        Language::Ada => ("unit.adb", "gcc", &["-c", "-gnatc", "-gnat2022", "-gnatef"]),
        // Elaborates `e`, too, and synthesises it.
        _ => (
            "unit.vhd",
            "sh",
            &["-c", "ghdl -s --std=08 \"$0\" && ghdl --synth --std=08 --out=none \"$0\" -e e"],
        ),
    };
    let mut file = File::create(folder.path().join(name)).expect("a file");
    file.write_all(text.as_bytes()).expect("room on the disk");
    let output = Command::new(program).args(arguments).arg(name).current_dir(folder.path()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; cargo xtask setup installs it"));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let remarks: Vec<Diagnostic> = words.lines().filter_map(|line| remark(line, name)).collect();
    let failed = remarks.iter().any(|remark| remark.severity == Severity::Error);
    assert_eq!(output.status.success(), !failed, "{words}");
    remarks
}

/// `unit.adb:3:14: error: missing ";"`
fn remark(line: &str, name: &str) -> Option<Diagnostic> {
    let mut parts = line.strip_prefix(name)?.strip_prefix(':')?.splitn(3, ':');
    let (row, column) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let message = parts.next()?.trim();
    let severity = match message.split_once(':') {
        Some(("warning", _)) => Severity::Warning,
        Some(("note", _)) => Severity::Note,
        _ => Severity::Error,
    };
    let message = message.trim_start_matches("error: ").trim_start_matches("warning: ").to_owned();
    Some(Diagnostic { severity, line: Some(row), column: Some(column), file: None, message })
}

/// Mends `before`, `hole` and `behind` until it is clean; the text, and the kinds of what was mended.
fn mend(language: Language, before: &str, hole: &str, behind: &str) -> (String, Vec<&'static str>) {
    let mut text = format!("{before}{hole}{behind}");
    let mut place = before.len()..before.len() + hole.len();
    let mut kinds = Vec::new();
    for _ in 0..6 {
        let remarks = check(language, &text);
        if !remarks.iter().any(|remark| remark.severity == Severity::Error) {
            assert!(!kinds.is_empty(), "clean from the beginning: {text}");
            let mut lines = text[..place.start].split('\n');
            let kept = before.split('\n').all(|line| lines.any(|other| other == line));
            assert!(kept && text.ends_with(behind), "{text}");
            return (text, kinds);
        }
        let fixed = fixes(language, &text, place, &remarks, true);
        let fixed = fixed.unwrap_or_else(|| panic!("no fix of {remarks:#?} in\n{text}"));
        kinds.extend(fixed.what);
        (text, place) = (fixed.text, fixed.hole);
    }
    panic!("not clean after six goes ({kinds:?}):\n{text}\n{:#?}", check(language, &text));
}

const FUNCTION: &str = "function F (S : String; N : Integer; X : Float) return Integer is\n";
const END: &str = "\nend F;\n";

#[test]
fn adas_mistakes_are_mended() {
    let cases: &[(&str, &str)] = &[
        ("a missing word", "begin\n   return N\n"),
        (
            "a missing word",
            "   Y : Integer := 0\n   ;begin\n   if N > 3\n      return Y;\n   end if;\n   return 3;",
        ),
        (
            "a missing word",
            "   Y : Integer := 0;\nbegin\n   while Y < 3\n      Y := Y + 1;\n   end loop;\n   return Y;",
        ),
        (
            "a missing begin",
            "   Y : Integer := 0;\n   if N > 3 then\n      Y := 3;\n   end if;\n   return Y;",
        ),
        (
            "a statement among declarations",
            "   Y : Integer;\n   Y := 5;\n   Z : Integer := Y;\nbegin\n   return Z;",
        ),
        ("a statement among declarations", "   Y : Integer;\n   Y := 5;\nbegin\n   return Y;"),
        ("a declaration among statements", "begin\n   Y : Integer := 3;\n   Y := Y + 1;\n   return Y;"),
        (
            "a declaration among statements",
            "begin\n   for I in 1 .. N loop\n      Y : Integer := I;\n      if Y > 3 then\n         return Y;\n      \
             end if;\n   end loop;\n   return 0;",
        ),
        (
            "else if for elsif",
            "begin\n   if N = 3 then\n      return 2;\n   else if N = 4 then\n      return 3;\n   end if;\n   return 0;",
        ),
        (
            "a missing or wrong end",
            "begin\n   for I in 1 .. N loop\n      if I = 3 then\n         return 2;\n   end loop;\n   return 0;",
        ),
        (
            "a word of another language",
            "begin\n   for I := 1 to N do\n      return I;\n   end for;\n   return 0;",
        ),
        (
            "a word of another language",
            "begin\n   for I = N downto 1 loop\n      return I;\n   end loop;\n   return 0;",
        ),
        (
            "a word of another language",
            "begin\n   if N == 3 && N != 4 then\n      return N % 2;\n   elif N = 5 then\n      return 1;\n   end if;\n   return 0;",
        ),
        ("a word of another language", "   Y : Integer := 0;\nbegin\n   Y += N;\n   Y++;\n   return Y;"),
        (
            "a word of another language",
            "begin\n   for I in 1 .. N loop\n      if I = 2 then\n         continue;\n      end if;\n      break;\n   end loop;\n   return 0;",
        ),
        ("a word for another", "   Y : Integer;\nbegin\n   Y = 3;\n   return Y;"),
        ("a word for another", "begin\n   if N <> 3 then\n      return 1;\n   end if;\n   return 2;"),
        ("a string in single quotes", "   Y : String := 'abc';\nbegin\n   return Y'Length;"),
        ("parentheses around a minus", "begin\n   return N * -abs (N);"),
        (
            "mixed logical operators",
            "begin\n   if N = 1 and N = 2 or N = 3 then\n      return 1;\n   end if;\n   return 2;",
        ),
        (
            "mixed logical operators",
            "begin\n   if N = 1 or N = 2 and N = 3 then\n      return 1;\n   end if;\n   return 2;",
        ),
        (
            "a reserved word as a name",
            "   Reverse : Integer := N;\nbegin\n   Reverse := Reverse + 1;\n   return Reverse;",
        ),
        (
            "a reserved word as a name",
            "   End : Integer := N;\nbegin\n   if End > 3 then\n      return End;\n   end if;\n   return S (S'First .. End)'Length;",
        ),
        ("a misspelt name", "   Total : Integer := N;\nbegin\n   return Totl;"),
        ("a function of another language", "begin\n   return Length (S) + Max (N, 3) + Ord (S (S'First));"),
        ("a function of another language", "begin\n   return Pow (N, 2);"),
        ("a missing context clause", "begin\n   Put_Line (S);\n   return Integer (Sqrt (X));"),
        (
            "a missing context clause",
            "   U : Unbounded_String := To_Unbounded_String (S);\nbegin\n   return Length (U);",
        ),
        (
            "an undeclared variable",
            "begin\n   Result := 0;\n   for I in 1 .. N loop\n      Result := Result + I;\n   end loop;\n   return Result;",
        ),
        ("an attribute written otherwise", "begin\n   return S.Length;"),
        ("an object without bounds", "   R : String;\nbegin\n   R := S;\n   return R'Length;"),
        (
            "an iteration over what is none",
            "begin\n   for I in S'Length loop\n      return I;\n   end loop;\n   return 0;",
        ),
        (
            "an iteration over what is none",
            "   Y : Integer := 0;\nbegin\n   for C in S loop\n      if C = 'a' then\n         Y := Y + 1;\n      end if;\n   end loop;\n   return Y;",
        ),
        ("an assignment to a constant", "begin\n   N := N + 1;\n   return N;"),
        ("operands of different types", "   Y : Float;\nbegin\n   Y := X * N;\n   return Integer (Y);"),
        ("operands of different types", "begin\n   return S (S'First) - '0';"),
        ("a missing conversion", "begin\n   return X;"),
        ("a missing conversion", "   Y : Float := N;\nbegin\n   return Integer (Y);"),
        (
            "a missing conversion",
            "begin\n   if S (S'First) = \"a\" then\n      return 1;\n   end if;\n   return 0;",
        ),
        ("a missing conversion", "   C : Character := N;\nbegin\n   return S (S'First);"),
        ("an empty sequence of statements", "begin\n   if N = 3 then\n   end if;\n   return 0;"),
        (
            "a name that is declared twice",
            "   N : Integer := N;\n   Y, Y : Integer := 3;\nbegin\n   return N + Y;",
        ),
        (
            "a slice without a bound",
            "   T : String := S (S'First + 1 ..);\nbegin\n   return S (.. 3)'Length + T'Length;",
        ),
        (
            "an aggregate written as a conversion",
            "   type Pair is record\n      A, B : Integer;\n   end record;\n   P : Pair;\nbegin\n   P := Pair (1, 2);\n   return P.A;",
        ),
        ("a result without return", "   Result : Integer := 0;\nbegin\n   Result := N;"),
        ("a function without return", "begin\n   null;"),
    ];
    for (kind, hole) in cases {
        let (text, kinds) = mend(Language::Ada, FUNCTION, hole, END);
        assert!(kinds.contains(kind), "{kind} is not among {kinds:?} of\n{text}");
    }
}

#[test]
fn adas_unbounded_strings_and_arrays_are_mended() {
    const BEFORE: &str = "with Ada.Strings.Unbounded; use Ada.Strings.Unbounded;\npackage body P is\n   \
                          function F (S : String; U : Unbounded_String; A : Integer_Array) return Integer_Array is\n";
    const SPECIFICATION: &str = "package body P is";
    let before = BEFORE.replace(
        SPECIFICATION,
        "procedure P is\n   type Integer_Array is array (Integer range <>) of Integer;",
    );
    let cases: &[(&str, &str)] = &[
        (
            "an unbounded string used as an array",
            "begin\n      if U (1) = 'a' then\n         return A;\n      end if;\n      return A;",
        ),
        (
            "an attribute written otherwise",
            "begin\n      for I in U'Range loop\n         null;\n      end loop;\n      return A;",
        ),
        (
            "a missing conversion",
            "      V : Unbounded_String := S;\n   begin\n      V := \"x\" & S;\n      return A;",
        ),
        ("a missing conversion", "      V : String := U;\n   begin\n      return A;"),
        ("a missing conversion", "   begin\n      return 3;"),
        ("a missing conversion", "   begin\n      return (3);"),
        (
            "an object without bounds",
            "      R : Integer_Array;\n   begin\n      for I in A'Range loop\n         R (I) := A (I);\n      end loop;\n      return R;",
        ),
        ("an object without bounds", "      R : Integer_Array := (others => 0);\n   begin\n      return R;"),
        (
            "a growing array",
            "      R : Integer_Array;\n   begin\n      for X of A loop\n         R := R & X;\n      end loop;\n      return R;",
        ),
        (
            "a growing array",
            "      R : Integer_Array;\n   begin\n      for X of A loop\n         R.Append (X + 1);\n      end loop;\n      return R;",
        ),
    ];
    for (kind, hole) in cases {
        let (text, kinds) = mend(Language::Ada, &before, hole, "\n   end F;\nbegin\n   null;\nend P;\n");
        assert!(kinds.contains(kind), "{kind} is not among {kinds:?} of\n{text}");
    }
}

const ENTITY: &str = "library ieee;
use ieee.std_logic_1164.all;
use ieee.numeric_std.all;

entity e is
  port (
    clk, a, b : in std_logic;
    v, w : in std_logic_vector(3 downto 0);
    y : out std_logic;
    z : out std_logic_vector(3 downto 0)
  );
end entity;

architecture rtl of e is
";

#[test]
fn vhdls_mistakes_are_mended() {
    let cases: &[(&str, &str)] = &[
        ("operands of different types", "begin\n  z <= v + 1;"),
        ("operands of different types", "begin\n  z <= v + w - 1;"),
        ("operands of different types", "begin\n  y <= a = b;"),
        ("operands of different types", "begin\n  y <= v < w;"),
        ("operands of different types", "begin\n  y <= (v < 3) or (w < 2);"),
        ("operands of different types", "begin\n  y <= '1' when a = 1 else '0';"),
        ("operands of different types", "begin\n  y <= '1' when v = 3 else '0';"),
        ("operands of different types", "begin\n  y <= a + b;"),
        ("operands of different types", "begin\n  y <= a and 1;"),
        ("a missing conversion", "  signal u : unsigned(3 downto 0);\nbegin\n  z <= u;\n  u <= v;"),
        ("a missing conversion", "begin\n  z <= 0;\n  y <= 1;"),
        ("a missing conversion", "  signal n : integer;\nbegin\n  n <= v;\n  z <= n;"),
        ("a missing conversion", "begin\n  z <= shift_left(v, 1);"),
        ("a missing conversion", "begin\n  z <= to_unsigned(3, 4);"),
        (
            "the assignment of a signal or a variable",
            "  signal q : std_logic;\nbegin\n  process (clk)\n  begin\n    q := a;\n    y <= q;\n  end process;",
        ),
        (
            "the assignment of a signal or a variable",
            "begin\n  process (clk)\n    variable q : std_logic;\n  begin\n    q <= a;\n    y <= q;\n  end process;",
        ),
        ("a missing word", "begin\n  y <= a\n"),
        (
            "a missing word",
            "begin\n  process (clk)\n  begin\n    if rising_edge(clk)\n      y <= a;\n    end if;\n  end process;",
        ),
        (
            "a missing or wrong end",
            "begin\n  process (clk)\n  begin\n    if rising_edge(clk) then\n      y <= a;\n  end process;",
        ),
        ("a missing begin", "  signal q : std_logic;\n  q <= a;\n  y <= q;"),
        ("a missing body", "  signal q : std_logic;"),
        ("a declaration among statements", "begin\n  signal q : std_logic;\n  q <= a;\n  y <= q;"),
        (
            "a declaration among statements",
            "begin\n  process (clk)\n  begin\n    variable q : std_logic;\n    q := a;\n    y <= q;\n  end process;",
        ),
        (
            "a sequential statement outside a process",
            "begin\n  if a = '1' then\n    y <= b;\n  else\n    y <= '0';\n  end if;",
        ),
        (
            "a sequential statement outside a process",
            "begin\n  case v is\n    when \"0000\" => y <= b;\n    when others => y <= '0';\n  end case;",
        ),
        ("parentheses around a condition", "begin\n  y <= (a when b = '1' else '0');"),
        ("mixed logical operators", "begin\n  y <= a and b or v(0);"),
        ("a reserved word as a name", "  signal out : std_logic;\nbegin\n  out <= a;\n  y <= out;"),
        (
            "a symbol for another",
            "  function f (c : std_logic, d : std_logic) return std_logic is\n  begin\n    return c and d;\n  \
             end function;\nbegin\n  y <= f(a, b);",
        ),
        ("a variable in an architecture", "  variable q : std_logic;\nbegin\n  q <= a;\n  y <= q;"),
        ("an undeclared signal", "begin\n  q <= a;\n  y <= q;"),
        (
            "a name that is declared twice",
            "  signal q : std_logic;\n  signal q : std_logic;\nbegin\n  q <= a;\n  y <= q;",
        ),
        ("a function of another package", "begin\n  y <= and_reduce(v);"),
        ("a word of another language", "begin\n  assign y = ~a && b;"),
        ("a word of another language", "  wire [3:0] q;\nbegin\n  q <= {v[0], w[2:0]};\n  z <= q;"),
        ("a word of another language", "begin\n  z <= 4'b0101;\n  y <= 1'b0;"),
        (
            "a word of another language",
            "begin\n  process (all)\n  begin\n    if a = '1' then\n      y <= b;\n    elseif b = '1' then\n      y <= a;\n    end if;\n  end process;",
        ),
        (
            "a missing choice",
            "begin\n  process (all)\n  begin\n    case v is\n      when \"0000\" => y <= a;\n    end case;\n  end process;",
        ),
    ];
    for (kind, hole) in cases {
        let (text, kinds) = mend(Language::Vhdl, ENTITY, hole, "\nend architecture;\n");
        assert!(kinds.contains(kind), "{kind} is not among {kinds:?} of\n{text}");
    }
}

#[test]
fn a_missing_clause_of_vhdl_is_put_before_the_unit() {
    let before = ENTITY.replace("use ieee.numeric_std.all;\n", "");
    let (text, kinds) = mend(
        Language::Vhdl,
        &before,
        "begin\n  z <= std_logic_vector(unsigned(v) + 1);",
        "\nend architecture;\n",
    );
    assert_eq!(kinds[0], "a missing context clause");
    assert!(text.contains("use ieee.numeric_std.all;\narchitecture rtl of e is\n"), "{text}");
}

#[test]
fn clauses_need_leave() {
    let text = format!("{FUNCTION}begin\n   Put_Line (S);\n   return 1;{END}");
    let hole = FUNCTION.len()..text.len() - END.len();
    let remarks = check(Language::Ada, &text);
    assert_eq!(fixes(Language::Ada, &text, hole.clone(), &remarks, false), None);
    let fixed = fixes(Language::Ada, &text, hole, &remarks, true).unwrap();
    assert!(fixed.text.starts_with("with Ada.Text_IO; use Ada.Text_IO;\nfunction F"), "{}", fixed.text);
    assert!(!fixed.stub);
}

#[test]
fn arrays_begin_where_the_code_takes_them_to() {
    let before = "procedure P is\n   type List is array (Integer range <>) of Integer;\n   \
                  function Sum (A, B : List) return Integer is\n";
    let hole = "      Total : Integer := 0;\n   begin\n      for I in 1 .. A'Length loop\n         \
                Total := Total + A (I);\n      end loop;\n      for X of B loop\n         Total := Total + X;\n      \
                end loop;\n      return Total;";
    let behind = "\n   end Sum;\nbegin\n   if Sum ((1, 2), (3, 4)) /= 10 then\n      raise Program_Error;\n   end if;\nend P;\n";
    let text = format!("{before}{hole}{behind}");
    let fixed = finish(Language::Ada, &text, before.len()..before.len() + hole.len(), true).unwrap();
    assert!(fixed.text.starts_with(before) && fixed.text.ends_with(behind));
    assert!(
        fixed.text.contains("Based_A : constant List (1 .. A'Length) := A;")
            && fixed.text.contains("for X of B loop")
    );
    assert!(
        fixed.text.contains("1 .. Based_A'Length") && fixed.text.contains("+ Based_A (I)"),
        "{}",
        fixed.text
    );
    let remarks = check(Language::Ada, &fixed.text);
    assert!(!remarks.iter().any(|remark| remark.severity == Severity::Error), "{remarks:?}");
    let counted = text
        .replace("1 .. A'Length", "1 .. 2")
        .replace("Total : Integer", "L : List := (7, 8);\n      Total : Integer");
    let fixed = finish(Language::Ada, &counted, before.len()..before.len() + hole.len() + 25, true).unwrap();
    assert!(fixed.text.contains("Based_A : constant List (1 .. A'Length) := A;"), "{}", fixed.text);
    assert!(fixed.text.contains("L : List (1 .. 2) := (7, 8);"), "{}", fixed.text);
    let ranged = text.replace("1 .. A'Length", "A'Range");
    assert_eq!(finish(Language::Ada, &ranged, before.len()..before.len() + hole.len(), true), None);
}

#[test]
fn a_string_that_grows_is_unbounded() {
    let before = "procedure P is\n   function Evens (Text : String) return String";
    let hole = " is\n      Result : String := \"\";\n      I : Natural := 1;\n   begin\n      while I <= Text'Length loop\n         if I mod 2 = 0 \
                then\n            Result := Result & Text (I);\n         end if;\n         I := I + 1;\n      end loop;\n      \
                if Result'Length = 0 or else Result (1) = ' ' then\n         Result := \"!\" & Result;\n      end if;\n      return Result;";
    let behind = "\n   end Evens;\nbegin\n   if Evens (\"a1b2c\") /= \"12\" then\n      raise Program_Error;\n   end if;\nend P;\n";
    let text = format!("{before}{hole}{behind}");
    let finished = |text: &str, clauses| {
        let hole = before.len()..text.len() - behind.len();
        finish(Language::Ada, text, hole, clauses)
    };
    let fixed = finished(&text, true).unwrap();
    assert!(fixed.what.iter().all(|what| *what == "a String that grows"));
    assert!(
        fixed.text.starts_with("with Ada.Strings.Unbounded;\nprocedure P is") && fixed.text.ends_with(behind)
    );
    let remarks = check(Language::Ada, &fixed.text);
    assert!(!remarks.iter().any(|remark| remark.severity == Severity::Error), "{remarks:?}\n{}", fixed.text);
    // The clause is outside the hole; where it may not be put, nothing is done.
    assert_eq!(finished(&text, false), None);
    for other in [
        text.replace("Result & Text (I)", "Text (I) & \"\"").replace("\"!\" & Result", "\"!\""),
        text.replace("Result : String", "Result : constant String"),
        // What is changed in place would not compile.
        text.replace("return Result;", "Result (1) := 'x';\n      return Result;"),
    ] {
        assert_eq!(finished(&other, true), None, "{other}");
    }
}

/// The entity with those inputs only that the architecture's body names.
fn entity(body: &str) -> String {
    let named = |names: &[&str]| {
        let is_named = |name: &&str| body.split(|c: char| !c.is_alphanumeric()).any(|word| word == *name);
        names.iter().copied().filter(is_named).collect::<Vec<_>>().join(", ")
    };
    let bits = named(&["clk", "a", "b"]);
    let vectors = named(&["v", "w"]);
    ENTITY.replace("clk, a, b", &bits).replace("v, w", &vectors)
}

#[test]
fn an_architecture_that_leaves_a_port_alone_is_unfinished() {
    let whole = "begin\n  z <= v when clk else w;\n  y <= a and b;\nend architecture;\n";
    for (body, is_known) in [
        (whole.to_owned(), true),
        (whole.replace(" and b", ""), false),
        (whole.replace("y <= ", "-- y <= "), false),
    ] {
        let hole = ENTITY.len()..ENTITY.len() + body.len();
        let text = format!("{ENTITY}{body}");
        assert_ne!(is_unfinished(Language::Vhdl, &text, hole), is_known, "{body}");
        assert_ne!(is_unfinished(Language::Vhdl, &text, 0..text.len()), is_known, "{body}");
    }
    // A hole within a statement is not all of it.
    let text = format!("{ENTITY}{whole}");
    let at = text.find(" and b").unwrap();
    assert!(!is_unfinished(Language::Vhdl, &text, at..at + 6));
}

#[test]
fn outputs_are_driven_by_what_was_made_for_them() {
    let hole = "  signal n : std_logic;\nbegin\n  z <= v;\n  n <= not a;";
    let entity = entity(hole);
    let text = format!("{entity}{hole}\nend architecture;\n");
    let place = entity.len()..entity.len() + hole.len();
    assert!(is_unfinished(Language::Vhdl, &text, place.clone()));
    let fixed = finish(Language::Vhdl, &text, place, true).unwrap();
    assert_eq!(&fixed.text[fixed.hole.clone()], format!("{hole}\n  y <= n;"));
    assert!(!is_unfinished(Language::Vhdl, &fixed.text, fixed.hole.clone()));
    let remarks = check(Language::Vhdl, &fixed.text);
    assert!(!remarks.iter().any(|remark| remark.severity == Severity::Error), "{remarks:?}");
}

#[test]
fn latches_are_given_what_remains() {
    for (hole, mended) in [
        (
            "begin\n  process (all)\n  begin\n    if a = '0' then\n      y <= '0';\n    elsif (a = '1') then\n      y <= b;\n    end if;\n  end process;\n  z <= v;",
            "    else\n      y <= b;",
        ),
        (
            "begin\n  process (all)\n  begin\n    if v(1 downto 0) = \"00\" then\n      y <= a;\n    elsif v(1 downto 0) = \"01\" then\n      y <= b;\n    elsif v(1 downto 0) = \"10\" then\n      y <= '0';\n    elsif v(1 downto 0) = \"11\" then\n      y <= '1';\n    end if;\n  end process;\n  z <= v;",
            "    else\n      y <= '1';",
        ),
        (
            "begin\n  y <= a when v = \"0000\" else b when v = \"0001\";\n  z <= v;",
            "  y <= a when v = \"0000\" else b;",
        ),
        (
            "begin\n  process (all)\n  begin\n    if a = '1' then\n      y <= b;\n    end if;\n  end process;\n  z <= v;",
            "  begin\n    y <= '0';\n    if",
        ),
    ] {
        let (text, kinds) = mend(Language::Vhdl, ENTITY, hole, "\nend architecture;\n");
        assert_eq!(kinds, ["a latch"], "{text}");
        assert!(text.contains(mended), "{text}");
    }
}

#[test]
fn a_latch_that_the_compiler_does_not_see_is_given_what_remains() {
    let hole = "  type state_type is (idle, busy, done);\n  signal state, next_state : state_type;\nbegin\n  process (clk)\n  begin\n    if rising_edge(clk) then\n      state <= next_state;\n    end if;\n  end process;\n  step : process (all)\n  begin\n    case state is\n      when idle =>\n        if a = '1' then\n          next_state <= busy;\n        end if;\n      when busy =>\n        next_state <= done;\n      when done =>\n        if b = '1' then\n          next_state <= idle;\n        end if;\n    end case;\n  end process;\n  y <= '1' when state = busy else '0';\n  z <= v;";
    let entity = entity(hole);
    let text = format!("{entity}{hole}\nend architecture;\n");
    let place = entity.len()..entity.len() + hole.len();
    assert!(is_unfinished(Language::Vhdl, &text, place.clone()));
    let fixed = finish(Language::Vhdl, &text, place.clone(), true).unwrap();
    assert!(fixed.text.contains("  begin\n    next_state <= state;\n    case"), "{}", fixed.text);
    assert!(!is_unfinished(Language::Vhdl, &fixed.text, fixed.hole));
    let remarks = check(Language::Vhdl, &fixed.text);
    assert!(!remarks.iter().any(|remark| remark.severity == Severity::Error), "{remarks:?}");
    let wanted = text.replace("step :", "latch:");
    assert!(!is_unfinished(Language::Vhdl, &wanted, place.clone()));
    assert_eq!(finish(Language::Vhdl, &wanted, place, true), None);
}

#[test]
fn signals_that_are_used_as_variables_become_variables() {
    let least = "begin\n  process (v, w)\n  begin\n    z <= v;\n    if unsigned(w) < unsigned(z) then\n      z <= w;\n    end if;\n  end process;\n  y <= a;";
    let ones = "  signal count : unsigned(3 downto 0);\nbegin\n  process (v)\n  begin\n    for i in v'range loop\n      if v(i) = '1' then\n        count <= count + 1;\n      end if;\n    end loop;\n  end process;\n  z <= std_logic_vector(count);\n  y <= a;";
    for (hole, expected) in [
        (
            least,
            "  process (all)\n    variable z_value : std_logic_vector(3 downto 0);\n  begin\n    z_value := v;\n    if unsigned(w) < unsigned(z_value) then\n      z_value := w;\n    end if;\n    z <= z_value;\n  end process;",
        ),
        (
            ones,
            "    variable count_value : unsigned(3 downto 0);\n  begin\n    count_value := (others => '0');\n    for i in v'range loop\n      if v(i) = '1' then\n        count_value := count_value + 1;",
        ),
    ] {
        let entity = entity(hole);
        let text = format!("{entity}{hole}\nend architecture;\n");
        let place = entity.len()..entity.len() + hole.len();
        assert!(is_unfinished(Language::Vhdl, &text, place.clone()));
        let fixed = finish(Language::Vhdl, &text, place, true).unwrap();
        assert!(fixed.text.contains(expected), "{}", fixed.text);
        assert!(!is_unfinished(Language::Vhdl, &fixed.text, fixed.hole.clone()));
        let remarks = check(Language::Vhdl, &fixed.text);
        assert!(!remarks.iter().any(|remark| remark.severity == Severity::Error), "{remarks:?}");
    }
    // What goes through a signal once comes to its value; a register keeps its own.
    for hole in [
        "  signal s : std_logic;\nbegin\n  process (all)\n  begin\n    s <= a and b;\n    y <= s;\n  end process;\n  z <= v;",
        "  signal s : unsigned(3 downto 0);\nbegin\n  process (clk)\n  begin\n    if rising_edge(clk) then\n      s <= s + 1;\n    end if;\n  end process;\n  y <= a;\n  z <= std_logic_vector(s);",
    ] {
        let entity = entity(hole);
        let text = format!("{entity}{hole}\nend architecture;\n");
        let place = entity.len()..entity.len() + hole.len();
        assert!(!is_unfinished(Language::Vhdl, &text, place.clone()));
        assert_eq!(finish(Language::Vhdl, &text, place, true), None);
    }
}

#[test]
fn answers_are_trimmed() {
    let prefix = "package body P is\n   function F (N : Integer; M : Integer) return Integer";
    let suffix = "\n   end F;\nend P;\n";
    let body = " is\n   begin\n      return N;";
    for answer in [
        body.to_owned(),
        format!("{body}\n   end F;\n\n   function G return Integer is"),
        body.replacen(" is\n", "\n", 1),
        format!(
            "```ada\n   function F (N : Integer; M : Integer) return Integer{body}\n   end F;\n```\nThis returns N."
        ),
        format!("{body}\n```\n"),
    ] {
        let trimmed = trim(Language::Ada, prefix, &answer, suffix);
        let words: Vec<&str> = trimmed.split_whitespace().collect();
        assert_eq!(words, ["is", "begin", "return", "N;"], "{answer}");
    }
    assert_eq!(trim(Language::Ada, &format!("{prefix} is"), " is\nbegin", suffix), "\nbegin");
    let answer = "begin\n  y <= a;\nend rtl;\n\nentity other is";
    assert_eq!(trim(Language::Vhdl, ENTITY, answer, "\nend architecture;\n"), "begin\n  y <= a;");
}

/// Plays the rounds with answers in their order.
fn play(answers: &[&str], limits: Limits) -> Rounds {
    let mut rounds = Rounds::new(Language::Ada, FUNCTION, END, limits);
    let mut answers = answers.iter();
    for _ in 0..100 {
        match rounds.want() {
            Want::Draw(_) => rounds.drawn(answers.next().expect("as many answers as draws")),
            Want::Check(text) => {
                let remarks = check(Language::Ada, text);
                rounds.checked(&remarks);
            }
            Want::Drive(_) => rounds.not_driven(),
            Want::Done(_) => return rounds,
        }
    }
    panic!("no end: {rounds:#?}");
}

#[test]
fn rounds_end_with_the_first_clean_text() {
    let rounds = play(&["begin\n   return N;"], Limits::default());
    let Want::Done(Some(best)) = rounds.want() else { panic!() };
    assert_eq!((best.errors, best.round), (0, 0));

    let rounds = play(&["begin\n   return N"], Limits::default());
    let Want::Done(Some(best)) = rounds.want() else { panic!() };
    assert_eq!((best.errors, best.round), (0, 1));
    assert_eq!(rounds.rounds()[1].kind, RoundKind::Fixed(vec!["a missing word"]));
    assert_eq!(&best.text[best.hole.clone()], "begin\n   return N;");
}

#[test]
fn a_span_is_drawn_anew_before_the_whole() {
    let mut rounds = Rounds::new(Language::Ada, FUNCTION, END, Limits::default());
    rounds.drawn("begin\n   Frobnicate (S, N, X);\n   return N;");
    let Want::Check(text) = rounds.want() else { panic!() };
    let remarks = check(Language::Ada, text);
    rounds.checked(&remarks);
    let Want::Draw(draw) = rounds.want() else { panic!("{rounds:#?}") };
    assert!(draw.is_span && draw.suffix.starts_with("\n   return N;"));
    assert!(draw.prefix.ends_with("-- error: \"Frobnicate\" is undefined\n   "), "{}", draw.prefix);
    rounds.drawn("null;");
    let Want::Check(text) = rounds.want() else { panic!() };
    assert_eq!(text, format!("{FUNCTION}begin\n   null;\n   return N;{END}"));
}

#[test]
fn what_enough_draws_agree_on_is_taken() {
    let note = |behaviour: &str| Diagnostic {
        severity: Severity::Note,
        line: None,
        column: None,
        file: None,
        message: behaviour.to_owned(),
    };
    let limits = Limits { candidates_max: 5, agree: 2, ..Limits::default() };
    // Each draw with what it behaves like; a mark of exclamation breaks off.
    let play = |draws: &[(&str, &str)]| {
        let mut rounds = Rounds::new(Language::C, "", "", limits.clone());
        let mut draws = draws.iter();
        let mut behaviour = "";
        loop {
            match rounds.want() {
                Want::Draw(_) => {
                    let (text, how) = draws.next().unwrap();
                    behaviour = how;
                    rounds.drawn(text);
                }
                Want::Check(_) => rounds.checked(&[]),
                Want::Drive(_) if behaviour == "!" => {
                    rounds.driven(&[Diagnostic { severity: Severity::Error, ..note("") }]);
                }
                // It did not end.
                Want::Drive(_) if behaviour == "…" => rounds.driven(&[]),
                Want::Drive(_) => rounds.driven(&[note(behaviour)]),
                Want::Done(best) => {
                    let agreement = rounds.agreement().unwrap();
                    return (best.unwrap().text.clone(), agreement.agree, agreement.clean, draws.len());
                }
            }
        }
    };
    let taken = |text: &str, agree, clean, left| (text.to_owned(), agree, clean, left);
    assert_eq!(play(&[("a", "1"), ("b", "2"), ("c", "2"), ("d", "1")]), taken("b", 2, 3, 1));
    // A text that is drawn again speaks for itself.
    assert_eq!(play(&[("a", "1"), ("b", "2"), ("b", "")]), taken("b", 2, 3, 0));
    // Where none agree it is the first that behaves at all.
    let draws = [("a", "!"), ("b", "2"), ("c", "…"), ("a", ""), ("d", "4")];
    assert_eq!(play(&draws), taken("b", 1, 5, 0));
    let mut rounds = Rounds::new(Language::C, "", "", limits.clone());
    // What is not wanted has no effect.
    rounds.checked(&[]);
    rounds.drawn("a");
    rounds.driven(&[]);
    assert_eq!(rounds.want(), Want::Check("a"));
    rounds.checked(&[]);
    assert_eq!(rounds.want(), Want::Drive("a"));
    rounds.checked(&[]);
    rounds.not_driven();
    assert!(matches!(rounds.want(), Want::Done(Some(best)) if best.text == "a"));
    assert_eq!(rounds.agreement(), None);
}

#[test]
fn a_stub_is_shown_only_when_nothing_better_comes() {
    let limits = Limits { candidates_max: 2, ..Limits::default() };
    let rounds = play(&["begin\n   null;", "begin\n   return N;"], limits.clone());
    let Want::Done(Some(best)) = rounds.want() else { panic!() };
    assert!(!best.stub && best.text.contains("return N;"));
    let rounds = play(&["begin\n   null;", "begin\n   null; "], limits);
    let Want::Done(Some(best)) = rounds.want() else { panic!() };
    assert!(best.stub && best.errors == 0);
}

const MESSAGES: &[&str] = &[
    "missing \";\"",
    "missing \"begin\" for function \"F\" at line 1",
    "statement not allowed in declarative part",
    "declarations must come before \"begin\"",
    "\"end loop;\" expected for \"loop\" at line 3",
    "missing \"end if;\" for \"if\" at line 2",
    "\"Result\" is undefined",
    "unconstrained subtype not allowed (need initialization)",
    "expected type \"Standard.Float\"",
    "found type \"Standard.Integer\"",
    "invalid operand types for operator \"+\"",
    "left operand has type \"Standard.Float\"",
    "right operand has type \"Standard.Integer\"",
    "mixed logical operators in expression",
    "assignment to \"in\" mode parameter not allowed",
    "array type required in indexed component",
    "missing \"return\" statement in function body",
    "no function declarations for operator \"+\"",
    "can't match 'u' with type array type \"std_ulogic_vector\"",
    "signal \"q\" is not a variable to be assigned",
    "'if' is expected instead of 'process'",
    "'begin' is expected instead of 'end'",
    "a generate statement must have a label",
    "unexpected token 'signal' in a concurrent statement list",
    "no declaration for \"q\"",
    "only one type of logical operators may be used to combine relation",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn nothing_outside_the_hole_is_touched(
        language in prop::sample::select(vec![Language::Ada, Language::Vhdl]),
        words in prop::collection::vec(
            prop::sample::select(vec![
                "if", "then", "end", "loop", "begin", "is", ";", ":", ":=", "<=", "(", ")", "X", "Result", "+", "=", "and", "or",
                "process", "for", "in", "..", "1", "'a'", "\"s\"", "'", ".", "[", "]", "{", "}", "return", "case", "signal", "when", "=>",
                "declare", "\n", "é", "function", "F", "Integer_Array", "String", "U", "&", "else", "elsif", "not", "%", "~", "++", "continue",
            ]),
            0..60,
        ),
        from in 0usize..400,
        length in 0usize..400,
        remarks in prop::collection::vec((0u32..9, 0u32..60, prop::sample::select(MESSAGES.to_vec())), 0..8),
        clauses in any::<bool>(),
        noise in "\\PC{0,20}",
    ) {
        let text = format!("{}{noise}", words.join(" "));
        let start = text.floor_char_boundary(from.min(text.len()));
        let end = text.ceil_char_boundary((start + length).min(text.len()));
        let remarks: Vec<Diagnostic> = remarks
            .into_iter()
            .map(|(line, column, message)| Diagnostic {
                severity: Severity::Error,
                line: Some(line),
                column: Some(column),
                file: None,
                message: message.to_owned(),
            })
            .collect();
        if let Some(fixed) = fixes(language, &text, start..end, &remarks, clauses) {
            prop_assert!(!fixed.what.is_empty());
            prop_assert_eq!(&fixed.text[fixed.hole.end..], &text[end..]);
            if clauses {
                let mut kept = fixed.text[..fixed.hole.start].to_owned();
                for clause in fixed.text[..fixed.hole.start].lines().filter(|line| line.contains("use ")) {
                    kept = kept.replacen(&format!("{clause}\n"), "", 1).replace("library ieee;\n", "");
                }
                prop_assert_eq!(kept, &text[..start]);
            } else {
                prop_assert_eq!(&fixed.text[..fixed.hole.start], &text[..start]);
            }
        }
        if let Some(fixed) = finish(language, &text, start..end, true) {
            prop_assert!(fixed.text.starts_with(&text[..start]) && fixed.text.ends_with(&text[end..]));
        }
        let _ = trim(language, &text[..start], &text[start..end], &text[end..]);
    }

    #[test]
    fn rounds_always_end(answers in prop::collection::vec("[a-z;:= \n]{0,40}", 1..12), errors in prop::collection::vec(0u32..3, 1..12), agree in 1u32..4) {
        let limits = Limits { agree, ..Limits::default() };
        let mut rounds = Rounds::new(Language::Ada, FUNCTION, END, limits);
        let mut answers = answers.iter().cycle();
        let mut errors = errors.iter().cycle();
        let mut steps = 0;
        loop {
            steps += 1;
            prop_assert!(steps < 200);
            match rounds.want() {
                Want::Draw(_) => rounds.drawn(answers.next().unwrap()),
                Want::Drive(text) => {
                    let message = text.len().to_string();
                    let severity = if text.len() % 3 == 0 { Severity::Warning } else { Severity::Note };
                    rounds.driven(&[Diagnostic { severity, line: None, column: None, file: None, message }]);
                }
                Want::Check(_) => {
                    let remark = |line| Diagnostic {
                        severity: Severity::Error,
                        line: Some(line),
                        column: Some(3),
                        file: None,
                        message: MESSAGES[usize::try_from(line).unwrap() % MESSAGES.len()].to_owned(),
                    };
                    let remarks: Vec<Diagnostic> = (0..*errors.next().unwrap()).map(remark).collect();
                    rounds.checked(&remarks);
                }
                Want::Done(best) => {
                    prop_assert!(best.is_some());
                    break;
                }
            }
        }
    }
}
