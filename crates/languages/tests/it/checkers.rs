//! The real toolchains, on units that are right and units with one known mistake. Here nothing is jailed: the units are
//! ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use languages::{Checker, Diagnostic, Language, Plan, Project, Rules, Severity, Unit, Written};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("cloister-checkers-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    #[expect(clippy::disallowed_methods, reason = "a test's file need not last")]
    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn run(checker: &Checker, plan: &Plan, folder: &Path) -> (Vec<u8>, Vec<u8>, bool) {
    for program in checker.programs {
        let found = Command::new("sh").args(["-c", "command -v \"$1\"", "sh", program]).output().unwrap();
        assert!(found.status.success(), "`{program}` is missing: apt-get install {}", checker.package);
    }
    let output = Command::new(plan.program).args(&plan.arguments).current_dir(folder).output().unwrap();
    (output.stdout, output.stderr, output.status.success())
}

fn check(name: &str, unit: &Unit<'_>) -> Vec<Diagnostic> {
    let checkers = unit.language.checkers();
    let checker = checkers.iter().find(|checker| checker.name == name).unwrap();
    let plan = checker.plan(unit).unwrap();
    let folder = Folder::new();
    for (name, text) in &plan.files {
        folder.put(name, text);
    }
    let (stdout, stderr, succeeded) = run(checker, &plan, &folder.0);
    checker.read(unit, &Written { stdout: &stdout, stderr: &stderr, succeeded })
}

/// A unit without project and rules, looked at by one checker.
fn alone(language: Language, name: &str, file_name: Option<&str>, text: &str) -> Vec<Diagnostic> {
    let (project, rules) = (Project::default(), Rules::default());
    check(name, &Unit { language, file_name, text, project: &project, rules: &rules })
}

/// The one place with an error in a text that marks it by `¤`: its line, and its byte if the checker says so.
#[track_caller]
fn assert_marked(language: Language, name: &str, file_name: Option<&str>, marked: &str, says: &str) {
    let at = marked.find('¤').unwrap();
    let (before, behind) = (&marked[..at], &marked[at + '¤'.len_utf8()..]);
    let line = before.matches('\n').count() + 1;
    let column = at - before.rfind('\n').map_or(0, |end| end + 1) + 1;
    let found = alone(language, name, file_name, &format!("{before}{behind}"));
    let error = found.iter().find(|one| one.severity == Severity::Error);
    let error = error.unwrap_or_else(|| panic!("{name} found no error: {found:?}"));
    assert!(error.message.contains(says), "{name}: {found:?}");
    let place = (error.line.unwrap() as usize, error.column.map_or(column, |column| column as usize));
    assert_eq!(place, (line, column), "{name}: {found:?}");
}

#[track_caller]
fn assert_clean(language: Language, name: &str, file_name: Option<&str>, text: &str) {
    assert_eq!(alone(language, name, file_name, text), [], "{name}: {text}");
}

#[test]
fn gnat_looks_at_one_unit() {
    let check = |file_name, text, says| assert_marked(Language::Ada, "gnat", file_name, text, says);
    let main = "with Ada.Text_IO;\nprocedure Main is\n\tA : String := \"é\" & ¤ZZ;\nbegin\n   Ada.Text_IO.Put (A);\nend Main;\n";
    for name in
        [None, Some("main.adb"), Some("main.ads"), Some("other.adb"), Some("../main.adb"), Some("-x.adb")]
    {
        check(name, main, "\"ZZ\" is undefined");
        assert_clean(Language::Ada, "gnat", name, &main.replace("¤ZZ", "\"z\""));
    }
    check(Some("p.ads"), "package P is\n   X : Integer := 1¤\nend P;\n", "missing \";\"");
    check(Some("p.ads"), "package P is\n   X : Foo¤", "missing \";\"");
    check(None, "package P is\n   X : Integer := 1¤\nend P;\n", "missing \";\"");
    check(None, "¤hello world\n", "compilation unit expected");
    // A name that is used twice is the same error as one that is used once.
    let twice = "procedure T is\nbegin\n   Foo (1);\n   Foo;\nend T;\n";
    let found = alone(Language::Ada, "gnat", None, twice);
    assert_eq!((found.len(), found[0].message.as_str()), (1, "\"Foo\" is undefined"), "{found:?}");
    // The language of 2022, in each way.
    let new = "procedure N is\n   X : String := [1 => 'a'];\nbegin\n   X := @;\nend N;\n";
    assert_clean(Language::Ada, "gnat", Some("n.adb"), new);
    assert_clean(Language::Ada, "gnat", None, &format!("procedure M is\nbegin\n   null;\nend;\n{new}"));
}

#[test]
fn gnat_looks_at_several_units() {
    let text = "package P is\n   procedure Q;\nend P;\npackage body P is\n   procedure Q is\n   begin\n      X := 1;\n   end Q;\nend P;\n\
                with P;\nprocedure Main is\nbegin\n   P.Q;\n   P.R;\nend Main;\n";
    let found = alone(Language::Ada, "gnat", Some("main.adb"), text);
    let mut places: Vec<_> = found.iter().map(|one| (one.line, one.column)).collect();
    places.sort();
    assert_eq!(places, [(Some(7), Some(7)), (Some(14), Some(5))], "{found:?}");
    assert_clean(
        Language::Ada,
        "gnat",
        None,
        &text.replace("      X := 1;", "      null;").replace("   P.R;\n", ""),
    );
    // What is wrong for gnatchop already is said once, and the rest is looked at nonetheless.
    let found = alone(Language::Ada, "gnat", None, &text.replace("X := 1;", "X := 1"));
    let places: Vec<_> = found.iter().map(|one| (one.line, one.column)).collect();
    assert_eq!(places.iter().filter(|place| **place == (Some(7), Some(13))).count(), 1, "{found:?}");
    assert!(places.contains(&(Some(14), Some(5))), "{found:?}");
}

