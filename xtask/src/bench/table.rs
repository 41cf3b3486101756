use std::fmt;

/// What stands beside a figure with a target.
pub(super) fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "**NOT met**" }
}

/// A line of a table of figures, their targets and verdicts.
pub(super) fn row(what: &str, measured: String, target: &str, verdict: &str) -> Vec<String> {
    vec![what.to_owned(), measured, target.to_owned(), verdict.to_owned()]
}

/// In markdown, which a terminal shows well enough.
pub(super) fn write_table(f: &mut fmt::Formatter<'_>, header: &[&str], rows: &[Vec<String>]) -> fmt::Result {
    let cell_width = |column: usize| move |row: &Vec<String>| row[column].chars().count();
    let width = |column: usize| rows.iter().map(cell_width(column)).fold(header[column].len(), usize::max);
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |f: &mut fmt::Formatter<'_>, cells: &mut dyn Iterator<Item = &str>| {
        for (cell, width) in cells.zip(&widths) {
            write!(f, "| {cell:<width$} ")?;
        }
        writeln!(f, "|")
    };
    line(f, &mut header.iter().copied())?;
    let dashes: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    line(f, &mut dashes.iter().map(String::as_str))?;
    rows.iter().try_for_each(|row| line(f, &mut row.iter().map(String::as_str)))
}
