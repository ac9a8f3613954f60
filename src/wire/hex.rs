//! Hexadecimal digits.

use std::fmt::Write as _;

/// Formats bytes as hexadecimal digits, two small ones for each.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a String takes everything
        text
    })
}

/// Returns whether the text is that of so many bytes, as [`hex`] formats them.
pub(crate) fn is_hex(text: &str, bytes: usize) -> bool {
    text.len() == 2 * bytes && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_two_small_digits_each() {
        assert_eq!(hex(&[0x00, 0x0f, 0xa0, 0xff]), "000fa0ff");
        assert!(is_hex("000fa0ff", 4) && is_hex("", 0));
        for wrong in ["000FA0FF", "000fa0f", "000fa0ffff", "000fa0fg", "+00fa0ff"] {
            assert!(!is_hex(wrong, 4), "{wrong}");
        }
    }
}
