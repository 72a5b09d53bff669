//! Where the boxes and arrows of a drawing lie: columns by depth, no box over another, no arrow across a box.
//!
//! A unit is laid out as one block: its stages stand under each other in one column, so that its frame holds nothing
//! else. Columns follow the longest way from a source. An arrow over several columns gets a lane in each that it
//! passes, and arrows from one place share their lanes. Blocks and lanes are then sorted by where their neighbours stand,
//! and moved up and down towards them.

use std::collections::HashMap;

use super::drawing::{Drawing, Shape};
use super::text_width;

const HEIGHT: f64 = 48.0;
/// Height for each arrow into a box, where there are many.
const ENTRY: f64 = 16.0;
const GAP: f64 = 20.0;
/// Between columns.
const AISLE: f64 = 110.0;
const MARGIN: f64 = 24.0;
/// Around a unit.
const FRAME: f64 = 10.0;
/// Above the stages of a unit, for its name.
const NAME: f64 = 18.0;
const NARROWEST: f64 = 120.0;
const WIDEST: f64 = 320.0;
/// Times that everything is sorted, and moved, from left to right and back.
const SWEEPS: usize = 4;

pub(super) type Point = (f64, f64);

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rect {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A drawing's geometry; lists run parallel to the drawing's.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) boxes: Vec<Rect>,
    pub(super) frames: Vec<Rect>,
    /// From a box to a box: pairs of points are joined by straight lines, and pair and pair by curves. Two points alone
    /// are a straight line downwards within a unit.
    pub(super) routes: Vec<Vec<Point>>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// What has a place in a column: a unit, a source or a sink; or a lane, which has no boxes.
struct Block {
    boxes: Vec<usize>,
    unit: Option<usize>,
    column: usize,
    height: f64,
    y: f64,
}

/// Two blocks in neighbouring columns that an arrow joins, and how far below their tops it does so.
struct Link {
    from: (usize, f64),
    to: (usize, f64),
}

struct Blocks<'d> {
    drawing: &'d Drawing,
    list: Vec<Block>,
    /// By box: its block, and how far below the block's top it stands.
    of_box: Vec<(usize, f64)>,
    heights: Vec<f64>,
    links: Vec<Link>,
    /// By arrow: the lanes that it takes.
    lanes: Vec<Vec<usize>>,
    /// Blocks by column, from the top down.
    columns: Vec<Vec<usize>>,
}

impl Layout {
    pub(super) fn new(drawing: &Drawing) -> Self {
        let mut blocks = Blocks::new(drawing);
        blocks.join();
        blocks.sort();
        blocks.settle();
        blocks.layout()
    }
}

impl<'d> Blocks<'d> {
    fn new(drawing: &'d Drawing) -> Self {
        let mut entries = vec![0usize; drawing.boxes.len()];
        drawing.arrows.iter().for_each(|arrow| entries[arrow.to] += 1);
        let heights = entries.into_iter().map(|entries| HEIGHT.max((entries + 1) as f64 * ENTRY)).collect();
        let (list, of_box) = (Vec::new(), vec![(0, 0.0); drawing.boxes.len()]);
        let (links, lanes, columns) = Default::default();
        let mut blocks = Self { drawing, list, of_box, heights, links, lanes, columns };
        for i in (0..drawing.boxes.len()).filter(|&i| drawing.boxes[i].shape != Shape::Stage) {
            blocks.add(vec![i], None);
        }
        drawing.frames.iter().enumerate().for_each(|(unit, frame)| blocks.add(frame.clone(), Some(unit)));
        blocks.assign_columns();
        blocks
    }

    fn add(&mut self, boxes: Vec<usize>, unit: Option<usize>) {
        let (above, below) = if unit.is_some() { (NAME + FRAME, FRAME) } else { (0.0, 0.0) };
        let mut y = above;
        for &i in &boxes {
            self.of_box[i] = (self.list.len(), y);
            y += self.heights[i] + GAP;
        }
        self.list.push(Block { boxes, unit, column: 0, height: y - GAP + below, y: 0.0 });
    }

    /// One more than the columns of all that a block reads.
    fn assign_columns(&mut self) {
        let mut above = vec![Vec::new(); self.list.len()];
        for arrow in &self.drawing.arrows {
            let (from, to) = (self.of_box[arrow.from].0, self.of_box[arrow.to].0);
            if from != to {
                above[to].push(from);
            }
        }
        for (block, column) in depths(&above).into_iter().enumerate() {
            self.list[block].column = column;
        }
    }

