//! The real client against the API server of the tests: what it asks, what it knows, what it says.

mod faults;
mod objects;
mod rollouts;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracer::target::cgroup::Container;
use tracer::target::kubernetes::watch::{self, Patience, Watch};
use tracer::target::kubernetes::{KubernetesOptions, Place, PodOf, Pods, Standing};

use crate::servers::kubernetes::{FakeApi, Fault, Objects, PodSpec};
use crate::servers::poll;

const NODE: &str = "node-1";
const OBJECTS: Objects = Objects::Pods;

/// Someone who watches, and what they were told.
struct Rig {
    pods: Pods,
    published: Arc<AtomicU64>,
    said: Arc<Mutex<Vec<String>>>,
    watch: Watch,
}

impl Rig {
    fn start(options: &KubernetesOptions) -> Self {
        // A 403 is asked for again soon.
        Self::with_patience(options, Patience { refused: Duration::from_secs(1), ..Patience::default() })
    }

    fn with_patience(options: &KubernetesOptions, patience: Patience) -> Self {
        let (published, said) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (count, sink) = (Arc::clone(&published), Arc::clone(&said));
        let pods = Pods::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let say = move |text| sink.lock().expect("no reader panics").push(text);
        let watch = watch::start_with(options, pods.clone(), say, patience).expect("it starts");
        Self { pods, published, said, watch }
    }

    fn standing(&self) -> Standing {
        self.pods.standing().expect("pods are watched")
    }

    #[track_caller]
    fn wait_synced(&self) {
        poll("everything was listed", || self.standing().is_synced.then_some(()));
    }

    fn find(&self, id: &str) -> Option<PodOf> {
        match self.pods.table().find(&Container { id: id.to_owned(), ..Container::default() }) {
            Place::In(found) => Some(found),
            Place::Outside | Place::Unknown => None,
        }
    }

    /// Looks until a container is known; its pod.
    #[track_caller]
    fn wait(&self, id: &str) -> PodOf {
        poll(&format!("{id} is known, of {:?}", self.standing()), || self.find(id))
    }

    #[track_caller]
    fn wait_gone(&self, id: &str) {
        poll(&format!("{id} is forgotten"), || self.find(id).is_none().then_some(()));
    }

    fn said(&self, word: &str) -> usize {
        self.said.lock().expect("no reader panics").iter().filter(|text| text.contains(word)).count()
    }

    #[track_caller]
    fn wait_said(&self, word: &str) {
        poll(&format!("{word:?} is said"), || (self.said(word) > 0).then_some(()));
    }
}

/// 64 hex digits that a number gives.
fn id(number: usize) -> String {
    format!("{number:064x}")
}

/// A pod of the node with one container.
fn pod(name: &str, id: &str) -> PodSpec {
    PodSpec::new("shop", name).node(NODE).container("app", "shop/app:1", &[id])
}

#[test]
fn the_pods_of_this_node_are_listed_and_then_watched() {
    let api = FakeApi::start();
    api.apply(pod("api-1", &id(1)).label("app", "api").owner("StatefulSet", "api").json());
    api.apply(PodSpec::new("shop", "other").node("node-2").container("app", "shop/app:1", &[&id(2)]).json());
    let rig = Rig::start(&api.options(NODE));
    rig.wait_synced();
    let found = rig.wait(&id(1));
    assert_eq!((found.pod.name.as_str(), found.pod.namespace.as_str()), ("api-1", "shop"));
    assert_eq!((found.workload.kind.as_str(), found.workload.name.as_str()), ("StatefulSet", "api"));
    assert_eq!(found.container().map(|container| container.image.as_str()), Some("shop/app:1"));
    assert_eq!(rig.standing(), Standing { is_synced: true, pods: 1, ..Standing::default() });
    api.apply(pod("api-2", &id(3)).json());
    assert_eq!(rig.wait(&id(3)).pod.name, "api-2");
    api.apply(pod("api-1", &id(1)).label("role", "canary").json());
    poll("the label has come", || rig.wait(&id(1)).pod.labels.contains_key("role").then_some(()));
    assert!(api.requests().iter().all(|asked| asked.value("fieldSelector") == "spec.nodeName=node-1"));
    let asked = api.requests();
    let watched = asked.iter().find(|asked| asked.is_watch()).expect("a watch");
    assert_eq!((watched.value("allowWatchBookmarks"), watched.value("timeoutSeconds")), ("true", "80"));
    assert!(asked.iter().all(|asked| asked.status == 200), "{asked:?}");
    assert_eq!(*rig.said.lock().expect("no reader panics"), [""; 0], "nothing went wrong");
}

