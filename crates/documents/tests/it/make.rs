//! Small documents of formats that are not text.

use std::io::{Cursor, Write as _};

use zip::{ZipWriter, write::SimpleFileOptions};

/// A ZIP archive of parts.
pub(crate) fn archive(parts: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in parts {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A PDF file of objects from number 1 on, of which the first is the catalog.
pub(crate) fn pdf(objects: &[String]) -> Vec<u8> {
    let mut file = b"%PDF-1.7\n".to_vec();
    let mut offsets = Vec::new();
    for (number, object) in (1..).zip(objects) {
        offsets.push(file.len());
        file.extend(format!("{number} 0 obj\n{object}\nendobj\n").bytes());
    }
    let table = file.len();
    file.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).bytes());
    for offset in &offsets {
        file.extend(format!("{offset:010} 00000 n \n").bytes());
    }
    let size = objects.len() + 1;
    file.extend(format!("trailer\n<< /Size {size} /Root 1 0 R /Info << /Title (Small) >> >>\n").bytes());
    file.extend(format!("startxref\n{table}\n%%EOF\n").bytes());
    file
}

pub(crate) fn stream(content: &str) -> String {
    format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len())
}

/// A PDF file with these contents of pages, in Helvetica, and what else its catalog holds.
pub(crate) fn pdf_of_pages(contents: &[&str], catalog: &str, others: &[String]) -> Vec<u8> {
    let kids: Vec<String> = (0..contents.len()).map(|page| format!("{} 0 R", 4 + 2 * page)).collect();
    let mut objects = vec![
        format!("<< /Type /Catalog /Pages 2 0 R {catalog} >>"),
        format!(
            "<< /Type /Pages /Kids [{}] /Count {} /MediaBox [0 0 600 800] \
             /Resources << /Font << /F 3 0 R >> >> >>",
            kids.join(" "),
            contents.len()
        ),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_owned(),
    ];
    for (page, content) in contents.iter().enumerate() {
        objects.push(format!("<< /Type /Page /Parent 2 0 R /Contents {} 0 R >>", 5 + 2 * page));
        objects.push(stream(content));
    }
    objects.extend_from_slice(others);
    pdf(&objects)
}

/// Lines of text from the top of a page.
pub(crate) fn lines(lines: &[&str]) -> String {
    let mut content = "BT /F 10 Tf 12 TL 72 700 Td\n".to_owned();
    for line in lines {
        content.push_str(&format!("({line}) Tj T*\n"));
    }
    content.push_str("ET");
    content
}

pub(crate) fn small_pdf() -> Vec<u8> {
    let pages = [
        lines(&[
            "Scope",
            "This manual is about the control of valves. It de-",
            "scribes the well-known pump.",
        ]),
        lines(&["Valves", "A well-known valve opens in 20 ms.", "", "", "It closes in 30 ms."]),
        lines(&["Annex", "Nothing more."]),
    ];
    let pages: Vec<String> = (1..)
        .zip(&pages)
        .map(|(number, page)| format!("{page} BT /F 8 Tf 72 30 Td (Manual of valves, page {number}) Tj ET"))
        .collect();
    let pages: Vec<&str> = pages.iter().map(String::as_str).collect();
    pdf_of_pages(
        &pages,
        "/Outlines 10 0 R /PageLabels << /Nums [0 << /S /r >> 1 << /S /D >> 2 << /P (A-) /S /D >>] >>",
        &[
            "<< /First 11 0 R /Last 13 0 R >>".to_owned(),
            "<< /Title (Scope) /Dest [4 0 R /XYZ 72 712 0] /Next 12 0 R >>".to_owned(),
            "<< /Title (Valves) /A << /S /GoTo /D [6 0 R /Fit] >> /First 13 0 R >>".to_owned(),
            "<< /Title <FEFF0041006E006E00650078> /Dest [8 0 R /Fit] >>".to_owned(),
        ],
    )
}

