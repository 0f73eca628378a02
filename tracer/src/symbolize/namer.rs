//! The thread that finds names: reading the debug information of a large program takes seconds, and new stacks, keys and
//! refreshes must not wait for it.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

use super::{Located, PlaceId, Symbolizer};
use crate::frame::Frames;

/// A place with its names.
pub(super) type Answer = (PlaceId, Frames);

/// The thread, and the way to it. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Namer {
    requests: Sender<Request>,
    answers: Receiver<Answer>,
}

/// What it is to do.
#[derive(Debug)]
enum Request {
    Name(PlaceId, Located),
    /// No other files are mapped any more.
    Keep(HashSet<(u64, u64)>),
}

/// The thread is gone: it has panicked.
#[derive(Debug)]
pub(super) struct Gone;

impl Namer {
    /// Starts the thread; `None` if there is none to be had.
    pub(super) fn start() -> Option<Self> {
        let (requests, asked) = channel::<Request>();
        let (sender, answers) = channel();
        let name = move || {
            let mut symbolizer = Symbolizer::default();
            for request in asked {
                match request {
                    Request::Name(id, located) => {
                        if sender.send((id, symbolizer.frames(&located))).is_err() {
                            return;
                        }
                    }
                    Request::Keep(files) => symbolizer.keep(&files),
                }
            }
        };
        std::thread::Builder::new().name("tracer-names".to_owned()).spawn(name).ok()?;
        Some(Self { requests, answers })
    }

    /// Asks for the names of a place.
    pub(super) fn ask(&self, id: PlaceId, located: Located) -> Result<(), Gone> {
        self.requests.send(Request::Name(id, located)).map_err(|_| Gone)
    }

    /// Forgets what was read of all files but these.
    pub(super) fn keep(&self, files: HashSet<(u64, u64)>) {
        // A thread that is gone has forgotten everything.
        drop(self.requests.send(Request::Keep(files)));
    }

    /// An answer, if there is one.
    pub(super) fn answer(&self) -> Result<Option<Answer>, Gone> {
        match self.answers.try_recv() {
            Ok(answer) => Ok(Some(answer)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Gone),
        }
    }

    /// Waits for an answer.
    pub(super) fn wait(&self) -> Result<Answer, Gone> {
        self.answers.recv().map_err(|_| Gone)
    }
}
