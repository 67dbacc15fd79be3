//! The results as a picture: for each cell a bar per server, and on it where the middle half of its ratios lies.

use std::fmt::Write;

use crate::cell::Cell;
use crate::peers::Kind;
use crate::samples::{Results, Spread};
use crate::table::thousands;

/// All cells, two side by side.
pub(crate) fn svg(results: &Results) -> String {
    let panel = HEAD + ROW * results.peers.len() as f64 + GAP;
    let lines = results.cells.len().div_ceil(COLUMNS);
    let (width, height) = (PANEL * COLUMNS as f64, TITLE + panel * lines as f64);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\
         <style>{STYLE}</style><rect width=\"100%\" height=\"100%\" class=\"ground\"/>"
    );
    label(
        &mut text,
        MARGIN,
        26.0,
        "title",
        "Processor time of an echo server per message, in times gnezdo's",
    );
    for (index, cell) in results.cells.iter().enumerate() {
        let (x, y) = (PANEL * (index % COLUMNS) as f64, TITLE + panel * (index / COLUMNS) as f64);
        draw(&mut text, results, cell, x + MARGIN, y);
    }
    text.push_str("</svg>\n");
    text
}

fn draw(text: &mut String, results: &Results, cell: &Cell, x: f64, y: f64) {
    label(text, x, y + 14.0, "cell", cell.name);
    let mut top = y + HEAD;
    for (row, peer) in results.peers.iter().enumerate() {
        let (Some(ratio), Some(cpu)) =
            (results.spread_of_ratio(cell, row), results.spread(cell, row, |sample| sample.cpu))
        else {
            continue;
        };
        label(text, x, top + 11.0, "name", &peer.name);
        let class = if peer.kind == Kind::Ours { "ours" } else { "bar" };
        bar(text, x + NAMES, top, ratio, class);
        let end = x + NAMES + scaled(ratio.high.max(ratio.median)) + 6.0;
        label(text, end, top + 11.0, "value", &format!("{:.2} · {} ns", ratio.median, thousands(cpu.median)));
        top += ROW;
    }
}

fn bar(text: &mut String, x: f64, top: f64, ratio: Spread, class: &str) {
    let (low, median, high) = (x + scaled(ratio.low), scaled(ratio.median), x + scaled(ratio.high));
    let middle = top + 7.0;
    let _ = write!(
        text,
        "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{median:.1}\" height=\"14\" class=\"{class}\"/>\
         <path d=\"M{low:.1} {middle:.1}H{high:.1}M{low:.1} {:.1}v6M{high:.1} {:.1}v6\" class=\"spread\"/>",
        middle - 3.0,
        middle - 3.0,
    );
    if ratio.median > LARGEST {
        let _ = write!(text, "<path d=\"M{:.1} {:.1}l-6 18\" class=\"cut\"/>", x + median - 6.0, top - 2.0);
    }
}

fn label(text: &mut String, x: f64, y: f64, class: &str, content: &str) {
    let _ = write!(text, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{content}</text>");
}

/// A ratio as a length; what is too long for the picture ends at its edge, cut across, and its number tells.
fn scaled(ratio: f64) -> f64 {
    ratio.clamp(0.0, LARGEST) * UNIT
}

const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#1f2933}.title{font-size:17px;font-weight:600}.cell{font-weight:600}\
.name,.value{font-size:11px}.value{fill:#52606d}.ground{fill:#fff}.bar{fill:#9fb3c8}.ours{fill:#0b7285}\
.spread{stroke:#102a43;fill:none}.cut{stroke:#fff;stroke-width:3}\
@media(prefers-color-scheme:dark){.cut{stroke:#14191f}text{fill:#e4e7eb}.value{fill:#9aa5b1}.ground{fill:#14191f}.bar{fill:#486581}\
.ours{fill:#22b8cf}.spread{stroke:#f0f4f8}}";

const COLUMNS: usize = 2;
const PANEL: f64 = 470.0;
const MARGIN: f64 = 12.0;
const TITLE: f64 = 44.0;
const HEAD: f64 = 22.0;
const ROW: f64 = 18.0;
const GAP: f64 = 16.0;
/// Room for the names of the servers.
const NAMES: f64 = 125.0;
/// How long a ratio of 1 is, and the largest that is drawn.
const UNIT: f64 = 65.0;
const LARGEST: f64 = 3.2;
