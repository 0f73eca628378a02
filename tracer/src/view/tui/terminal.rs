//! The terminal while the live view has it. Whatever happens, it is given back as it was: at the end, on a panic of any
//! thread, while the program is stopped.

use std::io::{self, IsTerminal, Stdout, stdout};
use std::panic;
use std::sync::Once;
use std::time::Duration;

use ratatui::Frame;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, DisableMouseCapture, EnableMouseCapture};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, enable_raw_mode};
use ratatui::layout::Size;
use signal_hook::consts::SIGSTOP;
use signal_hook::low_level::raise;

use super::{App, Input};
use crate::symbolize;

/// The terminal in raw mode, with a screen of its own.
#[derive(Debug)]
pub struct Terminal {
    terminal: ratatui::Terminal<CrosstermBackend<Stdout>>,
    mouse: bool,
}

/// Whether stdout is a terminal that can show more than lines.
#[must_use]
pub fn is_there() -> bool {
    stdout().is_terminal() && std::env::var_os("TERM").is_some_and(|name| name != "dumb" && !name.is_empty())
}

impl Terminal {
    /// Takes the terminal; dropping gives it back.
    ///
    /// # Errors
    /// The terminal refuses.
    pub fn open() -> io::Result<Self> {
        // It sets a panic hook, too, that gives the terminal back before the message is printed.
        let terminal = ratatui::try_init()?;
        give_the_mouse_back_on_a_panic();
        Ok(Self { terminal, mouse: false })
    }

    /// Draws the view.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn draw(&mut self, app: &App) -> io::Result<()> {
        self.terminal.draw(|frame| app.draw(frame)).map(drop)
    }

    /// Draws something else than the live view.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn draw_with(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw).map(drop)
    }

    /// What the user does next, if that is soon.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn input(&self, wait: Duration) -> io::Result<Option<Input>> {
        if event::poll(wait)? { event::read().map(Some) } else { Ok(None) }
    }

    /// Columns and rows.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn size(&self) -> io::Result<Size> {
        self.terminal.size()
    }

    /// Takes the mouse, or leaves it to the terminal, which selects text with it.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn set_mouse(&mut self, wanted: bool) -> io::Result<()> {
        self.mouse = wanted;
        if wanted { execute!(stdout(), EnableMouseCapture) } else { execute!(stdout(), DisableMouseCapture) }
    }

    /// Stops the program, as the shell expects on Ctrl-Z; returns when it goes on.
    ///
    /// # Errors
    /// The terminal refuses to be taken again.
    pub fn suspend(&mut self) -> io::Result<()> {
        let mouse = self.mouse;
        Self::restore();
        // A handler may have SIGTSTP; this one cannot be caught, and is to the shell the same. It goes to this thread:
        // sent to the process, another thread takes it and this one goes on drawing until all are stopped.
        raise(SIGSTOP)?;
        // The same terminal again: a new one in its place would drop this one, which gives back what was just taken.
        enable_raw_mode()?;
        execute!(stdout(), EnterAlternateScreen)?;
        self.set_mouse(mouse)?;
        self.terminal.clear()
    }

    /// Gives back what is taken of the terminal, by whomever.
    pub fn restore() {
        // Nobody is left to tell if the terminal is gone.
        let _ = execute!(stdout(), DisableMouseCapture, Show);
        let _ = ratatui::try_restore();
    }
}

/// Before whatever else a panic does: the thread that has the terminal may be another one, which does not unwind.
fn give_the_mouse_back_on_a_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let next = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // One that is caught ends nothing.
            if symbolize::is_asking() {
                return;
            }
            // Nobody is left to tell if the terminal is gone.
            let _ = execute!(stdout(), DisableMouseCapture, Show);
            next(info);
        }));
    });
}

impl Drop for Terminal {
    fn drop(&mut self) {
        Self::restore();
    }
}