    /// Links all arrows, through lanes where they pass columns.
    fn join(&mut self) {
        let mut lanes: HashMap<(usize, &str, usize), usize> = HashMap::new();
        for arrow in &self.drawing.arrows {
            let centre = |this: &Self, i: usize| (this.of_box[i].0, this.of_box[i].1 + this.heights[i] / 2.0);
            let (mut from, to) = (centre(self, arrow.from), centre(self, arrow.to));
            let mut taken = Vec::new();
            for column in self.list[from.0].column + 1..self.list[to.0].column {
                let known = lanes.entry((arrow.from, &arrow.out, column)).or_insert_with(|| {
                    self.list.push(Block { boxes: vec![], unit: None, column, height: 0.0, y: 0.0 });
                    self.list.len() - 1
                });
                self.links.push(Link { from, to: (*known, 0.0) });
                from = (*known, 0.0);
                taken.push(*known);
            }
            if from.0 != to.0 {
                self.links.push(Link { from, to });
            }
            self.lanes.push(taken);
        }
        let count = self.list.iter().map(|block| block.column + 1).max().unwrap_or(0);
        self.columns = vec![Vec::new(); count];
        self.list.iter().enumerate().for_each(|(i, block)| self.columns[block.column].push(i));
    }

    /// Sorts each column by where the neighbours stand in theirs.
    fn sort(&mut self) {
        let mut rank = vec![0.0; self.list.len()];
        for column in &self.columns {
            column.iter().enumerate().for_each(|(at, &block)| rank[block] = at as f64);
        }
        for sweep in 0..2 * SWEEPS {
            let neighbours = self.neighbours(sweep % 2 == 0);
            for column in self.in_direction(sweep % 2 == 0) {
                let wish =
                    |&block: &usize| mean(neighbours[block].iter().map(|link| rank[link.0])).unwrap_or(rank[block]);
                self.columns[column].sort_by(|a, b| wish(a).total_cmp(&wish(b)));
                self.columns[column].iter().enumerate().for_each(|(at, &block)| rank[block] = at as f64);
            }
        }
    }

    /// Moves each column's blocks towards their neighbours, in their order.
    fn settle(&mut self) {
        for sweep in 0..2 * SWEEPS {
            let neighbours = self.neighbours(sweep % 2 == 0);
            for column in self.in_direction(sweep % 2 == 0) {
                let wish = |&block: &usize| {
                    let of = neighbours[block].iter().map(|(other, there, here)| self.list[*other].y + there - here);
                    mean(of).unwrap_or(self.list[block].y)
                };
                let wishes: Vec<f64> = self.columns[column].iter().map(wish).collect();
                let sizes: Vec<f64> = self.columns[column].iter().map(|&block| self.list[block].height + GAP).collect();
                for (&block, y) in self.columns[column].iter().zip(apart(&wishes, &sizes)) {
                    self.list[block].y = y;
                }
            }
        }
        let top = self.list.iter().map(|block| block.y).fold(f64::INFINITY, f64::min);
        self.list.iter_mut().for_each(|block| block.y += MARGIN - top);
    }

    fn in_direction(&self, forwards: bool) -> Vec<usize> {
        let columns = 0..self.columns.len();
        if forwards { columns.collect() } else { columns.rev().collect() }
    }

    /// By block: the blocks that it is linked to on one side, with the heights of the link there and here.
    fn neighbours(&self, on_the_left: bool) -> Vec<Vec<(usize, f64, f64)>> {
        let mut neighbours = vec![Vec::new(); self.list.len()];
        for Link { from, to } in &self.links {
            let (own, other) = if on_the_left { (to, from) } else { (from, to) };
            neighbours[own.0].push((other.0, other.1, own.1));
        }
        neighbours
    }

    fn layout(&self) -> Layout {
        let widths: Vec<f64> = self.columns.iter().map(|column| self.width(column)).collect();
        let left = |column: usize| MARGIN + widths[..column].iter().map(|width| width + AISLE).sum::<f64>();
        let lefts: Vec<f64> = (0..widths.len()).map(left).collect();
        let rect = |i: usize| {
            let (block, below) = self.of_box[i];
            let Block { column, y, .. } = self.list[block];
            Rect { x: lefts[column], y: y + below, width: widths[column], height: self.heights[i] }
        };
        let boxes: Vec<Rect> = (0..self.drawing.boxes.len()).map(rect).collect();
        let units = self.list.iter().filter(|block| block.unit.is_some());
        let frames = units.map(|unit| Rect {
            x: lefts[unit.column] - FRAME,
            y: unit.y + FRAME,
            width: widths[unit.column] + 2.0 * FRAME,
            height: unit.height - FRAME,
        });
        let lane = |&lane: &usize| {
            let Block { column, y, .. } = self.list[lane];
            [(lefts[column], y), (lefts[column] + widths[column], y)]
        };
        let lanes: Vec<Vec<Point>> = self.lanes.iter().map(|lanes| lanes.iter().flat_map(lane).collect()).collect();
        let height = self.list.iter().map(|block| block.y + block.height).fold(MARGIN, f64::max) + MARGIN;
        let width = lefts.last().zip(widths.last()).map_or(MARGIN, |(left, width)| left + width) + MARGIN;
        Layout { frames: frames.collect(), routes: self.routes(&boxes, lanes), boxes, width, height }
    }

