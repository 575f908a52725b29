//! Glyphs to lines of text in reading order.

use crate::pdf::content::Glyph;

/// Gaps between words, in sizes of the font.
const WORD_GAP: f64 = 0.16;
/// Gaps between cells or columns.
const CELL_GAP: f64 = 1.3;
const BINS: usize = 120;
const COLUMNS_DEPTH_MAX: usize = 3;

/// A line, or a part of one that stands apart from the rest.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) text: String,
    pub(crate) x: f64,
    pub(crate) x_end: f64,
    /// Of the baseline; up is more.
    pub(crate) y: f64,
    pub(crate) size: f64,
    pub(crate) fixed_pitch: bool,
}

/// Segments on one baseline, from left to right.
pub(crate) type Row = Vec<Segment>;

/// A page's rows from top to bottom. Text that runs in another direction comes after.
pub(crate) fn rows(glyphs: Vec<Glyph>) -> Vec<Row> {
    let mut turned: [Vec<Segment>; 4] = Default::default();
    let mut direction = 0;
    for glyph in glyphs {
        let (dx, dy) = (glyph.to.0 - glyph.from.0, glyph.to.1 - glyph.from.1);
        if dx.abs() > 1e-6 || dy.abs() > 1e-6 {
            direction = match dx.abs() >= dy.abs() {
                true if dx > 0.0 => 0,
                true => 2,
                false if dy > 0.0 => 1,
                false => 3,
            };
        }
        let turn = |(x, y): (f64, f64)| match direction {
            0 => (x, y),
            1 => (y, -x),
            2 => (-x, -y),
            _ => (-y, x),
        };
        add(&mut turned[direction], &glyph, turn(glyph.from), turn(glyph.to));
    }
    turned.into_iter().flat_map(into_rows).collect()
}

fn add(segments: &mut Vec<Segment>, glyph: &Glyph, from: (f64, f64), to: (f64, f64)) {
    let blank = glyph.text.trim().is_empty();
    if let Some(last) = segments.last_mut() {
        let size = last.size.max(glyph.size);
        let rise = (from.1 - last.y).abs();
        // Indices and exponents stand a little off the line, and are smaller.
        let same_line =
            rise < 0.3 * size || (rise < 0.6 * size && (glyph.size - last.size).abs() > 0.1 * size);
        let gap = from.0 - last.x_end;
        let small = last.size.min(glyph.size).max(size * 0.5);
        if same_line && gap < CELL_GAP * small && gap > -0.8 * size {
            let repeated = gap < -0.3 * small && !blank && last.text.ends_with(&glyph.text);
            if repeated {
                // Bold, by printing twice.
                return;
            }
            if blank {
                if !last.text.ends_with(' ') && (glyph.text.contains(char::is_whitespace)) {
                    last.text.push(' ');
                }
                // Some files have a space glyph and a gap beside it.
                last.x_end = last.x_end.max(to.0);
                return;
            }
            if gap > WORD_GAP * small && !last.text.ends_with(' ') {
                last.text.push(' ');
            }
            push(&mut last.text, &glyph.text);
            last.x_end = last.x_end.max(to.0);
            if glyph.size > last.size * 1.05 && rise < 0.6 * size {
                last.y = from.1;
                last.size = glyph.size;
            }
            return;
        }
    }
    if blank {
        return;
    }
    let mut text = String::new();
    push(&mut text, &glyph.text);
    segments.push(Segment {
        text,
        x: from.0,
        x_end: to.0,
        y: from.1,
        size: glyph.size,
        fixed_pitch: glyph.fixed_pitch,
    });
}

/// Ligatures as their letters, odd spaces as spaces.
fn push(text: &mut String, letters: &str) {
    for letter in letters.chars() {
        match letter {
            '\u{fb00}' => text.push_str("ff"),
            '\u{fb01}' => text.push_str("fi"),
            '\u{fb02}' => text.push_str("fl"),
            '\u{fb03}' => text.push_str("ffi"),
            '\u{fb04}' => text.push_str("ffl"),
            '\u{fb05}' | '\u{fb06}' => text.push_str("st"),
            letter if letter.is_whitespace() => text.push(' '),
            '\u{200b}' | '\u{feff}' => {}
            letter if letter.is_control() => {}
            letter => text.push(letter),
        }
    }
}

