//! The colour space sRGB (IEC 61966-2-1) as an ICC profile (ICC.1:2010), built
//! from its definition.

/// The primaries and the white of sRGB, adapted to D50 by Bradford's matrix.
const RED: [f64; 3] = [0.436_065_7, 0.222_488_4, 0.013_916_0];
const GREEN: [f64; 3] = [0.385_147_1, 0.716_873_2, 0.097_076_4];
const BLUE: [f64; 3] = [0.143_066_4, 0.060_607_9, 0.714_096_1];
const WHITE: [f64; 3] = [0.964_202_9, 1.0, 0.824_905_4];
/// From D65 to D50.
const ADAPTATION: [f64; 9] = [
    1.047_882, 0.022_919, -0.050_201, 0.029_587, 0.990_479, -0.017_059, -0.009_232, 0.015_076,
    0.751_678,
];
/// The curve `((v + 0.055) / 1.055) ^ 2.4`, straight below 0.04045.
const CURVE: [f64; 5] = [2.4, 1.0 / 1.055, 0.055 / 1.055, 1.0 / 12.92, 0.040_45];

/// The profile's bytes.
pub(super) fn profile() -> Vec<u8> {
    let curve = [&b"para\0\0\0\0\0\x03\0\0"[..], &fixed(&CURVE)].concat();
    let tags: [(&[u8; 4], Vec<u8>); 10] = [
        (b"desc", text("sRGB")),
        (b"cprt", text("No copyright, use freely")),
        (b"wtpt", xyz(&WHITE)),
        (b"chad", [&b"sf32\0\0\0\0"[..], &fixed(&ADAPTATION)].concat()),
        (b"rXYZ", xyz(&RED)),
        (b"gXYZ", xyz(&GREEN)),
        (b"bXYZ", xyz(&BLUE)),
        (b"rTRC", curve.clone()),
        (b"gTRC", curve.clone()),
        (b"bTRC", curve),
    ];
    let mut table = be32(tags.len());
    let mut data = Vec::new();
    let start = 128usize.saturating_add(4).saturating_add(tags.len().saturating_mul(12));
    for (name, content) in &tags {
        table.extend_from_slice(*name);
        table.extend(be32(start.saturating_add(data.len())));
        table.extend(be32(content.len()));
        data.extend_from_slice(content);
        data.resize(data.len().next_multiple_of(4), 0);
    }
    let mut out = be32(start.saturating_add(data.len()));
    out.extend_from_slice(b"\0\0\0\0\x04\x20\0\0mntrRGB XYZ ");
    // The day on which this was written.
    for number in [2026u16, 11, 22, 0, 0, 0] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    out.extend_from_slice(b"acsp");
    out.resize(68, 0);
    out.extend(fixed(&WHITE));
    out.resize(128, 0);
    out.extend(table);
    out.extend(data);
    out
}

fn be32(number: usize) -> Vec<u8> {
    u32::try_from(number).unwrap_or(0).to_be_bytes().to_vec()
}

/// Numbers with 16 bits after the point.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "constants between -4 and 4"
)]
fn fixed(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| ((number * 65_536.0).round() as i32).to_be_bytes()).collect()
}

fn xyz(numbers: &[f64; 3]) -> Vec<u8> {
    [&b"XYZ \0\0\0\0"[..], &fixed(numbers)].concat()
}

fn text(text: &str) -> Vec<u8> {
    let letters: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let head = [&b"mluc\0\0\0\0\0\0\0\x01\0\0\0\x0cenUS"[..], &be32(letters.len()), &be32(28)];
    [head.concat(), letters].concat()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_profile_says_how_long_it_is_and_what_it_holds() {
        let profile = super::profile();
        let number =
            |at: usize| u32::from_be_bytes(profile[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!(number(0), profile.len(), "the length");
        assert_eq!(&profile[12..24], b"mntrRGB XYZ ", "a display in RGB");
        assert_eq!(number(128), 10, "ten tags");
        for tag in 0..10 {
            let (at, length) = (number(136 + 12 * tag), number(140 + 12 * tag));
            assert!(at + length <= profile.len() && at.is_multiple_of(4), "tag {tag} is inside");
        }
    }
}
