//! What a process still does when it ends by a panic: there is no unwinding, so no destructor runs.

use crate::once::Once;

static FUNCTION: Once<fn()> = Once::new();

/// Has `function` called when this process panics; the first one counts.
pub fn set(function: fn()) {
    FUNCTION.set(function);
}

/// Calls it. For the panic handler.
pub fn say() {
    if let Some(function) = FUNCTION.get() {
        function();
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    #[test]
    fn last_words_are_said_once_they_are_set() {
        static SAID: AtomicU8 = AtomicU8::new(0);
        say();
        set(|| SAID.store(1, Ordering::Relaxed));
        assert_eq!(SAID.load(Ordering::Relaxed), 0);
        say();
        assert_eq!(SAID.load(Ordering::Relaxed), 1);
    }
}
