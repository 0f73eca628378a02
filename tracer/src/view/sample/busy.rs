//! A server under load: sites of every kind, with rates and trends.

use std::sync::Arc;

use super::{at, frame, leak, sample, target};
use crate::model::snapshot::{CallSite, Frame, SiteRecent, Snapshot, TREND_POINTS, Timeline, TimelinePoint};

const EXE: &str = "/srv/shop/bin/shopd";

/// A site in one line: function, file, line, objects and bytes in use, bytes and objects per second, growth of a minute.
type Line = (&'static str, &'static str, u32, u64, u64, f64, f64, i64);

const LINES: [Line; 12] = [
    (
        "shop::SessionCache::insert(std::string const&, shop::Session&&)",
        "/srv/shop/src/session_cache.cpp",
        118,
        201_344,
        1_288_490_188,
        4_404_019.0,
        688.0,
        251_658_240,
    ),
    (
        "shop::catalog::Index::build(std::vector<shop::catalog::Item, std::allocator<shop::catalog::Item>> const&)",
        "/srv/shop/src/catalog/index.cpp",
        402,
        12,
        402_653_184,
        0.0,
        0.0,
        0,
    ),
    ("parse_request", "/srv/shop/src/http.c", 88, 1_204, 4_931_584, 52_428_800.0, 12_800.0, -4096),
    (
        "shop::Metrics::label(std::string_view)",
        "/srv/shop/src/metrics.cpp",
        57,
        2_410_332,
        77_130_624,
        12_288.0,
        384.0,
        737_280,
    ),
    (
        "json::Value::Value(json::Value const&)",
        "/srv/shop/third_party/json/value.cpp",
        1021,
        8_192,
        1_048_576,
        31_457_280.0,
        245_760.0,
        1024,
    ),
    ("キャッシュ::挿入する(文字列)", "/srv/shop/src/キャッシュ.cpp", 7, 640, 655_360, 1024.0, 1.0, 65_536),
    ("SSL_CTX_new", "", 0, 3, 98_304, 0.0, 0.0, 0),
    ("xmlParseDocument", "", 0, 0, 0, 2_097_152.0, 40.0, -2_097_152),
    (
        "shop::Log::format<char const*, unsigned long, std::string>(char const*, unsigned long&&, std::string&&)",
        "/srv/shop/src/log.h",
        33,
        2,
        512,
        819_200.0,
        3_200.0,
        0,
    ),
    ("tls_thread_init", "/srv/shop/src/thread.c", 14, 16, 16_384, 0.0, 0.0, 0),
    ("sqlite3_step", "", 0, 731, 2_994_176, 204_800.0, 50.0, 4096),
    ("shop::main_loop()", "/srv/shop/src/main.cpp", 240, 1, 72_704, 0.0, 0.0, 0),
];

/// One process that has been looked at for ten minutes.
pub(crate) fn busy() -> Snapshot {
    let mut snapshot = sample();
    snapshot.attached_seconds = 612.0;
    snapshot.sites = LINES.iter().zip(1..).map(|(line, id)| site(line, id)).collect();
    snapshot.sites.sort_by_key(|site| std::cmp::Reverse(site.inuse_bytes));
    let mut target = target(4242, "shopd", &snapshot.sites);
    target.resident_bytes = 2 << 30;
    target.timeline = Some(timeline(1_778_000_000));
    snapshot.targets = vec![target];
    snapshot
}

/// Three processes, one of which has ended.
pub(crate) fn fleet() -> Snapshot {
    let mut snapshot = busy();
    let one = snapshot.sites.clone();
    for (pid, comm) in [(4343, "shopd"), (512, "worker")] {
        let mut sites: Vec<CallSite> = one.iter().skip(2).take(5).cloned().collect();
        for site in &mut sites {
            (site.pid, site.id) = (pid, site.id + pid);
        }
        let mut target = target(pid, comm, &sites);
        target.timeline = Some(timeline(u64::from(pid) << 14));
        if pid == 512 {
            target.ended = Some("exited".to_owned());
        }
        snapshot.targets.push(target);
        snapshot.sites.extend(sites);
    }
    snapshot
}

/// So many sites of a few thousand functions, as a large C++ program has them.
pub(crate) fn many(count: u32) -> Snapshot {
    let mut snapshot = busy();
    let first = snapshot.sites[0].clone();
    let frames: Vec<Arc<Frame>> = (0..count / 4 + 1)
        .map(|at| {
            let mut frame = Frame::clone(&first.frames[1]);
            frame.function =
                Some(format!("app::module_{}::Handler<std::vector<std::string>>::call_{at}(int)", at % 97));
            frame.module = Some(format!("/srv/lib/libmodule_{}.so", at % 97));
            Arc::new(frame)
        })
        .collect();
    let frame = |at: u32| Arc::clone(&frames[at as usize % frames.len()]);
    snapshot.sites = (1..=count)
        .map(|id| {
            let random = u64::from(id.wrapping_mul(2_654_435_761) >> 8);
            CallSite {
                id,
                inuse_bytes: Some(random),
                inuse_objects: Some(random / 64 + 1),
                frames: (0..24).map(|depth| frame(id.wrapping_mul(31) + depth * 7)).collect(),
                ..first.clone()
            }
        })
        .collect();
    snapshot
}

fn site(line: &Line, id: u32) -> CallSite {
    let &(function, file, number, objects, bytes, bytes_rate, objects_rate, growth) = line;
    let named = frame(0x5555_5555_6000 + u64::from(id) * 64, function, EXE, 0x2000 + u64::from(id) * 64);
    let library = if function.starts_with("xml") { "/usr/lib/x86_64-linux-gnu/libxml2.so.2" } else { EXE };
    let named = if file.is_empty() {
        Frame { module: Some(library.to_owned()), ..named }
    } else {
        at(named, file, number)
    };
    let base = leak(4242);
    let tail = base.frames.iter().skip(4).cloned();
    let freed = (objects_rate * 600.0) as u64;
    let first = bytes.saturating_add_signed(-growth);
    let point = |at: u64| first.saturating_add_signed(growth / (TREND_POINTS as i64 - 1) * at as i64);
    CallSite {
        id,
        alloc_objects: objects + freed,
        alloc_bytes: bytes + (bytes_rate * 600.0) as u64,
        free_objects: Some(freed),
        inuse_objects: Some(objects),
        inuse_bytes: Some(bytes),
        oldest_seconds: (objects > 0).then_some(611.0 / f64::from(id)),
        recent: Some(SiteRecent {
            alloc_bytes_per_second: bytes_rate,
            alloc_objects_per_second: objects_rate,
            growth_bytes: Some(growth),
            trend: (0..TREND_POINTS as u64).map(point).collect(),
        }),
        frames: [Arc::clone(&base.frames[0]), Arc::new(named)].into_iter().chain(tail).collect(),
        ..base
    }
}

fn timeline(bytes: u64) -> Timeline {
    let points = (0..120_u32).map(|at| TimelinePoint {
        seconds: f64::from(at) * 5.0,
        alloc_bytes_per_second: 90e6 + f64::from(at % 7) * 1e6,
        alloc_objects_per_second: 260_000.0,
        free_objects_per_second: Some(259_000.0),
        inuse_bytes: Some(bytes / 200 * (80 + u64::from(at))),
        inuse_objects: Some(2_000_000 + u64::from(at)),
        resident_bytes: 2 << 30,
    });
    Timeline { step_seconds: 5.0, points: points.collect() }
}
