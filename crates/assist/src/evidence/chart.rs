//! Bars as inline SVG: no script, nothing loaded. The table below each says the same.

use super::html;

const ROW: usize = 24;
const LABEL: u64 = 300;
const BARS: u64 = 400;
/// Characters of a label; the table has the whole name.
const LABEL_CHARACTERS: usize = 40;
/// Bars of a chart; the table has the rest.
const BARS_MAX: usize = 40;

/// A horizontal bar for each row, the count behind it. Nothing for no row.
pub(super) fn bars(title: &str, rows: &[(String, u64)]) -> String {
    let shown = rows.get(..rows.len().min(BARS_MAX)).unwrap_or_default();
    let Some(most) = shown.iter().map(|(_, count)| *count).max().filter(|most| *most > 0) else {
        return String::new();
    };
    let (title, height) = (html::text(title), shown.len() * ROW);
    let width = LABEL + BARS + 100;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{title}\">\
         <title>{title}</title>"
    );
    for (number, (name, count)) in shown.iter().enumerate() {
        let top = number * ROW;
        let middle = top + ROW * 2 / 3;
        let length = u128::from(*count) * u128::from(BARS) / u128::from(most);
        let (label, end) = (html::text(&shortened(name)), u128::from(LABEL) + length);
        svg.push_str(&format!(
            "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{label}</text>\
             <rect x=\"{LABEL}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\
             <text x=\"{}\" y=\"{middle}\">{count}</text>",
            LABEL - 8,
            top + 3,
            length.max(1),
            ROW - 6,
            end + 8,
        ));
    }
    svg.push_str("</svg>\n");
    svg
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= LABEL_CHARACTERS {
        return name.to_owned();
    }
    let head: String = name.chars().take(LABEL_CHARACTERS - 1).collect();
    format!("{head}…")
}
