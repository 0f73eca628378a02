//! `tracer daemon` as it is run: the built program with a configuration, and what real programs read from it.

pub(crate) mod books;
mod churn;
mod control;
mod counts;
mod dashboard;
pub(crate) mod driver;
mod faults;
mod gates;
mod labels;
mod page;
mod privileges;
mod profiles;
mod rules;
mod rules_in_seconds;
mod shop;
mod story;
