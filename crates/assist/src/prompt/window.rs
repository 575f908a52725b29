//! What a model sees of the text around a hole, chosen so that it stays the same while a person types.
//!
//! Where a window that moves with the cursor would begin and end elsewhere at each new line, so that all of it
//! had to be evaluated again, ours begins at a line that is chosen by its content: of the lines where it could
//! begin, the one with the lowest hash. As lines come and go at the ends, that one mostly stays. Nothing is
//! remembered between requests: the same text gives the same window.

use std::ops::Range;

/// The hole begins at one of that many lines' beginnings, the last of them the cursor's own line.
const HOLE_LINES: usize = 8;
/// Of the room for the text before the hole, the part within which its beginning is chosen.
const SLACK: usize = 4;

/// Parts of the text, in order; what is in none of them is left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Window<'a> {
    /// Before the hole.
    pub(super) before: &'a str,
    /// From the hole's beginning to the cursor.
    pub(super) typed: &'a str,
    /// Behind the hole.
    pub(super) behind: &'a str,
}

impl Window<'_> {
    pub(super) fn len(&self) -> usize {
        self.before.len() + self.typed.len() + self.behind.len()
    }
}

/// The window around a cursor, of at most about `bytes_max`, of which the text behind it gets one part in
/// `suffix_share` where both are long.
pub(super) fn of<'a>(prefix: &'a str, suffix: &'a str, bytes_max: usize, suffix_share: usize) -> Window<'a> {
    let behind = cut_behind(suffix, bytes_max / suffix_share);
    let room = bytes_max - behind.len();
    let line = prefix.rfind('\n').map_or(0, |newline| newline + 1);
    let earliest =
        prefix[..line].bytes().rev().enumerate().filter(|&(_, byte)| byte == b'\n').nth(HOLE_LINES - 1);
    let hole = line_by_hash(prefix, earliest.map_or(0, |(back, _)| line - back)..line + 1).unwrap_or(line);
    // A line that is longer than the room is cut where it has to be.
    let hole = if prefix.len() - hole > room { boundary(prefix, prefix.len() - room) } else { hole };
    let (before, typed) = prefix.split_at(hole);
    let room = room - typed.len();
    let start = match before.len().checked_sub(room) {
        None | Some(0) => 0,
        Some(first) => {
            line_by_hash(before, first..first + room / SLACK).unwrap_or_else(|| boundary(before, first))
        }
    };
    Window { before: &before[start..], typed, behind }
}

/// The beginning of a text: whole lines, where there are any.
fn cut_behind(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        return text;
    }
    let end = (0..=bytes_max).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    let lines = text[..end].rfind('\n').map_or(end, |newline| newline + 1);
    &text[..lines]
}

/// Of the beginnings of lines in a range, the one whose preceding line has the lowest hash.
fn line_by_hash(text: &str, range: Range<usize>) -> Option<usize> {
    let bytes = text.as_bytes();
    let begins = |&place: &usize| place <= bytes.len() && (place == 0 || bytes[place - 1] == b'\n');
    range.filter(begins).min_by_key(|&place| {
        let before = &bytes[..place.saturating_sub(1)];
        let line = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        hash(&before[line..])
    })
}

fn boundary(text: &str, place: usize) -> usize {
    (place..text.len()).find(|&place| text.is_char_boundary(place)).unwrap_or(text.len())
}

/// FNV-1a, and a last mix so that short lines differ in the high bits, too.
fn hash(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHARE: usize = 4;

    fn lines(range: Range<usize>) -> String {
        range.map(|line| format!("   Value_{line} := Next ({line});\n")).collect()
    }

    #[test]
    fn short_texts_are_whole() {
        let window = of("a\nb", "c\n", 1000, SHARE);
        assert_eq!((format!("{}{}", window.before, window.typed), window.behind), ("a\nb".to_owned(), "c\n"));
        assert_eq!(of("", "", 10, SHARE), Window { before: "", typed: "", behind: "" });
    }

    #[test]
    fn a_keystroke_changes_only_what_is_typed() {
        let (prefix, suffix) = (lines(0..300) + "   Val", lines(300..400));
        let one = of(&prefix, &suffix, 6000, SHARE);
        let longer = prefix.clone() + "u";
        let other = of(&longer, &suffix, 6000, SHARE);
        assert_eq!((one.before, one.behind), (other.before, other.behind));
        assert_eq!(format!("{}u", one.typed), other.typed);
    }

    /// The window's beginning, and where the hole begins, while a person writes line after line.
    #[test]
    fn beginnings_stay_for_many_lines() {
        let (mut starts, mut holes) = (Vec::new(), Vec::new());
        for line in 300..400 {
            let prefix = lines(line - 256..line);
            let window = of(&prefix, "", 6000, SHARE);
            starts.push(window.before[..40].to_owned());
            holes.push(window.typed.lines().next().unwrap_or_default().to_owned());
            assert!(window.typed.lines().count() < HOLE_LINES && window.len() > 4000);
        }
        for changes in [&mut starts, &mut holes] {
            changes.dedup();
        }
        assert!(starts.len() < 15 && holes.len() < 50, "{} {}", starts.len(), holes.len());
    }

    proptest! {
        #[test]
        fn whatever_the_text(prefix in "[a-zé\n ]{0,400}", suffix in "[a-zé\n ]{0,200}", bytes_max in 0usize..300) {
            let window = of(&prefix, &suffix, bytes_max, SHARE);
            let kept = format!("{}{}", window.before, window.typed);
            prop_assert!(prefix.ends_with(&kept));
            prop_assert!(suffix.starts_with(window.behind));
            prop_assert!(window.len() <= bytes_max);
        }
    }
}
