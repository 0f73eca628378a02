//! The status page: what the daemon traces, and how well, for somebody with a browser or a phone. No scripts, nothing from
//! the network. Names and labels come from the targets: every text goes through [`Escaped`].

use std::fmt;
use std::io::{self, Write};

use crate::model::node::Node;

mod quality;
mod rows;

pub(super) const STYLE: &str = "\
:root{color-scheme:light dark;--line:#d5d5d5;--faint:#6a6a6a;--bad:#b00020;--link:#0b57d0;--back:#fff;--text:#1c1c1c}\
@media(prefers-color-scheme:dark){:root{--line:#3c3c3c;--faint:#a0a0a0;--bad:#ff8a80;--link:#8ab4f8;--back:#161616;\
--text:#e6e6e6}}\
body{font:15px/1.45 system-ui,sans-serif;margin:1rem;background:var(--back);color:var(--text)}\
h1{font-size:1.25rem;margin:0}h2{font-size:1rem;margin:1.5rem 0 .4rem}p{margin:.3rem 0}a{color:var(--link)}\
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
th,td{padding:.25rem .6rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap;vertical-align:top}\
th{font-weight:600;color:var(--faint)}th.t,td.t{text-align:left}\
td.l{text-align:left;white-space:normal;min-width:14rem}tr.p td{border-bottom:0;padding-bottom:0}\
.faint{color:var(--faint)}.bad{color:var(--bad)}";

/// A text of a target in HTML: it can end no element and no attribute, and holds no control characters.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for char in self.0.chars() {
            match char {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                char if char.is_control() => f.write_char('\u{fffd}')?,
                char => f.write_char(char)?,
            }
        }
        Ok(())
    }
}

/// Writes the page.
///
/// # Errors
/// Only those of the writer.
pub fn write(node: &Node, out: &mut dyn Write) -> io::Result<()> {
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>tracer</title><style>{STYLE}</style></head><body>\n"
    )?;
    header(node, out)?;
    rows::targets(&node.targets, out)?;
    rows::series(&node.series, out)?;
    quality::write(&node.own, out)?;
    writeln!(
        out,
        "<p class=\"faint\"><a href=\"metrics\">metrics</a> · <a href=\"targets\">targets as JSON</a> · \
         <a href=\"canary\">canaries</a> · \
         <a href=\"debug/pprof/heap\">profile of all</a> · <a href=\"sd/pprof\">discovery for scrapers</a></p>\n\
         </body></html>"
    )
}

fn header(node: &Node, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<h1>tracer {}</h1>", env!("CARGO_PKG_VERSION"))?;
    if node.started_at == jiff::Timestamp::default() {
        return writeln!(out, "<p>The daemon is starting: nothing is traced yet.</p>");
    }
    writeln!(out, "<p class=\"faint\">since {:.0} · as of {:.0}</p>", node.started_at, node.at)?;
    match (&node.own.config_error, node.own.config_is_good) {
        (Some(error), _) => writeln!(
            out,
            "<p class=\"bad\">The configuration was not taken, the one of {:.0} stays: {}</p>",
            node.own.config_loaded_at,
            Escaped(error)
        ),
        (None, false) => writeln!(out, "<p class=\"bad\">The configuration was not taken.</p>"),
        (None, true) => {
            writeln!(out, "<p class=\"faint\">configuration of {:.0}</p>", node.own.config_loaded_at)
        }
    }
}

#[cfg(test)]
mod tests;
