//! A picture of a plan: boxes in columns by their depth, units as frames, arrows as curves.
//!
//! A unit is laid out as one block: its stages stand under each other in one column, so that its frame holds nothing
//! else. Columns follow the longest way from a source; within one, blocks are sorted by where their inputs stand.

use super::graph::{Arrow, Drawing, Shape, push};

const WIDTH: usize = 200;
const HEIGHT: usize = 48;
const GAP: usize = 20;
const COLUMN: usize = 96;
const MARGIN: usize = 24;
/// Around a unit; its upper part holds the name.
const FRAME: usize = 10;
const NAME: usize = 18;
/// Characters that fit into a box.
const TITLE: usize = 24;
const DETAIL: usize = 30;

struct Layout {
    /// Upper left corner of each box.
    at: Vec<(usize, usize)>,
    width: usize,
    height: usize,
}

/// Boxes that stay together: those of a unit, or a single source or sink.
struct Block {
    boxes: Vec<usize>,
    unit: Option<usize>,
}

pub(super) fn svg(drawing: &Drawing) -> String {
    let blocks = blocks(drawing);
    let layout = layout(drawing, &blocks);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n{STYLE}",
        w = layout.width,
        h = layout.height,
    );
    blocks.iter().for_each(|block| frame(block, &layout, &mut text));
    drawing.arrows.iter().for_each(|arrow| curve(arrow, drawing, &layout, &mut text));
    (0..drawing.boxes.len()).for_each(|i| draw_box(drawing, i, &layout, &mut text));
    text.push_str("</svg>\n");
    text
}

const STYLE: &str = "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" \
markerHeight=\"8\" orient=\"auto\"><path d=\"M0,0 L8,4 L0,8 z\" fill=\"#555\"/></marker></defs>\n\
<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n";

fn blocks(drawing: &Drawing) -> Vec<Block> {
    let single = |i: usize| Block { boxes: vec![i], unit: None };
    let singles = (0..drawing.boxes.len()).filter(|&i| drawing.boxes[i].shape != Shape::Stage).map(single);
    let units = drawing.frames.iter().enumerate();
    singles.chain(units.map(|(i, frame)| Block { boxes: frame.clone(), unit: Some(i) })).collect()
}

/// The column of each block: one more than that of all that it reads.
fn columns(drawing: &Drawing, block_of: &[usize], count: usize) -> Vec<usize> {
    let mut above = vec![Vec::new(); count];
    for arrow in &drawing.arrows {
        let (from, to) = (block_of[arrow.from], block_of[arrow.to]);
        if from != to {
            above[to].push(from);
        }
    }
    let mut column: Vec<Option<usize>> = vec![None; count];
    for start in 0..count {
        let mut walk = vec![start];
        while let Some(&block) = walk.last() {
            match above[block].iter().find(|&&from| column[from].is_none()) {
                Some(&from) if column[block].is_none() => walk.push(from),
                _ => {
                    let depth = above[block].iter().filter_map(|&from| column[from]).max();
                    column[block] = Some(depth.map_or(0, |depth| depth + 1));
                    walk.pop();
                }
            }
        }
    }
    column.into_iter().flatten().collect()
}

fn layout(drawing: &Drawing, blocks: &[Block]) -> Layout {
    let mut block_of = vec![0; drawing.boxes.len()];
    for (at, block) in blocks.iter().enumerate() {
        block.boxes.iter().for_each(|&i| block_of[i] = at);
    }
    let column = columns(drawing, &block_of, blocks.len());
    let count = column.iter().max().map_or(0, |last| last + 1);
    let mut members = vec![Vec::new(); count];
    column.iter().enumerate().for_each(|(block, &column)| members[column].push(block));
    let mut inputs = vec![Vec::new(); blocks.len()];
    drawing.arrows.iter().for_each(|arrow| inputs[block_of[arrow.to]].push(arrow.from));
    let mut layout = Layout { at: vec![(0, 0); drawing.boxes.len()], width: 0, height: 0 };
    for (number, members) in members.iter_mut().enumerate() {
        // Blocks stand at about the height of what they read.
        members.sort_by_key(|&block| mean(inputs[block].iter().map(|&from| layout.at[from].1)));
        let (x, mut y) = (MARGIN + number * (WIDTH + COLUMN), MARGIN);
        for &block in members.iter() {
            y = place(&blocks[block], x, y, &mut layout);
        }
        layout.height = layout.height.max(y - GAP + MARGIN);
    }
    layout.width = 2 * MARGIN + count * WIDTH + count.saturating_sub(1) * COLUMN;
    layout
}

