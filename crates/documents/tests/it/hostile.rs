//! Files that mean harm, and files that were damaged: an error or a result, soon, and never a panic. That a
//! reader panicked is seen by the words of its error.

use std::{
    fmt::Write as _,
    io::Write as _,
    time::{Duration, Instant},
};

use documents::{DocumentError, Format};

use crate::make;

/// Far above what any of these take; a hang is minutes.
const SOON: Duration = Duration::from_secs(60);

fn survives(format: Format, bytes: &[u8], what: &str) -> Result<documents::Document, DocumentError> {
    let started = Instant::now();
    let read = documents::read(format, bytes);
    assert!(started.elapsed() < SOON, "{what}: {:?}", started.elapsed());
    if let Err(error) = &read {
        assert!(!error.to_string().contains("gave up"), "{what}: its reader panicked");
    }
    read
}

fn small_files() -> [(Format, Vec<u8>); 10] {
    [
        (Format::Markdown, b"# A\n\n```\nb\n```\n\n| a |\n|---|\n\nC\n===\n".to_vec()),
        (Format::ReStructuredText, b"===\nA\n===\n\nb\n\nC\n---\n\n.. d\n\ne::\n\n f\n".to_vec()),
        (Format::AsciiDoc, b"= A\n\n----\nb\n----\n\n== C\n\n|===\n| d\n|===\n".to_vec()),
        (Format::PlainText, "A b\n\n\u{e4}\u{20ac}\n".as_bytes().to_vec()),
        (Format::Html, make::HTML.as_bytes().to_vec()),
        (Format::Pdf, make::small_pdf()),
        (Format::Docx, make::small_docx()),
        (Format::Xlsx, make::small_xlsx()),
        (Format::Csv, b"a,b\n1,\"2\n3\"\n".to_vec()),
        (Format::ReqIf, make::REQIF.as_bytes().to_vec()),
    ]
}

#[test]
fn cut_anywhere() {
    for (format, bytes) in small_files() {
        for part in 0..=50 {
            let end = bytes.len() * part / 50;
            let _ = survives(format, &bytes[..end], &format!("{} cut at {end}", format.name()));
        }
    }
}

#[test]
fn with_bytes_changed() {
    for (format, bytes) in small_files() {
        for seed in 1..=400u64 {
            let mut damaged = bytes.clone();
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut random = |below: usize| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                usize::try_from(state >> 16).unwrap() % below
            };
            for _ in 0..=random(8) {
                let at = random(damaged.len());
                match random(4) {
                    0 => damaged[at] ^= 1 << random(8),
                    1 => damaged[at] = b"0919<>[]()/ \n\0\xff&"[random(16)],
                    2 => {
                        damaged.remove(at);
                    }
                    _ => {
                        let end = damaged.len().min(at + random(40));
                        let copy = damaged[at..end].to_vec();
                        let to = random(damaged.len());
                        damaged.splice(to..to, copy);
                    }
                }
                if damaged.is_empty() {
                    break;
                }
            }
            let _ = survives(format, &damaged, &format!("{} with seed {seed}", format.name()));
        }
    }
}

#[test]
fn archives_that_unpack_to_too_much() {
    let mut document = "<w:document><w:body>".to_owned();
    // Blanks, which any compressor makes a thousandth of.
    document.push_str(&" ".repeat(48 << 20));
    let bomb = make::archive(&[("word/document.xml", &document)]);
    assert!(bomb.len() < 1 << 20);
    let error = survives(Format::Docx, &bomb, "a bomb").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the file has more bytes for each compressed one in a part than the limit, 400"
    );
}

#[test]
fn entities_do_not_expand() {
    let mut text = "<!DOCTYPE REQ-IF [<!ENTITY a \"aaaaaaaaaa\">".to_owned();
    for (one, before) in ('b'..='j').zip('a'..='i') {
        write!(text, "<!ENTITY {one} \"{}\">", format!("&{before};").repeat(10)).unwrap();
    }
    text.push_str("]><REQ-IF><THE-HEADER><TITLE>&j;</TITLE></THE-HEADER></REQ-IF>");
    let document = survives(Format::ReqIf, text.as_bytes(), "entities").unwrap();
    assert_eq!(document.title, None);
}

