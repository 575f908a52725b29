//! Which format a file is taken for.

use documents::Format;

#[test]
fn formats_by_name_and_beginning() {
    let cases: [(&str, &[u8], Option<Format>); 20] = [
        ("README.md", b"# A", Some(Format::Markdown)),
        ("docs/guide.RST", b"Guide", Some(Format::ReStructuredText)),
        ("a.adoc", b"= A", Some(Format::AsciiDoc)),
        ("a.txt", b"a", Some(Format::PlainText)),
        ("LICENSE", b"a", Some(Format::PlainText)),
        ("a.htm", b"<p>", Some(Format::Html)),
        ("a.pdf", b"%PDF-1.7", Some(Format::Pdf)),
        ("a.pdf", b"\x00\x01", None),
        ("a.pdf", b"plain text", None),
        ("a.docx", b"PK\x03\x04", Some(Format::Docx)),
        ("a.docx", b"\xd0\xcf\x11\xe0\x00", None),
        ("a.zip", b"PK\x03\x04", None),
        ("a.xlsx", b"PK\x03\x04", Some(Format::Xlsx)),
        ("a.csv", b"a;b", Some(Format::Csv)),
        ("a.reqif", b"<?xml?><REQ-IF>", Some(Format::ReqIf)),
        ("a.xml", b"<?xml?><REQ-IF>", Some(Format::ReqIf)),
        ("a.xml", b"<?xml?><project>", None),
        ("a.reqifz", b"PK\x03\x04", Some(Format::ReqIf)),
        ("a.txt", b"\xff\xfea\x00", Some(Format::PlainText)),
        ("a.txt", b"a\x00b", None),
    ];
    for (path, beginning, expected) in cases {
        assert_eq!(Format::detect(path, beginning), expected, "{path}");
    }
}
