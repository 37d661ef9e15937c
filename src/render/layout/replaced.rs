//! Elements that are drawn instead of set: pictures, QR codes and the customer
//! barcode of Japan Post.

use super::{Area, Fragment, Item, Layout, Shape, flow::is_definite};
use crate::{
    domain::document::customer_barcode::CustomerBarcode,
    render::{
        css::style::{Size, Style},
        dom::{NodeId, Rare, Tag},
        error::RenderError,
    },
};

/// Points in a millimetre.
const MM: f32 = 72.0 / 25.4;
/// The side of a QR code that states no width.
const QR_SIDE: f32 = 22.0 * MM;
/// Modules that stay empty around a QR code (ISO/IEC 18004 §9.1).
const QUIET: i32 = 4;
/// The most bytes of a QR code: more cannot be scanned from paper.
const QR_BYTES: usize = 600;

impl Layout<'_> {
    pub(super) fn is_replaced(&self, node: NodeId) -> bool {
        matches!(self.tree.node(node).tag, Some(Tag::Img | Tag::Qr | Tag::Barcode))
    }

    /// The content of an element that is drawn, `None` for all others. `room` is
    /// the width of its content box, `height` that of its border box if known.
    pub(super) fn replaced(
        &mut self,
        node: NodeId,
        room: f32,
        height: Option<f32>,
    ) -> Result<Option<Fragment>, RenderError> {
        let style = self.styles.style(node);
        match self.tree.node(node).tag {
            Some(Tag::Img) => self.picture(node, style, room, height).map(Some),
            Some(Tag::Qr) => self.qr(node, style, room).map(Some),
            Some(Tag::Barcode) => self.barcode(node, style).map(Some),
            _ => Ok(None),
        }
    }

    fn picture(
        &self,
        node: NodeId,
        style: &Style,
        room: f32,
        height: Option<f32>,
    ) -> Result<Fragment, RenderError> {
        let source = self.tree.rare(node, Rare::Src).unwrap_or_default();
        if self.tree.rare(node, Rare::Alt).is_none() {
            return Err(RenderError::html_of(
                node,
                "an `img` says in `alt` what it shows; empty if nothing",
            ));
        }
        let number = self.assets.find(source);
        let number = number
            .ok_or_else(|| RenderError::html_of(node, "`src` names no picture of the folder"))?;
        let natural = self.assets.picture(number).map_or((1.0, 1.0), |one| (one.width, one.height));
        let ratio = natural.0 / natural.1.max(0.01);
        let stated = style.width != Size::Auto && is_definite(room);
        let tall = style.height.points().or(height);
        let mut w = match tall {
            _ if stated => room,
            Some(tall) => tall * ratio,
            None => natural.0,
        };
        let most = style.max_width.within(room).filter(|most| most.is_finite() && *most >= 0.0);
        let wide = most.is_some_and(|most| w > most);
        w = most.map_or(w, |most| w.min(most));
        let h = if wide || tall.is_none() { w / ratio.max(0.0001) } else { tall.unwrap_or(w) };
        let h = style.max_height.points().map_or(h, |most| h.min(most));
        let area = Area { x: 0.0, y: 0.0, w, h, color: style.color };
        let items = vec![Item::of(node, Shape::Picture(area, number))];
        Ok(Fragment { height: h, used: w, baseline: Some(h), items })
    }

    fn qr(&mut self, node: NodeId, style: &Style, room: f32) -> Result<Fragment, RenderError> {
        let value = self.tree.rare(node, Rare::Value).unwrap_or_default();
        if value.is_empty() || value.len() > QR_BYTES {
            return Err(RenderError::BadDocumentData {
                field: "qr".to_owned(),
                what: "a QR code holds 1 to 600 bytes",
            });
        }
        let code = qrcodegen::QrCode::encode_text(value, qrcodegen::QrCodeEcc::Medium);
        let code = code.map_err(|_| RenderError::html_of(node, "a QR code that cannot be made"))?;
        // Eight masks are tried for every code.
        self.spend(8 * (code.size() * code.size()).unsigned_abs() as usize)?;
        let side = if style.width != Size::Auto && is_definite(room) { room } else { QR_SIDE };
        let module = side / (code.size() + 2 * QUIET) as f32;
        let mut fragment =
            Fragment { height: side, used: side, baseline: Some(side), ..Fragment::default() };
        for y in 0..code.size() {
            let mut x = 0;
            while x < code.size() {
                let from = x;
                while x < code.size() && code.get_module(x, y) {
                    x += 1;
                }
                if x > from {
                    let area = Area {
                        x: (from + QUIET) as f32 * module,
                        y: (y + QUIET) as f32 * module,
                        w: (x - from) as f32 * module,
                        // A hair taller, so that no viewer shows a gap between rows.
                        h: module * 1.02,
                        color: style.color,
                    };
                    fragment.items.push(Item::of(node, Shape::Rule(area)));
                }
                x += 1;
            }
        }
        Ok(fragment)
    }

    /// 67 bars; the font size is the one that the post speaks of: at 10 points a
    /// bar is 0.6 mm wide, a long one 3.6 mm tall.
    fn barcode(&self, node: NodeId, style: &Style) -> Result<Fragment, RenderError> {
        let attribute = |name| self.tree.rare(node, name).unwrap_or_default();
        let code = CustomerBarcode::new(attribute(Rare::Postcode), attribute(Rare::Address));
        let code = code
            .map_err(|what| RenderError::BadDocumentData { field: "barcode".to_owned(), what })?;
        if !(8.0..=11.5).contains(&style.size) {
            return Err(RenderError::style_of(
                node,
                "a customer barcode has a font-size of 8pt to 11.5pt",
            ));
        }
        let scale = style.size / 10.0 * MM;
        let bars = code.bars();
        let width = (bars.len() as f32 * 1.2 - 0.6) * scale;
        let height = 3.6 * scale;
        let mut fragment =
            Fragment { height, used: width, baseline: Some(height), ..Fragment::default() };
        for (index, bar) in bars.into_iter().enumerate() {
            let (top, bottom) = bar.extent();
            let area = Area {
                x: index as f32 * 1.2 * scale,
                y: top * scale,
                w: 0.6 * scale,
                h: (bottom - top) * scale,
                color: style.color,
            };
            fragment.items.push(Item::of(node, Shape::Rule(area)));
        }
        Ok(fragment)
    }
}