    /// As wide as its widest text.
    fn width(&self, column: &[usize]) -> f64 {
        let boxes = column.iter().flat_map(|&block| &self.list[block].boxes).map(|&i| &self.drawing.boxes[i]);
        let widths = boxes.map(|item| text_width(&item.title, 13.0).max(text_width(&item.detail, 11.0)) + 28.0);
        widths.fold(NARROWEST, f64::max).min(WIDEST)
    }

    /// Arrows leave a box on its right, those of one output together, and enter another on its left, each by itself.
    fn routes(&self, boxes: &[Rect], lanes: Vec<Vec<Point>>) -> Vec<Vec<Point>> {
        let arrows = &self.drawing.arrows;
        let same_block = |i: usize| self.of_box[arrows[i].from].0 == self.of_box[arrows[i].to].0;
        let across: Vec<usize> = (0..arrows.len()).filter(|&i| !same_block(i)).collect();
        let first = |i: usize| lanes[i].first().map_or(boxes[arrows[i].to].y, |point| point.1);
        let last = |i: usize| lanes[i].last().map_or(boxes[arrows[i].from].y, |point| point.1);
        let exits = spread(&across, |i| (arrows[i].from, arrows[i].out.clone()), |i| arrows[i].from, first, boxes);
        let entries = spread(&across, |i| (arrows[i].to, i), |i| arrows[i].to, last, boxes);
        let route = |(i, lanes): (usize, Vec<Point>)| {
            let (from, to) = (&boxes[arrows[i].from], &boxes[arrows[i].to]);
            if same_block(i) {
                return within(from, to);
            }
            let (start, end) = ((from.x + from.width, exits[&i]), (to.x, entries[&i]));
            [vec![start, start], lanes, vec![end, end]].concat()
        };
        lanes.into_iter().enumerate().map(route).collect()
    }
}

/// Heights of arrow ends on a side of their boxes. Those of one group share a height; groups are sorted by where their
/// arrows lead.
fn spread<G: Ord + Clone>(
    arrows: &[usize],
    group: impl Fn(usize) -> G,
    of_box: impl Fn(usize) -> usize,
    towards: impl Fn(usize) -> f64,
    boxes: &[Rect],
) -> HashMap<usize, f64> {
    let mut groups: std::collections::BTreeMap<G, Vec<usize>> = std::collections::BTreeMap::new();
    arrows.iter().for_each(|&i| groups.entry(group(i)).or_default().push(i));
    let mut by_box: HashMap<usize, Vec<(f64, Vec<usize>)>> = HashMap::new();
    for members in groups.into_values() {
        let direction = mean(members.iter().map(|&i| towards(i))).unwrap_or(0.0);
        by_box.entry(of_box(members[0])).or_default().push((direction, members));
    }
    let mut heights = HashMap::new();
    for (i, mut groups) in by_box {
        groups.sort_by(|a, b| a.0.total_cmp(&b.0));
        let step = boxes[i].height / (groups.len() + 1) as f64;
        for (at, (_, members)) in groups.into_iter().enumerate() {
            heights.extend(members.into_iter().map(|arrow| (arrow, boxes[i].y + step * (at + 1) as f64)));
        }
    }
    heights
}

/// The length of the longest way to each.
fn depths(above: &[Vec<usize>]) -> Vec<usize> {
    let mut depth: Vec<Option<usize>> = vec![None; above.len()];
    for start in 0..above.len() {
        let mut walk = vec![start];
        while let Some(&block) = walk.last() {
            match above[block].iter().find(|&&from| depth[from].is_none()) {
                Some(&from) if depth[block].is_none() => walk.push(from),
                _ => {
                    let deepest = above[block].iter().filter_map(|&from| depth[from]).max();
                    depth[block] = Some(deepest.map_or(0, |deepest| deepest + 1));
                    walk.pop();
                }
            }
        }
    }
    depth.into_iter().flatten().collect()
}

