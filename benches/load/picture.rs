//! Draws docs/members.svg: the cost of a delivery against the number of members.

use std::fmt::Write as _;
use std::fs;

use crate::Result;
use crate::figure::{short, whole};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/members.svg");
/// The plot area, in pixels.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 696.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 300.0;
/// The ends of the members axis, and its labels.
const TICKS: [f64; 4] = [10.0, 100.0, 1000.0, 10_000.0];

/// Colours follow the reader's colour scheme.
const STYLE: &str = "
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 }
  .grid { stroke: #d1d9e0 }
  .floor { stroke: #59636e; stroke-width: 1.5; stroke-dasharray: 5 4 }
  .curve { fill: none; stroke-width: 2.5 }
  .c0 { stroke: #0757c2 } .c1 { stroke: #b83c00 }
  circle.c0 { fill: #0757c2 } circle.c1 { fill: #b83c00 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .grid { stroke: #3d444d }
    .floor { stroke: #9198a1 }
    .c0 { stroke: #6cb0ff } .c1 { stroke: #ff9a57 }
    circle.c0 { fill: #6cb0ff } circle.c1 { fill: #ff9a57 }
  }
";

/// The curve of one setting.
pub(crate) struct Curve {
    pub(crate) name: String,
    /// Members, and microseconds per delivery.
    pub(crate) points: Vec<(f64, f64)>,
}

/// Draws the curves above the floor, in microseconds.
pub(crate) fn write(curves: &[Curve], floor: f64, machine: &str) -> Result<()> {
    fs::write(FILE, draw(curves, floor, machine))?;
    Ok(())
}

fn draw(curves: &[Curve], floor: f64, machine: &str) -> String {
    let costs = curves.iter().flat_map(|curve| &curve.points).map(|(_, cost)| *cost);
    let step = step(costs.fold(0.0, f64::max));
    let most = step * 5.0;
    let across = |members: f64| {
        LEFT + (RIGHT - LEFT) * (members / TICKS[0]).log10() / (TICKS[TICKS.len() - 1] / TICKS[0]).log10()
    };
    let up = |cost: f64| BOTTOM - (BOTTOM - TOP) * cost / most;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 720 360\" role=\"img\" aria-labelledby=\"t\">\n\
         <title id=\"t\">CPU of the nodes for each delivery, in rooms of 10 to 10,000 members</title>\n\
         <desc>{}</desc>\n<style>{STYLE}</style>\n",
        escaped(machine)
    );
    text(&mut svg, LEFT, 22.0, "start", "title", "CPU of the nodes for each delivery, in µs");
    for line in 0..=5 {
        let cost = step * f64::from(line);
        let y = up(cost);
        let _ = writeln!(svg, r#"<path class="grid" d="M{LEFT} {y:.1}H{RIGHT}"/>"#);
        text(&mut svg, LEFT - 8.0, y + 4.5, "end", "", &trimmed(cost));
    }
    for members in TICKS {
        let x = across(members);
        let _ = writeln!(svg, r#"<path class="grid" d="M{x:.1} {TOP}V{}"/>"#, BOTTOM + 5.0);
        text(&mut svg, x, BOTTOM + 22.0, "middle", "", &whole(members));
    }
    text(&mut svg, LEFT.midpoint(RIGHT), BOTTOM + 46.0, "middle", "", "members of the room");
    let _ = writeln!(svg, r#"<path class="floor" d="M{LEFT} {:.1}H{RIGHT}"/>"#, up(floor));
    let mut legend = LEFT;
    for (class, curve) in curves.iter().enumerate() {
        let points =
            curve.points.iter().map(|(members, cost)| format!("{:.1},{:.1} ", across(*members), up(*cost)));
        let points: String = points.collect();
        let _ = writeln!(svg, r#"<polyline class="curve c{class}" points="{}"/>"#, points.trim_end());
        for (members, cost) in &curve.points {
            let (x, y) = (across(*members), up(*cost));
            let label = format!("{} members: {} µs", whole(*members), short(*cost));
            let _ = writeln!(
                svg,
                r#"<circle class="c{class}" cx="{x:.1}" cy="{y:.1}" r="4"><title>{label}</title></circle>"#
            );
        }
        let _ = writeln!(svg, r#"<path class="curve c{class}" d="M{legend} 39h24"/>"#);
        text(&mut svg, legend + 30.0, 43.5, "start", "", &curve.name);
        legend += 180.0;
    }
    let _ = writeln!(svg, r#"<path class="floor" d="M{legend} 39h24"/>"#);
    text(&mut svg, legend + 30.0, 43.5, "start", "", "what the kernel takes for one send()");
    svg + "</svg>\n"
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, class: &str, words: &str) {
    let words = escaped(words);
    let _ =
        writeln!(svg, r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{words}</text>"#);
}

/// Five steps of a round size reach this.
fn step(most: f64) -> f64 {
    let least = most.max(0.01) / 5.0;
    let ten = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0]
        .map(|round| round * ten)
        .into_iter()
        .find(|step| *step >= least)
        .unwrap_or(least)
}

fn trimmed(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
