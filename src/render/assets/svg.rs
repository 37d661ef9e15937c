//! SVG: shapes and paths in plain colours become drawing operators. `usvg`
//! reads the file and turns every shape into a path.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
};

use lopdf::dictionary;
use usvg::{
    roxmltree::{Document as XmlDocument, Node, NodeId, ParsingOptions},
    tiny_skia_path::{PathSegment, Point, Transform},
};

use super::Picture;
use crate::render::{error::At, near};

/// The namespace of SVG.
const SVG: &str = "http://www.w3.org/2000/svg";

/// The most operators of one picture.
const MAX_OPERATORS: usize = 200_000;
/// The most bytes of a picture when all that it uses is written out.
const MAX_RESOLVED: usize = 8 << 20;
/// The most bytes of a style.
const MAX_STYLE: usize = 8 << 10;
/// Elements within elements, and uses within uses.
const DEEPEST: usize = 64;

/// Reads an SVG file.
pub(super) fn read(bytes: &[u8]) -> Result<Picture, String> {
    // Neither data: nor file names lead anywhere.
    let nothing = usvg::ImageHrefResolver {
        resolve_data: Box::new(|_, _, _| None),
        resolve_string: Box::new(|_, _| None),
    };
    let options = usvg::Options { image_href_resolver: nothing, ..usvg::Options::default() };
    let text = str::from_utf8(bytes).map_err(|_| "not an SVG picture")?;
    // Illustrator and Inkscape write a document type; entities are bounded there.
    let parsing = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let xml = XmlDocument::parse_with_options(text, parsing).map_err(|_| "not an SVG picture")?;
    check(&xml)?;
    let tree = usvg::Tree::from_xmltree(&xml, &options).map_err(|_| "not an SVG picture")?;
    if tree.has_text_nodes() {
        return Err("an SVG picture has no text; make it paths".to_owned());
    }
    let size = tree.size();
    let mut drawing = Drawing { out: String::new(), operators: 0 };
    drawing.group(tree.root())?;
    let (width, height) = (size.width(), size.height());
    let form = dictionary! {
        "Type" => "XObject",
        "Subtype" => "Form",
        "BBox" => vec![0.into(), 0.into(), width.into(), height.into()],
        // To the unit square, upright.
        "Matrix" => vec![
            (1.0 / width).into(), 0.into(), 0.into(), (-1.0 / height).into(), 0.into(), 1.into(),
        ],
        "Resources" => dictionary! {},
    };
    let stream = super::packed(form, drawing.out.as_bytes())?;
    Ok(Picture { width: width * 0.75, height: height * 0.75, stream, mask: None })
}

/// What a picture may consist of, and what drawing programs leave in it.
const ELEMENTS: [&str; 23] = [
    "a",
    "circle",
    "defs",
    "desc",
    "ellipse",
    "foreignObject",
    "g",
    "line",
    "linearGradient",
    "metadata",
    "path",
    "polygon",
    "polyline",
    "radialGradient",
    "rect",
    "stop",
    "style",
    "svg",
    "switch",
    "symbol",
    "title",
    "use",
    "view",
];

/// The first thing in a picture that would be left out without a word, and its
/// place. `usvg` drops what it does not know and references that lead nowhere.
pub(super) fn dropped(bytes: &[u8]) -> Option<(String, At)> {
    let text = str::from_utf8(bytes).ok()?;
    let parsing = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let xml = XmlDocument::parse_with_options(text, parsing).ok()?;
    let ids: HashSet<&str> = xml.descendants().filter_map(|node| node.attribute("id")).collect();
    // Editors keep notes of their own in other namespaces.
    let ours = |node: &Node<'_, '_>| node.tag_name().namespace().is_none_or(|one| one == SVG);
    xml.descendants().filter(|node| node.is_element() && ours(node)).find_map(|node| {
        let what = lost(&node, &ids)?;
        let at = xml.text_pos_at(node.range().start);
        Some((what, At { line: at.row, column: at.col }))
    })
}

