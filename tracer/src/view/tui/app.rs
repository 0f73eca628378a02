//! The state of the live view, and what each key does to it.

use std::path::PathBuf;
use std::sync::Arc;

use ratatui::Frame;
use ratatui::crossterm::event::{KeyEventKind, KeyModifiers};
use ratatui::layout::{Rect, Size};

use super::action::{self, Action, Input};
use super::chrome::{self, Layout, SCREENS, State};
use super::compare::Compare;
use super::data::Data;
use super::filter::Filter;
use super::flame::Flame;
use super::picture::Baseline;
use super::process::Process;
use super::prompt::{Prompt, Purpose, Typed};
use super::quality::QualityScreen;
use super::screen::Screen;
use super::sites::Sites;
use super::targets::Targets;
use super::theme::Theme;
use super::tree::Tree;
use super::{cells, help, interval};
use crate::model::snapshot::{Dimension, Snapshot};
use crate::units::Bytes;
use crate::view::{frame, words};

/// The number of the screen that always compares, from 0.
const COMPARE: usize = 4;

/// How the live view begins.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How it looks.
    pub theme: Theme,
    /// What weighs call sites at first.
    pub dimension: Dimension,
    /// False for a saved document: its sampling interval is what it was.
    pub is_live: bool,
}

/// What the user wants and [`App`] cannot do itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// End.
    Quit,
    /// Give the terminal back, and stop.
    Suspend,
    /// Write [`App::snapshot`] there, in the format of the suffix; then [`App::say`] where that is.
    Write(PathBuf),
    /// Mean bytes between samples from now on; 0 is every allocation.
    SampleBytes(u64),
    /// Ask the terminal for the mouse, or give it back.
    Mouse(bool),
}

/// The live view. It does nothing but remember and draw: who owns it reads the terminal and does what it requests.
pub struct App {
    data: Data,
    screens: Screens,
    targets: Targets,
    /// The list of targets is shown instead of a screen.
    is_at_targets: bool,
    screen: usize,
    prompt: Option<Prompt>,
    is_helping: bool,
    /// Until the next key, and whether it is an error.
    message: Option<(String, bool)>,
    is_paused: bool,
    /// The newest while paused.
    held: Option<Arc<Snapshot>>,
    is_live: bool,
    uses_mouse: bool,
    /// The sampling interval that was asked for and is not there yet.
    asked_bytes: Option<u64>,
}

#[derive(Default)]
struct Screens {
    sites: Sites,
    tree: Tree,
    flame: Flame,
    process: Process,
    compare: Compare,
    quality: QualityScreen,
}

impl Screens {
    fn get(&self, at: usize) -> &dyn Screen {
        match at {
            0 => &self.sites,
            1 => &self.tree,
            2 => &self.flame,
            3 => &self.process,
            COMPARE => &self.compare,
            _ => &self.quality,
        }
    }

    fn get_mut(&mut self, at: usize) -> &mut dyn Screen {
        match at {
            0 => &mut self.sites,
            1 => &mut self.tree,
            2 => &mut self.flame,
            3 => &mut self.process,
            COMPARE => &mut self.compare,
            _ => &mut self.quality,
        }
    }
}

impl App {
    /// What weighs the stacks at present.
    #[must_use]
    pub fn dimension(&self) -> Dimension {
        self.data.picture(false).dimension
    }

    /// Begins with the list of targets if there are several, else with the call sites.
    #[must_use]
    pub fn new(snapshot: Arc<Snapshot>, settings: Settings) -> Self {
        Self {
            is_at_targets: snapshot.targets.len() > 1,
            data: Data::new(snapshot, settings.dimension, settings.theme),
            screens: Screens::default(),
            targets: Targets::default(),
            screen: 0,
            prompt: None,
            is_helping: false,
            message: None,
            is_paused: false,
            held: None,
            is_live: settings.is_live,
            uses_mouse: false,
            asked_bytes: None,
        }
    }

    /// Shows a newer snapshot, or while paused keeps it for later.
    pub fn update(&mut self, snapshot: Arc<Snapshot>) {
        if self.asked_bytes == Some(snapshot.sample_bytes) {
            self.asked_bytes = None;
        }
        if self.is_paused {
            self.held = Some(snapshot);
        } else {
            self.data.update(snapshot);
        }
    }

