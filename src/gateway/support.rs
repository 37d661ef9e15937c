//! The number on a page of trouble, by which its line in our log is found.
//!
//! Forty bits of chance in Crockford's base32 (no I, L, O or U), in two groups
//! that can be read out on the telephone: `E-7K2M-9QXT`. It says nothing about
//! document or person.

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The number made of five drawn bytes.
pub(super) fn number(drawn: [u8; 5]) -> String {
    let bits = drawn.into_iter().fold(0_u64, |bits, byte| (bits << 8) | u64::from(byte));
    let letter = |at: u32| {
        let index = usize::try_from((bits >> (35_u32.saturating_sub(at.saturating_mul(5)))) & 31);
        index.ok().and_then(|index| ALPHABET.get(index)).map_or('0', |byte| char::from(*byte))
    };
    let group = |from: u32, to: u32| (from..to).map(letter).collect::<String>();
    format!("E-{}-{}", group(0, 4), group(4, 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_can_be_read_out() {
        assert_eq!(number([0; 5]), "E-0000-0000", "the least");
        assert_eq!(number([255; 5]), "E-ZZZZ-ZZZZ", "the greatest");
        assert_eq!(number([0, 0x44, 0x32, 0x14, 0xc7]), "E-0123-4567", "five bits a letter");
    }
}
