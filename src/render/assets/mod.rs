//! The pictures of a template, made ready for documents when it is registered.
//!
//! PNG is decoded and packed once; JPEG goes into documents as it is, after it
//! was decoded for a trial; SVG becomes drawing operators. A picture comes from
//! the template's own bundle: nothing here opens a file or an address.
//!
//! Refuses what a document would show wrong: SVG with text, gradients,
//! transparency or clipping, JPEG in CMYK, pictures beyond the limits.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "pixels of a picture whose size was checked"
)]

mod svg;

use std::io::{Cursor, Write as _};

use flate2::{Compression, write::ZlibEncoder};
use lopdf::{Dictionary, Stream, dictionary};

use super::error::RenderError;

/// The most bytes of one picture.
pub(super) const MAX_PICTURE: usize = 2 << 20;
/// The most pixels of one picture.
const MAX_PIXELS: u64 = 25_000_000;

/// The pictures of a template.
#[derive(Debug, Default)]
pub(super) struct Assets {
    pictures: Vec<(String, Picture)>,
}

/// One picture as it goes into a document: an image or a form that fills the
/// unit square.
#[derive(Debug)]
pub(super) struct Picture {
    /// In points, at 96 pixels per inch.
    pub(super) width: f32,
    pub(super) height: f32,
    pub(super) stream: Stream,
    /// How much of every pixel covers what is below it.
    pub(super) mask: Option<Stream>,
}

impl Assets {
    /// Whether a file of a bundle is a picture by its name.
    pub(super) fn is_picture(file: &str) -> bool {
        matches!(file.rsplit_once('.'), Some((_, "png" | "jpg" | "jpeg" | "svg")))
    }

    /// Adds a picture.
    pub(super) fn add(&mut self, file: &str, bytes: &[u8]) -> Result<(), RenderError> {
        let bad = |what: &str| RenderError::template(file.to_owned(), what, None);
        if bytes.len() > MAX_PICTURE {
            return Err(bad("larger than 2 MiB"));
        }
        let svg = matches!(file.rsplit_once('.'), Some((_, "svg")));
        if let Some((what, at)) = svg.then(|| svg::dropped(bytes)).flatten() {
            return Err(RenderError::template(file.to_owned(), what, Some(at)));
        }
        let picture = match file.rsplit_once('.') {
            Some((_, "png")) => png(bytes),
            Some((_, "svg")) => svg::read(bytes),
            _ => jpeg(bytes),
        };
        self.pictures.push((file.to_owned(), picture.map_err(|what| bad(&what))?));
        Ok(())
    }

    /// The number of a picture.
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    pub(super) fn find(&self, file: &str) -> Option<u32> {
        let place = self.pictures.iter().position(|(name, _)| name == file);
        place.and_then(|place| u32::try_from(place).ok())
    }

    /// The picture with this number.
    pub(super) fn picture(&self, number: u32) -> Option<&Picture> {
        self.pictures.get(usize::try_from(number).ok()?).map(|(_, picture)| picture)
    }
}

fn jpeg(bytes: &[u8]) -> Result<Picture, String> {
    let mut decoder =
        zune_jpeg::JpegDecoder::new(zune_jpeg::zune_core::bytestream::ZCursor::new(bytes));
    decoder.decode_headers().map_err(|_| "not a JPEG picture")?;
    let info = decoder.info().ok_or("not a JPEG picture")?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    check_size(width, height)?;
    let space = match info.components {
        1 => "DeviceGray",
        3 => "DeviceRGB",
        _ => return Err("a JPEG picture is grey or in colour (RGB), not in CMYK".to_owned()),
    };
    decoder.decode().map_err(|_| "a damaged JPEG picture")?;
    let mut dictionary = image(width, height, space);
    dictionary.set("Filter", "DCTDecode");
    Ok(picture(width, height, Stream::new(dictionary, bytes.to_vec()), None))
}