fn lost(node: &Node<'_, '_>, ids: &HashSet<&str>) -> Option<String> {
    let name = node.tag_name().name();
    match name {
        "text" | "tspan" | "textPath" => {
            return Some("an SVG picture has no text; make it paths".to_owned());
        }
        "image" => {
            return Some("an SVG picture has no `image` in it: nothing is fetched".to_owned());
        }
        "foreignObject" if node.parent().is_none_or(|one| one.tag_name().name() != "switch") => {}
        _ if ELEMENTS.contains(&name) => {
            let links = node.attributes().filter(|one| one.name() == "href" && name == "use");
            let mut links = links.map(|one| one.value().trim().strip_prefix('#'));
            if links.any(|id| id.is_none_or(|id| !ids.contains(id))) {
                return Some("`use` names no part of the picture".to_owned());
            }
            let values = node.attributes().map(|one| one.value());
            let styles = (name == "style").then(|| node.text()).flatten();
            let mut urls = values.chain(styles).flat_map(urls);
            let unknown = urls.find(|id| !ids.contains(id));
            return unknown.map(|id| {
                format!("{} names no part of the picture", near::quote(&format!("url(#{id})")))
            });
        }
        // Refused by name when the picture is read.
        "marker" | "pattern" | "filter" | "mask" | "clipPath" => return None,
        _ => {}
    }
    Some(format!("an SVG picture has no {}", near::quote(&format!("<{name}>"))))
}

/// What `url(#id)` names; of an address all of it, which is no id.
fn urls(value: &str) -> impl Iterator<Item = &str> {
    value.split("url(").skip(1).map(|rest| {
        let inside = rest.split(')').next().unwrap_or_default().trim();
        let inside = inside.trim_matches(['"', '\'']);
        inside.strip_prefix('#').unwrap_or(inside)
    })
}

/// Refuses what would grow when it is resolved: `use` within `use` doubles with
/// every step, a marker is drawn at every point of a path, and a style is tried
/// on every element.
fn check(xml: &XmlDocument<'_>) -> Result<(), String> {
    let mut ids = HashMap::new();
    for node in xml.descendants().filter(Node::is_element) {
        let name = node.tag_name().name();
        if matches!(name, "marker" | "pattern" | "filter" | "mask" | "clipPath") {
            return Err(format!("an SVG picture has no `{name}`"));
        }
        if name == "style" && node.text().is_some_and(|text| text.len() > MAX_STYLE) {
            return Err("the style of an SVG picture has at most 8 KiB".to_owned());
        }
        if let Some(id) = node.attribute("id") {
            ids.entry(id).or_insert(node);
        }
    }
    let mut weighed = HashMap::new();
    let weight = weigh(xml.root_element(), &ids, &mut weighed, 0)?;
    if weight > MAX_RESOLVED {
        return Err("an SVG picture uses its parts too often".to_owned());
    }
    Ok(())
}

/// The bytes of an element with all that is below it or used by it.
fn weigh<'x>(
    node: Node<'x, 'x>,
    ids: &HashMap<&'x str, Node<'x, 'x>>,
    weighed: &mut HashMap<NodeId, usize>,
    depth: usize,
) -> Result<usize, String> {
    if depth > DEEPEST {
        return Err("the parts of an SVG picture are nested too deeply".to_owned());
    }
    if let Some(known) = weighed.get(&node.id()) {
        return Ok(*known);
    }
    let attributes = node.attributes().map(|one| one.value().len().saturating_add(16));
    let mut weight = attributes.fold(64, usize::saturating_add);
    for child in node.children().filter(Node::is_element) {
        weight = weight.saturating_add(weigh(child, ids, weighed, depth + 1)?);
    }
    if node.tag_name().name() == "use" {
        let links = node.attributes().filter(|one| one.name() == "href");
        for target in links.filter_map(|one| ids.get(one.value().trim().strip_prefix('#')?)) {
            weight = weight.saturating_add(weigh(*target, ids, weighed, depth + 1)?);
        }
    }
    weighed.insert(node.id(), weight);
    Ok(weight)
}

struct Drawing {
    out: String,
    operators: usize,
}

