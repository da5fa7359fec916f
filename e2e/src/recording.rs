//! A terminal's screen as an SVG, readable on light and dark pages, and its text for comparison.

use std::fmt::Write as _;

use vt100::{Cell, Color, Screen};

/// Sizes in pixels: of a character, of a line, and around the text.
const CHAR: f64 = 8.4;
const LINE: f64 = 19.0;
const MARGIN: f64 = 14.0;

/// Colors by the number that terminals have for them: GitHub's, for light pages and for dark ones.
const STYLE: &str = "\
svg { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace }
rect { fill: #f6f8fa; stroke: #d0d7de }
text { fill: #1f2328; white-space: pre }
.b { font-weight: 600 } .d { fill: #656d76 }
.c1 { fill: #cf222e } .c2 { fill: #116329 } .c3 { fill: #7d4e00 }
.c4 { fill: #0550ae } .c5 { fill: #8250df } .c6 { fill: #1b7c83 }
@media (prefers-color-scheme: dark) {
rect { fill: #161b22; stroke: #30363d }
text { fill: #e6edf3 }
.d { fill: #848d97 }
.c1 { fill: #ff7b72 } .c2 { fill: #3fb950 } .c3 { fill: #d29922 }
.c4 { fill: #58a6ff } .c5 { fill: #bc8cff } .c6 { fill: #39c5cf }
}
";

/// The screen up to its last line with text, but without the last prompt.
pub fn svg(screen: &Screen, title: &str) -> String {
    let cols = screen.size().1.get();
    let mut rows: Vec<u16> = (0..screen.size().0.get()).collect();
    let is_text = |row: &u16| !matches!(plain(screen, *row, cols).trim(), "" | "$");
    let length = rows.iter().rposition(is_text).map_or(0, |last| last + 1);
    rows.truncate(length);
    let (width, height) = (
        f64::from(cols) * CHAR + 2.0 * MARGIN,
        rows.len() as f64 * LINE + 2.0 * MARGIN,
    );
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n\
         <rect x=\"0.5\" y=\"0.5\" width=\"{:.0}\" height=\"{:.0}\" rx=\"6\"/>\n",
        escaped(title),
        width - 1.0,
        height - 1.0
    );
    for row in rows {
        let y = MARGIN + LINE * (f64::from(row) + 0.75);
        let _ = writeln!(
            out,
            "<text x=\"{MARGIN}\" y=\"{y:.2}\">{}</text>",
            spans(screen, row, cols)
        );
    }
    out + "</svg>\n"
}

/// The lines of a recording, with numbers and ids replaced by `N`: they differ each time.
pub fn lines(svg: &str) -> Vec<String> {
    let rows = svg.lines().filter(|line| line.starts_with("<text "));
    rows.map(|row| {
        let text: String = row
            .split('<')
            .map(|part| part.split_once('>').map_or("", |(_, text)| text))
            .collect();
        steady(
            &text
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&amp;", "&"),
        )
    })
    .collect()
}

/// A line without what differs each time: numbers with their units, hexadecimal ids, and how many spaces stand in a row.
fn steady(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let is_id = word.len() >= 7 && word.chars().all(|char| char.is_ascii_hexdigit());
        if is_id {
            return "N".to_owned();
        }
        let mut out = String::new();
        for char in word.chars() {
            match char.is_ascii_digit() {
                true if out.ends_with('N') => {}
                true => out.push('N'),
                false if char == '.' && out.ends_with('N') => {}
                false => out.push(char),
            }
        }
        out
    });
    let mut line: Vec<String> = words.collect();
    // `85 ms` one time and `1.2 s` another.
    for at in 1..line.len() {
        let unit = line[at].trim_end_matches([',', ')', '.']);
        if line[at - 1].ends_with('N') && ["ms", "s", "B", "KiB", "MiB", "GiB"].contains(&unit) {
            line[at] = line[at].replace(unit, "U");
        }
    }
    line.join(" ")
}

fn plain(screen: &Screen, row: u16, cols: u16) -> String {
    let cells = (0..cols).filter_map(|col| screen.cell(row, col));
    cells.map(text).collect()
}

fn text(cell: &Cell) -> &str {
    match (cell.has_contents(), cell.is_wide_continuation()) {
        (true, _) => cell.contents(),
        (false, true) => "",
        (false, false) => " ",
    }
}

/// The text of a row, with an element around each part that has a style.
fn spans(screen: &Screen, row: u16, cols: u16) -> String {
    let mut parts: Vec<(String, String)> = Vec::new();
    for cell in (0..cols).filter_map(|col| screen.cell(row, col)) {
        // A space has no color.
        let class = match text(cell).trim() {
            "" => parts.last().map(|(class, _)| class.clone()).unwrap_or_default(),
            _ => class(cell),
        };
        match parts.last_mut() {
            Some((last, part)) if *last == class => part.push_str(text(cell)),
            _ => parts.push((class, text(cell).to_owned())),
        }
    }
    if let Some((_, last)) = parts.last_mut() {
        last.truncate(last.trim_end().len());
    }
    let parts = parts.iter().map(|(class, part)| match class.as_str() {
        "" => escaped(part),
        class => format!("<tspan class=\"{class}\">{}</tspan>", escaped(part)),
    });
    parts.collect()
}

fn class(cell: &Cell) -> String {
    let color = match cell.fgcolor() {
        Color::Idx(color @ (1..=6 | 9..=14)) => format!("c{}", color % 8),
        Color::Idx(8) => "d".to_owned(),
        _ if cell.dim() => "d".to_owned(),
        _ => String::new(),
    };
    match (cell.bold(), color.as_str()) {
        (false, _) => color,
        (true, "") => "b".to_owned(),
        (true, color) => format!("b {color}"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(written: &str) -> String {
        let mut parser = vt100::Parser::new(10.try_into().unwrap(), 60.try_into().unwrap(), 0);
        parser.process(written.as_bytes());
        svg(parser.screen(), "a <title>")
    }

    #[test]
    fn a_screen_is_drawn_with_its_styles() {
        let svg = recorded("$ banger\r\n\x1b[1;31merror:\x1b[0m a <b> & c\r\n$ ");
        assert!(svg.contains("<title>a &lt;title&gt;</title>"), "{svg}");
        assert!(svg.contains("<tspan class=\"b c1\">error:"), "{svg}");
        assert_eq!(lines(&svg), ["$ banger", "error: a <b> & c"]);
    }

    #[test]
    fn what_differs_each_time_is_not_compared() {
        let (one, other) = (
            recorded("web  85 ms, 12.4 MiB at 3f2a91c7\r\nport 8080:80"),
            recorded("web   1.2 s, 900 KiB at 0123456789ab\r\nport 8081:81"),
        );
        assert_eq!(lines(&one), lines(&other));
        assert_ne!(
            lines(&one),
            lines(&recorded("web 85 ms, 12.4 MiB of 3f2a91c7\r\nport 8080:80"))
        );
    }
}
