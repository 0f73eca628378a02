//! blazesym, kept from ending tracer: some damaged debug information makes it panic.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use blazesym::symbolize::source::Source;
use blazesym::symbolize::{Input, Sym, Symbolized, Symbolizer};

use crate::units::ElfVaddr;

/// What an answer fails with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The source says something that cannot be.
    Unreadable(String),
    /// And it must not be asked again.
    Panicked,
}

/// Answers, and never panics.
#[derive(Debug)]
pub(super) struct Guarded(Symbolizer);

thread_local! {
    static ASKING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is asking: a panic of it is caught.
#[must_use]
pub fn is_asking() -> bool {
    ASKING.get()
}

impl Default for Guarded {
    fn default() -> Self {
        keep_quiet_while_asking();
        let builder = Symbolizer::builder().enable_auto_reload(false).enable_demangling(false);
        // Links are followed by us: an object could name any file of this machine.
        Self(builder.set_debug_dirs(Some([""; 0])).build())
    }
}

impl Guarded {
    /// What `take` makes of the symbol at an address, if there is one that has a name.
    pub(super) fn symbol<T>(
        &mut self,
        source: &Source<'_>,
        address: ElfVaddr,
        take: impl FnOnce(&Sym<'_>) -> T,
    ) -> Result<Option<T>, Failure> {
        let symbolizer = &self.0;
        let ask = || match symbolizer.symbolize_single(source, Input::VirtOffset(address.0)) {
            Ok(Symbolized::Sym(symbol)) if !symbol.name.is_empty() => Ok(Some(take(&symbol))),
            Ok(_) => Ok(None),
            Err(error) => Err(Failure::Unreadable(error.to_string())),
        };
        ASKING.set(true);
        let answer = panic::catch_unwind(AssertUnwindSafe(ask));
        ASKING.set(false);
        answer.unwrap_or_else(|_| {
            // Whatever state it was left in goes with it.
            *self = Self::default();
            Err(Failure::Panicked)
        })
    }
}

/// A panic that is caught is no message for the user: its reason is shown with the frame.
fn keep_quiet_while_asking() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !is_asking() {
                before(info);
            }
        }));
    });
}
