//! Charts as SVG, legible on light and on dark pages: bars and lines side by side, both on scales of powers of ten.

use std::fmt::Write;

/// One colour for all words and axes, which stands out from white and from black.
const INK: &str = "#7a828c";
const HEIGHT: f64 = 400.0;
const WIDTH: f64 = 460.0;
/// What is left around the plot of a panel, for its words.
const LEFT: f64 = 90.0;
const RIGHT: f64 = 32.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 64.0;
/// The height of a row of the legend, and how many names are in one.
const LEGEND: f64 = 24.0;
const IN_ROW: usize = 4;

/// What is drawn: a name in the legend, and how it looks.
pub(super) struct Look {
    pub(super) name: String,
    pub(super) color: &'static str,
    /// A pattern of dashes; empty for none.
    pub(super) dashes: &'static str,
}

/// A panel.
pub(super) struct Panel {
    pub(super) title: String,
    /// The words below the plot.
    pub(super) below: String,
    /// What the powers of ten beside the plot are written as.
    pub(super) unit: fn(f64) -> String,
    pub(super) plot: Plot,
}

/// Per look in the chart's order.
pub(super) enum Plot {
    /// One number each, in groups with a name and a length.
    Bars(Vec<f64>, Vec<(String, usize)>),
    /// Points each.
    Lines(Vec<Vec<(f64, f64)>>),
}

/// Panels from left to right, and the legend below.
pub(super) fn svg(looks: &[Look], panels: &[Panel]) -> String {
    let (width, height) = (WIDTH * panels.len() as f64, HEIGHT + LEGEND * looks.len().div_ceil(IN_ROW) as f64);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"{INK}\">\n"
    );
    for (number, panel) in panels.iter().enumerate() {
        push(&mut text, format_args!("<g transform=\"translate({}, 0)\">\n", WIDTH * number as f64));
        panel.draw(looks, &mut text);
        text.push_str("</g>\n");
    }
    legend(looks, width, &mut text);
    text + "</svg>\n"
}

fn legend(looks: &[Look], width: f64, text: &mut String) {
    let step = (width - 2.0 * RIGHT) / IN_ROW as f64;
    for (number, Look { name, color, dashes }) in looks.iter().enumerate() {
        let (x, y) = (RIGHT + step * (number % IN_ROW) as f64, HEIGHT + LEGEND * (number / IN_ROW) as f64 + 4.0);
        line(text, [x, y, x + 24.0, y], color, 3.0, dashes);
        words(text, x + 30.0, y + 4.0, "start", name);
    }
}

impl Panel {
    fn draw(&self, looks: &[Look], text: &mut String) {
        words(text, (LEFT + WIDTH - RIGHT) / 2.0, 22.0, "middle", &self.title);
        words(text, (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 14.0, "middle", &self.below);
        let scale = self.plot.scale();
        for power in scale.powers() {
            let y = scale.place(power);
            line(text, [LEFT, y, WIDTH - RIGHT, y], INK, 0.4, "");
            words(text, LEFT - 8.0, y + 4.0, "end", &(self.unit)(power));
        }
        match &self.plot {
            Plot::Bars(numbers, groups) => self.bars(numbers, groups, looks, &scale, text),
            Plot::Lines(lines) => curves(lines, looks, &scale, text),
        }
    }

    fn bars(&self, numbers: &[f64], groups: &[(String, usize)], looks: &[Look], scale: &Scale, text: &mut String) {
        let slots = numbers.len() + groups.len();
        let (step, floor) = ((WIDTH - LEFT - RIGHT) / slots as f64, HEIGHT - BOTTOM);
        let (mut x, mut bars) = (LEFT + step / 2.0, numbers.iter().zip(looks));
        for (name, length) in groups {
            words(text, x + step * *length as f64 / 2.0, floor + 18.0, "middle", name);
            for (number, look) in bars.by_ref().take(*length) {
                let y = scale.place(*number);
                push(
                    text,
                    format_args!(
                        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"/>\n",
                        step * 0.84,
                        floor - y,
                        look.color
                    ),
                );
                words(text, x + step * 0.42, y - 4.0, "middle", &(self.unit)(*number));
                x += step;
            }
            x += step;
        }
    }
}

impl Plot {
    /// Of what is up and down. The least bar is seen to be one.
    fn scale(&self) -> Scale {
        let heights = match self {
            Plot::Bars(numbers, _) => numbers.iter().flat_map(|number| [*number, number / 3.0]).collect(),
            Plot::Lines(lines) => lines.iter().flatten().map(|(_, y)| *y).collect(),
        };
        Scale::around(heights, HEIGHT - BOTTOM, TOP)
    }
}

fn curves(lines: &[Vec<(f64, f64)>], looks: &[Look], scale: &Scale, text: &mut String) {
    let along = Scale::around(lines.iter().flatten().map(|(x, _)| *x).collect(), LEFT, WIDTH - RIGHT);
    for power in along.powers() {
        words(text, along.place(power), HEIGHT - BOTTOM + 18.0, "middle", &format!("{power}"));
    }
    for (points, Look { color, dashes, .. }) in lines.iter().zip(looks) {
        let places: Vec<_> = points.iter().map(|(x, y)| (along.place(*x), scale.place(*y))).collect();
        for pair in places.windows(2) {
            line(text, [pair[0].0, pair[0].1, pair[1].0, pair[1].1], color, 2.0, dashes);
        }
        for (x, y) in places {
            push(text, format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{color}\"/>\n"));
        }
    }
}