fn png(bytes: &[u8]) -> Result<Picture, String> {
    let broken = |_| "not a PNG picture".to_owned();
    let mut decoder =
        png::Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: 256 << 20 });
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(broken)?;
    let (width, height) = (reader.info().width, reader.info().height);
    check_size(width, height)?;
    let size = reader.output_buffer_size().ok_or("too large")?;
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).map_err(broken)?;
    pixels.truncate(frame.buffer_size());
    let (space, channels, alpha) = match frame.color_type {
        png::ColorType::Grayscale => ("DeviceGray", 1, false),
        png::ColorType::GrayscaleAlpha => ("DeviceGray", 1, true),
        png::ColorType::Rgb => ("DeviceRGB", 3, false),
        png::ColorType::Rgba => ("DeviceRGB", 3, true),
        png::ColorType::Indexed => return Err("not a PNG picture".to_owned()),
    };
    let (mut colors, mut covers) = (pixels, Vec::new());
    if alpha {
        let pixels = std::mem::take(&mut colors);
        for pixel in pixels.chunks_exact(channels + 1) {
            let (color, cover) = pixel.split_at(channels);
            colors.extend_from_slice(color);
            covers.extend_from_slice(cover);
        }
    }
    let opaque = covers.iter().all(|cover| *cover == u8::MAX);
    let mask =
        if opaque { None } else { Some(packed(image(width, height, "DeviceGray"), &covers)?) };
    Ok(picture(width, height, packed(image(width, height, space), &colors)?, mask))
}

fn picture(width: u32, height: u32, stream: Stream, mask: Option<Stream>) -> Picture {
    // CSS: a pixel is a ninety-sixth of an inch.
    Picture { width: width as f32 * 0.75, height: height as f32 * 0.75, stream, mask }
}

fn check_size(width: u32, height: u32) -> Result<(), String> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels > MAX_PIXELS {
        return Err("a picture has 1 to 25 million pixels".to_owned());
    }
    Ok(())
}

fn image(width: u32, height: u32, space: &str) -> Dictionary {
    dictionary! {
        "Type" => "XObject",
        "Subtype" => "Image",
        "Width" => i64::from(width),
        "Height" => i64::from(height),
        "ColorSpace" => space,
        "BitsPerComponent" => 8,
    }
}

/// A stream, compressed.
fn packed(mut dictionary: Dictionary, data: &[u8]) -> Result<Stream, String> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let out = encoder.write_all(data).and_then(|()| encoder.finish());
    dictionary.set("Filter", "FlateDecode");
    Ok(Stream::new(dictionary, out.map_err(|_| "cannot be packed")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(file: &str, bytes: &[u8]) -> String {
        Assets::default().add(file, bytes).unwrap_err().to_string()
    }

    fn encoded(width: u32, color: png::ColorType, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, width, 1);
        encoder.set_color(color);
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        out
    }

    #[test]
    fn a_png_keeps_its_transparency_as_a_mask() {
        let mut assets = Assets::default();
        assets
            .add("a.png", &encoded(2, png::ColorType::Rgba, &[1, 2, 3, 255, 4, 5, 6, 0]))
            .unwrap();
        assets
            .add("b.png", &encoded(2, png::ColorType::Rgba, &[1, 2, 3, 255, 4, 5, 6, 255]))
            .unwrap();
        let a = assets.picture(assets.find("a.png").unwrap()).unwrap();
        assert_eq!((a.width, a.height), (1.5, 0.75), "96 pixels an inch");
        assert_eq!(a.stream.decompressed_content().unwrap(), [1, 2, 3, 4, 5, 6], "the colours");
        assert_eq!(a.mask.as_ref().unwrap().decompressed_content().unwrap(), [255, 0], "the mask");
        let b = assets.picture(assets.find("b.png").unwrap()).unwrap();
        assert!(b.mask.is_none(), "what is opaque needs no mask");
        assert!(assets.find("c.png").is_none(), "an unknown file");
    }

    #[test]
    fn pictures_that_cannot_be_shown_are_refused_by_name() {
        let long = encoded(2, png::ColorType::Grayscale, &[1, 2]);
        assert!(refused("x.png", &long[..40]).contains("x.png"), "cut off");
        assert!(refused("x.jpg", b"\xff\xd8\xff\xe0 no").contains("JPEG"), "not a JPEG");
        assert!(refused("x.svg", b"<svg").contains("SVG"), "not an SVG");
        assert!(refused("x.png", &vec![0; MAX_PICTURE + 1]).contains("2 MiB"), "too large");
    }
}
