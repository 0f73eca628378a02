//! What call sites and groups of them are called.

use std::borrow::Cow;

use ratatui::style::Style;

use super::cells::{self, Piece};
use super::names::FunctionId;
use super::picture::Picture;
use super::rows::{Grouping, Row};
use crate::model::snapshot::CallSite;
use crate::view::{frame, words};

/// What a row is called, and where that is.
pub(super) fn name(picture: &Picture<'_>, grouping: Grouping, row: &Row<'_>, width: usize) -> Vec<Piece> {
    let faint = picture.theme.faint();
    match grouping {
        Grouping::None => site_name(picture, row.site, width),
        Grouping::Function => {
            let function = function(picture, row.site).map(|id| picture.names.function(id));
            let module = function.map_or_else(String::new, |function| format!(" [{}]", function.module));
            let name = group_name(picture, grouping, row);
            let room = width.saturating_sub(frame::columns(&module));
            // A whole name tells more than where it is.
            if room < frame::columns(&name) && frame::columns(&name) <= width {
                return vec![(name.into_owned(), Style::new())];
            }
            vec![(frame::fold(&name, room), Style::new()), (module, faint)]
        }
        Grouping::Module | Grouping::Thread => {
            vec![(cells::cut(&group_name(picture, grouping, row), width), Style::new())]
        }
    }
}

/// The function that tells most, and its place.
pub(super) fn site_name(picture: &Picture<'_>, site: &CallSite, width: usize) -> Vec<Piece> {
    let faint = picture.theme.faint();
    let known = picture.names.of(site).map_or_else(|| frame::telling(&site.frames), |stack| stack.telling);
    let Some(telling) = known.and_then(|at| site.frames.get(at)) else {
        let why = site.truncated.as_deref().map_or("unknown", words::truncated);
        return vec![(cells::cut(&format!("[no stack: {why}]"), width), faint)];
    };
    let (name, place) = frame::parts(telling, width);
    vec![(name, Style::new()), (format!(" {place}"), faint)]
}

fn function(picture: &Picture<'_>, site: &CallSite) -> Option<FunctionId> {
    picture.names.of(site).and_then(|stack| stack.telling.map(|at| stack.functions[at]))
}

/// What a group is called, of a site its function.
pub(super) fn group_name<'a>(picture: &Picture<'a>, grouping: Grouping, row: &Row<'a>) -> Cow<'a, str> {
    let function = function(picture, row.site).map(|id| picture.names.function(id));
    let name: Cow<'a, str> = match grouping {
        Grouping::None | Grouping::Function => function.map_or("", |function| &function.name).into(),
        Grouping::Module => function.map_or("", |function| &function.module).into(),
        Grouping::Thread => frame::printable(row.site.thread.as_deref().unwrap_or_default()).into(),
    };
    if name.is_empty() { "[unknown]".into() } else { name }
}
