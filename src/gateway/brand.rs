//! A tenant's face on the pages: one colour and a logo.
//!
//! The colour is the sender's, the contrast is ours: it is made darker for
//! light pages and lighter for dark ones until text of it and on it can be
//! read (WCAG 2.2, 4.5 to 1), so no configuration makes a page that people
//! cannot use. The logo is served from here under a digest, and known by its
//! first bytes, not by its name.

use bytes::Bytes;

/// How a tenant's pages look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brand {
    /// The colour of buttons and links.
    pub colour: Option<Colour>,
    /// The picture above the sender's name.
    pub logo: Option<Logo>,
}

/// A colour: red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(pub u8, pub u8, pub u8);

/// A picture that was looked at.
#[derive(Clone, PartialEq, Eq)]
pub struct Logo {
    kind: LogoKind,
    bytes: Bytes,
}

impl std::fmt::Debug for Logo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logo").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What kinds of picture there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogoKind {
    /// PNG.
    Png,
    /// SVG.
    Svg,
}

/// Largest logo in bytes; what is larger makes a slow page on a slow phone.
const LOGO_BYTES_MAX: usize = 64 << 10;

impl Logo {
    /// Takes a file that is a small PNG or a passive SVG; nothing otherwise.
    pub fn read(bytes: Vec<u8>) -> Option<Self> {
        if bytes.is_empty() || bytes.len() > LOGO_BYTES_MAX {
            return None;
        }
        let kind = if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            LogoKind::Png
        } else if is_passive_svg(&bytes) {
            LogoKind::Svg
        } else {
            return None;
        };
        Some(Self { kind, bytes: bytes.into() })
    }

    /// The file's ending.
    pub(super) const fn extension(&self) -> &'static str {
        match self.kind {
            LogoKind::Png => "png",
            LogoKind::Svg => "svg",
        }
    }

    /// The content type.
    pub(super) const fn media_type(&self) -> &'static str {
        match self.kind {
            LogoKind::Png => "image/png",
            LogoKind::Svg => "image/svg+xml",
        }
    }

    /// The bytes.
    pub(super) fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }
}

/// An SVG without anything that acts or is fetched. In an `<img>` nothing of
/// it would run; who opens the file itself is protected by our policy; this
/// makes a third time sure.
fn is_passive_svg(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let text = text.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    let begins = text.starts_with("<svg") || (text.starts_with("<?xml") && text.contains("<svg"));
    let acts = ["<script", "<foreignobject", "<!entity", "<!doctype", "javascript:", "<image"];
    let handler = text.split('<').any(|tag| {
        tag.split('>').next().unwrap_or_default().split_ascii_whitespace().skip(1).any(
            |attribute| {
                attribute.starts_with("on")
                    || (attribute.contains("href=") && !attribute.contains("href=\"#"))
            },
        )
    });
    begins && !handler && !acts.iter().any(|word| text.contains(word))
}

/// The grounds that a page's text stands on, lightest and darkest of each
/// scheme, as in style.css.
const LIGHT_GROUND: Colour = Colour(0xec, 0xef, 0xf3);
const DARK_GROUND: Colour = Colour(0x2a, 0x31, 0x3b);
const WHITE: Colour = Colour(0xff, 0xff, 0xff);
/// The text on buttons of dark pages.
const NIGHT: Colour = Colour(0x0e, 0x13, 0x1a);
const BLACK: Colour = Colour(0, 0, 0);
/// The least contrast of text (WCAG 2.2, 1.4.3).
const CONTRAST_MIN: f64 = 4.5;

