//! Asks the API server for the pods of this node, in a thread of its own, and publishes what it says.
//!
//! It keeps nobody waiting: while the API server is not there, or says nothing, what was known stays and the rest of the
//! daemon goes on.

mod body;
mod client;
mod convert;
mod follow;
mod troubles;

use std::cell::RefCell;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use k8s_openapi::api::core::v1 as core;
use kube::runtime::watcher::{Config, Event};
use kube::{Api, Client};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::book::{Book, Kind};
use super::{KubernetesOptions, Pods};
use client::{Connection, Transport};
use follow::Follow;
use troubles::Troubles;

/// Between two looks at containers that wait for their pod.
const SURVEY_EVERY: Duration = Duration::from_secs(5);
/// Objects that are asked for at a time; a node has some hundred pods at most.
const PAGE: u32 = 100;
/// What comes within this time is published together.
const GATHER: Duration = Duration::from_millis(20);
/// Between two publications at least: each looks at every process of the machine.
const REST: Duration = Duration::from_millis(200);
/// The same, as a multiple of the time that the last one took.
const REST_PER_WORK: u32 = 10;
/// More than that is not waited.
const MAX_REST: Duration = Duration::from_secs(2);

/// How long is waited, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For the head of an answer, and for each piece of a list.
    pub answer: Duration,
    /// A watch that has gone on so long ends, and goes on with another request; whole seconds. In so much silence, and a little
    /// more, a connection counts as dead: bookmarks come about once a minute.
    pub watch: Duration,
    /// When pods are there: for the Rollouts and Canaries that tell their sides.
    pub sides: Duration,
    /// Before Rollouts and Canaries are asked for again that are not there, or not allowed.
    pub refused: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(15),
            watch: Duration::from_secs(80),
            sides: Duration::from_secs(5),
            refused: Duration::from_secs(5 * 60),
        }
    }
}

/// Why pods cannot be watched at all.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// Nothing says where the API server is.
    #[error(
        "failed to find the API server: {variable} is not set, as it is in every pod. Outside of a cluster set `api`, \
         `token_file` and `ca_file` in [kubernetes]"
    )]
    NoApi {
        /// The variable of the environment.
        variable: &'static str,
    },
    /// What says where it is cannot be used.
    #[error(
        "failed to use {url:?} as the API server's address: {why}. It must be like https://10.0.0.1:6443"
    )]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The system gives no thread, or no timer.
    #[error("failed to start the thread that watches pods: {0}")]
    Thread(#[from] std::io::Error),
}

/// A watch that goes on. It ends when it is dropped.
#[derive(Debug)]
pub struct Watch {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Ends it: at once, also while it waits for an answer.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed by that thread.
            let _ = thread.join();
        }
    }
}

/// Watches the pods of a node, until it is stopped, and says (`say`, in that thread) when trouble begins and ends.
///
/// An API server, a token or a certificate that is not there is no error: they are waited for.
///
/// # Errors
/// When it is not known where the API server is, or the system gives no thread.
pub fn start(
    options: &KubernetesOptions,
    pods: Pods,
    say: impl Fn(String) + Send + Sync + 'static,
) -> Result<Watch, WatchError> {
    start_with(options, pods, say, Patience::default())
}

/// The same with another patience.
///
/// # Errors
/// As [`start`].
pub fn start_with(
    options: &KubernetesOptions,
    pods: Pods,
    say: impl Fn(String) + Send + Sync + 'static,
    patience: Patience,
) -> Result<Watch, WatchError> {
    let connection = Arc::new(Connection::new(options.api.as_ref(), patience)?);
    let troubles = Arc::new(Troubles::new(connection.url().to_owned(), pods.clone(), Box::new(say)));
    let watcher = Watcher { options: options.clone(), connection, troubles, patience, pods };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = watch::channel(false);
    let thread = std::thread::Builder::new()
        .name("tracer-pods".to_owned())
        .spawn(move || watcher.run(runtime, stopped))?;
    Ok(Watch { stop, thread: Some(thread) })
}

/// What the thread has.
struct Watcher {
    options: KubernetesOptions,
    connection: Arc<Connection>,
    troubles: Arc<Troubles>,
    patience: Patience,
    pods: Pods,
}

impl Watcher {
    fn run(self, runtime: Runtime, mut stopped: watch::Receiver<bool>) {
        runtime.block_on(async {
            tokio::select! {
                _ = stopped.changed() => {}
                () = self.watch() => {}
            }
        });
        // A name that is being looked up is not waited for.
        runtime.shutdown_background();
    }

