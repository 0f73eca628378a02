//! What a call site is called.

use std::collections::HashMap;
use std::sync::Arc;

use super::SiteChange;
use super::identity::basename;
use crate::frame::Frame;

/// Callers that a name has at most.
const MOST_CALLERS: usize = 4;

/// `function (file:line)` of the frame that tells most.
pub(super) fn name(frames: &[Arc<Frame>], telling: fn(&[Arc<Frame>]) -> Option<usize>) -> String {
    let Some(frame) = telling(frames).and_then(|at| frames.get(at)).or_else(|| frames.first()) else {
        return "[no stack]".to_owned();
    };
    let function = function(frame);
    match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!("{function} ({}:{line})", basename(file)),
        (Some(file), None) => format!("{function} ({})", basename(file)),
        (None, _) => function,
    }
}

fn function(frame: &Frame) -> String {
    let module = || frame.module.as_deref().map_or("unknown", basename);
    frame.function.clone().unwrap_or_else(|| format!("[{}]", module()))
}

/// Gives call sites of one name the functions that call them, as many as tell them apart: a helper that all code allocates by
/// names none of it.
pub(super) fn tell_apart(sites: &mut [SiteChange], telling: fn(&[Arc<Frame>]) -> Option<usize>) {
    for depth in 1..=MOST_CALLERS {
        let mut times: HashMap<String, u32> = HashMap::new();
        for site in &*sites {
            *times.entry(site.name.clone()).or_default() += 1;
        }
        for site in &mut *sites {
            let at = telling(&site.frames).map(|at| at + depth);
            let caller = at.and_then(|at| site.frames.get(at)).map(|frame| function(frame));
            if let Some(caller) = caller.filter(|_| times.get(&site.name).is_some_and(|&times| times > 1)) {
                site.name = format!("{} ← {caller}", site.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::comparison::MatchKind;
    use super::super::testing::stack;
    use super::*;

    #[test]
    fn sites_of_one_helper_are_told_apart_by_who_calls_it() {
        let check = |stacks: &[&str], expect: &[&str]| {
            let telling = |frames: &[Arc<Frame>]| frames.iter().position(|frame| frame.function.is_some());
            let site = |text: &&str| {
                let frames: Arc<[_]> = stack(text).into();
                SiteChange {
                    name: name(&frames, telling),
                    matched: MatchKind::Same,
                    rows: Vec::new(),
                    mean_size: crate::canary::MeanSize::default(),
                    share: None,
                    weight: 0.0,
                    samples: [0; 2],
                    explains: false,
                    frames,
                }
            };
            let mut sites: Vec<SiteChange> = stacks.iter().map(site).collect();
            tell_apart(&mut sites, telling);
            let names: Vec<&str> = sites.iter().map(|site| site.name.as_str()).collect();
            assert_eq!(names, expect);
        };
        check(
            &[
                "grow a.c:1, read a.c:5, main a.c:9",
                "grow a.c:1, write a.c:7, main a.c:9",
                "parse b.c:2, main a.c:9",
            ],
            &["grow (a.c:1) ← read", "grow (a.c:1) ← write", "parse (b.c:2)"],
        );
        check(
            &["grow a.c:1, add a.c:5, read a.c:9", "grow a.c:1, add a.c:5, write a.c:7", "grow a.c:1"],
            &["grow (a.c:1) ← add ← read", "grow (a.c:1) ← add ← write", "grow (a.c:1)"],
        );
    }
}