#[test]
fn a_watch_goes_on_from_a_bookmark_without_another_list() {
    let api = FakeApi::start();
    api.apply(pod("api-1", &id(1)).json());
    let patience = Patience { watch: Duration::from_secs(2), ..Patience::default() };
    let rig = Rig::with_patience(&api.options(NODE), patience);
    rig.wait(&id(1));
    poll("the first watch", || (api.counts(OBJECTS).1 > 0).then_some(()));
    // On other nodes much happens, of which this watch hears by bookmarks only.
    for number in 0..20 {
        let other = PodSpec::new("shop", &format!("other-{number}")).node("node-2");
        api.apply(other.json());
    }
    api.bookmark();
    poll("the watch was asked for again", || (api.counts(OBJECTS).1 > 1).then_some(()));
    let watches: Vec<u64> = api
        .requests()
        .iter()
        .filter(|asked| asked.is_watch())
        .map(|asked| asked.value("resourceVersion").parse().expect("a version"))
        .collect();
    assert!(watches[1] >= watches[0] + 20, "{watches:?}");
    api.apply(pod("api-2", &id(2)).json());
    rig.wait(&id(2));
    assert_eq!(api.counts(OBJECTS).0, 1, "one list");
    assert_eq!(rig.standing().watch_errors, 0, "that a watch ends after its time is no error");
}

#[test]
fn what_is_too_old_is_listed_again_however_that_is_told() {
    for is_told_by_event in [false, true] {
        let api = FakeApi::start();
        api.apply(pod("api-1", &id(1)).json());
        api.apply(pod("lost", &id(2)).json());
        let mut options = api.options(NODE);
        options.keep = Duration::from_secs(1);
        let rig = Rig::start(&options);
        rig.wait(&id(2));
        poll("a watch", || (api.counts(OBJECTS).1 > 0).then_some(()));
        api.delete_unseen(OBJECTS, "shop", "lost");
        api.forget_history(is_told_by_event);
        api.break_streams();
        // It is missing in the new list, kept for a while, and then forgotten.
        rig.wait_gone(&id(2));
        api.apply(pod("api-3", &id(3)).json());
        rig.wait(&id(3));
        rig.wait(&id(1));
        assert_eq!(api.counts(OBJECTS).0, 2, "listed again, once");
        let again = api.requests().into_iter().rfind(|asked| !asked.is_watch()).expect("a list");
        let semantic = ["resourceVersion", "limit"].map(|key| again.value(key));
        assert_eq!(semantic, ["", "100"], "by pages, and not from a cache that may be older");
        assert!(rig.standing().watch_errors >= 2, "the break and the answer");
    }
}

#[test]
fn hundreds_of_pods_come_at_once_and_are_published_together() {
    const COUNT: usize = 230;
    let api = FakeApi::start();
    api.apply_all((0..COUNT).map(|number| pod(&format!("api-{number}"), &id(number)).json()));
    let rig = Rig::start(&api.options(NODE));
    rig.wait_synced();
    assert_eq!(rig.standing().pods, COUNT as u64);
    let lists: Vec<_> = api.requests().into_iter().filter(|asked| !asked.is_watch()).collect();
    assert_eq!(lists.len(), 1, "{lists:?}");
    let semantic = ["resourceVersion", "resourceVersionMatch", "limit"].map(|key| lists[0].value(key));
    assert_eq!(semantic, ["0", "NotOlderThan", ""], "from the cache");
    assert_eq!(rig.published.load(Ordering::Relaxed), 1);
    poll("a watch", || (api.counts(OBJECTS).1 > 0).then_some(()));
    api.apply_all((COUNT..2 * COUNT).map(|number| pod(&format!("api-{number}"), &id(number)).json()));
    poll("all have come", || (rig.standing().pods == 2 * COUNT as u64).then_some(()));
    let published = rig.published.load(Ordering::Relaxed);
    assert!((2..=8).contains(&published), "{published} times, for {COUNT} pods at once");
    // Nothing that matters: no other publication.
    let mut same = pod("api-0", &id(0)).json();
    same["status"]["conditions"] = serde_json::json!([{"type": "Ready", "status": "False"}]);
    api.apply(same);
    api.apply(pod("last", &id(9999)).json());
    rig.wait(&id(9999));
    assert!(rig.published.load(Ordering::Relaxed) <= published + 1);
}

#[test]
fn it_ends_at_once() {
    let api = FakeApi::start();
    let silent = FakeApi::start();
    silent.set_fault(OBJECTS, Some(Fault::Silent));
    let down = FakeApi::start();
    down.stop();
    for api in [api, silent, down] {
        let rig = Rig::start(&api.options(NODE));
        std::thread::sleep(Duration::from_millis(300));
        let start = std::time::Instant::now();
        rig.watch.stop();
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    }
}

#[test]
fn the_configuration_of_the_servers_says_what_its_options_do() {
    let api = FakeApi::start();
    let document: toml::Table = api.config(NODE).parse().expect("TOML");
    let text = |key: &str| document["kubernetes"][key].as_str().map(str::to_owned);
    let options = api.options(NODE);
    let options_api = options.api.expect("it has one");
    let path = |path: Option<std::path::PathBuf>| path.map(|path| path.display().to_string());
    assert_eq!((text("node"), text("api")), (Some(options.node), Some(options_api.url)));
    assert_eq!(
        (text("token_file"), text("ca_file")),
        (path(options_api.token_file), path(options_api.ca_file))
    );
}
