//! Everything that is neither a rectangle nor text: broken lines, round corners,
//! pictures.

use printpdf::{DictItem, Op};

use super::{Pen, picture_name, units};
use crate::render::layout::{Area, Round};

impl Pen<'_, '_> {
    pub(super) fn dash(&mut self, area: &Area, dotted: bool) {
        let across = area.w >= area.h;
        let thick = if across { area.h } else { area.w };
        let (on, off) = if dotted { (0.0, 2.0 * thick) } else { (3.0 * thick, 2.0 * thick) };
        let (x, y) = (area.x + thick / 2.0, self.height - area.y - thick / 2.0);
        let to = if across {
            (area.x + area.w - thick / 2.0, y)
        } else {
            (x, self.height - area.y - area.h + thick / 2.0)
        };
        self.raw("q", &[]);
        let caps = vec![DictItem::Int(i64::from(dotted))];
        self.op(Op::Unknown { key: "J".to_owned(), value: caps });
        let pattern = DictItem::Array(vec![DictItem::Int(units(on)), DictItem::Int(units(off))]);
        self.op(Op::Unknown { key: "d".to_owned(), value: vec![pattern, DictItem::Int(0)] });
        self.stroke_color(area.color);
        self.raw("w", &[thick]);
        self.raw("m", &[x, y]);
        self.raw("l", &[to.0, to.1]);
        self.raw("S", &[]);
        self.raw("Q", &[]);
    }

    pub(super) fn round(&mut self, round: &Round) {
        let Round { area, radius, .. } = round;
        if round.fill {
            self.color(area.color);
            self.outline(area, *radius);
            self.raw("f", &[]);
        }
        if let Some((width, color)) = round.border {
            let half = width / 2.0;
            let inner = Area {
                x: area.x + half,
                y: area.y + half,
                w: (area.w - width).max(0.0),
                h: (area.h - width).max(0.0),
                color,
            };
            self.stroke_color(color);
            self.raw("w", &[width]);
            self.outline(&inner, radius.map(|radius| (radius - half).max(0.0)));
            self.raw("S", &[]);
        }
    }

    /// A rectangle with round corners as a path.
    fn outline(&mut self, area: &Area, [a, b, c, d]: [f32; 4]) {
        // How far the handles of a quarter of a circle reach.
        const HANDLE: f32 = 0.447_715_25;
        let (left, right) = (area.x, area.x + area.w);
        let (top, bottom) = (self.height - area.y, self.height - area.y - area.h);
        let handle = |radius: f32| radius * HANDLE;
        self.raw("m", &[left + a, top]);
        self.raw("l", &[right - b, top]);
        self.raw("c", &[right - handle(b), top, right, top - handle(b), right, top - b]);
        self.raw("l", &[right, bottom + c]);
        self.raw("c", &[right, bottom + handle(c), right - handle(c), bottom, right - c, bottom]);
        self.raw("l", &[left + d, bottom]);
        self.raw("c", &[left + handle(d), bottom, left, bottom + handle(d), left, bottom + d]);
        self.raw("l", &[left, top - a]);
        self.raw("c", &[left, top - handle(a), left + handle(a), top, left + a, top]);
        self.raw("h", &[]);
    }

    pub(super) fn picture(&mut self, area: &Area, number: u32) {
        if !self.drawn.pictures.contains(&number) {
            self.drawn.pictures.push(number);
        }
        let y = self.height - area.y - area.h;
        self.raw("q", &[]);
        self.raw("cm", &[area.w, 0.0, 0.0, area.h, area.x, y]);
        let name = DictItem::Name(picture_name(number).into_bytes());
        self.op(Op::Unknown { key: "Do".to_owned(), value: vec![name] });
        self.raw("Q", &[]);
    }
}