/// Places as near to the wishes as may be, in order and without overlaps.
fn apart(wishes: &[f64], sizes: &[f64]) -> Vec<f64> {
    // With all sizes taken off, places must only not decrease: those that would are pooled at their mean.
    let mut pools: Vec<(f64, usize)> = Vec::new();
    let mut offsets = Vec::new();
    let mut offset = 0.0;
    for (wish, size) in wishes.iter().zip(sizes) {
        pools.push((wish - offset, 1));
        offsets.push(offset);
        offset += size;
        while let [.., (above, n), (below, m)] = pools[..]
            && above / n as f64 > below / m as f64
        {
            pools.pop();
            pools.pop();
            pools.push((above + below, n + m));
        }
    }
    let places = pools.iter().flat_map(|(sum, count)| std::iter::repeat_n(sum / *count as f64, *count));
    places.zip(offsets).map(|(place, offset)| place + offset).collect()
}

/// The way of an arrow within a unit: straight down to the next box, past others on their left.
fn within(from: &Rect, to: &Rect) -> Vec<Point> {
    if to.y <= from.y + from.height + GAP {
        let x = from.x + from.width / 2.0;
        return vec![(x, from.y + from.height), (x, to.y)];
    }
    let left = from.x - FRAME / 2.0;
    let (start, end) = (from.y + from.height / 2.0, to.y + to.height / 2.0);
    vec![(from.x, start), (left, start), (left, end), (to.x, end)]
}

fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = numbers.fold((0.0, 0), |(sum, count), number| (sum + number, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::drawing::{Arrow, Box};
    use super::*;

    /// Chains of stages with arrows between any two of them, forwards.
    fn drawings() -> impl Strategy<Value = Drawing> {
        let units = prop::collection::vec(1..4usize, 1..8);
        let arrows = prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..2u8), 0..30);
        (units, arrows).prop_map(|(units, picks)| {
            let named = |shape, i: usize| Box { shape, title: format!("box {i}"), detail: "d".repeat(i % 60) };
            let mut boxes = vec![named(Shape::Source, 0), named(Shape::Source, 1)];
            let mut frames = Vec::new();
            for size in units {
                frames.push((boxes.len()..boxes.len() + size).collect::<Vec<_>>());
                boxes.extend((0..size).map(|i| named(Shape::Stage, i * 17)));
            }
            let next = frames.iter().flat_map(|frame| frame.windows(2)).map(|pair| (pair[0], pair[1], ""));
            let forks = frames.iter().filter(|frame| frame.len() == 3).map(|frame| (frame[0], frame[2], ""));
            let inner = next.chain(forks);
            let unit_of = |i: usize| frames.iter().position(|frame| frame.contains(&i));
            let ends = picks.iter().filter_map(|(a, b, out)| {
                let (a, b) = (a.index(boxes.len()), b.index(boxes.len()));
                let (from, to) = (a.min(b), a.max(b));
                let joins = to > 1 && from != to && unit_of(from) != unit_of(to);
                joins.then_some((from, to, ["", "rejects"][usize::from(*out)]))
            });
            let arrow =
                |(from, to, out): (usize, usize, &str)| Arrow { from, to, out: out.into(), into: String::new() };
            let arrows = inner.chain(ends).map(arrow).collect();
            Drawing { boxes, arrows, frames }
        })
    }

    fn overlaps(a: &Rect, b: &Rect) -> bool {
        a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height
    }

    proptest! {
        #[test]
        fn nothing_lies_on_anything_else(drawing in drawings()) {
            let layout = Layout::new(&drawing);
            for (i, rect) in layout.boxes.iter().enumerate() {
                prop_assert!(rect.x >= 0.0 && rect.x + rect.width <= layout.width);
                prop_assert!(rect.y >= 0.0 && rect.y + rect.height <= layout.height);
                prop_assert!(layout.boxes[..i].iter().all(|other| !overlaps(rect, other)));
            }
            for (i, frame) in layout.frames.iter().enumerate() {
                let inside = |b: &usize| overlaps(frame, &layout.boxes[*b]);
                prop_assert_eq!((0..layout.boxes.len()).filter(inside).collect::<Vec<_>>(), drawing.frames[i].clone());
            }
            for point in layout.routes.iter().flatten() {
                let within = |r: &Rect| point.0 > r.x && point.0 < r.x + r.width && point.1 > r.y && point.1 < r.y + r.height;
                prop_assert!(!layout.boxes.iter().any(within), "{point:?}");
            }
        }
    }

    #[test]
    fn wishes_are_met_as_far_as_there_is_room() {
        assert_eq!(apart(&[0.0, 50.0], &[10.0, 10.0]), [0.0, 50.0]);
        assert_eq!(apart(&[5.0, 5.0], &[10.0, 10.0]), [0.0, 10.0]);
        assert_eq!(apart(&[0.0, 100.0, 100.0, 300.0], &[20.0; 4]), [0.0, 90.0, 110.0, 300.0]);
    }
}