pub(crate) fn small_docx() -> Vec<u8> {
    let body = r#"<w:p><w:pPr><w:pStyle w:val="Title"/></w:pPr><w:r><w:t>Valve manual</w:t></w:r></w:p>
<w:p><w:pPr><w:pStyle w:val="TOC1"/></w:pPr><w:r><w:t>Scope 1</w:t></w:r></w:p>
<w:p><w:pPr><w:pStyle w:val="berschrift1"/></w:pPr><w:r><w:t>Scope</w:t></w:r></w:p>
<w:p><w:r><w:t xml:space="preserve">The valve </w:t></w:r><w:del><w:r><w:delText>closes</w:delText><w:t>never</w:t></w:r></w:del><w:ins><w:r><w:t>opens</w:t></w:r></w:ins><w:r><w:t> soon</w:t><w:footnoteReference w:id="2"/></w:r><w:r><w:rPr><w:vanish/></w:rPr><w:t>secret</w:t></w:r></w:p>
<w:p><w:pPr><w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr></w:pPr><w:r><w:t>first</w:t></w:r></w:p>
<w:p><w:pPr><w:numPr><w:ilvl w:val="1"/><w:numId w:val="1"/></w:numPr></w:pPr><w:r><w:t>second</w:t></w:r></w:p>
<w:p><w:pPr><w:pStyle w:val="Sub"/></w:pPr><w:r><w:lastRenderedPageBreak/><w:t>Limits &amp; times</w:t></w:r></w:p>
<w:tbl><w:tr><w:tc><w:p><w:r><w:t>Valve</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>ms</w:t></w:r></w:p></w:tc></w:tr>
<w:tr><w:tc><w:p><w:r><w:t>V1</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>20</w:t></w:r></w:p></w:tc></w:tr></w:tbl>
<w:p><w:r><w:br w:type="page"/></w:r></w:p><w:p><w:r><w:lastRenderedPageBreak/><w:t>The end.</w:t></w:r></w:p>"#;
    let document = format!("<w:document><w:body>{body}</w:body></w:document>");
    archive(&[
        (
            "_rels/.rels",
            r#"<Relationships><Relationship Id="1" Type="http://x/officeDocument" Target="word/document.xml"/></Relationships>"#,
        ),
        ("word/document.xml", &document),
        (
            "word/styles.xml",
            r#"<w:styles><w:style w:styleId="berschrift1"><w:name w:val="heading 1"/><w:pPr><w:outlineLvl w:val="0"/></w:pPr></w:style>
<w:style w:styleId="Base"><w:name w:val="Base"/><w:basedOn w:val="Sub"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style>
<w:style w:styleId="Sub"><w:name w:val="Mine"/><w:basedOn w:val="Base"/></w:style>
<w:style w:styleId="TOC1"><w:name w:val="toc 1"/></w:style></w:styles>"#,
        ),
        (
            "word/footnotes.xml",
            r#"<w:footnotes><w:footnote w:type="separator" w:id="0"><w:p/></w:footnote><w:footnote w:id="2"><w:p><w:r><w:t>Within 20 ms.</w:t></w:r></w:p></w:footnote></w:footnotes>"#,
        ),
    ])
}

pub(crate) fn small_xlsx() -> Vec<u8> {
    archive(&[
        (
            "xl/workbook.xml",
            r#"<workbook><sheets><sheet name="Valves" sheetId="1" r:id="r1"/><sheet name="Old" sheetId="2" state="hidden" r:id="r2"/></sheets></workbook>"#,
        ),
        (
            "xl/_rels/workbook.xml.rels",
            r#"<Relationships><Relationship Id="r1" Target="worksheets/sheet1.xml"/><Relationship Id="r2" Target="worksheets/sheet2.xml"/></Relationships>"#,
        ),
        (
            "xl/sharedStrings.xml",
            r#"<sst><si><t>Name</t></si><si><r><t>Opens </t></r><r><t>in</t></r></si><si><t>Since</t></si></sst>"#,
        ),
        (
            "xl/styles.xml",
            r#"<styleSheet><numFmts><numFmt numFmtId="164" formatCode="yyyy\-mm\-dd hh:mm"/></numFmts><cellStyleXfs><xf numFmtId="0"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="164"/></cellXfs></styleSheet>"#,
        ),
        (
            "xl/worksheets/sheet1.xml",
            r#"<worksheet><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>All valves</t></is></c></row>
<row r="3"><c r="A3" t="s"><v>0</v></c><c r="B3" t="s"><v>1</v></c><c r="D3" t="s"><v>2</v></c></row>
<row r="4"><c r="A4" t="str"><f>1+1</f><v>V1</v></c><c r="B4"><v>0.10000000000000001</v></c><c r="C4" t="b"><v>1</v></c><c r="D4" s="1"><v>45292</v></c></row>
<row r="5"><c r="A5" t="inlineStr"><is><t>V2</t></is></c><c r="D5" s="2"><v>45292.5</v></c></row></sheetData></worksheet>"#,
        ),
        ("xl/worksheets/sheet2.xml", "<worksheet/>"),
    ])
}

pub(crate) const HTML: &str = r#"<!DOCTYPE html><html><head><title>Valve
 manual</title><style>p { color: red }</style><script>var a = "<p>no</p>";</script></head><body>
