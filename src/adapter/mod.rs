//! Adapters: the same data in outside systems, so that nobody types it twice.
//!
//! A *profile* (TOML, one file per system) says how an outside system is reached and how its records map to ours. An
//! *engine* speaks to the outside: pages of JSON records come in, bodies go out. Between them stands one cycle that
//! is the same for all: list, map, compare three ways with the *shadow* (what both sides had when they last agreed), write here what
//! changed there and there what changed here, read back, note the new shadow.
//!
//! Engines know nothing of our records, the cycle knows nothing of HTTP. Mappings are jq and run in a process of their own.

pub mod claims;
pub mod connect;
pub mod convert;
pub mod cycle;
pub mod delivery;
pub mod document;
pub mod edxml;
pub mod engine;
pub mod engines;
pub mod folder;
pub mod html;
pub mod http;
pub mod mapping;
pub mod notify;
pub mod ours;
pub mod process;
pub mod profile;
pub mod run;
pub mod secret;
pub mod self_test;
pub mod simulate;
pub mod tabular;
pub mod template;
pub mod verbs;
pub mod workbook;
