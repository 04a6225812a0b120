//! What `skiff build` is made of.
//!
//! | module | what comes in -> what goes out |
//! |---|---|
//! | [`flags`] | what was typed -> the options of a build, or why one is not there |
//! | [`export`] | `--output` -> where the result goes, and the result there |
//! | [`carried`] | `--cache-to`, `--cache-from` -> directories of steps |
//! | [`annotations`] | `--annotation` -> what is noted of the image, and where |
//! | [`secrets`] | `--secret` -> an id and its content |
//! | [`ssh`] | `--ssh` -> an id, and where an agent listens |
//! | [`source`] | PATH and `--file` -> the Dockerfile and the context |
//! | [`upload`] | a directory -> the tar of a context, for an engine that can't see it |
//! | [`show`] | the stream of a build -> a view's text on stderr, and the image's id |
//! | [`plain`], [`live`], [`raw`], [`quiet`] | events -> text: the views |
//! | [`steps`], [`text`] | what the views know of steps; bytes of programs -> text that is safe to show |
//! | [`trace`] | events -> a timeline for `--trace` |
//! | [`check`], [`describe`], [`sarif`] | `--call`: a Dockerfile -> what is wrong with it and what is in it |

mod annotations;
pub mod carried;
pub mod check;
pub mod describe;
pub mod export;
pub mod flags;
mod live;
mod plain;
mod quiet;
mod raw;
mod sarif;
mod secrets;
pub mod show;
pub mod source;
mod ssh;
mod steps;
mod text;
pub mod trace;
pub mod upload;