#[test]
fn nothing_is_nested_without_end() {
    let elements = "<a>".repeat(100_000);
    let error = survives(Format::ReqIf, format!("<REQ-IF>{elements}").as_bytes(), "XML").unwrap_err();
    assert_eq!(error.to_string(), "the file has more elements of XML inside each other than the limit, 256");
    for html in ["<div>", "<table><tr><td>", "<div hidden>", "<svg>", "<b><i>", "<p hidden>", "</p>", "<h1>"]
    {
        let _ = survives(Format::Html, html.repeat(200_000).as_bytes(), html);
    }
    for mark in ["> ", "- ", "[", "#", "`", "=\n", "a\n=\n", "|", "<!--", "[a](", "\n\n"] {
        for format in [Format::Markdown, Format::ReStructuredText, Format::AsciiDoc, Format::Csv] {
            let _ = survives(format, mark.repeat(200_000).as_bytes(), mark);
        }
    }
    for content in ["[", "<<", "(", "<", "q ", "BT ", "/a BDC ", "BI ID ", "BI ", "1 ", "[[]"] {
        let file = make::pdf_of_pages(&[&content.repeat(200_000)], "", &[]);
        let _ = survives(Format::Pdf, &file, content);
        let file = make::pdf_of_pages(&[], &format!("/Outlines {}", content.repeat(200_000)), &[]);
        let _ = survives(Format::Pdf, &file, content);
    }
}

#[test]
fn pdf_objects_that_hold_themselves() {
    let font = "<< /Type /Font /Subtype /Type0 /Encoding 4 0 R /DescendantFonts [4 0 R] /ToUnicode 4 0 R /W 4 0 R >>";
    let cases: [(&str, &[&str]); 8] = [
        ("pages", &["<< /Pages 2 0 R >>", "<< /Kids [2 0 R 2 0 R 2 0 R] /Count 3 >>"]),
        (
            "pages of each other",
            &["<< /Pages 2 0 R >>", "<< /Kids [3 0 R 3 0 R] >>", "<< /Kids [2 0 R 2 0 R] >>"],
        ),
        ("references", &["<< /Pages 2 0 R >>", "3 0 R", "2 0 R"]),
        ("a reference", &["<< /Pages 2 0 R >>", "2 0 R"]),
        (
            "outline",
            &[
                "<< /Pages 2 0 R /Outlines 4 0 R >>",
                "<< /Kids [3 0 R] >>",
                "<< /Type /Page >>",
                "<< /First 4 0 R /Next 4 0 R /Title (a) /Dest [3 0 R /Fit] >>",
            ],
        ),
        (
            "names",
            &[
                "<< /Pages 2 0 R /Names << /Dests 4 0 R >> /PageLabels 4 0 R /Outlines << /First 5 0 R >> >>",
                "<< /Kids [3 0 R] >>",
                "<< /Type /Page >>",
                "<< /Kids [4 0 R 4 0 R] /Nums 4 0 R /Names 4 0 R >>",
                "<< /Title (a) /Dest (name) >>",
            ],
        ),
        (
            "a form",
            &[
                "<< /Pages 2 0 R >>",
                "<< /Kids [3 0 R] >>",
                "<< /Type /Page /Contents 4 0 R /Resources 5 0 R >>",
                "<< /Subtype /Form /Resources 5 0 R /Length 12 >>\nstream\n/X Do /X Do \nendstream",
                "<< /XObject << /X 4 0 R >> >>",
            ],
        ),
        (
            "a font and a length",
            &[
                "<< /Pages 2 0 R >>",
                "<< /Kids [3 0 R] >>",
                "<< /Type /Page /Contents 5 0 R /Resources << /Font << /F 4 0 R >> >> >>",
                font,
                "<< /Length 5 0 R >>\nstream\nBT /F 9 Tf (ab) Tj ET\nendstream",
            ],
        ),
    ];
    for (what, objects) in cases {
        let objects: Vec<String> = objects.iter().map(|object| (*object).to_owned()).collect();
        let _ = survives(Format::Pdf, &make::pdf(&objects), what);
    }
}

/// Each form shows the next one twenty times: 20^10 pictures of a letter, if nobody counted.
#[test]
fn pdf_forms_that_multiply() {
    let mut others = Vec::new();
    for form in 0..12 {
        let content = "/X Do ".repeat(20);
        others.push(format!(
            "<< /Subtype /Form /Resources << /XObject << /X {} 0 R >> >> /Length {} >>\nstream\n{content}\nendstream",
            7 + form,
            content.len()
        ));
    }
    let file = make::pdf_of_pages(&["/X Do"], "", &others);
    let text = String::from_utf8(file).unwrap().replace("/Font <<", "/XObject << /X 6 0 R >> /Font <<");
    let document = survives(Format::Pdf, text.as_bytes(), "forms").unwrap();
    assert_eq!(document.left_out, ["page 1: more operators than 2000000; the rest of it is left out"]);
}

