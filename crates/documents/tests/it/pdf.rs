//! PDF.

use documents::Format;
use insta::assert_snapshot;

use crate::{make, read};

#[test]
fn outline_labels_hyphens_and_footers() {
    assert_snapshot!(read(Format::Pdf, &make::small_pdf()), @r#"
    title Small
    pages 3
    [page p1 (i)] Scope
    Scope
    This manual is about the control of valves. It describes
    the well-known pump.
    [page p2 (1)] Valves
    Valves
    A well-known valve opens in 20 ms.

    It closes in 30 ms.
    [page p3 (A-1)] Valves > Annex
    Annex
    Nothing more.
    "#);
}

#[test]
fn a_file_without_its_table_is_read_all_the_same() {
    let whole = make::small_pdf();
    let table = whole.windows(4).position(|window| window == b"xref").unwrap();
    assert_eq!(read(Format::Pdf, &whole[..table]), read(Format::Pdf, &whole).replace("title Small\n", ""));
}

#[test]
fn columns_of_prose_one_after_the_other_and_tables_row_by_row() {
    let column = |x: u32, words: &str| -> String {
        (0..10)
            .map(|line| {
                format!("1 0 0 1 {x} {} Tm ({words} {line} is long enough here) Tj\n", 700 - 12 * line)
            })
            .collect()
    };
    let columns =
        format!("BT /F 10 Tf {} {} ET", column(72, "On the left line"), column(320, "On the right line"));
    let rows: String = (0..10)
        .map(|line| {
            let y = 500 - 12 * line;
            format!("1 0 0 1 72 {y} Tm (V{line}) Tj 1 0 0 1 320 {y} Tm ({line} ms) Tj\n")
        })
        .collect();
    let table = format!("BT /F 10 Tf {rows} ET");
    assert_snapshot!(read(Format::Pdf, &make::pdf_of_pages(&[&columns, &table], "", &[])), @r#"
    title Small
    pages 2
    [page p1]
    On the left line 0 is long enough here
    On the left line 1 is long enough here
    On the left line 2 is long enough here
    On the left line 3 is long enough here
    On the left line 4 is long enough here
    On the left line 5 is long enough here
    On the left line 6 is long enough here
    On the left line 7 is long enough here
    On the left line 8 is long enough here
    On the left line 9 is long enough here
    On the right line 0 is long enough here
    On the right line 1 is long enough here
    On the right line 2 is long enough here
    On the right line 3 is long enough here
    On the right line 4 is long enough here
    On the right line 5 is long enough here
    On the right line 6 is long enough here
    On the right line 7 is long enough here
    On the right line 8 is long enough here
    On the right line 9 is long enough here
    [page p2]
    V0  0 ms
    V1  1 ms
    V2  2 ms
    V3  3 ms
    V4  4 ms
    V5  5 ms
    V6  6 ms
    V7  7 ms
    V8  8 ms
    V9  9 ms
    "#);
}

#[test]
fn words_are_found_by_gaps_and_ligatures_are_letters() {
    let contents = [
        "BT /F 10 Tf 72 700 Td [(Kern) 20 (ed) -400 (words) -200 (here)] TJ ET",
        "BT /F 10 Tf 0 1 -1 0 100 100 Tm (Turned text) Tj ET",
        "BT /F 10 Tf 72 700 Td /Span << /ActualText <FEFF00660069> >> BDC (\\001) Tj EMC (nd) Tj ET",
        "q 100 0 0 100 0 0 cm BI /W 1 /H 1 /BPC 8 /CS /G ID x EI Q",
        "",
    ];
    assert_snapshot!(read(Format::Pdf, &make::pdf_of_pages(&contents, "", &[])), @r#"
    title Small
    pages 5
    [page p1]
    Kerned words here
    [page p2]
    Turned text
    [page p3]
    find
    left out: page 4: no text, probably a scan
    "#);
}

/// The small file, encrypted by another program: for printing only, without a password to open it.
#[test]
fn encrypted_files_that_open_without_a_password() {
    let plain = read(Format::Pdf, &make::small_pdf());
    for encrypted in [
        &include_bytes!("files/rc4-40.pdf")[..],
        include_bytes!("files/rc4-128.pdf"),
        include_bytes!("files/aes-128.pdf"),
        include_bytes!("files/aes-256.pdf"),
    ] {
        assert_eq!(read(Format::Pdf, encrypted), plain);
    }
    let refused = read(Format::Pdf, include_bytes!("files/password.pdf"));
    assert_eq!(
        refused,
        "error: the document is encrypted and opens only with a password: there is a password to open it"
    );
}

#[test]
fn what_stands_beside_the_page_is_left_out() {
    let contents =
        "BT /F 10 Tf 72 700 Td (Seen) Tj 0 200 Td (Hidden above) Tj -500 -300 Td (Hidden beside) Tj ET";
    let shown = read(Format::Pdf, &make::pdf_of_pages(&[contents], "", &[]));
    assert_eq!(shown, "title Small\npages 1\n[page p1]\nSeen\n");
}
