//! What a build tells while it goes on: [`Event`]s, in the order in which they happen. Steps of stages that are built side
//! by side may be mixed.

use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Serialize};

/// A step, by its number in the build, from 0.
pub type Number = u32;

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Nothing has happened for a while: whoever listens can say that it is gone. Told about once a second while a step
    /// runs.
    Idle,
    /// The build will have so many steps, if none fails; told before the first one.
    Planned {
        /// How many.
        steps: Number,
    },
    /// A step has begun.
    Begun {
        /// Which.
        step: Number,
        /// What is shown of it: `[build 2/4] RUN make`.
        title: String,
    },
    /// A `RUN` has written this.
    Output {
        /// Of this step.
        step: Number,
        /// To stderr, not stdout.
        error: bool,
        /// Bytes as they came.
        #[serde(with = "crate::base64::bytes")]
        bytes: Vec<u8>,
    },
    /// A step is done.
    Done {
        /// Which.
        step: Number,
        /// What came of it was in the cache.
        cached: bool,
        /// Nanoseconds that it took.
        took_ns: i64,
        /// Why it was or was not in the cache, if that was asked for.
        why: Option<String>,
    },
    /// A step has failed, and with it the build; the error follows.
    Failed {
        /// Which.
        step: Number,
    },
    /// Something that is no mistake, yet.
    Warning(String),
}

impl Event {
    /// The step that it is about, if it is about one.
    pub fn step_mut(&mut self) -> Option<&mut Number> {
        match self {
            Event::Begun { step, .. }
            | Event::Output { step, .. }
            | Event::Done { step, .. }
            | Event::Failed { step } => Some(step),
            Event::Idle | Event::Planned { .. } | Event::Warning(_) => None,
        }
    }
}
