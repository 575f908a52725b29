//! Text in HTML. Everything that comes from a leaf goes through [`text`].

/// The text, with what HTML would take for its own made harmless: in an element and in a quoted attribute.
pub(super) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Controls, and what turns the direction of what follows.
            '\u{0}'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::text;

    #[test]
    fn nothing_is_markup() {
        assert_eq!(
            text("<script>alert('1')</script> & \"\n"),
            "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;\u{fffd}"
        );
    }

    proptest! {
        #[test]
        fn no_angle_survives(given in ".*") {
            prop_assert!(!text(&given).contains(['<', '>', '"', '\'']));
        }
    }
}