<nav><a href="/">Home</a></nav><h1>Scope</h1><p>The valve &amp; its <b>pump</b> &mdash; both.<br>Next line.
<div style="display: none">hidden <div>deeper</div></div><p hidden>secret<p>shown<!-- comment -->
<h2>Limits</h2><ul><li>first<li>second</ul>
<table><tr><th>Valve</th><th>ms</th></tr><tr><td>V1</td><td>20</td></tr></table>
<pre>if open then
   close;
end if;</pre></body></html>"#;

pub(crate) const REQIF: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<REQ-IF xmlns="http://www.omg.org/spec/ReqIF/20110401/reqif.xsd" xmlns:xhtml="http://www.w3.org/1999/xhtml">
<THE-HEADER><REQ-IF-HEADER IDENTIFIER="h"><TITLE>Valve requirements</TITLE></REQ-IF-HEADER></THE-HEADER>
<CORE-CONTENT><REQ-IF-CONTENT><DATATYPES><DATATYPE-DEFINITION-ENUMERATION IDENTIFIER="d"><SPECIFIED-VALUES><ENUM-VALUE IDENTIFIER="e1" LONG-NAME="Accepted"/></SPECIFIED-VALUES></DATATYPE-DEFINITION-ENUMERATION></DATATYPES>
<SPEC-TYPES><SPEC-OBJECT-TYPE IDENTIFIER="t"><SPEC-ATTRIBUTES>
<ATTRIBUTE-DEFINITION-STRING IDENTIFIER="a1" LONG-NAME="ReqIF.ChapterName"/><ATTRIBUTE-DEFINITION-XHTML IDENTIFIER="a2" LONG-NAME="ReqIF.Text"/><ATTRIBUTE-DEFINITION-ENUMERATION IDENTIFIER="a3" LONG-NAME="State"/><ATTRIBUTE-DEFINITION-INTEGER IDENTIFIER="a4" LONG-NAME="ReqIF.ForeignID"/>
</SPEC-ATTRIBUTES></SPEC-OBJECT-TYPE></SPEC-TYPES>
<SPEC-OBJECTS>
<SPEC-OBJECT IDENTIFIER="c1"><VALUES><ATTRIBUTE-VALUE-STRING THE-VALUE="Opening"><DEFINITION><ATTRIBUTE-DEFINITION-STRING-REF>a1</ATTRIBUTE-DEFINITION-STRING-REF></DEFINITION></ATTRIBUTE-VALUE-STRING></VALUES></SPEC-OBJECT>
<SPEC-OBJECT IDENTIFIER="r1" LONG-NAME="Opening time"><VALUES>
<ATTRIBUTE-VALUE-XHTML><DEFINITION><ATTRIBUTE-DEFINITION-XHTML-REF>a2</ATTRIBUTE-DEFINITION-XHTML-REF></DEFINITION><THE-VALUE><xhtml:div><xhtml:p>The valve shall open
 in <xhtml:b>20&#160;ms</xhtml:b>.</xhtml:p><xhtml:p>Always.</xhtml:p></xhtml:div></THE-VALUE></ATTRIBUTE-VALUE-XHTML>
<ATTRIBUTE-VALUE-ENUMERATION><VALUES><ENUM-VALUE-REF>e1</ENUM-VALUE-REF></VALUES><DEFINITION><ATTRIBUTE-DEFINITION-ENUMERATION-REF>a3</ATTRIBUTE-DEFINITION-ENUMERATION-REF></DEFINITION></ATTRIBUTE-VALUE-ENUMERATION>
<ATTRIBUTE-VALUE-INTEGER THE-VALUE="17"><DEFINITION><ATTRIBUTE-DEFINITION-INTEGER-REF>a4</ATTRIBUTE-DEFINITION-INTEGER-REF></DEFINITION></ATTRIBUTE-VALUE-INTEGER></VALUES></SPEC-OBJECT>
<SPEC-OBJECT IDENTIFIER="r2" LONG-NAME="Loose"/>
</SPEC-OBJECTS>
<SPECIFICATIONS><SPECIFICATION IDENTIFIER="s" LONG-NAME="Valves"><CHILDREN><SPEC-HIERARCHY IDENTIFIER="h1"><OBJECT><SPEC-OBJECT-REF>c1</SPEC-OBJECT-REF></OBJECT><CHILDREN><SPEC-HIERARCHY IDENTIFIER="h2"><OBJECT><SPEC-OBJECT-REF>r1</SPEC-OBJECT-REF></OBJECT></SPEC-HIERARCHY></CHILDREN></SPEC-HIERARCHY></CHILDREN></SPECIFICATION></SPECIFICATIONS>
</REQ-IF-CONTENT></CORE-CONTENT></REQ-IF>"#;