fn mean(numbers: impl Iterator<Item = usize>) -> usize {
    let (sum, count) = numbers.fold((0, 0), |(sum, count), number| (sum + number, count + 1));
    sum.checked_div(count).unwrap_or(0)
}

/// Puts a block's boxes under each other; gives the height at which the next block starts.
fn place(block: &Block, x: usize, mut y: usize, layout: &mut Layout) -> usize {
    let frame = if block.unit.is_some() { FRAME } else { 0 };
    if block.unit.is_some() {
        y += NAME + FRAME;
    }
    for &i in &block.boxes {
        layout.at[i] = (x, y);
        y += HEIGHT + GAP;
    }
    y + frame
}

fn frame(block: &Block, layout: &Layout, text: &mut String) {
    let (Some(unit), Some(&first), Some(&last)) = (block.unit, block.boxes.first(), block.boxes.last()) else { return };
    let ((x, top), (_, bottom)) = (layout.at[first], layout.at[last]);
    let (x, y, width) = (x - FRAME, top - NAME, WIDTH + 2 * FRAME);
    let height = bottom + HEIGHT + FRAME - y;
    push(
        text,
        format_args!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#f5f7fa\" stroke=\"#9ab\" \
             stroke-dasharray=\"4 3\"/>\n<text x=\"{}\" y=\"{}\" font-size=\"11\" fill=\"#678\">unit {}</text>\n",
            x + 8,
            y + 13,
            unit + 1
        ),
    );
}

fn curve(arrow: &Arrow, drawing: &Drawing, layout: &Layout, text: &mut String) {
    let ((x1, y1), (x2, y2)) = (layout.at[arrow.from], layout.at[arrow.to]);
    let same_unit = drawing.frames.iter().any(|frame| frame.contains(&arrow.from) && frame.contains(&arrow.to));
    let path = if same_unit {
        let x = x1 + WIDTH / 2;
        format!("M{x},{} L{x},{y2}", y1 + HEIGHT)
    } else {
        let (x1, y1, y2) = (x1 + WIDTH, y1 + HEIGHT / 2, y2 + HEIGHT / 2);
        let (out, into) = (x1 + COLUMN / 2, x2.saturating_sub(COLUMN / 2));
        format!("M{x1},{y1} C{out},{y1} {into},{y2} {x2},{y2}")
    };
    push(text, format_args!("<path d=\"{path}\" fill=\"none\" stroke=\"#555\" marker-end=\"url(#tip)\"/>\n"));
    if !arrow.label.is_empty() {
        let (x, y) = (x2.saturating_sub(8), (y2 + HEIGHT / 2).saturating_sub(5));
        let label = escaped(&arrow.label, DETAIL);
        let attributes = "font-size=\"10\" fill=\"#555\" text-anchor=\"end\"";
        push(text, format_args!("<text x=\"{x}\" y=\"{y}\" {attributes}>{label}</text>\n"));
    }
}

fn draw_box(drawing: &Drawing, i: usize, layout: &Layout, text: &mut String) {
    let (x, y) = layout.at[i];
    let (item, middle) = (&drawing.boxes[i], x + WIDTH / 2);
    let (fill, round) = match item.shape {
        Shape::Source => ("#e3f1e3", 20),
        Shape::Stage => ("#ffffff", 4),
        Shape::Sink => ("#fdeedd", 20),
    };
    push(
        text,
        format_args!(
            "<g><title>{}: {}</title><rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"{round}\" \
             fill=\"{fill}\" stroke=\"#345\"/><text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
             <text x=\"{middle}\" y=\"{}\" font-size=\"11\" fill=\"#567\" text-anchor=\"middle\">{}</text></g>\n",
            escaped(&item.title, usize::MAX),
            escaped(&item.detail, usize::MAX),
            y + 20,
            escaped(&item.title, TITLE),
            y + 37,
            escaped(&item.detail, DETAIL),
        ),
    );
}

/// Cut to a number of characters, and safe in XML.
fn escaped(text: &str, most: usize) -> String {
    let cut = match text.char_indices().nth(most) {
        Some(_) => text.chars().take(most - 1).chain(['\u{2026}']).collect(),
        None => text.to_owned(),
    };
    // XML 1.0 has no place for control characters, escaped or not.
    let cut: String = cut.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cut.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
