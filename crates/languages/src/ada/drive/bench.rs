//! The program that calls a unit's subprograms and writes what comes of it.

use std::fmt::Write as _;

use super::declarations::{Declarations, Dimension, Parameter, Shape, Subprogram, Type};
use super::{AFRESH, BENCH, INPUTS, LARGER, OUTPUTS, RAISED, REFUSED, SPARK};

/// Rounds: in each, each subprogram is called once, or most of them where there are several. The last ones are with larger
/// numbers: what takes a time that grows fast ends with these, behind what all have in common.
const CALLS: u32 = 200;
const CALLS_SMALL: u32 = 170;
/// What is kept begins anew after so many rounds, so that not all calls find it full.
const FRESH: u32 = 8;

/// What draws and shows values, for all types. Numbers are drawn by a xorshift of 32 bits.
const COMMON: &str = r#"
   use type Interfaces.Unsigned_32;
   State : Interfaces.Unsigned_32 := 16#2545F491#;
   Larger : Boolean := False;

   function Below (Limit : Positive) return Natural is
   begin
      State := State xor Interfaces.Shift_Left (State, 13);
      State := State xor Interfaces.Shift_Right (State, 17);
      State := State xor Interfaces.Shift_Left (State, 5);
      return Natural (Interfaces.Shift_Right (State, 8) mod Interfaces.Unsigned_32 (Limit));
   end Below;

   procedure Put (Words : Standard.String) renames Ada.Text_IO.Put;

   subtype Wide is Long_Long_Long_Integer;

   --  Of a few values any; else small ones about zero, or above the first.
   function Position (First, Last : Wide) return Wide is
      Least : constant Wide := Wide'Max (First, -8);
      Most : Wide := Wide'Min (Last, (if Larger then 1000 else 24));
   begin
      if Last < First then
         raise Constraint_Error;
      elsif Last - First < 64 then
         return First + Wide (Below (Positive (Last - First + 1)));
      elsif Least >= Most then
         return First + Wide (Below (32));
      elsif Below (4) = 0 and then Least < 3 and then Most > 3 then
         Most := 3;
      end if;
      return Least + Wide (Below (Positive (Most - Least + 1)));
   end Position;

   function Draw_Character return Standard.Character is
      Usual : constant Standard.String := "abcabcxyzABZ0129  ,._-()[]+";
   begin
      if Below (16) = 0 then
         return Standard.Character'Val (32 + Below (95));
      end if;
      return Usual (Usual'First + Below (Usual'Length));
   end Draw_Character;

   function Length return Natural is (if Below (8) = 0 then 0 elsif Larger then Below (40) else Below (9));

   function Draw_Text return Standard.String is
      Low : constant Positive := (if Below (8) = 0 then 5 else 1);
      Words : Standard.String (Low .. Low + Length - 1);
      Mirrored : constant Boolean := Below (6) = 0;
   begin
      for Index in Words'Range loop
         Words (Index) := Draw_Character;
      end loop;
      if Mirrored then
         for Index in 0 .. Words'Length / 2 - 1 loop
            Words (Words'Last - Index) := Words (Words'First + Index);
         end loop;
      end if;
      return Words;
   end Draw_Text;

   --  Whether a precondition failed that is declared in these lines.
   function Is_Own (Message, File : Standard.String; First, Last : Positive) return Boolean is
     (for some Line in First .. Last =>
        Message = "failed precondition from " & File & ":" & Ada.Strings.Fixed.Trim (Line'Image, Ada.Strings.Left));

   procedure Put_Character (X : Standard.Character) is
   begin
      if X in ' ' .. '~' then
         Put ((1 => X));
      else
         Put ("[" & Natural'Image (Standard.Character'Pos (X)) & "]");
      end if;
   end Put_Character;

   procedure Put_Text (X : Standard.String) is
   begin
      Put ("""");
      for Index in X'Range loop
         Put_Character (X (Index));
      end loop;
      Put ("""");
   end Put_Text;

   procedure Put_Float (X : Long_Float) is
      package Images is new Ada.Text_IO.Float_IO (Long_Float);
      Image : Standard.String (1 .. 20);
   begin
      if not X'Valid then
         Put ("not a number");
      else
         Images.Put (Image, (if abs X < 1.0E-6 then 0.0 else X), Aft => 4, Exp => 4);
         Put (Ada.Strings.Fixed.Trim (Image, Ada.Strings.Both));
      end if;
   end Put_Float;
"#;

/// The whole program. Declarations are in a file of that name.
pub(super) fn bench(found: &Declarations<'_>, file_name: &str) -> String {
    let mut text = String::from(
        "with Ada.Exceptions;\nwith Ada.Strings.Fixed;\nwith Ada.Strings.Unbounded;\nwith Ada.Text_IO;\nwith Interfaces;\n",
    );
    let mut put = |words: std::fmt::Arguments<'_>| {
        let _always_written = text.write_fmt(words);
    };
    put(format_args!("with {};\n\nprocedure {BENCH} is\n{COMMON}", found.unit));
    for (number, one) in found.types.iter().enumerate() {
        put(format_args!("\n{}", drawing(number, one, &found.types)));
    }
    put(format_args!("begin\n"));
    if found.is_spark {
        put(format_args!("   Ada.Text_IO.Put_Line (\"{SPARK}\");\n"));
    }
    for first in &found.initialisers {
        put(format_args!("{}", call(&found.subprograms[*first], &found.types, file_name)));
    }
    for (number, one) in found.types.iter().enumerate() {
        if matches!(one.shape, Shape::Kept { is_limited: false }) {
            put(format_args!("   Other_{number} := Kept_{number};\n   Fresh_{number} := Kept_{number};\n"));
        }
    }
    let keeps = found.types.iter().any(|one| matches!(one.shape, Shape::Kept { .. }));
    let afresh = format!("Ada.Text_IO.Put_Line (\"{AFRESH}\");");
    if keeps {
        put(format_args!("   {afresh}\n"));
    }
    put(format_args!(
        "   for Round in 1 .. {CALLS} loop\n   if Round = {CALLS_SMALL} then\n      Larger := True;\n      Ada.Text_IO.Put_Line (\"{LARGER}\");\n   end if;\n"
    ));
    for (number, one) in found.types.iter().enumerate() {
        if matches!(one.shape, Shape::Kept { is_limited: false }) {
            put(format_args!(
                "   if Round mod {FRESH} = 0 then\n      Other_{number} := Kept_{number};\n      Kept_{number} := Fresh_{number};\n   \
                 end if;\n"
            ));
        }
    }
    if found.types.iter().any(|one| matches!(one.shape, Shape::Kept { is_limited: false })) {
        put(format_args!("   if Round mod {FRESH} = 0 then\n      {afresh}\n   end if;\n"));
    }
    for subprogram in &found.subprograms {
        let call = call(subprogram, &found.types, file_name);
        if found.subprograms.len() == 1 {
            put(format_args!("{call}"));
        } else {
            put(format_args!("   if Below (4) > 0 then\n{call}   end if;\n"));
        }
    }
    put(format_args!("   end loop;\n"));
    put(format_args!("end {BENCH};\n"));
    text
}

/// `Draw_N` and `Put_N`; or `Kept_N` and `Other_N`.
fn drawing(number: usize, one: &Type<'_>, types: &[Type<'_>]) -> String {
    let name = &one.name;
    if matches!(one.shape, Shape::Kept { .. }) {
        return format!("   Kept_{number}, Other_{number}, Fresh_{number} : {name};\n");
    }
    let (draw, put) = match &one.shape {
        Shape::Discrete => (
            format!("return {name}'Val (Position ({name}'Pos ({name}'First), {name}'Pos ({name}'Last)));"),
            format!("Put ({name}'Image (X));"),
        ),
        Shape::Character => {
            (format!("return {name} (Draw_Character);"), "Put_Character (Standard.Character (X));".to_owned())
        }
        Shape::Text => (format!("return {name} (Draw_Text);"), "Put_Text (Standard.String (X));".to_owned()),
        Shape::Unbounded => (
            "return Ada.Strings.Unbounded.To_Unbounded_String (Draw_Text);".to_owned(),
            "Put_Text (Ada.Strings.Unbounded.To_String (X));".to_owned(),
        ),
        Shape::Real => (
            format!(
                "for Try in 1 .. 16 loop\n         declare\n            X : constant Long_Float := Long_Float (Position (-40, 400)) / \
                 (if Below (2) = 0 then 4.0 else 10.0);\n         begin\n            if X >= Long_Float ({name}'First) and then X <= \
                 Long_Float ({name}'Last) then\n               return {name} (X);\n            end if;\n         end;\n      end loop;\n      \
                 return {name}'First;"
            ),
            "Put_Float (Long_Float (X));".to_owned(),
        ),
        Shape::Record(components) => record(name, components),
        Shape::Array { dimensions, element } => array(name, dimensions, *element, types),
        Shape::Kept { .. } => (String::new(), String::new()),
    };
    format!(
        "   function Draw_{number} return {name} is\n   begin\n      {draw}\n   end Draw_{number};\n\n   procedure Put_{number} (X : {name}) \
         is\n   begin\n      {put}\n   end Put_{number};\n"
    )
}

