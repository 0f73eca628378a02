//! The columns of the list of sites: which there are, which of them have room, what stands in them and how they sort.

use std::sync::Arc;

use ratatui::style::Style;

use super::cells::{Align, Place, change_count, rate, short_count};
use super::picture::Picture;
use super::rows::{Grouping, High, Row};
use super::spark;
use crate::model::snapshot::{CallSite, Dimension};
use crate::units::{Bytes, BytesChange};
use crate::view::frame;

/// A share of a site's bytes that grows within a minute and is worth a colour.
const GROWTH_SHARE: f64 = 0.01;
/// Of the name: less says nothing.
const NAME_COLUMNS_MIN: usize = 30;
/// The same on screens with room: a function and its line, as in `create_session (leaky_service.c:98)`.
const NAME_COLUMNS: usize = 36;
/// Screens of this width have that room.
const ROOMY: usize = 100;
/// Screens of this width have room for two blanks between columns, and for whole trends.
const WIDE: usize = 200;

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    InuseBytes,
    InuseObjects,
    Error,
    Growth,
    Trend,
    BytesRate,
    ObjectsRate,
    AllocBytes,
    AllocObjects,
    Average,
    Oldest,
    High,
    Sites,
    Process,
    Thread,
    Allocator,
    Name,
}

/// What decides which columns there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    is_live: bool,
    has_recent: bool,
    is_sampled: bool,
    compares: bool,
    has_threads: bool,
    has_allocators: bool,
    has_processes: bool,
    pub(super) grouping: Grouping,
    /// The number whose error is shown.
    pub(super) precise: Dimension,
}

impl Column {
    /// Which of pprof's numbers it is, if any.
    const fn dimension(self) -> Option<Dimension> {
        match self {
            Self::InuseBytes => Some(Dimension::InuseSpace),
            Self::InuseObjects => Some(Dimension::InuseObjects),
            Self::AllocBytes => Some(Dimension::AllocSpace),
            Self::AllocObjects => Some(Dimension::AllocObjects),
            _ => None,
        }
    }

    /// The column of a number.
    pub(super) const fn of(dimension: Dimension) -> Self {
        match dimension {
            Dimension::InuseSpace => Self::InuseBytes,
            Dimension::InuseObjects => Self::InuseObjects,
            Dimension::AllocSpace => Self::AllocBytes,
            Dimension::AllocObjects => Self::AllocObjects,
        }
    }

    /// Whether rows can be put in its order.
    pub(super) const fn sorts(self) -> bool {
        !matches!(self, Self::Trend)
    }

    /// Words begin with A, numbers with the largest.
    pub(super) const fn is_text(self) -> bool {
        matches!(self, Self::Process | Self::Thread | Self::Allocator | Self::Name)
    }
}

impl Facts {
    /// `sort` is the column that the user chose.
    pub(super) fn of(picture: &Picture<'_>, grouping: Grouping, sort: Option<Column>) -> Self {
        let sites = &picture.snapshot.sites;
        let first = sites.first().and_then(|site| site.allocator.as_ref());
        let is_other = |site: &CallSite| match (first, &site.allocator) {
            (Some(one), Some(other)) => !Arc::ptr_eq(one, other) && one != other,
            (one, other) => one.is_some() != other.is_some(),
        };
        Self {
            is_live: picture.is_live(),
            has_recent: sites.iter().any(|site| site.recent.is_some()),
            is_sampled: picture.snapshot.is_sampled(),
            compares: picture.baseline.is_some(),
            has_threads: sites.iter().any(|site| site.thread.is_some()),
            has_allocators: sites.iter().any(is_other),
            has_processes: picture.targets().nth(1).is_some(),
            grouping,
            precise: sort.and_then(Column::dimension).unwrap_or(picture.dimension),
        }
    }

    /// In the order in which they stand.
    pub(super) fn columns(&self) -> Vec<Column> {
        use Column as C;
        let mut columns = Vec::new();
        if self.is_live {
            columns.extend([C::InuseBytes, C::InuseObjects]);
        } else {
            columns.extend([C::AllocBytes, C::AllocObjects]);
        }
        if self.has_recent {
            columns.extend(self.is_live.then_some(C::Growth));
            columns.push(C::Trend);
        }
        columns.extend([C::BytesRate, C::ObjectsRate]);
        if self.is_live {
            columns.extend([C::AllocBytes, C::AllocObjects]);
        }
        columns.push(C::Average);
        columns.extend(self.is_live.then_some(C::Oldest));
        columns.push(C::High);
        let is_group = self.grouping != Grouping::None;
        columns.extend(is_group.then_some(C::Sites));
        columns.extend((self.has_processes && !is_group).then_some(C::Process));
        columns.extend((self.has_threads && !is_group).then_some(C::Thread));
        columns.extend((!is_group).then_some(C::Allocator));
        columns.push(C::Name);
        if self.is_sampled {
            let at = columns.iter().position(|column| column.dimension() == Some(self.precise));
            columns.insert(at.map_or(0, |at| at + 1), C::Error);
        }
        columns
    }