impl Drawing {
    fn group(&mut self, group: &usvg::Group) -> Result<(), String> {
        let plain = group.clip_path().is_none()
            && group.mask().is_none()
            && group.filters().is_empty()
            && group.opacity().get() >= 1.0
            && group.blend_mode() == usvg::BlendMode::Normal;
        if !plain {
            return Err("an SVG picture has no clipping, masks, filters or transparency".to_owned());
        }
        for node in group.children() {
            match node {
                usvg::Node::Group(group) => self.group(group)?,
                usvg::Node::Path(path) => self.path(path)?,
                usvg::Node::Image(_) | usvg::Node::Text(_) => {
                    return Err("an SVG picture has shapes and paths only".to_owned());
                }
            }
        }
        Ok(())
    }

    fn path(&mut self, path: &usvg::Path) -> Result<(), String> {
        if !path.is_visible() {
            return Ok(());
        }
        self.say("q\n");
        let fill = path
            .fill()
            .map(|fill| Ok::<_, String>((color(fill.paint(), fill.opacity())?, fill.rule())));
        let fill = fill.transpose()?;
        if let Some((rgb, _)) = &fill {
            self.say(&format!("{rgb} rg\n"));
        }
        if let Some(stroke) = path.stroke() {
            let rgb = color(stroke.paint(), stroke.opacity())?;
            let cap = match stroke.linecap() {
                usvg::LineCap::Butt => 0,
                usvg::LineCap::Round => 1,
                usvg::LineCap::Square => 2,
            };
            let join = match stroke.linejoin() {
                usvg::LineJoin::Miter | usvg::LineJoin::MiterClip => 0,
                usvg::LineJoin::Round => 1,
                usvg::LineJoin::Bevel => 2,
            };
            let dashes = stroke.dasharray().unwrap_or_default();
            let dashes: Vec<String> = dashes.iter().map(|dash| number(*dash)).collect();
            self.say(&format!(
                "{rgb} RG {cap} J {join} j {} M [{}] {} d\n",
                number(stroke.miterlimit().get().max(1.0)),
                dashes.join(" "),
                number(stroke.dashoffset()),
            ));
        }
        // The width of a stroke is in the path's own units.
        let Transform { sx, kx, ky, sy, tx, ty } = path.abs_transform();
        let matrix = [sx, ky, kx, sy, tx, ty].map(number).join(" ");
        self.say(&format!("{matrix} cm\n"));
        if let Some(stroke) = path.stroke() {
            self.say(&format!("{} w\n", number(stroke.width().get())));
        }
        let mut from = Point::zero();
        for segment in path.data().segments() {
            from = self.segment(segment, from)?;
        }
        let paint = match (fill.map(|(_, rule)| rule), path.stroke()) {
            (Some(usvg::FillRule::NonZero), Some(_)) => "B",
            (Some(usvg::FillRule::EvenOdd), Some(_)) => "B*",
            (Some(usvg::FillRule::NonZero), None) => "f",
            (Some(usvg::FillRule::EvenOdd), None) => "f*",
            (None, Some(_)) => "S",
            (None, None) => "n",
        };
        self.say(&format!("{paint}\nQ\n"));
        Ok(())
    }

    fn segment(&mut self, segment: PathSegment, from: Point) -> Result<Point, String> {
        self.operators = self.operators.saturating_add(1);
        if self.operators > MAX_OPERATORS {
            return Err("an SVG picture has at most 200,000 segments".to_owned());
        }
        let pair = |point: Point| format!("{} {}", number(point.x), number(point.y));
        let third = |a: Point, b: Point| Point {
            x: a.x + (b.x - a.x) * 2.0 / 3.0,
            y: a.y + (b.y - a.y) * 2.0 / 3.0,
        };
        let (text, to) = match segment {
            PathSegment::MoveTo(to) => (format!("{} m\n", pair(to)), to),
            PathSegment::LineTo(to) => (format!("{} l\n", pair(to)), to),
            PathSegment::QuadTo(control, to) => {
                let (a, b) = (third(from, control), third(to, control));
                (format!("{} {} {} c\n", pair(a), pair(b), pair(to)), to)
            }
            PathSegment::CubicTo(a, b, to) => {
                (format!("{} {} {} c\n", pair(a), pair(b), pair(to)), to)
            }
            PathSegment::Close => ("h\n".to_owned(), from),
        };
        self.say(&text);
        Ok(to)
    }

