//! The customer barcode of Japan Post (カスタマバーコード): the postcode and the
//! numbers of the address in 67 bars of four kinds, which a sorting machine
//! reads.

/// The values of a check digit, in the order of their numbers.
const SYMBOLS: usize = 19;
/// `-` and the control codes by their numbers.
const HYPHEN: u8 = 10;
const CC1: u8 = 11;
const CC4: u8 = 14;
/// Symbols between start and check digit.
const LENGTH: usize = 20;

/// The three bars of every symbol, `0` to `9`, `-`, CC1 to CC8; start and stop
/// have two.
const BARS: [&[u8; 3]; SYMBOLS] = [
    b"144", b"114", b"132", b"312", b"123", b"141", b"321", b"213", b"231", b"411", b"414", b"324",
    b"342", b"234", b"432", b"243", b"423", b"441", b"111",
];

/// One bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    /// The full height.
    Long,
    /// The upper two thirds.
    Upper,
    /// The lower two thirds.
    Lower,
    /// The middle third.
    Timing,
}

impl Bar {
    /// Where the bar begins and ends, in millimetres from the top at 10 points.
    pub fn extent(self) -> (f32, f32) {
        match self {
            Self::Long => (0.0, 3.6),
            Self::Upper => (0.0, 2.4),
            Self::Lower => (1.2, 3.6),
            Self::Timing => (1.2, 2.4),
        }
    }

    fn of(digit: u8) -> Self {
        match digit {
            b'1' => Self::Long,
            b'2' => Self::Upper,
            b'3' => Self::Lower,
            _ => Self::Timing,
        }
    }
}

/// The symbols of one barcode and its check digit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerBarcode {
    symbols: [u8; LENGTH],
    check: u8,
}

impl CustomerBarcode {
    /// A barcode for a postcode, with or without its hyphen, and the part of the
    /// address that stands for house and room, such as `1-3-2-503`: digits,
    /// hyphens and letters `A` to `Z`. What is too long is cut off, as the post
    /// asks.
    pub fn new(postcode: &str, address: &str) -> Result<Self, &'static str> {
        let digits: Vec<u8> = postcode
            .bytes()
            .filter(|byte| *byte != b'-')
            .map(|byte| byte.wrapping_sub(b'0'))
            .collect();
        if digits.len() != 7 || digits.iter().any(|digit| *digit > 9) {
            return Err("a postcode has seven digits");
        }
        let mut all = digits;
        for byte in address.bytes() {
            match byte {
                b'0'..=b'9' => all.push(byte.wrapping_sub(b'0')),
                b'-' => all.push(HYPHEN),
                b'A'..=b'Z' => {
                    // Ten letters to each of the first three control codes.
                    let letter = byte.wrapping_sub(b'A');
                    all.push(CC1.saturating_add(letter.div_euclid(10)));
                    all.push(letter.rem_euclid(10));
                }
                _ => return Err("digits, hyphens and capital letters are expected"),
            }
        }
        let mut symbols = [CC4; LENGTH];
        for (symbol, value) in symbols.iter_mut().zip(all) {
            *symbol = value;
        }
        let sum: u32 = symbols.iter().map(|symbol| u32::from(*symbol)).sum();
        let check = 19u32.saturating_sub(sum.rem_euclid(19)).rem_euclid(19);
        Ok(Self { symbols, check: u8::try_from(check).unwrap_or(0) })
    }

    /// All 67 bars from the left.
    pub fn bars(&self) -> Vec<Bar> {
        let symbols = self.symbols.iter().chain([&self.check]);
        let middle = symbols.flat_map(|symbol| {
            BARS.get(usize::from(*symbol)).map_or(&b"444"[..], |bars| &bars[..])
        });
        b"13".iter().chain(middle).chain(b"31").map(|digit| Bar::of(*digit)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn barcodes_are_those_of_the_post() {
        let name = |symbol: u8| match symbol {
            HYPHEN => "-".to_owned(),
            CC1.. => format!("CC{}", symbol - 10),
            digit => digit.to_string(),
        };
        for row in include_str!("../../../tests/vectors/customer_barcode.tsv").lines().skip(1) {
            let columns: Vec<&str> = row.split('\t').collect();
            let code = CustomerBarcode::new(columns[0], columns[1]).unwrap();
            let symbols: Vec<String> = code.symbols.iter().map(|symbol| name(*symbol)).collect();
            assert_eq!(symbols.join(" "), columns[2], "{row}");
            assert_eq!(name(code.check), columns[3], "{row}");
            assert_eq!(code.bars().len(), 67, "{row}");
        }
    }

    #[test]
    fn what_no_machine_can_read_is_refused() {
        assert!(CustomerBarcode::new("100-001", "1").is_err(), "six digits");
        assert!(CustomerBarcode::new("100-0013", "一丁目").is_err(), "kanji");
    }
}
