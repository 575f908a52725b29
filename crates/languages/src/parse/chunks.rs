//! How a text is cut. The tree gives atoms, pieces that belong together; what is between them (comments, the
//! heads and ends of packages) goes to one or the other, small neighbours are joined, and large ones are cut at
//! the lines that look like the best places.

use std::ops::Range;

use crate::language::Language;
use crate::parse::{Chunk, ChunkKind};

/// A chunk has at most so many bytes and lines.
const CHUNK_BYTES_MAX: usize = 2560;
const CHUNK_LINES_MAX: usize = 60;
/// Windows have about so many lines.
const WINDOW_LINES: usize = 40;
/// A head of so few lines is joined with whatever follows.
const HEAD_LINES: usize = 4;
/// A comment of more lines before everything is a chunk of its own.
const PREAMBLE_LINES: usize = 10;

/// So much of a line is looked at.
const LINE_BYTES_MAX: usize = 1024;

/// A piece of a text that belongs together, in the order of their begins. They do not overlap.
#[derive(Clone, Debug)]
pub(crate) struct Atom {
    pub(crate) bytes: Range<usize>,
    pub(crate) kind: ChunkKind,
    /// Of itself.
    pub(crate) name: String,
    /// Of what is around it: what several of them together are called.
    pub(crate) around: String,
    /// Those of a group may be joined; none stands alone.
    pub(crate) group: Option<u32>,
    /// Whether it is the beginning of something: then it may be joined with what is first in it, and gives it its kind.
    pub(crate) head: bool,
}

/// Where the lines of a text begin.
pub(crate) struct Lines {
    starts: Vec<usize>,
    len: usize,
}

impl Lines {
    pub(crate) fn new(text: &str) -> Lines {
        let mut starts = Vec::with_capacity(text.len() / 24 + 1);
        starts.push(0);
        starts.extend(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1));
        Lines { starts, len: text.len() }
    }

    /// The line of a byte, from 0.
    pub(crate) fn row(&self, byte: usize) -> usize {
        self.starts.partition_point(|start| *start <= byte).saturating_sub(1)
    }

    /// Where a line begins, or the end.
    pub(crate) fn start(&self, row: usize) -> usize {
        self.starts.get(row).copied().unwrap_or(self.len)
    }

    /// A line without its end.
    pub(crate) fn of_row(&self, text: &str, row: usize) -> Range<usize> {
        let (from, to) = (self.start(row), self.start(row + 1));
        from..from + text[from..to].trim_end_matches(['\n', '\r']).len()
    }

    /// A line without its end; of a very long one the beginning.
    pub(crate) fn line<'t>(&self, text: &'t str, row: usize) -> &'t str {
        let line = self.of_row(text, row);
        &text[line.start..text.floor_char_boundary(line.end.min(line.start + LINE_BYTES_MAX))]
    }

    fn is_blank(&self, text: &str, row: usize) -> bool {
        self.line(text, row).trim().is_empty()
    }
}

pub(crate) fn line_number(row: usize) -> u32 {
    u32::try_from(row + 1).unwrap_or(u32::MAX)
}

/// A text of no language: windows of about 40 lines, that end at blank lines where there are some.
pub fn windows(text: &str) -> Vec<Chunk> {
    let lines = Lines::new(text);
    let mut chunks = Vec::new();
    let whole = Piece { bytes: 0..text.len(), kind: ChunkKind::Window, name: String::new() };
    cut(text, &lines, &whole, WINDOW_LINES, &mut chunks);
    chunks
}

/// What becomes a chunk, or several when it is too long.
struct Piece {
    bytes: Range<usize>,
    kind: ChunkKind,
    name: String,
}

/// The chunks of a text whose atoms are known.
pub(crate) fn chunks(language: Language, text: &str, lines: &Lines, atoms: &[Atom]) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let Some(first) = atoms.first() else {
        return windows(text);
    };
    let starts = starts(language, text, lines, atoms);
    // Before all atoms: a long comment is alone, a short one belongs to the first.
    let begin = match starts.first() {
        Some(start) if lines.row(*start) > PREAMBLE_LINES || first.kind == ChunkKind::Window => {
            let preamble = Piece { bytes: 0..*start, kind: ChunkKind::Window, name: String::new() };
            cut(text, lines, &preamble, CHUNK_LINES_MAX, &mut chunks);
            *start
        }
        _ => 0,
    };
    let end_of = |at: usize| starts.get(at + 1).copied().unwrap_or(text.len());
    let mut at = 0;
    let mut from = begin;
    while let Some(atom) = atoms.get(at) {
        let mut piece = Piece { bytes: from..end_of(at), kind: atom.kind, name: atom.name.clone() };
        let mut next = at + 1;
        let mut last = atom;
        let mut head = atom.head;
        while let Some(following) = atoms.get(next) {
            let joined = piece.bytes.start..end_of(next);
            let rows = rows(text, lines, &piece.bytes);
            let small_head = last.head && rows.len() <= HEAD_LINES;
            let grouped = atom.group.is_some() && atom.group == following.group;
            // A short head goes with the first of what it heads, whatever that is.
            let alone = following.group.is_none();
            // Imports go with others only when they are few.
            let alone =
                alone || head && piece.kind == ChunkKind::Imports && following.kind != ChunkKind::Imports;
            if !(grouped && !alone || small_head) || !fits(text, lines, &joined) {
                break;
            }
            piece.bytes = joined;
            if small_head && (alone || following.head) {
                piece.kind = following.kind;
                piece.name.clone_from(&following.name);
                head = following.head;
            } else if !head {
                if piece.kind != following.kind {
                    piece.kind = ChunkKind::Declaration;
                }
                piece.name.clone_from(&following.around);
            }
            next += 1;
            last = following;
            if following.group.is_none() {
                break;
            }
        }
        from = piece.bytes.end;
        cut(text, lines, &piece, CHUNK_LINES_MAX, &mut chunks);
        at = next;
    }
    chunks
}