fn into_rows(mut segments: Vec<Segment>) -> Vec<Row> {
    segments.sort_by(|one, other| other.y.total_cmp(&one.y));
    let mut rows: Vec<Row> = Vec::new();
    for segment in segments {
        match rows.last_mut() {
            Some(row) if row.first().is_some_and(|first| beside(first, &segment)) => row.push(segment),
            _ => rows.push(vec![segment]),
        }
    }
    for row in &mut rows {
        row.sort_by(|one, other| one.x.total_cmp(&other.x));
        let mut merged: Row = Vec::with_capacity(row.len());
        for segment in row.drain(..) {
            if let Some(last) = merged.last_mut() {
                let small = last.size.min(segment.size);
                let gap = segment.x - last.x_end;
                let twice =
                    last.text.trim() == segment.text.trim() && (segment.x - last.x).abs() < 0.3 * small;
                if twice {
                    continue;
                }
                if gap < CELL_GAP * small {
                    if gap > WORD_GAP * small && !last.text.ends_with(' ') {
                        last.text.push(' ');
                    }
                    last.text.push_str(&segment.text);
                    last.x_end = last.x_end.max(segment.x_end);
                    last.size = last.size.max(segment.size);
                    last.fixed_pitch &= segment.fixed_pitch;
                    continue;
                }
            }
            merged.push(segment);
        }
        *row = merged;
    }
    rows
}

fn beside(one: &Segment, other: &Segment) -> bool {
    (one.y - other.y).abs() < 0.35 * one.size.min(other.size).max(1e-3)
}

/// Rows in reading order: columns of prose one after the other, tables row by row.
pub(crate) fn in_order(rows: Vec<Row>, depth: usize) -> Vec<Row> {
    let Some(gutter) = (if depth < COLUMNS_DEPTH_MAX { gutter(&rows) } else { None }) else { return rows };
    let mut ordered = Vec::with_capacity(rows.len());
    let mut band: Vec<Row> = Vec::new();
    for row in rows {
        if row.iter().any(|segment| segment.x < gutter && segment.x_end > gutter) {
            ordered.extend(columns(std::mem::take(&mut band), gutter, depth));
            ordered.push(row);
        } else {
            band.push(row);
        }
    }
    ordered.extend(columns(band, gutter, depth));
    ordered
}

/// Where the fewest rows have text, between parts where many have.
fn gutter(rows: &[Row]) -> Option<f64> {
    let segments = || rows.iter().flatten();
    let left = segments().map(|segment| segment.x).min_by(f64::total_cmp)?;
    let right = segments().map(|segment| segment.x_end).max_by(f64::total_cmp)?;
    let width = right - left;
    if rows.len() < 8 || width <= 1.0 {
        return None;
    }
    let mut covered = [0usize; BINS];
    for segment in segments() {
        let (from, to) = (bin(segment.x, left, width), bin(segment.x_end, left, width));
        for count in &mut covered[from..=to.max(from)] {
            *count += 1;
        }
    }
    let inner = BINS / 5..BINS * 4 / 5;
    let fewest = inner.clone().map(|at| covered[at]).min()?;
    if fewest * 3 > rows.len() {
        return None;
    }
    // The middle of the widest run of such bins.
    let mut best = (0, 0);
    let mut from = None;
    for (at, count) in covered.iter().enumerate().take(inner.end + 1).skip(inner.start) {
        let few = at < inner.end && *count == fewest;
        match (few, from) {
            (true, None) => from = Some(at),
            (false, Some(start)) => {
                if at - start > best.0 {
                    best = (at - start, start);
                }
                from = None;
            }
            _ => {}
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    let middle = (best.1 as f64 + best.0 as f64 / 2.0) / BINS as f64;
    Some(left + middle * width)
}

fn bin(x: f64, left: f64, width: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a small count"
    )]
    let bin = ((x - left) / width * BINS as f64) as usize;
    bin.min(BINS - 1)
}

/// A band of rows, split at the gutter if both sides read as prose.
fn columns(band: Vec<Row>, gutter: f64, depth: usize) -> Vec<Row> {
    let sides: [Vec<&Segment>; 2] = [
        band.iter().flatten().filter(|segment| segment.x < gutter).collect(),
        band.iter().flatten().filter(|segment| segment.x >= gutter).collect(),
    ];
    let prose = |side: &[&Segment]| {
        let left = side.iter().map(|segment| segment.x).min_by(f64::total_cmp).unwrap_or(0.0);
        let right = side.iter().map(|segment| segment.x_end).max_by(f64::total_cmp).unwrap_or(0.0);
        let filled: f64 = side.iter().map(|segment| segment.x_end - segment.x).sum();
        let letters: usize = side.iter().map(|segment| segment.text.len()).sum();
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        let rows = side.len() as f64;
        side.len() >= 4 && letters >= 18 * side.len() && filled > 0.6 * rows * (right - left)
    };
    if !sides.iter().all(|side| prose(side)) {
        return band;
    }
    let (mut lefts, mut rights) = (Vec::new(), Vec::new());
    for row in band {
        let (left, right): (Row, Row) = row.into_iter().partition(|segment| segment.x < gutter);
        for (side, row) in [(&mut lefts, left), (&mut rights, right)] {
            if !row.is_empty() {
                side.push(row);
            }
        }
    }
    let mut ordered = in_order(lefts, depth + 1);
    ordered.extend(in_order(rights, depth + 1));
    ordered
}