#[test]
fn gnat_knows_the_project_and_its_rules() {
    let folder = Folder::new();
    folder.put("p.ads", "package P is\n   procedure Q;\nend P;\n");
    folder.put("broken.ads", "package Broken is\n   X : Foo;\nend Broken;\n");
    let project = Project { directories: vec![folder.0.clone()], ..Project::default() };
    let plain = Rules::default();
    let look = |file_name, text: &str, rules: &Rules| {
        let file_name = Some(file_name);
        check("gnat", &Unit { language: Language::Ada, file_name, text, project: &project, rules })
    };
    let text = "with P;\nprocedure Main is\nbegin\n   P.Q;\nend Main;\n";
    assert_eq!(look("main.adb", text, &plain), []);
    let found = look("main.adb", &text.replace("with P", "with P, Broken"), &plain);
    assert_eq!((found[0].file.as_deref(), found[0].line), (Some("broken.ads"), None), "{found:?}");
    // A body is looked at against the specification that is there.
    let body = "package body P is\n   procedure Q (X : Integer) is null;\nend P;\n";
    let found = look("p.adb", body, &plain);
    assert!(found.iter().any(|one| one.severity == Severity::Error), "{found:?}");
    let rules = Rules {
        pragmas: vec![
            "pragma Profile (Jorvik);".to_owned(),
            "pragma Restrictions (No_Dependence => P);".to_owned(),
        ],
        switches: vec!["-gnatwu".to_owned(), "-gnatyM40".to_owned()],
    };
    for text in [text.to_owned(), format!("{text}procedure Main_2 is\nbegin\n   null;\nend Main_2;\n")] {
        let found = look("main.adb", &text, &rules);
        assert!(found[0].message.contains("No_Dependence") && found[0].line == Some(1), "{found:?}");
    }
    let text = "procedure Main is\n   X : Integer;\nbegin\n   null; -- a comment that is too long for it\nend Main;\n";
    let found = look("main.adb", text, &rules);
    let severities: Vec<_> = found.iter().map(|one| (one.severity, one.line)).collect();
    assert_eq!(severities.len(), 2, "{found:?}");
    assert!(severities.contains(&(Severity::Warning, Some(2))), "{found:?}");
    assert!(severities.contains(&(Severity::Warning, Some(4))), "{found:?}");
}

/// GNATprove is not Debian's, but the project file that it is given is one for GPRbuild as well.
#[test]
fn the_project_file_of_a_proof_is_understood() {
    let (folder, source) = (Folder::new(), Folder::new());
    source.put("p.ads", "package P is\nend P;\n");
    let project = Project { directories: vec![source.0.clone()], ..Project::default() };
    let pragmas =
        vec!["pragma SPARK_Mode;".to_owned(), "pragma Restrictions (No_Dependence => P);".to_owned()];
    let rules = Rules { pragmas, ..Rules::default() };
    let text = "with P;\nprocedure Main is\nbegin\n   null;\nend Main;\n";
    let unit = Unit { language: Language::Ada, file_name: None, text, project: &project, rules: &rules };
    let checker = Language::Ada.checkers().iter().find(|checker| checker.name == "gnatprove").unwrap();
    for (name, text) in &checker.plan(&unit).unwrap().files {
        folder.put(name, text);
    }
    fs::create_dir(folder.0.join("units")).unwrap();
    folder.put("units/main.adb", text);
    let arguments = ["-q", "-c", "-u", "-P", "unit.gpr", "main.adb"];
    let built = Command::new("gprbuild").args(arguments).current_dir(&folder.0).output();
    let built = built.expect("`gprbuild` is missing: apt-get install gprbuild");
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(said.contains("main.adb:1:06: error: violation of restriction \"No_Dependence => P\""), "{said}");
}

const ENTITY: &str = "library ieee;\nuse ieee.std_logic_1164.all;\nentity e is\n  port (a : in std_logic; b : out std_logic);\n\
                      end entity;\narchitecture r of e is\nbegin\n\tb <= not ¤c;\nend architecture;\n";

#[test]
fn ghdl_looks_at_a_unit() {
    assert_marked(Language::Vhdl, "ghdl", None, ENTITY, "no declaration for \"c\"");
    assert_marked(Language::Vhdl, "ghdl-synth", None, ENTITY, "no declaration for \"c\"");
    let text = ENTITY.replace("¤c", "a");
    assert_clean(Language::Vhdl, "ghdl", Some("whatever.vhd"), &text);
    assert_clean(Language::Vhdl, "ghdl-synth", None, &text);
    let waits = text.replace("\tb <= not a;", "  process (a) begin\n    ¤wait for 10 ns;\n  end process;");
    assert_marked(Language::Vhdl, "ghdl-synth", None, &waits, "wait statement");
    let idle = "entity w is\nend entity;\narchitecture r of w is\n  signal s : bit;\nbegin\n  x: process begin s <= '1'; end process;\nend architecture;\n";
    let found = alone(Language::Vhdl, "ghdl", None, idle);
    assert_eq!(
        (found[0].severity, found[0].line, found[0].column),
        (Severity::Warning, Some(6), Some(3)),
        "{found:?}"
    );
}

