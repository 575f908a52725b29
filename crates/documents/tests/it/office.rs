//! DOCX and XLSX.

use documents::Format;
use insta::assert_snapshot;

use crate::{make, read};

#[test]
fn docx_with_headings_pages_notes_and_changes() {
    assert_snapshot!(read(Format::Docx, &make::small_docx()), @r#"
    title Valve manual
    pages 3
    [whole p1]
    Valve manual
    [whole p1] Scope
    The valve opens soon[2]

    [2] Within 20 ms.
    - first
      - second
    [whole p2] Scope > Limits & times
    Valve | ms
    V1 | 20
    [whole p3] Scope > Limits & times
    The end.
    "#);
}

#[test]
fn xlsx_rows_make_sense_alone() {
    assert_snapshot!(read(Format::Xlsx, &make::small_xlsx()), @r#"
    [Valves 1-5]
    Valves: All valves
    Name: V1; Opens in: 0.1; C: yes; Since: 2024-01-01
    Name: V2; Since: 2024-01-01 12:00
    left out: sheet "Old": it is hidden
    "#);
}