    async fn watch(&self) {
        let (argo, flagger) = (self.options.argo_rollouts, self.options.flagger_canaries);
        let wanted = [Some(Kind::Pods), argo.then_some(Kind::Rollouts), flagger.then_some(Kind::Canaries)];
        let book = RefCell::new(Book::new(self.options.keep, wanted.into_iter().flatten()));
        let changed = Notify::new();
        let refused = |kind| {
            book.borrow_mut().settle(kind);
            changed.notify_one();
        };
        let pods = async {
            let fields = format!("spec.nodeName={}", self.options.node);
            let api: Api<core::Pod> = Api::all(self.client(Kind::Pods));
            let take = |event| {
                take_pods(&book, event);
                changed.notify_one();
            };
            let configs = self.pod_configs().map(|config| config.fields(&fields));
            self.follow(Kind::Pods).run(api, configs, take, refused).await;
        };
        let rollouts = async {
            let take = |event| {
                take_objects(event, |change| book.borrow_mut().rollout(change), convert::rollout);
                changed.notify_one();
            };
            let api = Api::all_with(self.client(Kind::Rollouts), &convert::argo());
            self.follow(Kind::Rollouts).run(api, [self.config(), self.config()], take, refused).await;
        };
        let canaries = async {
            let take = |event| {
                take_objects(event, |change| book.borrow_mut().canary(change), convert::canary);
                changed.notify_one();
            };
            let api = Api::all_with(self.client(Kind::Canaries), &convert::flagger());
            self.follow(Kind::Canaries).run(api, [self.config(), self.config()], take, refused).await;
        };
        let publish = self.publish(&book, &changed);
        tokio::join!(pods, when(argo, rollouts), when(flagger, canaries), publish, self.survey());
    }

    fn client(&self, kind: Kind) -> Client {
        let transport = Transport::new(&self.connection, &self.troubles, kind, self.patience);
        Client::new(transport, "default")
    }

    fn config(&self) -> Config {
        let seconds = u32::try_from(self.patience.watch.as_secs()).unwrap_or(u32::MAX).max(1);
        Config::default().page_size(PAGE).timeout(seconds)
    }

    /// The first list of pods comes from the API server's cache, so that nodes that start together ask no quorum of etcd.
    ///
    /// Those after a 410 do not: a cache may be older than what was known, and pods that are gone would come back. kube asks
    /// for no cache where it asks for pages: <https://github.com/kube-rs/kube/issues/1728>.
    fn pod_configs(&self) -> [Config; 2] {
        let mut first = self.config().any_semantic();
        first.page_size = None;
        [first, self.config()]
    }

    fn follow(&self, kind: Kind) -> Follow<'_> {
        Follow {
            kind,
            generation: self.connection.generation(),
            connection: &self.connection,
            troubles: &self.troubles,
            refused: self.patience.refused,
        }
    }

    /// Sees which containers have ended without a pod.
    async fn survey(&self) {
        loop {
            sleep(SURVEY_EVERY).await;
            self.pods.survey();
        }
    }

    /// Publishes what has changed: soon, and not too often.
    async fn publish(&self, book: &RefCell<Book>, changed: &Notify) {
        self.hold(book, changed).await;
        let mut rested = Instant::now();
        loop {
            let expiry = book.borrow().next_expiry();
            tokio::select! {
                () = changed.notified() => {}
                () = until(expiry.map(Instant::from_std)) => {}
            }
            sleep_until(rested.max(Instant::now() + GATHER)).await;
            // Not held while it is published.
            let table = book.borrow_mut().take_table(std::time::Instant::now());
            if let Some(table) = table {
                let start = Instant::now();
                self.pods.publish(table);
                rested = Instant::now() + rest(start.elapsed());
            }
        }
    }

    /// Waits for pods, and then for what tells their sides: one that changed its side at the start would be in two series.
    async fn hold(&self, book: &RefCell<Book>, changed: &Notify) {
        let mut end = None;
        while book.borrow().is_awaiting() {
            if !book.borrow().awaits(Kind::Pods) {
                end.get_or_insert_with(|| Instant::now() + self.patience.sides);
            }
            tokio::select! {
                () = changed.notified() => {}
                () = until(end) => break,
            }
        }
        changed.notify_one();
    }
}

/// After a publication that took so long.
fn rest(work: Duration) -> Duration {
    work.saturating_mul(REST_PER_WORK).clamp(REST, MAX_REST)
}

async fn when(is_wanted: bool, what: impl Future<Output = ()>) {
    if is_wanted {
        what.await;
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn take_pods(book: &RefCell<Book>, event: Event<core::Pod>) {
    let (mut book, now) = (book.borrow_mut(), std::time::Instant::now());
    match event {
        Event::Init => book.begin(),
        Event::InitApply(pod) => {
            let (uid, pod) = convert::pod(pod);
            book.listed(uid, pod);
        }
        Event::InitDone => book.done(now),
        Event::Apply(pod) => {
            let (uid, pod) = convert::pod(pod);
            book.applied(uid, pod);
        }
        Event::Delete(pod) => {
            let (uid, pod) = convert::pod(pod);
            book.deleted(uid, pod, now);
        }
    }
}

fn take_objects<V>(
    event: Event<kube::api::DynamicObject>,
    mut change: impl FnMut(super::book::Change<V>),
    value: impl Fn(&kube::api::DynamicObject) -> Option<V>,
) {
    use super::book::Change;
    change(match event {
        Event::Init => Change::Begin,
        Event::InitApply(object) => Change::Listed(convert::name(&object), value(&object)),
        Event::InitDone => Change::Done,
        Event::Apply(object) => Change::Applied(convert::name(&object), value(&object)),
        Event::Delete(object) => Change::Applied(convert::name(&object), None),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_is_rested_from_in_proportion_to_its_work() {
        let check = |work: u64, expect: u64| {
            let (work, expect) = (Duration::from_millis(work), Duration::from_millis(expect));
            assert_eq!(rest(work), expect, "{work:?}");
        };
        check(0, 200);
        check(20, 200);
        check(50, 500);
        check(200, 2000);
        check(60_000, 2000);
    }
}
