//! `tracer daemon` as it is run: the built program with a configuration, and what real programs read from it.

mod books;
mod churn;
mod control;
mod counts;
mod dashboard;
mod driver;
mod faults;
mod labels;
mod page;
mod profiles;
mod rules;
mod shop;
mod story;