#[test]
fn pdf_numbers_that_lie() {
    let whole = String::from_utf8(make::small_pdf()).unwrap();
    for (from, to) in [
        ("/Length 1", "/Length 1000000000"),
        ("/Length 1", "/Length -1"),
        ("/Count 3", "/Count 1000000000"),
        ("xref\n0 14", "xref\n0 4000000000"),
        ("xref\n0 14", "xref\n4294967290 14"),
        ("startxref\n", "startxref\n9999999999999999999"),
        ("10 Tf", "1e308 Tf"),
        ("12 TL", "99999999999999999999999999999999999999999999999 TL"),
        ("72 700 Td", "1000000000000000000 700 Td"),
        ("/Nums [0", "/Nums [9223372036854775807"),
        ("/S /r", "/S /r /St 9223372036854775807"),
        ("/Parent 2 0 R", "/Parent 2 0 R /Rotate 9223372036854775807"),
    ] {
        assert!(whole.contains(from), "{from}");
        let _ = survives(Format::Pdf, whole.replace(from, to).as_bytes(), to);
    }
    let file = make::pdf_of_pages(&["a"], "", &[]);
    let text = String::from_utf8(file).unwrap();
    for predictor in [
        "/Predictor 15 /Columns 1000000000",
        "/Predictor 12 /Columns 16777216 /Colors 32 /BitsPerComponent 16",
        "/Predictor 2 /Colors 0",
    ] {
        let dict =
            format!("/Filter [/ASCIIHexDecode /FlateDecode] /DecodeParms [null << {predictor} >>] /Length");
        let _ = survives(Format::Pdf, text.replace("/Length", &dict).as_bytes(), predictor);
    }
}

#[test]
fn too_large_a_file() {
    let error = survives(Format::PlainText, &vec![b'a'; documents::FILE_BYTES_MAX + 1], "large").unwrap_err();
    assert_eq!(error.to_string(), "the file has 67108865 bytes; at most 67108864 are read");
}

/// A stream of zeros that unpacks to a thousand times its size, used as often as the file can hold.
#[test]
fn pdf_streams_that_unpack_to_too_much() {
    let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(&vec![b' '; 100 << 20]).unwrap();
    let packed = packer.finish().unwrap();
    let hexadecimal: String = packed.iter().map(|byte| format!("{byte:02x}")).collect();
    let content = format!(
        "<< /Filter [/ASCIIHexDecode /FlateDecode] /Length {} >>\nstream\n{hexadecimal}\nendstream",
        hexadecimal.len()
    );
    let mut objects =
        vec!["<< /Pages 2 0 R >>".to_owned(), "<< /Kids [4 0 R 5 0 R 6 0 R 7 0 R] >>".to_owned(), content];
    objects.extend((0..4).map(|_| "<< /Type /Page /Contents 3 0 R >>".to_owned()));
    let error = survives(Format::Pdf, &make::pdf(&objects), "a bomb").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the file has more bytes in its streams, unpacked than the limit, 268435456"
    );
}

#[test]
fn too_many_of_anything() {
    let columns = ",".repeat(20_000);
    let error = survives(Format::Csv, columns.as_bytes(), "columns").unwrap_err();
    assert_eq!(error.to_string(), "the file has more columns in a row than the limit, 16384");
    let lines = "\n".repeat(9_000_000);
    let error = survives(Format::PlainText, lines.as_bytes(), "lines").unwrap_err();
    assert_eq!(error.to_string(), "the file has more lines than the limit, 8000000");
    let headings = "# a\n".repeat(300_000);
    let error = survives(Format::Markdown, headings.as_bytes(), "headings").unwrap_err();
    assert_eq!(error.to_string(), "the file has more passages than the limit, 200000");
    let attributes = format!("<p {}>text", "a ".repeat(2_000_000));
    let _ = survives(Format::Html, attributes.as_bytes(), "attributes");
}

/// Each stream has no end, so that each would be searched for to the end of the file.
#[test]
fn pdf_streams_without_an_end() {
    let mut file = b"%PDF-1.7\n".to_vec();
    for number in 0..100_000 {
        file.extend(format!("{number} 0 obj<</Type/ObjStm>>stream\n").bytes());
    }
    assert!(matches!(survives(Format::Pdf, &file, "streams"), Err(DocumentError::Limit { .. })));
}
