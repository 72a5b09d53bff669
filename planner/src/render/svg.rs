//! A picture of a plan: boxes in columns by their depth, units as frames, arrows as curves.

use super::drawing::{Arrow, Drawing, Shape};
use super::layout::{Layout, Point, Rect};
use super::push;
use super::text_width;

/// Text stays so far from the sides of its box, both together.
const PADDING: f64 = 20.0;

pub(super) fn svg(drawing: &Drawing) -> String {
    let layout = Layout::new(drawing);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w:.0} {h:.0}\" width=\"{w:.0}\" height=\"{h:.0}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n{STYLE}",
        w = layout.width,
        h = layout.height,
    );
    layout.frames.iter().enumerate().for_each(|(unit, rect)| frame(unit, rect, &mut text));
    layout.routes.iter().for_each(|route| curve(route, &mut text));
    (0..drawing.boxes.len()).for_each(|i| draw_box(drawing, i, &layout.boxes[i], &mut text));
    // Labels last: nothing may cover them.
    drawing.arrows.iter().zip(&layout.routes).for_each(|(arrow, route)| labels(arrow, route, &mut text));
    text.push_str("</svg>\n");
    text
}

const STYLE: &str = "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" \
markerHeight=\"8\" orient=\"auto\"><path d=\"M0,0 L8,4 L0,8 z\" fill=\"#555\"/></marker></defs>\n\
<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n";

fn frame(unit: usize, rect: &Rect, text: &mut String) {
    let Rect { x, y, width, height } = rect;
    push(
        text,
        format_args!(
            "<rect x=\"{x:.0}\" y=\"{y:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" rx=\"8\" fill=\"#f5f7fa\" \
             stroke=\"#9ab\" stroke-dasharray=\"4 3\"/>\n<text x=\"{:.0}\" y=\"{:.0}\" font-size=\"11\" \
             fill=\"#567\">unit {}</text>\n",
            x + 8.0,
            y + 13.0,
            unit + 1
        ),
    );
}

/// Straight lines within pairs of points, curves between the pairs.
fn curve(route: &[Point], text: &mut String) {
    let (x, y) = route[0];
    let mut path = format!("M{x:.0},{y:.1}");
    for (at, pair) in route.windows(2).enumerate() {
        let ((x1, y1), (x2, y2)) = (pair[0], pair[1]);
        let middle = (x1 + x2) / 2.0;
        match at % 2 {
            _ if pair[0] == pair[1] => {}
            0 => push(&mut path, format_args!(" L{x2:.0},{y2:.1}")),
            _ => push(&mut path, format_args!(" C{middle:.0},{y1:.1} {middle:.0},{y2:.1} {x2:.0},{y2:.1}")),
        }
    }
    push(text, format_args!("<path d=\"{path}\" fill=\"none\" stroke=\"#555\" marker-end=\"url(#tip)\"/>\n"));
}

/// The ports: the output where the arrow leaves, the input where it arrives.
fn labels(arrow: &Arrow, route: &[Point], text: &mut String) {
    let ((x1, y1), (x2, y2)) = (route[0], route[route.len() - 1]);
    let mut label = |name: &str, x: f64, y: f64, anchor: &str| {
        let name = escaped(&cut(name, 110.0, 10.0));
        let halo = "stroke=\"#fff\" stroke-width=\"3\" paint-order=\"stroke\" stroke-linejoin=\"round\"";
        let place = format!("x=\"{x:.0}\" y=\"{y:.0}\" text-anchor=\"{anchor}\"");
        push(text, format_args!("<text {place} font-size=\"10\" fill=\"#444\" {halo}>{name}</text>\n"));
    };
    let downwards = route.len() == 2;
    if !arrow.out.is_empty() {
        label(&arrow.out, x1 + 6.0, if downwards { y1 + 9.0 } else { y1 - 4.0 }, "start");
    }
    if !arrow.into.is_empty() {
        let (x, anchor) = if downwards { (x2 + 6.0, "start") } else { (x2 - 11.0, "end") };
        label(&arrow.into, x, y2 - 4.0, anchor);
    }
}

fn draw_box(drawing: &Drawing, i: usize, rect: &Rect, text: &mut String) {
    let Rect { x, y, width, height } = rect;
    let (item, middle, room) = (&drawing.boxes[i], x + width / 2.0, width - PADDING);
    let (fill, round) = match item.shape {
        Shape::Source => ("#e3f1e3", 20),
        Shape::Stage => ("#ffffff", 4),
        Shape::Sink => ("#fdeedd", 20),
    };
    push(
        text,
        format_args!(
            "<g><title>{}: {}</title><rect x=\"{x:.0}\" y=\"{y:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" \
             rx=\"{round}\" fill=\"{fill}\" stroke=\"#345\"/><text x=\"{middle:.0}\" y=\"{:.0}\" \
             text-anchor=\"middle\">{}</text><text x=\"{middle:.0}\" y=\"{:.0}\" font-size=\"11\" fill=\"#456\" \
             text-anchor=\"middle\">{}</text></g>\n",
            escaped(&item.title),
            escaped(&item.detail),
            y + height / 2.0 - 4.0,
            escaped(&cut(&item.title, room, 13.0)),
            y + height / 2.0 + 13.0,
            escaped(&cut(&item.detail, room, 11.0)),
        ),
    );
}

/// Cut in its middle to what there is room for: paths tell most at their ends.
fn cut(text: &str, room: f64, size: f64) -> String {
    if text_width(text, size) <= room {
        return text.to_owned();
    }
    let half = |chars: &mut dyn Iterator<Item = char>| {
        let mut taken = String::new();
        for c in chars {
            taken.push(c);
            if text_width(&taken, size) > room / 2.0 - size {
                break;
            }
        }
        taken
    };
    let (start, end) = (half(&mut text.chars()), half(&mut text.chars().rev()));
    format!("{start}\u{2026}{}", end.chars().rev().collect::<String>())
}

/// Safe in XML.
fn escaped(text: &str) -> String {
    // XML 1.0 has no place for control characters, escaped or not.
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_lose_their_middle() {
        let long = "out/some/rather/deep/folder/with/a/very/long/name/cities-17.csv";
        let short = cut(long, 200.0, 11.0);
        assert!(short.starts_with("out/some") && short.ends_with("cities-17.csv"), "{short}");
        assert!(text_width(&short, 11.0) <= 200.0, "{short}");
        assert_eq!(cut("a.csv", 200.0, 11.0), "a.csv");
    }
}
