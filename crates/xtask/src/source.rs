//! Rust source told apart into code and comments, so that a scan for `unsafe` finds the keyword and
//! neither a remark nor a string. No parser: it knows comments, literals and matching braces.

/// One source file. Both texts are as long as the file and have its lines; what is not theirs is blank.
pub(crate) struct Source {
    /// Without comments and without what stands inside string and character literals.
    pub(crate) code: String,
    /// Only the comments.
    pub(crate) comments: String,
}

impl Source {
    pub(crate) fn read(text: &str) -> Source {
        let bytes = text.as_bytes();
        let mut code = blank(bytes);
        let mut comments = blank(bytes);
        let mut at = 0;
        while at < bytes.len() {
            let (end, part) = next(bytes, at);
            match part {
                Part::Code => code[at..end].copy_from_slice(&bytes[at..end]),
                Part::Comment => comments[at..end].copy_from_slice(&bytes[at..end]),
                Part::Literal => {}
            }
            at = end;
        }
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Source { code: text(code), comments: text(comments) }
    }

    /// The code without the items that stand behind `#[cfg(test)]`.
    pub(crate) fn code_without_tests(&self) -> String {
        let mut code = self.code.clone().into_bytes();
        let mut from = 0;
        while let Some(start) = self.code[from..].find("#[cfg(test)]").map(|at| from + at) {
            let end = item_end(&code, start + "#[cfg(test)]".len());
            let blanked = blank(&code[start..end]);
            code[start..end].copy_from_slice(&blanked);
            from = end;
        }
        String::from_utf8_lossy(&code).into_owned()
    }
}

/// Where `word` stands in `code` as a whole word: the line number (from 1) of each.
pub(crate) fn lines_with_word<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_word = |byte: Option<&u8>| byte.is_some_and(|&byte| is_identifier(byte));
    code.lines().zip(1..).filter_map(move |(line, number)| {
        let bytes = line.as_bytes();
        let mut hits = line.match_indices(word).map(|(start, _)| (start, start + word.len()));
        hits.any(|(start, end)| {
            let before = start.checked_sub(1).and_then(|before| bytes.get(before));
            let open_start = is_identifier(word.as_bytes()[0]) && is_word(before);
            let open_end = is_identifier(word.as_bytes()[word.len() - 1]) && is_word(bytes.get(end));
            !open_start && !open_end
        })
        .then_some(number)
    })
}

enum Part {
    Code,
    Comment,
    Literal,
}

/// What begins at `at`, and where it ends.
fn next(bytes: &[u8], at: usize) -> (usize, Part) {
    let rest = &bytes[at..];
    match rest {
        [b'/', b'/', ..] => (at + position(rest, b'\n'), Part::Comment),
        [b'/', b'*', ..] => (at + block_comment_length(rest), Part::Comment),
        [b'"', ..] => (at + quoted_length(rest, b'"'), Part::Literal),
        [b'\'', ..] if is_character(rest) => (at + quoted_length(rest, b'\''), Part::Literal),
        [b'r', b'"' | b'#', ..] if starts_a_prefix(bytes, at) => match raw_string_length(&rest[1..]) {
            Some(length) => (at + 1 + length, Part::Literal),
            None => (at + 1, Part::Code),
        },
        _ => (at + 1, Part::Code),
    }
}

/// Whether the `r` at `at` is a whole prefix (`r`, `br`, `cr`) and not the end of an identifier.
fn starts_a_prefix(bytes: &[u8], at: usize) -> bool {
    let before = bytes[..at].iter().rev().take_while(|&&byte| is_identifier(byte)).count();
    before == 0 || (before == 1 && matches!(bytes[at - 1], b'b' | b'c'))
}

fn is_identifier(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Whether the apostrophe begins a character and not a lifetime.
fn is_character(rest: &[u8]) -> bool {
    match rest.get(1) {
        Some(b'\\') => true,
        Some(&first) => {
            let length = match first {
                0..0xc0 => 1,
                0xc0..0xe0 => 2,
                0xe0..0xf0 => 3,
                _ => 4,
            };
            rest.get(1 + length) == Some(&b'\'')
        }
        None => false,
    }
}

/// The length up to and with the closing quote; backslashes escape.
fn quoted_length(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// The length from the first `#` or quote on; none when it is a raw identifier.
fn raw_string_length(rest: &[u8]) -> Option<usize> {
    let hashes = rest.iter().take_while(|&&byte| byte == b'#').count();
    if rest.get(hashes) != Some(&b'"') {
        return None;
    }
    let closing = [b"\"".as_slice(), &rest[..hashes]].concat();
    let content = &rest[hashes + 1..];
    let end = content.windows(closing.len()).position(|window| window == closing);
    Some(end.map_or(rest.len(), |end| hashes + 1 + end + closing.len()))
}

fn block_comment_length(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The end of the item that follows: its closing brace, or its semicolon when that comes first.
fn item_end(code: &[u8], from: usize) -> usize {
    let mut depth = 0usize;
    for (offset, byte) in code[from..].iter().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b';' => {}
            _ => continue,
        }
        if depth == 0 {
            return from + offset + 1;
        }
    }
    code.len()
}

fn position(bytes: &[u8], wanted: u8) -> usize {
    bytes.iter().position(|&byte| byte == wanted).unwrap_or(bytes.len())
}

fn blank(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|&byte| if byte == b'\n' { b'\n' } else { b' ' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, code: &str, comments: &str) {
        let source = Source::read(text);
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(
            (squeezed(&source.code), squeezed(&source.comments)),
            (code.to_owned(), comments.to_owned())
        );
        assert_eq!((source.code.len(), source.comments.len()), (text.len(), text.len()));
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        check("let a = 1; // unsafe\nb", "let a = 1; b", "// unsafe");
        check("a /* x /* y */ z */ b", "a b", "/* x /* y */ z */");
        check(r#"f("// no \" unsafe", 'x', '\'', '"')"#, "f( , , , )", "");
        check("f(r#\"a \" // b\"#, br\"c\", r#type)", "f( , b , r#type)", "");
        check("fn f<'a>(x: &'a str) -> char { 'é' }", "fn f<'a>(x: &'a str) -> char { }", "");
        check("\"never closed", "", "");
    }

    #[test]
    fn test_items_are_left_out() {
        let source = Source::read(
            "a();\n#[cfg(test)]\nmod tests { fn f() { b('}') } }\nc();\n#[cfg(test)]\nuse d;\ne();",
        );
        let code = source.code_without_tests();
        assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a();", "c();", "e();"]);
        assert_eq!(code.lines().count(), 7);
    }

    #[test]
    fn words_are_whole() {
        let found =
            |word| lines_with_word("unsafe_code\nunsafe {\nnot_unsafe todo!()", word).collect::<Vec<_>>();
        assert_eq!(found("unsafe"), [2]);
        assert_eq!(found("todo!"), [3]);
    }
}