/// Where each atom's piece begins: at its line, or at the comments above that belong to it.
fn starts(language: Language, text: &str, lines: &Lines, atoms: &[Atom]) -> Vec<usize> {
    let mut starts: Vec<usize> = Vec::with_capacity(atoms.len());
    let mut before_end = 0;
    for (at, atom) in atoms.iter().enumerate() {
        let row = lines.row(atom.bytes.start);
        let before_row = lines.row(before_end.min(text.len()).saturating_sub(usize::from(before_end > 0)));
        let start = if at > 0 && row <= before_row {
            atom.bytes.start
        } else {
            let gap = match at {
                0 => 0..row,
                _ => before_row + 1..row,
            };
            let blank = match at {
                // The last of a file's opening comments is the first declaration's.
                0 => gap.clone().rev().find(|row| lines.is_blank(text, *row)),
                _ => gap.clone().find(|row| lines.is_blank(text, *row)),
            };
            // In Ada a comment without a blank line is of the declaration above.
            let above = language == Language::Ada && at > 0 && atom.group.is_some();
            match blank {
                Some(blank) => lines.start(blank + 1),
                None if above => lines.start(row),
                None => lines.start(gap.start),
            }
        };
        // Never before what is already another's.
        let start = start.max(starts.last().copied().unwrap_or(0)).max(if at > 0 { before_end } else { 0 });
        starts.push(start.min(atom.bytes.start));
        before_end = before_end.max(atom.bytes.end);
    }
    // An atom that begins inside another one (it should not) begins with it: pieces stay in order.
    for at in 1..starts.len() {
        starts[at] = starts[at].max(starts[at - 1]);
    }
    starts
}

/// The rows of a range, without white space at its ends.
fn rows(text: &str, lines: &Lines, bytes: &Range<usize>) -> Range<usize> {
    let trimmed = trimmed(text, bytes);
    match trimmed.is_empty() {
        true => 0..0,
        false => lines.row(trimmed.start)..lines.row(trimmed.end - 1) + 1,
    }
}

fn trimmed(text: &str, bytes: &Range<usize>) -> Range<usize> {
    let piece = &text[bytes.clone()];
    let from = bytes.start + (piece.len() - piece.trim_start().len());
    from..from + piece.trim().len()
}

fn fits(text: &str, lines: &Lines, bytes: &Range<usize>) -> bool {
    trimmed(text, bytes).len() <= CHUNK_BYTES_MAX && rows(text, lines, bytes).len() <= CHUNK_LINES_MAX
}

/// Cuts a piece into chunks of at most so many lines, before lines that are blank or little indented.
fn cut(text: &str, lines: &Lines, piece: &Piece, lines_max: usize, chunks: &mut Vec<Chunk>) {
    let mut rest = trimmed(text, &piece.bytes);
    while !rest.is_empty() {
        let first = lines.row(rest.start);
        let last = lines.row(rest.end - 1);
        // The most lines from here that are not too many bytes.
        let mut end_row = first;
        // What needs two is cut in the middle rather than near its end.
        let even = |rest: usize, max: usize| {
            if rest > max && rest <= 2 * max { (rest * 2 / 3).min(max) } else { max }
        };
        let (lines_most, bytes_most) = (even(last + 1 - first, lines_max), even(rest.len(), CHUNK_BYTES_MAX));
        while end_row <= last
            && end_row - first < lines_most
            && lines.of_row(text, end_row).end.min(rest.end) - rest.start <= bytes_most
        {
            end_row += 1;
        }
        let end = if end_row > last {
            rest.end
        } else if end_row == first {
            // One line is too long.
            let end = text.floor_char_boundary(rest.start + CHUNK_BYTES_MAX);
            let line_end = lines.start(first + 1);
            let space =
                text[rest.start..end].rfind(char::is_whitespace).filter(|space| *space > CHUNK_BYTES_MAX / 2);
            space.map_or(end, |space| rest.start + space).min(line_end).min(rest.end)
        } else {
            lines.start(best_row(text, lines, first, end_row))
        };
        let bytes = trimmed(text, &(rest.start..end));
        if !bytes.is_empty() {
            chunks.push(Chunk {
                first_line: line_number(lines.row(bytes.start)),
                last_line: line_number(lines.row(bytes.end - 1)),
                bytes,
                kind: piece.kind,
                name: piece.name.clone(),
                defines: Vec::new(),
                references: Vec::new(),
            });
        }
        rest = trimmed(text, &(end..rest.end));
    }
}

/// The line to cut before, of those in the second half of `first..end`.
fn best_row(text: &str, lines: &Lines, first: usize, end: usize) -> usize {
    let from = (first + (end - first) / 2).max(first + 1);
    let cost = |row: usize| {
        let line = lines.line(text, row);
        let indent = line.len() - line.trim_start().len();
        let closes = line.trim_start().starts_with(['}', ')']) || line.trim_start().starts_with("end");
        let after_blank = lines.is_blank(text, row - 1);
        // Deep lines, and lines that end something, are bad begins; those after a blank line are good ones.
        let indent = if line.trim().is_empty() { 200 } else { indent.min(100) };
        indent * 2 + usize::from(closes) * 20 + usize::from(!after_blank) * 7
    };
    // Of equals, the last.
    (from..=end).rev().min_by_key(|row| cost(*row)).unwrap_or(end)
}