fn record(name: &str, components: &[(&str, usize)]) -> (String, String) {
    let mut draw = format!("return X : {name} do\n");
    let mut put = "Put (\"(\");\n".to_owned();
    for (component, of) in components {
        let _always_written = writeln!(draw, "         X.{component} := Draw_{of};");
        let _always_written = writeln!(put, "      Put_{of} (X.{component});\n      Put (\",\");");
    }
    (draw + "      end return;", put + "      Put (\")\");")
}

/// Of an open one, the bounds are drawn, too: who counts from 1 is found out.
fn array(name: &str, dimensions: &[Dimension], element: usize, types: &[Type<'_>]) -> (String, String) {
    let mut bounds = Vec::new();
    let mut declared = String::new();
    for (number, dimension) in dimensions.iter().enumerate() {
        let Dimension::Open(index) = dimension else { continue };
        let index = &types[*index].name;
        bounds.push(format!("Index_{number}'Val (Low_{number}) .. Index_{number}'Base'Val (High_{number})"));
        // What is empty needs a value before its first.
        let _always_written = write!(
            declared,
            "         subtype Index_{number} is {index};\n         First_{number} : constant Wide := \
             Index_{number}'Pos (Index_{number}'First);\n         Last_{number} : constant Wide := Index_{number}'Pos \
             (Index_{number}'Last);\n         Low_{number} : constant Wide := Wide'Min (Last_{number}, Wide'Max (First_{number}, \
             (case Below (8) is when 0 => 0, when 1 => 5, when 2 => First_{number}, when others => 1)));\n         High_{number} : constant Wide := \
             Wide'Min (Last_{number}, Low_{number} + Wide (Length) - 1);\n"
        );
    }
    let is_flat = dimensions.len() == 1;
    let (outer, inner) = if is_flat {
        ("X'Range", "X (A) := ")
    } else {
        ("X'Range (1)", "for B in X'Range (2) loop X (A, B) := ")
    };
    let end = if is_flat { "" } else { " end loop;" };
    let object = if bounds.is_empty() { name.to_owned() } else { format!("{name} ({})", bounds.join(", ")) };
    let draw = format!(
        "declare\n{declared}         X : {object};\n      begin\n         for A in {outer} loop {inner}Draw_{element};{end} end loop;\n         \
         return X;\n      end;"
    );
    let shown = if is_flat {
        format!("Put_{element} (X (A)); Put (\",\");")
    } else {
        format!("for B in X'Range (2) loop Put_{element} (X (A, B)); Put (\",\"); end loop; Put (\";\");")
    };
    let put = format!("Put (\"(\");\n      for A in {outer} loop {shown} end loop;\n      Put (\")\");");
    (draw, put)
}

/// Of an open array: words of the bench that show what it was called with.
fn bounds(object: &str, shape: &Shape<'_>, types: &[Type<'_>]) -> String {
    let one = |index: &str, of: &str| {
        format!("{index}'Image ({object}'First{of}) & \" ..\" & {index}'Image ({object}'Last{of})")
    };
    match shape {
        Shape::Text => format!(" & \" (\" & {} & \")\"", one("Integer", "")),
        Shape::Array { dimensions, .. } => {
            let of = |(number, dimension): (usize, &Dimension)| match dimension {
                Dimension::Open(index) if dimensions.len() == 1 => {
                    Some(one(&format!("{}'Base", types[*index].name), ""))
                }
                Dimension::Open(index) => {
                    Some(one(&format!("{}'Base", types[*index].name), &format!(" ({})", number + 1)))
                }
                Dimension::Closed => None,
            };
            let all: Vec<String> = dimensions.iter().enumerate().filter_map(of).collect();
            if all.is_empty() {
                String::new()
            } else {
                format!(" & \" (\" & {} & \")\"", all.join(" & \",\" & "))
            }
        }
        _ => String::new(),
    }
}