    fn say(&mut self, text: &str) {
        self.out.push_str(text);
    }
}

fn color(paint: &usvg::Paint, opacity: usvg::Opacity) -> Result<String, String> {
    let usvg::Paint::Color(color) = paint else {
        return Err("an SVG picture has plain colours only, no gradients".to_owned());
    };
    if opacity.get() < 1.0 {
        return Err("an SVG picture has no transparency".to_owned());
    }
    let unit = |value: u8| number(f32::from(value) / 255.0);
    Ok(format!("{} {} {}", unit(color.red), unit(color.green), unit(color.blue)))
}

/// A number as PDF writes it: never with an exponent.
fn number(value: f32) -> String {
    let mut text = String::new();
    if write!(text, "{value:.4}").is_err() || !value.is_finite() {
        return "0".to_owned();
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operators(svg: &str) -> String {
        let picture = read(svg.as_bytes()).unwrap();
        String::from_utf8(picture.stream.decompressed_content().unwrap()).unwrap()
    }

    #[test]
    fn shapes_become_paths() {
        let svg = "<svg xmlns='http://www.w3.org/2000/svg' width='40' height='20'>\
                   <rect x='1' y='2' width='3' height='4' fill='#ff0000'/>\
                   <path d='M0 0 Q 3 0 3 3' fill='none' stroke='blue' stroke-width='2'/></svg>";
        let text = operators(svg);
        assert!(text.contains("1 0 0 rg") && text.contains("1 2 m"), "{text}");
        assert!(
            text.contains("2 w") && text.contains("2 0 3 1 3 3 c"),
            "a quadratic curve: {text}"
        );
    }

    #[test]
    fn what_would_be_drawn_wrong_is_refused() {
        let svg = |inner: &str| {
            format!(
                "<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink' width='4' height='4'>{inner}</svg>"
            )
        };
        let cases = [
            "<rect width='1' height='1' fill='red' opacity='0.5'/>",
            "<linearGradient id='g'><stop offset='0' stop-color='red'/><stop offset='1'/></linearGradient><rect width='1' height='1' fill='url(#g)'/>",
        ];
        for inner in cases {
            assert!(read(svg(inner).as_bytes()).is_err(), "{inner}");
        }
        for (inner, says) in [
            ("<text x='1' y='3'>ACME</text>", "no text"),
            ("<g><text><tspan>ACME</tspan></text></g>", "no text"),
            ("<rect width='1' height='1' fill='url(#g)'/>", "`url(#g)`"),
            ("<rect width='1' height='1' style='fill:url(#g) red'/>", "`url(#g)`"),
            ("<style>rect { fill: url('#g') }</style><rect width='1' height='1'/>", "`url(#g)`"),
            ("<rect width='1' height='1' fill='url(x.svg#g)'/>", "`url(#x.svg#g)`"),
            ("<use xlink:href='#g'/>", "`use`"),
            ("<use xlink:href='x.svg#g'/>", "`use`"),
            ("<image xlink:href='data:image/png;base64,AA' width='4' height='4'/>", "`image`"),
            ("<rct width='1' height='1'/>", "`<rct>`"),
            ("<script>1</script>", "`<script>`"),
            ("<animate attributeName='x'/>", "`<animate>`"),
        ] {
            let whole = format!("<g>\n{inner}</g>");
            let (what, at) = dropped(svg(&whole).as_bytes()).unwrap_or_else(|| panic!("{inner}"));
            assert!(what.contains(says) && at.line == 2, "{inner}: {what} at {at}");
        }
        let notes = "<title>t</title><metadata><x:y xmlns:x='urn:x'/></metadata><x:z xmlns:x='urn:x'/>\
                     <defs><path id='p' d='M0 0h1v1z'/></defs><use xlink:href='#p'/>\
                     <switch><foreignObject/><g/></switch>";
        assert!(dropped(svg(notes).as_bytes()).is_none(), "what drawing programs write");
        let outside = svg("<image xlink:href='file:///etc/passwd' width='4' height='4'/>");
        assert!(read(outside.as_bytes()).map_or(true, |picture| picture.mask.is_none()), "no file");
    }
}
