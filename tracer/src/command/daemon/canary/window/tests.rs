//! Differences of pictures.

use std::sync::Arc;

use super::*;
use crate::frame::Frame;
use crate::symbolize::NOT_YET;
use crate::view::sample;

/// A picture of one process with these call sites: number, objects, standard error of the bytes. An object has 10 bytes.
fn picture(cpu_seconds: f64, sites: &[(u32, u64, f64)]) -> Snapshot {
    let mut picture = sample::sample();
    let template = picture.sites[0].clone();
    picture.sites = sites
        .iter()
        .map(|&(id, objects, error)| {
            let mut site = CallSite {
                id,
                alloc_objects: objects,
                alloc_bytes: objects * 10,
                samples: objects / 2,
                inuse_bytes: Some(0),
                ..template.clone()
            };
            site.standard_error.alloc_bytes = error;
            site
        })
        .collect();
    let target = &mut picture.targets[0];
    target.cpu_seconds = cpu_seconds;
    target.totals.alloc_objects = sites.iter().map(|site| site.1).sum();
    target.totals.alloc_bytes = target.totals.alloc_objects * 10;
    picture
}

#[test]
fn a_window_has_what_came_since_the_picture_before_it() {
    let mut window = Window::default();
    assert!(window.look(0.0, 60.0, picture(1.0, &[(3, 100, 30.0), (1, 50, 0.0)])).is_none());
    let seen = window.look(15.0, 60.0, picture(1.5, &[(1, 50, 0.0), (3, 180, 50.0), (7, 4, 1.0)])).unwrap();
    assert_eq!((seen.seconds, seen.cpu_seconds), (15.0, 0.5));
    assert_eq!((seen.alloc_objects, seen.alloc_bytes), (84, 840));
    let sites: Vec<_> = seen
        .sites
        .iter()
        .map(|site| {
            (site.id, site.alloc_objects, site.alloc_bytes, site.samples, site.standard_error.alloc_bytes)
        })
        .collect();
    // 50² - 30² = 40²; what has allocated nothing since is not there.
    assert_eq!(sites, [(3, 80, 800, 40, 40.0), (7, 4, 40, 2, 1.0)]);
}

#[test]
fn what_is_older_than_the_window_is_left_out_and_few_moments_are_kept() {
    let mut window = Window::default();
    for second in 0..=200u32 {
        let seen = window.look(second.into(), 60.0, picture(0.0, &[(1, u64::from(second) * 10, 0.0)]));
        let expect = second.min(60 + (second.saturating_sub(60)) % 15);
        let seconds = seen.map_or(0.0, |seen| {
            assert_eq!(seen.alloc_objects as f64, seen.seconds * 10.0, "{second}");
            seen.seconds
        });
        assert_eq!(seconds, f64::from(expect), "{second}");
        assert!(window.moments.len() <= 6, "{}", window.moments.len());
    }
}

#[test]
fn a_process_that_is_counted_anew_has_no_window() {
    let mut window = Window::default();
    window.look(0.0, 60.0, picture(1.0, &[(1, 100, 0.0)]));
    assert!(window.look(15.0, 60.0, picture(1.0, &[(1, 20, 0.0)])).is_none());
    let seen = window.look(30.0, 60.0, picture(1.0, &[(1, 25, 0.0)])).unwrap();
    assert_eq!((seen.seconds, seen.alloc_objects), (15.0, 5));
    let mut other = picture(1.0, &[(1, 30, 0.0)]);
    other.mode = Mode::Alloc;
    assert!(window.look(45.0, 60.0, other).is_none());
}

#[test]
fn a_site_whose_number_has_come_back_counts_from_nothing() {
    let mut window = Window::default();
    window.look(0.0, 60.0, picture(1.0, &[(1, 100, 0.0), (2, 10, 0.0)]));
    let seen = window.look(15.0, 60.0, picture(1.0, &[(1, 30, 0.0), (2, 200, 0.0)])).unwrap();
    let sites: Vec<_> = seen.sites.iter().map(|site| (site.id, site.alloc_objects)).collect();
    assert_eq!(sites, [(1, 30), (2, 190)]);
}

#[test]
fn only_what_was_lost_in_the_window_makes_it_lossy() {
    let lost = |count: u64| {
        let mut picture = picture(1.0, &[(1, 100 + count, 0.0)]);
        picture.quality.lost.insert("map_full".to_owned(), count);
        picture.quality.attach_failures.clear();
        picture
    };
    let mut window = Window::default();
    window.look(0.0, 60.0, lost(3));
    assert!(!window.look(15.0, 60.0, lost(3)).unwrap().is_lossy, "that was before");
    assert!(window.look(30.0, 60.0, lost(4)).unwrap().is_lossy);
    let mut unprobed = lost(4);
    unprobed.quality.attach_failures.insert("calloc".to_owned(), 1);
    let mut window = Window::default();
    window.look(0.0, 60.0, unprobed.clone());
    assert!(window.look(15.0, 60.0, unprobed).unwrap().is_lossy);
}

#[test]
fn a_site_without_its_names_yet_is_left_out_and_its_part_is_said() {
    let mut window = Window::default();
    window.look(0.0, 60.0, picture(1.0, &[(1, 100, 0.0)]));
    let mut picture = picture(1.0, &[(1, 400, 0.0), (2, 100, 0.0)]);
    let nameless = Arc::new(Frame { reason: Some(NOT_YET.to_owned()), function: None, ..Frame::default() });
    picture.sites[1].frames = [nameless].into_iter().collect();
    let seen = window.look(15.0, 60.0, picture).unwrap();
    assert_eq!(seen.sites.iter().map(|site| site.id).collect::<Vec<_>>(), [1]);
    assert_eq!((seen.alloc_objects, seen.nameless), (400, Nameless { objects: 100, bytes: 1000 }));
}
