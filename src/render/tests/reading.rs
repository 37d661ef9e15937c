//! What tests read out of documents.

use lopdf::Object;

use super::*;

/// The HTML of every bundled sample in every language.
pub(in crate::render) fn sample_pages() -> Vec<String> {
    let mut pages = Vec::new();
    for template in RENDERER.templates.values() {
        for data in &template.samples {
            for locale in [Locale::Ja, Locale::En] {
                pages.push(template.html(data, locale, "A & B").unwrap().to_string());
            }
        }
    }
    pages
}

/// Size, x and y (from the lower edge) of each text of a page, in points. What is
/// shown together and stands further apart than a letter's kerning is text of its own.
pub(super) fn places(pdf: &[u8], page: u32) -> Vec<(f32, f32, f32)> {
    let document = Document::load_mem(pdf).unwrap();
    let page = document.get_pages()[&page];
    let fonts = document.get_page_fonts(page).unwrap();
    let number = |object: &Object| object.as_float().unwrap();
    let mut out = Vec::new();
    let (mut x, mut y, mut size, mut apart, mut unit) = (0.0, 0.0, 0.0, 0.0, 1.0);
    let mut widths = Vec::new();
    for operation in document.get_and_decode_page_content(page).unwrap().operations {
        let operands = &operation.operands;
        match operation.operator.as_str() {
            "cm" if out.is_empty() => unit = number(&operands[0]),
            "BT" => (x, y) = (0.0, 0.0),
            "Tc" => apart = number(&operands[0]),
            "Tf" => {
                size = number(&operands[1]);
                let font = &fonts[operands[0].as_name().unwrap()];
                let (_, below) = document
                    .dereference(&font.get(b"DescendantFonts").unwrap().as_array().unwrap()[0])
                    .unwrap();
                let listed = below.as_dict().unwrap().get(b"W").unwrap().as_array().unwrap();
                widths = listed[1].as_array().unwrap().iter().map(number).collect();
            }
            "Td" => {
                x += number(&operands[0]);
                y += number(&operands[1]);
            }
            "Tj" | "TJ" => {
                let mut pen = x;
                let mut begins = true;
                let whole = [operands[0].clone()];
                for piece in operands[0].as_array().map_or(&whole[..], Vec::as_slice) {
                    let Ok(codes) = piece.as_str() else {
                        pen -= number(piece) / 1000.0 * size;
                        begins |= number(piece).abs() > 300.0;
                        continue;
                    };
                    if std::mem::take(&mut begins) {
                        out.push((size * unit, pen * unit, y * unit));
                    }
                    for code in codes.chunks(2) {
                        let code = usize::from(u16::from_be_bytes([code[0], code[1]]));
                        pen += widths[code] / 1000.0 * size + apart;
                    }
                }
            }
            _ => {}
        }
    }
    out
}