    /// What the first columns to get room have least of.
    const fn rank(&self, column: Column) -> u8 {
        match column {
            Column::Name => 0,
            Column::InuseBytes => 1,
            Column::AllocBytes if !self.is_live => 1,
            Column::InuseObjects => 2,
            Column::AllocObjects if !self.is_live => 2,
            Column::Sites => 3,
            Column::Thread => 4,
            Column::Process => 5,
            Column::Growth => 6,
            Column::BytesRate => 7,
            Column::Error => 8,
            Column::High => 9,
            Column::Allocator if self.has_allocators => 10,
            Column::Trend => 11,
            Column::Average => 12,
            Column::Oldest => 13,
            Column::ObjectsRate => 14,
            Column::AllocBytes => 15,
            Column::AllocObjects => 16,
            Column::Allocator => 17,
        }
    }

    /// The columns that have room, in their places; that of `sort` always has.
    pub(super) fn placed(&self, x: u16, width: u16, sort: Column) -> Vec<(Column, Place)> {
        let whole = usize::from(width);
        let is_wide = whole >= WIDE;
        let gap = if is_wide { 2 } else { 1 };
        let offered = self.columns();
        let mut by_rank = offered.clone();
        by_rank.sort_by_key(|&column| (column != sort && column != Column::Name, self.rank(column)));
        let name_least = if whole < ROOMY { NAME_COLUMNS_MIN } else { NAME_COLUMNS };
        let mut room = whole.saturating_sub(name_least.max(whole * 3 / 10));
        by_rank.retain(|&column| {
            if matches!(column, Column::Name) {
                return true;
            }
            let left = room.checked_sub(usize::from(self.width(column, is_wide) + gap));
            room = left.unwrap_or(room);
            left.is_some() || column == sort
        });
        let mut at = x;
        let place = |column: Column| {
            let rest = (x + width).saturating_sub(at);
            let width = if column == Column::Name { rest } else { self.width(column, is_wide).min(rest) };
            let place = Place { x: at, width, align: self.align(column) };
            at = at.saturating_add(width + gap).min(x + whole as u16);
            (column, place)
        };
        offered.into_iter().filter(|column| by_rank.contains(column)).map(place).collect()
    }

    const fn width(&self, column: Column, is_wide: bool) -> u16 {
        match column {
            Column::InuseBytes if self.compares => 9,
            Column::AllocBytes => 10,
            Column::ObjectsRate if !self.has_recent => 9,
            Column::Average => 8,
            Column::Trend if is_wide => 20,
            Column::Trend => 10,
            Column::Error if self.compares => 10,
            Column::Error => 6,
            Column::Growth => 9,
            Column::InuseBytes | Column::InuseObjects | Column::BytesRate | Column::ObjectsRate => 8,
            Column::AllocObjects | Column::Oldest => 8,
            Column::High if self.compares => 8,
            Column::High => 5,
            Column::Sites => 6,
            Column::Process if is_wide => 22,
            Column::Process => 14,
            Column::Thread => 15,
            Column::Allocator => 10,
            Column::Name => 0,
        }
    }

    fn align(&self, column: Column) -> Align {
        match column {
            Column::InuseBytes
            | Column::AllocBytes
            | Column::Growth
            | Column::BytesRate
            | Column::Average => Align::Unit,
            Column::Error if self.compares => Align::Unit,
            Column::InuseObjects | Column::AllocObjects | Column::ObjectsRate => Align::Right,
            Column::Error | Column::Oldest | Column::Sites => Align::Right,
            _ => Align::Left,
        }
    }

