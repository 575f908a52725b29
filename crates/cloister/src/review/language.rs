//! The language that a file's ending says, for rules of the gate.

/// Endings, lower-case, and what they say.
const ENDINGS: [(&str, &str); 36] = [
    ("ada", "ada"),
    ("adb", "ada"),
    ("ads", "ada"),
    ("asm", "assembly"),
    ("c", "c"),
    ("cbl", "cobol"),
    ("cc", "cpp"),
    ("cob", "cobol"),
    ("cpp", "cpp"),
    ("cxx", "cpp"),
    ("f", "fortran"),
    ("f03", "fortran"),
    ("f08", "fortran"),
    ("f77", "fortran"),
    ("f90", "fortran"),
    ("f95", "fortran"),
    ("for", "fortran"),
    ("go", "go"),
    ("h", "c"),
    ("hh", "cpp"),
    ("hpp", "cpp"),
    ("hxx", "cpp"),
    ("java", "java"),
    ("js", "javascript"),
    ("m", "matlab"),
    ("pas", "pascal"),
    ("pp", "pascal"),
    ("py", "python"),
    ("rs", "rust"),
    ("s", "assembly"),
    ("sh", "shell"),
    ("sv", "verilog"),
    ("ts", "typescript"),
    ("v", "verilog"),
    ("vhd", "vhdl"),
    ("vhdl", "vhdl"),
];

/// By the ending; empty where it says none.
pub(crate) fn of_path(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or(path);
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
    let found = ENDINGS.binary_search_by_key(&ending.as_str(), |(ending, _)| ending);
    found.map_or("", |at| ENDINGS[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_ending() {
        assert!(ENDINGS.is_sorted());
        for (path, expected) in
            [("src/a.ADB", "ada"), ("a.b/c", ""), ("x.rs", "rust"), ("Makefile", ""), (".c", "c")]
        {
            assert_eq!(of_path(path), expected, "{path}");
        }
    }
}