/// A unit that is legal is synthesised, too, where it is meant for that: what infers a latch is not clean.
#[test]
fn a_whole_unit_of_hardware_is_synthesised() {
    let further = |text: &str| {
        let (project, rules) = (Project::default(), Rules::default());
        let unit = Unit { language: Language::Vhdl, file_name: None, text, project: &project, rules: &rules };
        Language::further_checker(&unit).map(|checker| checker.name)
    };
    let entity = ENTITY.replace("¤c", "a");
    assert_eq!(further(&entity), Some("ghdl-synth"));
    let latch = entity.replace(
        "\tb <= not a;",
        "  ¤process (a) begin\n    if a = '1' then b <= a; end if;\n  end process;",
    );
    assert_marked(Language::Vhdl, "ghdl-synth", None, &latch, "latch");
    for other in [
        "entity bench is\nend entity;\narchitecture r of bench is\n  component c is port (x : in bit); end component;\nbegin\nend;\n",
        "package p is\n  constant k : integer := 3;\nend package;\n",
        &entity.replace("architecture r of e is", "architecture r of f is"),
        &entity.replace("  port (", "  generic (n : integer);\n  port ("),
    ] {
        assert_eq!(further(other), None, "{other}");
    }
    assert!(further(&entity.replace("  port (", "  generic (n : integer := 4);\n  port (")).is_some());
}

const COUNTER: &str = "library ieee;
use ieee.std_logic_1164.all;
use ieee.numeric_std.all;

entity counter is
  port (
    clk, reset_n : in std_logic;
    step : in unsigned(3 downto 0);
    count : out std_logic_vector(7 downto 0)
  );
end entity;

architecture rtl of counter is
  signal value : unsigned(7 downto 0);
begin
  process (clk)
  begin
    if rising_edge(clk) then
      if reset_n = '0' then
        value <= (others => '0');
      else
        value <= value + step;
      end if;
    end if;
  end process;
  count <= std_logic_vector(value);
end architecture;
";

#[test]
fn texts_that_behave_the_same_have_the_same_note() {
    let driven = |text: &str| -> Vec<(Severity, String)> {
        let said = alone(Language::Vhdl, "ghdl-drive", None, text);
        said.into_iter().map(|one| (one.severity, one.message)).collect()
    };
    let note = driven(COUNTER);
    assert!(note[0].1.starts_with("outputs at 800 times: sha256:"), "{note:?}");
    assert!(note.len() == 1 && note[0].0 == Severity::Note, "{note:?}");
    assert_eq!(driven(COUNTER), note);
    // Written otherwise, it is the same; one that counts otherwise is not.
    let with_variable = COUNTER
        .replace("  process (clk)\n", "  process (clk)\n    variable next_value : unsigned(7 downto 0);\n")
        .replace("value <= value + step;", "next_value := value + step;\n        value <= next_value;");
    assert_eq!(driven(&with_variable), note);
    assert_ne!(driven(&COUNTER.replace("value + step", "value - step")), note);
    // Without a reset it never has a value, and what breaks off has no behaviour.
    let unset = driven(&COUNTER.replace("(others => '0')", "value"));
    assert_eq!((unset[1].0, unset[1].1.as_str()), (Severity::Warning, "an output has no value"));
    let breaks =
        driven(&COUNTER.replace("value <= value + step;", "value <= to_unsigned(1 / to_integer(step), 8);"));
    assert!(breaks.len() == 1 && breaks[0].0 == Severity::Error, "{breaks:?}");
    // Combinational logic has no clock.
    let gate = "entity gate is\n  port (a, b : in bit; v : in bit_vector(0 to 3); y : out bit; z : out bit_vector(0 to 3));\nend entity;\n\narchitecture rtl of gate is\nbegin\n  y <= a and b;\n  z <= v xor (b & b & b & b);\nend architecture;\n";
    let note = driven(gate);
    assert!(note[0].1.starts_with("outputs at 400 times: sha256:"), "{note:?}");
    assert_eq!(driven(&gate.replace("a and b", "not (not a or not b)")), note);
    assert_ne!(driven(&gate.replace("a and b", "a or b")), note);
    // Nothing is said of ports whose values are not known how to draw.
    let (project, rules) = (Project::default(), Rules::default());
    for (text, can) in [
        (gate.to_owned(), true),
        (gate.replace("bit_vector(0 to 3)", "integer"), false),
        (gate.replace("0 to 3", "0 to 99999"), false),
        (gate.replace("y : out", "y : inout"), false),
        (gate.replace(" y : out bit;", "").replace(" z : out bit_vector(0 to 3)", " u : in bit"), false),
    ] {
        let unit =
            Unit { language: Language::Vhdl, file_name: None, text: &text, project: &project, rules: &rules };
        assert_eq!(Language::driver(&unit).is_some(), can, "{text}");
    }
}

/// A package with one of each kind of type that is drawn.
const LISTS: &str = "package Lists is
   type Item is range -100 .. 100;
   type Items is array (Positive range <>) of Item;
   type Colour is (Red, Green, Blue);
   subtype Small is Integer range 0 .. 9;
   type Point is record
      X, Y : Small;
      Hue  : Colour;
   end record;
   type Grid is array (1 .. 2, Boolean) of Float;
   type Matrix is array (Integer range <>, Integer range <>) of Long_Float;
   type Money is delta 0.01 digits 8;
   function Largest (Of_Items : Items) return Item
     with Pre => Of_Items'Length > 0,
          Post => (for all I in Of_Items'Range => Of_Items (I) <= Largest'Result);
   function Mirrored (Text : String) return Boolean;
   procedure Move (P : in out Point; By : Small; Done : out Boolean);
   function Total (M : Matrix; G : Grid) return Long_Float;
   function Next (C : Colour := Red; Sum : Money := 0.5) return Colour;
end Lists;