    pub(super) const fn title(&self, column: Column) -> &'static str {
        match column {
            Column::InuseBytes => "IN USE",
            Column::InuseObjects => "OBJECTS",
            Column::Error => "±",
            Column::Growth => "GROWTH",
            Column::Trend => "MINUTE",
            Column::BytesRate if self.has_recent => "ALLOC/s",
            Column::BytesRate => "MEAN/s",
            Column::ObjectsRate if self.has_recent => "OBJS/s",
            Column::ObjectsRate => "MEAN OBJ",
            Column::AllocBytes => "ALLOCATED",
            Column::AllocObjects => "ALLOCS",
            Column::Average => "AVERAGE",
            Column::Oldest => "OLDEST",
            Column::High => "HIGH",
            Column::Sites => "SITES",
            Column::Process => "PROCESS",
            Column::Thread => "THREAD",
            Column::Allocator => "ALLOCATOR",
            Column::Name => match self.grouping {
                Grouping::None => "CALL SITE",
                Grouping::Function => "FUNCTION",
                Grouping::Module => "MODULE",
                Grouping::Thread => "THREAD",
            },
        }
    }

    /// The text and its look; not of the name, which has two parts.
    pub(super) fn cell(
        &self,
        column: Column,
        row: &Row<'_>,
        picture: &Picture<'_>,
        width: u16,
    ) -> (String, Style) {
        let theme = picture.theme;
        let bytes = |value: i64| {
            if self.compares {
                BytesChange(value).to_string()
            } else {
                Bytes(value.unsigned_abs()).to_string()
            }
        };
        let count =
            |value: i64| if self.compares { change_count(value) } else { short_count(value.unsigned_abs()) };
        let text = |text: Option<&str>| frame::printable(text.unwrap_or("-"));
        let plain = match column {
            Column::InuseBytes => bytes(row.shown.inuse_bytes),
            Column::InuseObjects => count(row.shown.inuse_objects),
            Column::AllocBytes => bytes(row.shown.alloc_bytes),
            Column::AllocObjects => count(row.shown.alloc_objects),
            Column::Growth => return growth(row, picture),
            Column::Error => return (self.error(row), theme.faint()),
            Column::Trend => {
                return (spark::line(&row.trend(), usize::from(width), spark::BYTES_MIN), theme.accent());
            }
            Column::BytesRate => Bytes(row.bytes_rate.round() as u64).to_string(),
            Column::ObjectsRate => rate(row.objects_rate),
            Column::Average => row
                .average_bytes(self.is_live)
                .map_or_else(|| "-".to_owned(), |bytes| Bytes(bytes.round() as u64).to_string()),
            Column::Oldest => row.oldest.map_or_else(|| "-".to_owned(), frame::age),
            Column::High => return self.high(row, picture),
            Column::Sites => short_count(row.members.len() as u64),
            Column::Process => process(picture, row.site),
            Column::Thread => text(row.site.thread.as_deref()),
            Column::Allocator => text(row.site.allocator.as_deref()),
            Column::Name => String::new(),
        };
        let is_nothing = matches!(plain.as_str(), "0 B" | "0" | "-");
        (plain, if is_nothing { theme.faint() } else { Style::new() })
    }

    /// The value that sorts a row, the larger the higher; of numbers.
    pub(super) fn weight(&self, column: Column, row: &Row<'_>) -> f64 {
        match column {
            Column::InuseBytes => row.shown.inuse_bytes as f64,
            Column::InuseObjects => row.shown.inuse_objects as f64,
            Column::AllocBytes => row.shown.alloc_bytes as f64,
            Column::AllocObjects => row.shown.alloc_objects as f64,
            Column::Growth => row.growth.map_or(f64::NEG_INFINITY, |growth| growth as f64),
            Column::Error if self.compares => row.variance,
            Column::Error => row.variance.sqrt() / (row.now.value(self.precise) as f64).max(1.0),
            Column::BytesRate => row.bytes_rate,
            Column::ObjectsRate => row.objects_rate,
            Column::Average => row.average_bytes(self.is_live).unwrap_or(-1.0),
            Column::Oldest => row.oldest.unwrap_or(-1.0),
            Column::High => f64::from(row.high as u8) + if row.is_new { 0.5 } else { 0.0 },
            Column::Sites => row.members.len() as f64,
            Column::Trend | Column::Process | Column::Thread | Column::Allocator | Column::Name => 0.0,
        }
    }

    /// One standard error: as a share of the number, of a change as an amount.
    fn error(&self, row: &Row<'_>) -> String {
        let error = row.variance.sqrt();
        let mark = if row.has_few_samples && error > 0.0 { "*" } else { " " };
        match (self.compares, row.now.value(self.precise)) {
            (false, 0) => "- ".to_owned(),
            (false, value) => format!("±{:.0}%{mark}", error / value as f64 * 100.0),
            (true, _) if matches!(self.precise, Dimension::InuseSpace | Dimension::AllocSpace) => {
                format!("±{}", Bytes(error.round() as u64))
            }
            (true, _) => format!("±{}", short_count(error.round() as u64)),
        }
    }

    fn high(&self, row: &Row<'_>, picture: &Picture<'_>) -> (String, Style) {
        let (high, style) = match row.high {
            High::Both => ("both", picture.theme.bad()),
            High::Bytes => ("fat", picture.theme.warning()),
            High::Objects => ("many", picture.theme.warning()),
            High::None => ("", picture.theme.warning()),
        };
        (if self.compares && row.is_new { format!("new {high}") } else { high.to_owned() }, style)
    }
}

/// The name of a site's process.
pub(super) fn process(picture: &Picture<'_>, site: &CallSite) -> String {
    let comm = picture.snapshot.targets.iter().find(|target| target.pid == site.pid);
    let comm = comm.map_or("", |target| target.comm.as_str());
    frame::printable(&format!("{} {comm}", site.pid))
}

fn growth(row: &Row<'_>, picture: &Picture<'_>) -> (String, Style) {
    let Some(growth) = row.growth else { return ("-".to_owned(), picture.theme.faint()) };
    let grows = growth as f64 > row.now.inuse_bytes as f64 * GROWTH_SHARE;
    let style = match growth {
        0 => picture.theme.faint(),
        _ if grows => picture.theme.warning(),
        _ => Style::new(),
    };
    (BytesChange(growth).to_string(), style)
}