fn call(subprogram: &Subprogram<'_>, types: &[Type<'_>], file_name: &str) -> String {
    let Subprogram { name, qualified, parameters, result, lines } = subprogram;
    let (first, last) = (lines.start(), lines.end());
    let is_kept = |of: usize| matches!(types[of].shape, Shape::Kept { .. });
    let (mut declared, mut shown, mut outputs) = (String::new(), String::new(), String::new());
    let mut actuals = Vec::new();
    for (number, one) in parameters.iter().enumerate() {
        let Parameter { name, of, is_read, is_written } = one;
        if is_kept(*of) {
            let is_second = parameters[..number].iter().any(|other| other.of == *of);
            actuals.push(format!("{name} => {}_{of}", if is_second { "Other" } else { "Kept" }));
            continue;
        }
        let object = format!("Given_{name}");
        let constant = if *is_written { "" } else { "constant " };
        let _always_written =
            writeln!(declared, "         {object} : {constant}{} := Draw_{of};", types[*of].name);
        if *is_read {
            let _always_written = writeln!(
                shown,
                "         Put (\"{name}\"{} & \" => \");\n         Put_{of} ({object});\n         Put (\" \");",
                bounds(&object, &types[*of].shape, types),
            );
        }
        if *is_written {
            let _always_written = writeln!(outputs, "               Put_{of} ({object});");
        }
        actuals.push(format!("{name} => {object}"));
    }
    let actuals = if actuals.is_empty() { String::new() } else { format!(" ({})", actuals.join(", ")) };
    let put = format!("               Put (\"{OUTPUTS}\");\n");
    let call = match result {
        Some(of) if is_kept(*of) => {
            format!(
                "            begin\n               Kept_{of} := {qualified}{actuals};\n{put}{outputs}            end;\n"
            )
        }
        Some(of) => format!(
            "            declare\n               Result : constant {} := {qualified}{actuals};\n            begin\n{put}               \
             Put_{of} (Result);\n{outputs}            end;\n",
            types[*of].name
        ),
        None => format!(
            "            begin\n               {qualified}{actuals};\n{put}{outputs}            end;\n"
        ),
    };
    format!(
        "      begin
      declare
{declared}      begin
         Put (\"{INPUTS}{name} \");
{shown}         Ada.Text_IO.New_Line;
         Ada.Text_IO.Flush;
         begin
{call}            Ada.Text_IO.New_Line;
         exception
            when Event : others =>
               Ada.Text_IO.New_Line;
               Ada.Text_IO.Put_Line ((if Is_Own (Ada.Exceptions.Exception_Message (Event), \"{file_name}\", {first}, {last}) then
                  \"{REFUSED}\" else \"{RAISED}\" & Ada.Exceptions.Exception_Name (Event) & \" : \" &
                  Ada.Exceptions.Exception_Message (Event)));
         end;
      end;
      exception
         --  No inputs, then.
         when others => null;
      end;
"
    )
}
