//! ECDSA signatures as tokens give them, and as everybody else writes them.

/// Turns two numbers of equal length, one after the other, into the DER of a sequence of them. None when the length is
/// odd, or of no curve.
pub(crate) fn signature(raw: &[u8]) -> Option<Vec<u8>> {
    // 132 bytes are P-521's.
    if raw.is_empty() || !raw.len().is_multiple_of(2) || raw.len() > 132 {
        return None;
    }
    let (r, s) = raw.split_at(raw.len() / 2);
    let body = [number(r)?, number(s)?].concat();
    let mut der = vec![0x30];
    let length = u8::try_from(body.len()).ok()?;
    if length >= 0x80 {
        der.push(0x81);
    }
    der.push(length);
    der.extend(body);
    Some(der)
}

/// An INTEGER that is not negative, without zeros in front but the one that says so.
fn number(bytes: &[u8]) -> Option<Vec<u8>> {
    let digits = bytes.iter().position(|byte| *byte != 0).map_or(&[][..], |first| &bytes[first..]);
    let sign: &[u8] = if digits.first().is_none_or(|first| *first >= 0x80) { &[0] } else { &[] };
    let length = u8::try_from(sign.len() + digits.len()).ok()?;
    Some([&[2, length], sign, digits].concat())
}

/// What an OCTET STRING holds, in lengths of points on a curve.
pub(crate) fn octets(der: &[u8]) -> Option<&[u8]> {
    let (length, rest) = match der {
        [0x04, 0x81, length, rest @ ..] if *length >= 0x80 => (*length, rest),
        [0x04, length, rest @ ..] if *length < 0x80 => (*length, rest),
        _ => return None,
    };
    (rest.len() == usize::from(length)).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures() {
        assert_eq!(signature(&[1, 2]), Some(vec![0x30, 6, 2, 1, 1, 2, 1, 2]));
        assert_eq!(signature(&[0, 0x80, 0, 0]), Some(vec![0x30, 7, 2, 2, 0, 0x80, 2, 1, 0]));
        let long = signature(&[0xff; 132]).unwrap();
        assert_eq!((&long[..6], long.len()), (&[0x30, 0x81, 138, 2, 67, 0][..], 141));
        for raw in [&[][..], &[1], &[1; 134]] {
            assert_eq!(signature(raw), None);
        }
    }

    #[test]
    fn strings() {
        assert_eq!(octets(&[4, 2, 7, 8]), Some(&[7, 8][..]));
        let long = [&[4, 0x81, 0x85][..], &[9; 0x85]].concat();
        assert_eq!(octets(&long), Some(&[9; 0x85][..]));
        for der in [&[][..], &[4], &[4, 2, 7], &[4, 1, 7, 8], &[5, 1, 7], &[4, 0x81, 1, 7]] {
            assert_eq!(octets(der), None);
        }
    }
}
