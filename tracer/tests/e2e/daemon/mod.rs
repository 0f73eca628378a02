//! `tracer daemon` as it is run: the built program with a configuration, and what real programs read from it.

pub(crate) mod books;
mod churn;
mod control;
mod counts;
mod dashboard;
pub(crate) mod driver;
mod faults;
pub(crate) mod gates;
mod labels;
mod page;
mod privileges;
mod profiles;
mod rules;
pub(crate) mod rules_in_seconds;
pub(crate) mod shop;
mod story;