impl Colour {
    /// Reads `#rrggbb`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?;
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?;
        let &[red, green, blue] = bytes.as_slice() else { return None };
        Some(Self(red, green, blue))
    }

    fn text(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }

    /// Relative luminance (WCAG 2.2).
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }

    /// Contrast with another colour: 1 to 21.
    fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    /// A step of the way to another colour, in sixty-fourths.
    fn towards(self, other: Self, step: u16) -> Self {
        let mix = |from: u8, to: u8| {
            let (from, to) = (u16::from(from), u16::from(to));
            let sum = from.saturating_mul(64_u16.saturating_sub(step));
            let sum = sum.saturating_add(to.saturating_mul(step));
            u8::try_from(sum.div_euclid(64)).unwrap_or(u8::MAX)
        };
        Self(mix(self.0, other.0), mix(self.1, other.1), mix(self.2, other.2))
    }

    /// The nearest colour on the way to `end` that can be read on `ground`, and
    /// on which `ink` can be read.
    fn readable(self, end: Self, ground: Self, ink: Self) -> Self {
        let reads = |colour: &Self| {
            colour.contrast(ground) >= CONTRAST_MIN && colour.contrast(ink) >= CONTRAST_MIN
        };
        (0..=64).map(|step| self.towards(end, step)).find(reads).unwrap_or(end)
    }
}

impl Brand {
    /// The style sheet that puts the colour over the usual one, if there is a
    /// colour.
    pub(super) fn style(&self) -> Option<String> {
        let colour = self.colour?;
        let day = colour.readable(BLACK, LIGHT_GROUND, WHITE);
        let night = colour.readable(WHITE, DARK_GROUND, NIGHT);
        let set = |press: Colour, hover: Colour, ink: Colour| {
            let (press, hover, ink) = (press.text(), hover.text(), ink.text());
            format!(
                "--brand:{press};--press:{press};--press-hover:{hover};--focus:{press};\
                 --on-press:{ink}"
            )
        };
        Some(format!(
            ":root{{{}}}\n@media (prefers-color-scheme: dark){{:root{{{}}}}}\n",
            set(day, day.towards(BLACK, 14), WHITE),
            set(night, night.towards(WHITE, 20), NIGHT),
        ))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn contrast_is_that_of_wcag() {
        assert!((WHITE.contrast(BLACK) - 21.0).abs() < 1e-9, "the greatest");
        let grey = Colour::parse("#767676").unwrap();
        assert!((4.54..4.55).contains(&grey.contrast(WHITE)), "the known grey");
        for bad in ["", "767676", "#76767", "#7676767", "#76767g", "red"] {
            assert_eq!(Colour::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_colour_makes_a_page_that_can_be_read(red: u8, green: u8, blue: u8) {
            let colour = Colour(red, green, blue);
            let day = colour.readable(BLACK, LIGHT_GROUND, WHITE);
            prop_assert!(day.contrast(LIGHT_GROUND) >= 4.5 && day.contrast(WHITE) >= 4.5);
            let night = colour.readable(WHITE, DARK_GROUND, NIGHT);
            prop_assert!(night.contrast(DARK_GROUND) >= 4.5 && night.contrast(NIGHT) >= 4.5);
        }
    }

    #[test]
    fn a_colour_that_reads_stays_as_it_is() {
        let navy = Colour::parse("#123456").unwrap();
        assert_eq!(navy.readable(BLACK, LIGHT_GROUND, WHITE), navy, "the sender's own");
        let style = Brand { colour: Some(navy), logo: None }.style().unwrap();
        assert!(style.starts_with(":root{--brand:#123456;"), "{style}");
        assert_eq!(Brand::default().style(), None, "nothing to say");
    }

    #[test]
    fn a_logo_is_known_by_its_bytes() {
        assert!(Logo::read(b"\x89PNG\r\n\x1a\n....".to_vec()).is_some(), "PNG");
        let svg =
            |inside: &str| format!("<svg xmlns=\"http://www.w3.org/2000/svg\">{inside}</svg>");
        assert!(Logo::read(svg("<path d=\"M0 0h9\"/>").into_bytes()).is_some(), "SVG");
        assert!(Logo::read(svg("<use href=\"#a\"/>").into_bytes()).is_some(), "inside itself");
        for acts in [
            "<script>1</script>",
            "<path onclick=\"1\"/>",
            "<use href=\"https://evil.jp/a\"/>",
            "<image href=\"data:image/png;base64,AA\"/>",
            "<foreignObject/>",
        ] {
            assert!(Logo::read(svg(acts).into_bytes()).is_none(), "{acts}");
        }
        assert!(Logo::read(b"GIF89a".to_vec()).is_none(), "another kind");
        assert!(Logo::read(vec![0x89; LOGO_BYTES_MAX + 1]).is_none(), "too large");
    }
}