    /// What is shown: while paused not the newest.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.data.snapshot
    }

    /// Says something until the next key.
    pub fn say(&mut self, message: String, is_error: bool) {
        if is_error {
            self.asked_bytes = None;
        }
        self.message = Some((message, is_error));
    }

    /// Does what a key, the mouse or a paste asks for, on a terminal of this size.
    pub fn input(&mut self, input: &Input, size: Size) -> Option<Request> {
        let action = action::of(input);
        let is_control = matches!(input, Input::Key(key) if key.modifiers.contains(KeyModifiers::CONTROL));
        if is_control && matches!(action, Some(Action::Quit | Action::Suspend)) {
            return self.act(action?, size);
        }
        if let Some(prompt) = self.prompt.take() {
            return self.typed(prompt, input);
        }
        let is_key = matches!(input, Input::Key(key) if key.kind != KeyEventKind::Release);
        if is_key || action.is_some() {
            self.message = None;
            if std::mem::take(&mut self.is_helping) {
                return None;
            }
        }
        self.act(action?, size)
    }

    fn act(&mut self, action: Action, size: Size) -> Option<Request> {
        match action {
            Action::Quit => return Some(Request::Quit),
            Action::Suspend => return Some(Request::Suspend),
            Action::Help => self.is_helping = true,
            Action::Pause => self.pause(),
            Action::Write => self.prompt = Some(Prompt::write(&self.data.snapshot)),
            Action::Filter => self.prompt = Some(Prompt::filter(self.data.filter.as_ref())),
            Action::Coarser | Action::Finer => return self.resample(action == Action::Coarser),
            Action::Mouse => {
                self.uses_mouse = !self.uses_mouse;
                let text =
                    if self.uses_mouse { "mouse: click and wheel; Shift selects text" } else { "mouse off" };
                self.say(text.to_owned(), false);
                return Some(Request::Mouse(self.uses_mouse));
            }
            Action::Baseline => {
                self.data.baseline = Some(Baseline::of(&self.data.snapshot));
                self.data.shows_change = true;
                self.say("baseline set: changes from now on, d shows the numbers again".to_owned(), false);
            }
            Action::Difference if self.data.baseline.is_none() => {
                self.say("nothing to compare with: press b first".to_owned(), true);
            }
            Action::Difference => self.data.shows_change = !self.data.shows_change,
            Action::Dimension => {
                let dimension = self.data.next_dimension();
                self.screens.sites.follow_dimension();
                self.say(format!("by {}", words::dimension(dimension)), false);
            }
            _ => self.navigate(action, size),
        }
        None
    }

    /// Between screens, and within one.
    fn navigate(&mut self, action: Action, size: Size) {
        let Some(layout) = Layout::of(Rect::from(size)) else { return };
        match action {
            Action::Screen(number) if number <= SCREENS.len() => self.show(number - 1),
            Action::NextScreen => self.show((self.screen + 1) % SCREENS.len()),
            Action::PreviousScreen => self.show((self.screen + SCREENS.len() - 1) % SCREENS.len()),
            Action::Click { column, row } if row == layout.tabs.y && !self.is_at_targets => {
                if let Some(screen) = chrome::tab_at(column, self.screen, layout.tabs) {
                    self.show(screen);
                }
            }
            Action::Open if self.is_at_targets => self.enter(),
            _ => {
                let picture = self.data.picture(self.screen == COMPARE);
                let done = if self.is_at_targets {
                    self.targets.act(action, &picture, layout.content)
                } else {
                    self.screens.get_mut(self.screen).act(action, &picture, layout.content)
                };
                if !done && action == Action::Back {
                    self.back();
                }
            }
        }
    }

    fn show(&mut self, screen: usize) {
        if self.is_at_targets {
            self.enter();
        }
        self.screen = screen;
    }

    /// Into the selected target.
    fn enter(&mut self) {
        self.data.pid = self.targets.selected(&self.data.picture(false));
        // It was a filter of processes.
        self.data.filter = None;
        self.is_at_targets = false;
    }

    fn back(&mut self) {
        if self.data.filter.take().is_none() && self.data.snapshot.targets.len() > 1 {
            self.is_at_targets = true;
        }
    }

    fn pause(&mut self) {
        self.is_paused = !self.is_paused;
        if let Some(newest) = self.held.take() {
            self.data.update(newest);
        }
    }

    fn resample(&mut self, coarser: bool) -> Option<Request> {
        if !self.is_live {
            self.say("a saved profile has no sampling interval to change".to_owned(), true);
            return None;
        }
        if self.data.snapshot.targets.iter().all(|target| target.ended.is_some()) {
            self.say("what has ended keeps its sampling interval".to_owned(), true);
            return None;
        }
        let now = self.asked_bytes.unwrap_or(self.data.snapshot.sample_bytes);
        let Some(bytes) = interval::next(now, coarser) else {
            let end =
                if coarser { "that is the longest interval" } else { "that is every allocation already" };
            self.say(end.to_owned(), false);
            return None;
        };
        let text = match bytes {
            0 => "asked for every allocation".to_owned(),
            bytes => format!("asked for a sample every {}", Bytes(bytes)),
        };
        self.say(text, false);
        self.asked_bytes = Some(bytes);
        Some(Request::SampleBytes(bytes))
    }

    fn typed(&mut self, mut prompt: Prompt, input: &Input) -> Option<Request> {
        let typed = prompt.input(input);
        match (&prompt.purpose, typed) {
            (Purpose::Filter(_), Typed::More) => {
                self.data.filter = Filter::new(prompt.text());
                self.prompt = Some(prompt);
            }
            (Purpose::Filter(before), Typed::Cancel) => self.data.filter.clone_from(before),
            (Purpose::Filter(_), Typed::Done) => {
                let literal = self.data.filter.as_ref().is_some_and(|filter| filter.is_literal);
                self.message =
                    literal.then(|| ("no regular expression, so it is taken literally".to_owned(), false));
            }
            (Purpose::Write, Typed::More) => self.prompt = Some(prompt),
            (Purpose::Write, Typed::Cancel) => {}
            (Purpose::Write, Typed::Done) => match prompt.path() {
                None => self.prompt = Some(prompt),
                Some(path) => return Some(Request::Write(path)),
            },
        }
        None
    }

    /// Draws everything.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let Some(layout) = Layout::of(area) else {
            chrome::too_small(area, frame.buffer_mut());
            return;
        };
        let picture = self.data.picture(self.screen == COMPARE && !self.is_at_targets);
        let theme = picture.theme;
        let buffer = frame.buffer_mut();
        chrome::status(&picture, self.state(), layout.status, buffer);
        let filter = self.data.filter.as_ref().map(|filter| filter.text.as_str());
        let screen = self.screens.get(self.screen);
        if self.is_at_targets {
            chrome::title("Processes", filter, theme, layout.tabs, buffer);
            self.targets.draw(&picture, layout.content, buffer);
        } else {
            chrome::tabs(self.screen, filter, theme, layout.tabs, buffer);
            screen.draw(&picture, layout.content, buffer);
        }
        let mut cursor = None;
        if let Some(prompt) = &self.prompt {
            cursor = Some(prompt.draw(layout.bottom, theme, buffer));
        } else if let Some((text, is_error)) = &self.message {
            let style = if *is_error { theme.bad() } else { theme.strong() };
            let text = cells::cut(&frame::printable(text), usize::from(layout.bottom.width));
            cells::put(buffer, layout.bottom, layout.bottom.x, layout.bottom.y, &text, style);
        } else {
            let hints = if self.is_at_targets { Targets::HINTS } else { screen.hints() };
            chrome::hints(hints, theme, layout.bottom, buffer);
        }
        if self.is_helping {
            help::draw(area, theme, buffer);
        }
        if let Some(cursor) = cursor {
            frame.set_cursor_position(cursor);
        }
    }

    fn state(&self) -> State {
        let shown = self.data.snapshot.attached_seconds;
        let newest = self.held.as_ref().map_or(shown, |newest| newest.attached_seconds);
        let baseline = self.data.baseline.as_ref().filter(|_| self.data.shows_change);
        State {
            paused_seconds: self.is_paused.then_some(newest - shown),
            change_seconds: baseline.map(|baseline| (shown - baseline.seconds).max(0.0)),
            is_live: self.is_live,
        }
    }
}
