//! Telling the person at the terminal what takes so long; and a log file the same in plain lines.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Where progress goes: a moving line on a terminal, a line per step elsewhere, or nowhere (tests).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Spinners and bars.
    Terminal,
    /// One line when a step begins.
    Lines,
    /// Nothing.
    Silent,
}

impl Progress {
    /// What suits standard error.
    #[must_use]
    pub fn detect() -> Self {
        if std::io::stderr().is_terminal() { Self::Terminal } else { Self::Lines }
    }

    /// A remark between steps.
    pub fn say(self, text: &str) {
        if self != Self::Silent {
            eprintln!("{text}");
        }
    }

    /// Begins a step of unknown length. It ends when the returned value is dropped.
    #[must_use]
    pub fn step(self, text: &str) -> Step {
        let bar = ProgressBar::new_spinner().with_message(text.to_owned());
        self.begin(text, bar, "{spinner} {msg} ({elapsed})")
    }

    /// Begins a step of known length in bytes.
    #[must_use]
    pub fn bytes(self, text: &str, total: u64) -> Step {
        let bar = ProgressBar::new(total).with_message(text.to_owned());
        self.begin(text, bar, "{spinner} {msg} [{bar:30}] {bytes}/{total_bytes}")
    }

    fn begin(self, text: &str, bar: ProgressBar, template: &str) -> Step {
        if self != Self::Terminal {
            self.say(text);
            return Step { bar: ProgressBar::hidden() };
        }
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Step { bar }
    }
}

/// A step under way.
#[derive(Debug)]
pub struct Step {
    bar: ProgressBar,
}

impl Step {
    /// So many bytes more are done.
    pub fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