package body Lists is
   function Largest (Of_Items : Items) return Item is
      Found : Item := Of_Items (Of_Items'First);
   begin
      for I in Of_Items'Range loop
         if Of_Items (I) > Found then
            Found := Of_Items (I);
         end if;
      end loop;
      return Found;
   end Largest;
   function Mirrored (Text : String) return Boolean is
     (for all I in 0 .. Text'Length / 2 - 1 => Text (Text'First + I) = Text (Text'Last - I));
   procedure Move (P : in out Point; By : Small; Done : out Boolean) is
   begin
      Done := P.X + By <= Small'Last;
      if Done then
         P.X := P.X + By;
      end if;
   end Move;
   function Total (M : Matrix; G : Grid) return Long_Float is
      Sum : Long_Float := Long_Float (G (1, True) - G (2, False));
   begin
      for R in M'Range (1) loop
         for C in M'Range (2) loop
            Sum := Sum + M (R, C);
         end loop;
      end loop;
      return Sum;
   end Total;
   function Next (C : Colour := Red; Sum : Money := 0.5) return Colour is
     (if Sum < 1.0 then C elsif C = Blue then Red else Colour'Succ (C));
end Lists;
";

#[test]
fn ada_that_behaves_the_same_has_the_same_note() {
    let driven = |text: &str| -> Vec<(Severity, String)> {
        let said = alone(Language::Ada, "gnat-run", None, text);
        said.into_iter().map(|one| (one.severity, one.message)).collect()
    };
    let note = driven(LISTS);
    assert!(note.len() == 1 && note[0].0 == Severity::Note, "{note:?}");
    // Less what has no precondition: calls with an empty list.
    let calls: u32 = note[0].1.split(' ').nth(2).unwrap().parse().unwrap();
    assert!((600..1000).contains(&calls), "{note:?}");
    let otherwise = LISTS
        .replace(
            "         if Of_Items (I) > Found then\n            Found := Of_Items (I);\n         end if;\n",
            "         Found := Item'Max (Found, Of_Items (I));\n",
        )
        .replace("P.X := P.X + By;", "P := (P.X + By, P.Y, P.Hue);");
    assert_eq!(driven(&otherwise), note);
    for (right, wrong) in [
        ("'Length / 2 - 1", "'Length / 2 - 2"),
        ("P.X + By <= Small'Last", "P.X + By < Small'Last"),
        ("P.X := P.X + By", "P.Y := P.X + By"),
        ("Sum + M (R, C)", "Sum - M (R, C)"),
        ("G (2, False)", "G (1, False)"),
        ("Sum < 1.0", "Sum <= 1.0"),
        // What counts from 1 is right for most inputs.
        ("Text (Text'First + I)", "Text (1 + I)"),
    ] {
        let other = driven(&LISTS.replace(right, wrong));
        assert!(other.len() == 1 && other != note, "{wrong}: {other:?}");
    }
    // What does not come back is no error, and behaves like no other.
    let endless =
        driven(&LISTS.replace("Done := P.X + By <= Small'Last;", "while P.X = 3 loop null; end loop;"));
    assert!(endless[0].1.starts_with("no return within its time: Move P => "), "{endless:?}");
    assert_eq!((endless[0].0, endless[1].0), (Severity::Warning, Severity::Note));
    let (project, rules) = (Project::default(), Rules::default());
    let body = LISTS.split_once("package body").unwrap().1;
    let alone = "with Ada.Text_IO;\nfunction Twice (X : Natural) return Natural is (2 * X);\n";
    for (text, can) in [
        (LISTS.to_owned(), true),
        (alone.to_owned(), true),
        (alone.replace("Natural", "Ada.Text_IO.File_Type"), false),
        (alone.replace("Twice", "Cloister_Drive"), false),
        ("procedure Main is\nbegin\n   null;\nend Main;\n".to_owned(), false),
        (format!("package body{body}"), false),
        (LISTS.split_once("package body").unwrap().0.to_owned(), false),
        (LISTS.replacen("package Lists is", "generic\n   type T is private;\npackage Lists is", 1), false),
    ] {
        let unit =
            Unit { language: Language::Ada, file_name: None, text: &text, project: &project, rules: &rules };
        assert_eq!(Language::driver(&unit).is_some(), can, "{text}");
    }
}

/// What has an end of its own stands between what is called, and is not called.
#[test]
fn nested_units_are_passed_over() {
    let nested = "   package Inner is
      type Deep is range 0 .. 3;
      function Largest (Of_Deep : Deep) return Deep is (Of_Deep);
   end Inner;
   generic
      type Kind is private;
      with function Image (X : Kind) return String is <>;
   function Told (X : Kind) return String;
   generic
      type Kind is (<>);
   package Kinds is
      procedure Largest (X : in out Kind) is null;
   end Kinds;
   package Colours is new Kinds (Colour);
   protected Guard is
      procedure Largest;
   private
      Held : Small := 0;
   end Guard;
   task Watch;
";
    let text = LISTS.replacen("   function Largest", &format!("{nested}   function Largest"), 1).replacen(
        "package body Lists is\n",
        "package body Lists is
   function Told (X : Kind) return String is (Image (X));
   protected body Guard is
      procedure Largest is
      begin
         Held := 1;
      end Largest;
   end Guard;
   task body Watch is
   begin
      null;
   end Watch;
",
        1,
    );
    let judged = |text: &str| alone(Language::Ada, "gnat-run", None, text);
    let (all, some) = (judged(LISTS), judged(&text));
    assert!(some.len() == 1 && some[0].severity == Severity::Note, "{some:?}");
    assert_eq!(some, all);
    // One whose end does not say its name: nothing behind it is called.
    let unnamed = text.replace("end Guard;\n   task Watch", "end;\n   task Watch");
    let (project, rules) = (Project::default(), Rules::default());
    let unit =
        Unit { language: Language::Ada, file_name: None, text: &unnamed, project: &project, rules: &rules };
    assert!(Language::driver(&unit).is_none());
}

/// A package whose type is private: what is kept goes from call to call.
const QUEUES: &str = "package Queues is
   Capacity : constant := 5;
   type Queue is private;
   function Length (Q : Queue) return Natural;
   procedure Put (Q : in out Queue; Item : Integer)
     with Pre => Length (Q) < Capacity, Post => Length (Q) = Length (Q)'Old + 1;
   procedure Take (Q : in out Queue; Item : out Integer)
     with Pre => Length (Q) > 0, Post => Length (Q) = Length (Q)'Old - 1;
   function Same (Left, Right : Queue) return Boolean;
   function None return Queue with Post => Length (None'Result) = 0;
private
   type Items is array (1 .. Capacity) of Integer;
   type Queue is record
      Count : Natural := 0;
      Held  : Items := (others => 0);
   end record;
end Queues;

package body Queues is
   function Length (Q : Queue) return Natural is (Q.Count);
   procedure Put (Q : in out Queue; Item : Integer) is
   begin
      Q.Count := Q.Count + 1;
      Q.Held (Q.Count) := Item;
   end Put;
   procedure Take (Q : in out Queue; Item : out Integer) is
   begin
      Item := Q.Held (1);
      Q.Held (1 .. Q.Count - 1) := Q.Held (2 .. Q.Count);
      Q.Count := Q.Count - 1;
   end Take;
   function Same (Left, Right : Queue) return Boolean is
     (Left.Held (1 .. Left.Count) = Right.Held (1 .. Right.Count));
   function None return Queue is (Count => 0, Held => (others => 0));
end Queues;
";

#[test]
fn objects_of_a_private_type_are_kept_from_call_to_call() {
    let judged = |text: &str| alone(Language::Ada, "gnat-run", None, text);
    let note = judged(QUEUES);
    assert!(note.len() == 1 && note[0].severity == Severity::Note, "{note:?}");
    // One of five takes from the wrong end, another forgets to count: only one of them says something against it.
    let last = judged(&QUEUES.replace("Item := Q.Held (1);", "Item := Q.Held (Q.Count);"));
    assert!(last.len() == 1 && last != note, "{last:?}");
    let forgets = judged(
        &QUEUES.replace("Q.Count := Q.Count - 1;", "Q.Count := (if Item = 3 then Q.Count else Q.Count - 1);"),
    );
    // With what came before: the call alone does not tell why.
    assert!(forgets[0].message.starts_with("failed postcondition, with Take, after "), "{forgets:?}");
    assert!(forgets[0].message.contains("Put Item => "), "{forgets:?}");
    // Without a value of its own, one that a subprogram gives is taken; without both, nothing is called.
    let bare = QUEUES.replace("Natural := 0;", "Natural;");
    let given = judged(&bare);
    assert!(given.len() == 1 && given[0].severity == Severity::Note, "{given:?}");
    let by_procedure = bare
        .replace(
            "function None return Queue with Post => Length (None'Result) = 0;",
            "procedure Clear (Q : out Queue);",
        )
        .replace(
            "function None return Queue is (Count => 0, Held => (others => 0));",
            "procedure Clear (Q : out Queue) is\n   begin\n      Q := (0, (others => 0));\n   end Clear;",
        );
    assert_eq!(judged(&by_procedure)[0].severity, Severity::Note);
    let never = bare.replace("   function None return Queue with Post => Length (None'Result) = 0;\n", "");
    let (project, rules) = (Project::default(), Rules::default());
    let unit =
        |text| Unit { language: Language::Ada, file_name: None, text, project: &project, rules: &rules };
    assert!(Language::driver(&unit(&never)).is_none() && Language::driver(&unit(&bare)).is_some());
    // What cannot be copied is there once.
    let limited = QUEUES
        .replace("type Queue is private", "type Queue is limited private")
        .replace("   function None return Queue with Post => Length (None'Result) = 0;\n", "")
        .replace("   function None return Queue is (Count => 0, Held => (others => 0));\n", "");
    let found = judged(&limited);
    assert!(found.len() == 1 && found[0].severity == Severity::Note, "{found:?}");
}

#[test]
fn contracts_that_do_not_hold_are_errors() {
    let judged = |text: &str| alone(Language::Ada, "gnat-run", None, text);
    let errors = |text: &str| -> Vec<(Option<u32>, String)> {
        let said = judged(text).into_iter().filter(|one| one.severity == Severity::Error);
        said.map(|one| (one.line, one.message)).collect()
    };
    assert_eq!(errors(LISTS), []);
    let wrong = LISTS.replace("if Of_Items (I) > Found", "if I > 2 and then Of_Items (I) > Found");
    let found = errors(&wrong);
    assert_eq!((found.len(), found[0].0), (1, Some(15)), "{found:?}");
    assert!(found[0].1.starts_with("failed postcondition, with Largest Of_Items ( 1 .. "), "{found:?}");
    // Its own claims, and preconditions of what it calls.
    let claim =
        LISTS.replace("      return Sum;", "      pragma Assert (M'Length (1) < 3);\n      return Sum;");
    let found = errors(&claim);
    assert!(found.len() == 1 && found[0].1.starts_with("failed assertion, with Total M ("), "{found:?}");
    let calls = LISTS.replace(
        "is\n     (if Sum < 1.0 then",
        "is\n     (if Largest ((1 .. 0 => 1)) = 0 then Red elsif Sum < 1.0 then",
    );
    let found = errors(&calls);
    assert!(found.len() == 1 && found[0].1.starts_with("failed precondition, with Next C => "), "{found:?}");
    // In SPARK, nothing is raised; elsewhere it may be meant.
    let raises = LISTS.replace("Text (Text'First + I)", "Text (1 + I)");
    assert_eq!(errors(&raises), []);
    let spark = raises.replacen("package Lists is", "package Lists with SPARK_Mode is", 1);
    let found = errors(&spark);
    assert!(
        found.len() == 1
            && found[0].1.starts_with("raises CONSTRAINT_ERROR: index check failed, with Mirrored"),
        "{found:?}"
    );
    assert_eq!(found[0].0, Some(34));
    // Where calls raise now and then it may be meant; where most do, hardly.
    let doubtful = LISTS
        .replace("(Of_Items'First);", "(0);")
        .replace("Of_Items (I) > Found", "Of_Items (I - 100) > Found");
    let said = judged(&doubtful);
    assert!(said.len() == 1, "{said:?}");
    let alone = LISTS.split_once("   function Mirrored").unwrap().0.to_owned()
        + "end Lists;\n\npackage body Lists is\n"
        + doubtful
            .split_once("package body Lists is\n")
            .unwrap()
            .1
            .split_once("   function Mirrored")
            .unwrap()
            .0
        + "end Lists;\n";
    let said = judged(&alone);
    assert!(said.len() == 2 && said[0].severity == Severity::Warning, "{said:?}");
    assert!(said[0].message.contains(" calls raise CONSTRAINT_ERROR: unit.ada:"), "{said:?}");
    // It is asked behind the first, where there is something to call.
    let (project, rules) = (Project::default(), Rules::default());
    let further = |text: &str| {
        let unit = Unit { language: Language::Ada, file_name: None, text, project: &project, rules: &rules };
        Language::further_checker(&unit).map(|checker| checker.name)
    };
    assert_eq!(further(LISTS), Some("gnat-run"));
    let unclaimed = LISTS.replace(
        ",\n          Post => (for all I in Of_Items'Range => Of_Items (I) <= Largest'Result);",
        ";",
    );
    assert_eq!(further(&unclaimed), Some("gnat-run"));
    assert_eq!(further("package P with SPARK_Mode is\nend P;\n"), None);
    // A body whose specification is another file.
    let (specification, body) = LISTS.split_once("\npackage body").unwrap();
    let body = format!("package body{body}")
        .replace("if Of_Items (I) > Found", "if I > 2 and then Of_Items (I) > Found");
    let folder = Folder::new();
    folder.put("lists.ads", specification);
    let apart = Project { directories: vec![folder.0.clone()], ..Project::default() };
    let looked = |project: &Project| {
        let unit = Unit {
            language: Language::Ada,
            file_name: Some("lists.adb"),
            text: &body,
            project,
            rules: &rules,
        };
        assert_eq!(Language::declared_in(&unit).as_deref(), Some("lists.ads"));
        assert_eq!(Language::further_checker(&unit).map(|checker| checker.name), Some("gnat-run"));
        let checker = Language::further_checker(&unit).unwrap();
        checker.plan(&unit).map(|_| check("gnat-run", &unit))
    };
    assert_eq!(looked(&apart), None);
    let found = looked(&Project { specification: Some(specification.to_owned()), ..apart }).unwrap();
    assert!(
        found[0].message.starts_with("failed postcondition from lists.ads:15, with Largest"),
        "{found:?}"
    );
    assert!(found[0].line.is_none() && found.len() == 2, "{found:?}");
    // Nothing was called: that is said, and no error.
    let none = LISTS.replace("Of_Items'Length > 0", "Of_Items'Length > 500");
    let none = none.split_once("   function Mirrored").unwrap().0.to_owned()
        + "end Lists;\n\npackage body Lists is\n"
        + none.split_once("package body Lists is\n").unwrap().1.split_once("   function Mirrored").unwrap().0
        + "end Lists;\n";
    let said = judged(&none);
    assert!(said.len() == 1 && said[0].severity == Severity::Warning, "{said:?}");
}

#[test]
fn ghdl_knows_the_project() {
    let (source, library) = (Folder::new(), Folder::new());
    // In the order of their names, the first needs the second.
    let files = [
        source.put("a.vhd", "use work.pk.all;\npackage pl is\n  constant l : integer := k;\nend package;\n"),
        source.put("b.vhd", "package pk is\n  constant k : integer := 3;\nend package;\n"),
        source.put("broken.vhd", "package broken is"),
    ];
    let checker = &Language::Vhdl.checkers()[0];
    let (_, stderr, succeeded) = run(checker, &checker.library(&files).unwrap(), &library.0);
    assert!(succeeded, "{}", String::from_utf8_lossy(&stderr));
    let before: Vec<_> = fs::read_dir(&library.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let project = Project { library: Some(library.0.clone()), ..Project::default() };
    let rules = Rules::default();
    let text = "use work.pl.all;\nentity u is\nend entity;\narchitecture r of u is\n  constant c : integer := l;\nbegin\nend architecture;\n";
    let look = |name, text: &str| {
        let language = Language::Vhdl;
        check(name, &Unit { language, file_name: None, text, project: &project, rules: &rules })
    };
    for name in ["ghdl", "ghdl-synth"] {
        assert_eq!(look(name, text), []);
        let found = look(name, &text.replace(": integer := l", ": boolean := l"));
        assert_eq!((found[0].severity, found[0].line), (Severity::Error, Some(5)), "{found:?}");
    }
    // The project's own file, changed, is looked at against the others and changes nothing.
    let own = "use work.pk.all;\npackage pl is\n  constant l : integer := k + 1;\nend package;\n";
    assert_eq!(look("ghdl", own), []);
    let after: Vec<_> = fs::read_dir(&library.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(before, after);
    assert_eq!(look("ghdl", text), []);
}

#[test]
fn foreign_code_is_refused() {
    let (project, rules) = (Project::default(), Rules::default());
    let unit =
        |text| Unit { language: Language::Vhdl, file_name: None, text, project: &project, rules: &rules };
    for text in [
        "package p is\n  function f return integer;\n  Attribute\n   FOREIGN of f : function is \"x\";\nend;",
        "package p is\n\n  constant a : string := \"vhpidirect getpid\";\nend;",
    ] {
        for checker in Language::Vhdl.checkers() {
            assert!(checker.refuse(&unit(text)).unwrap().line >= Some(3));
            assert_eq!(checker.plan(&unit(text)), None);
        }
    }
    let text = "-- attribute foreign, VHPIDIRECT\nentity foreign_trade is\nend;";
    assert!(Language::Vhdl.checkers().iter().all(|checker| checker.refuse(&unit(text)).is_none()));
}

#[test]
fn verilog_is_looked_at() {
    let text = "module m (input logic a, output logic b);\n\tassign b = ~¤c;\nendmodule\n";
    assert_marked(Language::Verilog, "iverilog", None, text, "`c'");
    assert_marked(Language::Verilog, "verilator", None, text, "'c'");
    for name in ["iverilog", "verilator"] {
        let clean = text.replace("¤c", "a");
        assert_clean(Language::Verilog, name, Some("m.v"), &clean);
        assert_clean(Language::Verilog, name, None, &format!("{clean}module n;\nendmodule\n"));
        assert_marked(Language::Verilog, name, None, &text.replace("~¤c;\n", "~a\n¤"), "syntax error");
    }
    let commented = "module m (input [3:0] a, output [1:0] b);\n  /* é */ assign b = ¤c;\nendmodule\n";
    assert_marked(Language::Verilog, "verilator", None, commented, "'c'");
    let found = alone(Language::Verilog, "verilator", None, &commented.replace("¤c", "a"));
    assert_eq!(
        (found[0].severity, found[0].line, found[0].column),
        (Severity::Warning, Some(2), None),
        "{found:?}"
    );
    assert!(found[0].message.ends_with("[WIDTH]"), "{found:?}");
    let folder = Folder::new();
    folder.put("sub.sv", "module sub (input x);\nendmodule\n");
    let project = Project { directories: vec![folder.0.clone()], ..Project::default() };
    let text = "module m;\n  wire a;\n  sub s (.x (a));\nendmodule\n";
    for name in ["iverilog", "verilator"] {
        let rules = Rules::default();
        let unit =
            Unit { language: Language::Verilog, file_name: None, text, project: &project, rules: &rules };
        assert_eq!(check(name, &unit), []);
        let found = check(name, &Unit { project: &Project::default(), ..unit });
        assert_eq!((found[0].severity, found[0].line), (Severity::Error, Some(3)), "{found:?}");
    }
}

#[test]
fn c_and_cpp_are_looked_at() {
    let text = "int f(void);\nint f(void) {\n\tint a; /* é */ a = ¤zz;\n\treturn a;\n}\n";
    for (language, name) in
        [(Language::C, "gcc"), (Language::C, "clang"), (Language::Cpp, "g++"), (Language::Cpp, "clang")]
    {
        assert_marked(language, name, None, text, "zz");
        assert_clean(language, name, Some("f.h"), &format!("#pragma once\n{}", text.replace("¤zz", "1")));
        let folder = Folder::new();
        folder.put("secret.h", "the words of another file;\n");
        let project = Project { directories: vec![folder.0.clone()], ..Project::default() };
        let rules = Rules { switches: vec!["-Wextra".to_owned()], ..Rules::default() };
        let text = "#include \"secret.h\"\nint x;\n";
        let found = check(name, &Unit { language, file_name: None, text, project: &project, rules: &rules });
        assert_eq!((found[0].file.as_deref(), found[0].line), (Some("secret.h"), None), "{found:?}");
        assert!(found.iter().all(|one| !one.message.contains("words of another")), "{found:?}");
    }
    assert_clean(Language::Cpp, "g++", None, "#include <vector>\nstd::vector<int> f() { return {1}; }\n");
}

#[test]
fn rust_python_fortran_assembly_and_cobol_are_looked_at() {
    let rust = "pub fn f() -> u32 {\n\tlet a = \"é\"; let _ = a; ¤zz\n}\n";
    assert_marked(Language::Rust, "rustc", None, rust, "`zz`");
    assert_clean(Language::Rust, "rustc", None, &rust.replace("¤zz", "1"));
    assert_clean(Language::Rust, "rustc", None, "fn main() {}\n");
    assert_marked(
        Language::Rust,
        "rustc",
        None,
        "pub fn f() {\n    let x = 1¤\n    let y = 2;\n}\n",
        "expected `;`",
    );

    let python = "def f():\n\ta = \"é\"; return (1 ¤2)\n";
    let found = alone(Language::Python, "python3", None, &python.replace('¤', ""));
    assert_eq!((found[0].severity, found[0].line), (Severity::Error, Some(2)), "{found:?}");
    assert_marked(
        Language::Python,
        "python3",
        None,
        "x = 1\n\"é\"; ¤return 2\n",
        "'return' outside function",
    );
    assert_clean(Language::Python, "python3", None, "import nothing_such\nraise SystemExit(3)\n");
    let found = alone(Language::Python, "python3", None, &"(".repeat(100_000));
    assert!(found.iter().any(|one| one.severity == Severity::Error), "{found:?}");

    let fortran = "program p\n  implicit none\n\tinteger :: a; print *, \"é\"; a = z¤z\nend program\n";
    assert_marked(Language::Fortran, "gfortran", None, fortran, "‘zz’");
    assert_clean(Language::Fortran, "gfortran", Some("p.f90"), &fortran.replace("z¤z", "1"));
    assert_clean(
        Language::Fortran,
        "gfortran",
        Some("p.f"),
        "C     fixed\n      program p\n      integer i\n      i = 1\n      end\n",
    );

    if cfg!(target_arch = "x86_64") {
        let assembly = "\tmov %eax, %ebx\n¤\tfoo %eax\n";
        assert_marked(Language::Assembly, "as", Some("a.s"), assembly, "no such instruction");
        assert_clean(Language::Assembly, "as", None, "\tmov %eax, %ebx\n");
    }

    let cobol = "       IDENTIFICATION DIVISION.\n       PROGRAM-ID. HELLO.\n       DATA DIVISION.\n       WORKING-STORAGE SECTION.\n\
                 \x20      01 X PIC 9(3).\n       PROCEDURE DIVISION.\n¤           MOVE Y TO X.\n           STOP RUN.\n";
    let free: String = cobol.lines().map(|line| line.replacen("       ", "", 1) + "\n").collect();
    for cobol in [cobol, &free] {
        assert_marked(Language::Cobol, "cobc", None, cobol, "Y");
        assert_clean(
            Language::Cobol,
            "cobc",
            Some("hello.cbl"),
            &cobol.replace("¤", "").replace("MOVE Y", "MOVE 1"),
        );
    }
}

#[test]
fn pascal_is_looked_at() {
    let text = "program p;\nvar\n\ta: integer; s: string;\nbegin\n\ts := 'é'; (* é *) a := ¤zz;\nend.\n";
    assert_marked(Language::Pascal, "fpc", Some("other.pas"), text, "\"zz\"");
    assert_clean(Language::Pascal, "fpc", Some("other.pas"), &text.replace("¤zz", "1"));
    assert_marked(
        Language::Pascal,
        "fpc",
        None,
        "program p;\nbegin\n  if ¤then\nend.\n",
        "Illegal expression",
    );
    let text = "Unit Stack;\ninterface\nprocedure q;\nimplementation\nprocedure q;\nbegin\nend;\nend.\n";
    assert_clean(Language::Pascal, "fpc", None, text);
    let folder = Folder::new();
    folder.put("stack.pas", text);
    let project = Project { directories: vec![folder.0.clone()], ..Project::default() };
    let rules = Rules::default();
    let text = "program p;\nuses Stack;\nbegin\n  q;\nend.\n";
    let unit = Unit { language: Language::Pascal, file_name: None, text, project: &project, rules: &rules };
    assert_eq!(check("fpc", &unit), []);
    let found = check("fpc", &Unit { project: &Project::default(), ..unit });
    assert_eq!((found[0].severity, found[0].line), (Severity::Error, Some(2)), "{found:?}");
}

#[test]
fn a_failure_without_words_is_an_error() {
    let (project, rules) = (Project::default(), Rules::default());
    for (language, checker) in Language::all_checkers() {
        let unit = Unit { language, file_name: None, text: "", project: &project, rules: &rules };
        let said = b"\n  gcc: fatal\x1b[31m: no memory\nmore\n";
        let found = checker.read(&unit, &Written { stdout: b"", stderr: said, succeeded: false });
        let expected = format!("{} failed: gcc: fatal [31m: no memory", checker.name);
        assert_eq!((found.len(), &found[0].message, found[0].line), (1, &expected, None));
        let found = checker.read(&unit, &Written { stdout: b"", stderr: b"", succeeded: false });
        assert_eq!(found[0].severity, Severity::Error);
    }
}

#[test]
fn remarks_are_few_and_short() {
    let (project, rules) = (Project::default(), Rules::default());
    let text = "x\n".repeat(300);
    let unit = Unit { language: Language::C, file_name: None, text: &text, project: &project, rules: &rules };
    let said: String =
        (1..300).map(|line| format!("unit.c:{line}:1: error: {}\n", "é".repeat(999))).collect();
    let twice = said.clone() + &said;
    let found = Language::C.checkers()[0]
        .read(&unit, &Written { stdout: b"", stderr: twice.as_bytes(), succeeded: false });
    assert_eq!(found.len(), 100);
    assert!(found.iter().zip(1..).all(|(one, line)| one.message.len() == 512 && one.line == Some(line)));
    let found = Language::C.checkers()[0]
        .read(&unit, &Written { stdout: b"", stderr: &twice.as_bytes()[..2500], succeeded: false });
    assert_eq!(found.len(), 2, "the second is cut off, but was begun");
}

#[test]
fn switches_name_no_file_and_no_program() {
    let accepted = [
        (Language::Ada, "-gnatwa"),
        (Language::Ada, "-gnatyM120"),
        (Language::Ada, "-gnat2012"),
        (Language::Vhdl, "--warn-no-hide"),
        (Language::Verilog, "-Wno-WIDTH"),
        (Language::Verilog, "-Wall"),
        (Language::C, "-Wno-unused"),
        (Language::Cpp, "-std=c++20"),
        (Language::Rust, "-Wunused_must_use"),
        (Language::Fortran, "-std=f2018"),
        (Language::Cobol, "-std=ibm"),
        (Language::Pascal, "-Mobjfpc"),
    ];
    for (language, switch) in accepted {
        assert!(language.accepts_switch(switch), "{switch}");
    }
    let refused = [
        "",
        "-",
        "-o",
        "-I/etc",
        "-gnatec=/etc/x",
        "-gnatep=x",
        "-Wp,-include,/etc/x",
        "-Wl,x",
        "-std=/tmp/x",
        "-std=../x",
        "-fplugin=x",
        "-specs=x",
        "--workdir=x",
        "-Cx",
        "@file",
        "-Zx",
        "-I",
        "-B/tmp",
        "-W a",
        "-gnatwa\n",
        "--GCC=x",
        "x",
    ];
    for language in Language::ALL {
        for switch in refused {
            assert!(!language.accepts_switch(switch), "{} {switch}", language.name());
        }
    }
}
