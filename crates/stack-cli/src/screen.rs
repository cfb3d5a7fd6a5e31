//! The output of the commands: lines, one colour per service on a terminal, and steps with their duration.

use stack::process::service_of;
use std::fmt::Display;
use std::time::Instant;

pub(crate) use program::{complain, print, say};

/// The colours of the services, in their order: cyan, yellow, magenta, green, then blue and red for further ones.
const COLOURS: [u8; 6] = [36, 33, 35, 32, 34, 31];

/// A step that may take a while: prints its beginning, and its result with the elapsed time.
pub(crate) struct Step(Instant);

impl Step {
    pub(crate) fn begin(what: impl Display) -> Self {
        say(format_args!("  … {what}"));
        Self(Instant::now())
    }

    pub(crate) fn done(&self, what: impl Display) {
        say(format_args!("  ✓ {what} ({:.1} s)", self.0.elapsed().as_secs_f32()));
    }
}

/// One colour per service, on a terminal or with `FORCE_COLOR`; no colours with `NO_COLOR`.
pub(crate) struct Palette {
    services: Vec<String>,
    on: bool,
}

impl Palette {
    pub(crate) fn new(services: Vec<String>) -> Self {
        Self { services, on: program::is_coloured() }
    }

    /// Returns the text in the colour of this service or instance.
    pub(crate) fn paint(&self, name: &str, text: impl Display) -> String {
        self.painted("", name, text)
    }

    pub(crate) fn paint_bold(&self, name: &str, text: impl Display) -> String {
        self.painted("1;", name, text)
    }

    fn painted(&self, weight: &str, name: &str, text: impl Display) -> String {
        let place = self.services.iter().position(|service| service == service_of(name));
        match place {
            Some(place) if self.on => {
                format!("\x1b[{weight}{}m{text}\x1b[0m", COLOURS[place % COLOURS.len()])
            }
            _ => text.to_string(),
        }
    }
}