/// Numbers by their logarithms, between two places.
struct Scale {
    powers: (i32, i32),
    places: (f64, f64),
}

impl Scale {
    /// From the power of ten below the least of these positive numbers to that above the greatest.
    fn around(numbers: Vec<f64>, first: f64, last: f64) -> Self {
        let least = numbers.iter().copied().fold(f64::INFINITY, f64::min).log10().floor() as i32;
        let greatest = numbers.iter().copied().fold(0.0, f64::max).log10().ceil() as i32;
        Self { powers: (least, greatest.max(least + 1)), places: (first, last) }
    }

    fn place(&self, number: f64) -> f64 {
        let (least, greatest) = (f64::from(self.powers.0), f64::from(self.powers.1));
        let part = (number.log10() - least) / (greatest - least);
        self.places.0 + part * (self.places.1 - self.places.0)
    }

    fn powers(&self) -> impl Iterator<Item = f64> {
        (self.powers.0..=self.powers.1).map(|power| 10_f64.powi(power))
    }
}

fn line(text: &mut String, [x1, y1, x2, y2]: [f64; 4], color: &str, width: f64, dashes: &str) {
    let dashes = if dashes.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dashes}\"") };
    push(
        text,
        format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{color}\" \
             stroke-width=\"{width}\"{dashes}/>\n"
        ),
    );
}

fn words(text: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    push(text, format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>\n"));
}

fn push(text: &mut String, more: std::fmt::Arguments<'_>) {
    // Writing to a text can't fail.
    let _ = text.write_fmt(more);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_go_from_power_to_power() {
        let scale = Scale::around(vec![3.0, 250.0], 0.0, 300.0);
        assert_eq!(scale.powers().collect::<Vec<_>>(), [1.0, 10.0, 100.0, 1000.0]);
        assert_eq!([1.0, 10.0, 1000.0].map(|number| scale.place(number).round()), [0.0, 100.0, 300.0]);
    }

    #[test]
    fn everything_is_drawn_once() {
        let look = |name: &str| Look { name: name.to_owned(), color: "#123456", dashes: "4 2" };
        let plots = [
            Plot::Bars(vec![1.0, 20.0], vec![("both".to_owned(), 2)]),
            Plot::Lines(vec![vec![(1.0, 1.0), (10.0, 5.0)], vec![(1.0, 2.0)]]),
        ];
        let panel =
            |plot| Panel { title: "t".to_owned(), below: "b".to_owned(), unit: |number| number.to_string(), plot };
        let text = svg(&[look("a"), look("b")], &plots.map(panel));
        assert_eq!((text.matches("<rect").count(), text.matches("<circle").count()), (2, 3));
        assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"));
    }
}
