//! The live view: a thread that has the terminal, draws what it is given and passes on what the user wants.
//!
//! The thread that traces never waits for it, and it never waits for the one that traces: a key is answered while
//! symbols are read.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::Failure;
use super::events::Event;
use super::messages;
use crate::model::snapshot::{Dimension, Snapshot};
use crate::units::Bytes;
use crate::view::tui::{App, Request, Settings, Terminal, Theme};
use crate::view::{self, Format, Options};

/// A new picture is seen so late at most; keys are seen at once.
const WAIT: Duration = Duration::from_millis(50);

/// A terminal that is gone, or that takes nothing, holds its thread for ever: nobody waits longer for it.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// What the user wants of the tracing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To end it.
    Quit,
    /// Other mean bytes between samples.
    SampleBytes(u64),
}

/// The newest picture that was not drawn yet.
type Next = Arc<Mutex<Option<Arc<Snapshot>>>>;

/// The thread that has the terminal.
pub struct Live {
    next: Next,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<()>>,
}

impl Live {
    /// Takes the terminal and shows the first picture; wishes go to `wishes`.
    ///
    /// # Errors
    ///
    /// The terminal refuses, or there is no thread to be had.
    pub fn start(first: Arc<Snapshot>, dimension: Dimension, wishes: Sender<Event>) -> Result<Self, Failure> {
        let (next, is_over) = (Next::default(), Arc::new(AtomicBool::new(false)));
        let terminal = open()?;
        let mut app = app(first, dimension, true);
        let (pictures, end) = (Arc::clone(&next), Arc::clone(&is_over));
        let thread = std::thread::Builder::new().name("tracer-view".to_owned());
        let thread = thread.spawn(move || {
            let wish = Wisher(wishes);
            let next = || pictures.lock().unwrap_or_else(PoisonError::into_inner).take();
            let is_over = || end.load(Ordering::Relaxed);
            drive(terminal, &mut app, next, is_over, |wanted| wish.tell(wanted))
        });
        Ok(Self { next, is_over, thread: thread.map_err(anyhow::Error::from)? })
    }

    /// Shows a picture.
    pub fn show(&self, picture: Arc<Snapshot>) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(picture);
    }

    /// Gives the terminal back.
    ///
    /// # Errors
    ///
    /// The view has failed before.
    pub fn close(self) -> Result<(), Failure> {
        self.is_over.store(true, Ordering::Relaxed);
        let since = Instant::now();
        while !self.thread.is_finished() && since.elapsed() < LAST_WAIT {
            std::thread::sleep(WAIT / 10);
        }
        messages::release();
        if !self.thread.is_finished() {
            return Err(anyhow::anyhow!("the terminal does not answer any more").into());
        }
        let ended = self.thread.join();
        match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(anyhow::anyhow!("the terminal failed: {error}").into()),
            Err(_) => Err(anyhow::anyhow!("the live view has panicked").into()),
        }
    }
}

/// Tells the tracing what the user wants, and that the view is gone, however it went.
struct Wisher(Sender<Event>);

impl Wisher {
    fn tell(&self, wish: Wish) {
        // Nobody traces any more if the channel is gone.
        let _ = self.0.send(Event::Wish(wish));
    }
}

impl Drop for Wisher {
    fn drop(&mut self) {
        self.tell(Wish::Quit);
    }
}

/// Shows a document until the user ends it.
///
/// # Errors
///
/// The terminal refuses.
pub fn show_document(snapshot: Snapshot, dimension: Dimension) -> Result<(), Failure> {
    let is_over = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&is_over)).map_err(anyhow::Error::from)?;
    }
    let terminal = open()?;
    let mut app = app(Arc::new(snapshot), dimension, false);
    let ended = drive(terminal, &mut app, || None, || is_over.load(Ordering::Relaxed), |_| {});
    messages::release();
    ended.map_err(|error| anyhow::anyhow!("the terminal failed: {error}").into())
}

/// For who ends the program at once: gives the terminal back, if it is the live view's.
pub(super) fn give_back_terminal() {
    if messages::is_holding() {
        Terminal::restore();
        messages::release();
    }
}

fn open() -> Result<Terminal, Failure> {
    messages::hold();
    Terminal::open().map_err(|error| {
        messages::release();
        anyhow::anyhow!("failed to open the live view: {error}. Use --format table").into()
    })
}

fn app(first: Arc<Snapshot>, dimension: Dimension, is_live: bool) -> App {
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    App::new(first, Settings { theme: Theme { colour }, dimension, is_live })
}

/// Draws and answers keys until the user or the tracing ends it.
fn drive(
    mut terminal: Terminal,
    app: &mut App,
    next: impl Fn() -> Option<Arc<Snapshot>>,
    is_over: impl Fn() -> bool,
    wish: impl Fn(Wish),
) -> io::Result<()> {
    let mut is_stale = true;
    loop {
        if is_stale {
            terminal.draw(app)?;
        }
        let input = terminal.input(WAIT)?;
        is_stale = input.is_some();
        let size = terminal.size()?;
        match input.and_then(|input| app.input(&input, size)) {
            Some(Request::Quit) => return Ok(()),
            Some(Request::Suspend) => terminal.suspend()?,
            Some(Request::Mouse(wanted)) => terminal.set_mouse(wanted)?,
            Some(Request::SampleBytes(bytes)) => wish(Wish::SampleBytes(bytes)),
            Some(Request::Write(path)) => match write(app.snapshot(), app.dimension(), &path) {
                Ok(written) => app.say(written, false),
                Err(failed) => app.say(failed, true),
            },
            None => {}
        }
        if let Some(picture) = next() {
            app.update(picture);
            is_stale = true;
        }
        if let Some(message) = messages::held() {
            app.say(message, true);
            is_stale = true;
        }
        if is_over() {
            return Ok(());
        }
    }
}

/// Writes what is shown; says where, or why not.
fn write(snapshot: &Snapshot, dimension: Dimension, path: &Path) -> Result<String, String> {
    let shown = path.display();
    let format = Format::from_suffix(path).ok_or_else(|| {
        format!("{shown}: its suffix is of no format. Use .json, .pb.gz, .folded, .svg or .txt")
    })?;
    let options = Options { dimension, top: usize::MAX, colour: false, width: None };
    let written = || -> io::Result<u64> {
        let mut file = BufWriter::new(File::create(path)?);
        let mut snapshot = snapshot.clone();
        snapshot.sort_sites();
        view::write(format, &snapshot, &options, &mut file)?;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.metadata().map(|state| state.len())
    };
    let bytes = written().map_err(|error| format!("failed to write {shown}: {error}"))?;
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Ok(format!("wrote {} ({})", whole.display(), Bytes(bytes)))
}
