//! The status page in a browser, and the way from it to a frame of a flame graph.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::driver::Daemon;
use super::shop::{Market, Shop};
use crate::harness::{eventually, kernel_or_skip, skip};
use crate::servers::browser::Browser;

/// Check that the page says what is traced, and that its link leads to a picture that can be clicked.
#[test]
fn the_page_leads_to_a_frame_that_zooms() {
    let name = "the_page_leads_to_a_frame_that_zooms";
    if !kernel_or_skip(name) {
        return;
    }
    match Browser::start() {
        Ok(browser) => read_page(&browser),
        Err(reason) => skip(name, &reason),
    }
}

fn read_page(browser: &Browser) {
    let market = Market::new();
    let mut shops = [market.stable(), market.canary()];
    let daemon = Daemon::start(&market.rules());
    shops.iter_mut().for_each(Shop::load);
    let [_, canary] = &shops;
    eventually("the canary's numbers", || {
        let rate = daemon.json("/targets");
        let targets = rate["targets"].as_array().into_iter().flatten();
        let mut held = targets.filter(|target| target["pid"] == canary.pid());
        held.any(|target| target["inuse_bytes"].as_u64() > Some(12 << 20))
    });

    browser.open(&format!("http://127.0.0.1:{}/", daemon.port()));
    assert_eq!(browser.title(), "tracer");
    let shown = browser.wait_css("body").text();
    for text in ["2 processes", "market/shop 1.0 stable", "market/shop 2.0 canary", "shop-canary", "64.0 KiB"]
    {
        assert!(shown.contains(text), "{text:?} in {shown}");
    }
    assert!(!shown.contains("NaN") && !shown.contains("inf"), "{shown}");
    keep_picture(browser, "page");
    // On the screen of a desk all columns are seen at once.
    let hidden = "return Math.max(...[...document.querySelectorAll('html, .wide')].map(e => e.scrollWidth - e.clientWidth))";
    assert_eq!(browser.run(hidden), json!(0), "so many pixels are beside the window");

    let link = format!("//a[contains(@href, 'targets/{}-') and text()='inuse_space']", canary.pid());
    browser.xpath(&link).first().expect("a link to the flame graph").click();
    browser.wait_css("svg #frames g");
    // Before its script has run, a frame cannot be clicked.
    eventually("the picture is ready", || {
        browser.run("return typeof details !== 'undefined' && !!details") == json!(true)
    });
    let frame = "//*[local-name()='g'][*[local-name()='title'][starts-with(text(), 'fill_catalog')]]";
    let unzoom = "return document.getElementById('unzoom').classList.contains('hide')";
    assert_eq!(browser.run(unzoom), json!(true), "nothing is zoomed yet");
    let width = "return +[...document.querySelectorAll('#frames g')].find(g => \
                 g.querySelector('title').textContent.startsWith('fill_catalog')).querySelector('rect').width.baseVal.value";
    let before = browser.run(width).as_f64().expect("a width");
    keep_picture(browser, "flamegraph");
    browser.xpath(frame).first().expect("a frame of the program").click();
    eventually("the picture zooms", || browser.run(unzoom) == json!(false));
    let after = browser.run(width).as_f64().expect("a width");
    assert!(after > before, "the frame has become wider: {before}, {after}");
    let details = browser.run("return document.getElementById('details').textContent");
    assert!(details.as_str().is_some_and(|text| text.contains("fill_catalog")), "{details}");
}

/// Where `TRACER_TEST_PICTURES` names a folder, what the browser shows is put there for somebody to look at: `base64 -d`
/// makes a PNG of it.
fn keep_picture(browser: &Browser, name: &str) {
    let Some(folder) = std::env::var_os("TRACER_TEST_PICTURES") else { return };
    fs::write(Path::new(&folder).join(format!("{name}.png.base64")), browser.screenshot())
        .expect("a picture");
}
