//! The thread that finds names: reading the debug information of a large program takes seconds, and new stacks, keys and
//! refreshes must not wait for it.

use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

use super::{Located, PlaceId, Symbolizer};
use crate::frame::Frames;

/// A place with its names.
pub(super) type Answer = (PlaceId, Frames);

/// The thread, and the way to it. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Namer {
    requests: Sender<(PlaceId, Located)>,
    answers: Receiver<Answer>,
}

/// The thread is gone: it has panicked.
#[derive(Debug)]
pub(super) struct Gone;

impl Namer {
    /// Starts the thread; `None` if there is none to be had.
    pub(super) fn start() -> Option<Self> {
        let (requests, asked) = channel::<(PlaceId, Located)>();
        let (sender, answers) = channel();
        let name = move || {
            let mut symbolizer = Symbolizer::default();
            for (id, located) in asked {
                if sender.send((id, symbolizer.frames(&located))).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("tracer-names".to_owned()).spawn(name).ok()?;
        Some(Self { requests, answers })
    }

    /// Asks for the names of a place.
    pub(super) fn ask(&self, id: PlaceId, located: Located) -> Result<(), Gone> {
        self.requests.send((id, located)).map_err(|_| Gone)
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
