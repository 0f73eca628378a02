//! Comparisons of made-up services whose truth is known.

mod documents;
mod exposures;
mod matches;
mod monte_carlo;
mod verdicts;
