//! The commented sample files, `config/{commune,province,ministry}.toml`, and what `nqsync init` writes.

use super::keys::{Fallback, KEYS, Key, SECTIONS};
use super::model::Level;

/// A configuration file for that level that names every key with its meaning, its default and why one would change it.
/// Keys in `set` (path and TOML value) are active, and so are the sections they stand in; all others are commented out.
pub fn sample(level: Level, set: &[(&str, &str)]) -> String {
    let mut text = format!(
        "# nqsync: configuration of one node at the level \"{}\".\n\
         #\n\
         # A line that starts with # and a key shows the default; remove the # to change it. Any key can be overridden by\n\
         # NQSYNC_<SECTION>_<KEY> in the environment, and that by --set section.key=value. `nqsync config check` names\n\
         # everything that is wrong here; `nqsync config show --all` shows what holds, and where it comes from.\n\
         # No secret stands in this file: keys and tokens are files in data_dir, or systemd credentials.\n",
        level.as_str()
    );
    for (section, doc) in SECTIONS {
        let is_set = |key: &Key| {
            set.iter()
                .find(|(path, _)| *path == key.path())
                .map(|(_, value)| *value)
        };
        let keys: Vec<_> = KEYS.iter().filter(|k| k.section == *section).collect();
        let active = keys.iter().any(|k| is_set(k).is_some());
        text += &format!("\n# {doc}\n{}[{section}]\n", if active { "" } else { "#" });
        for key in keys {
            text += &block(key, is_set(key));
        }
    }
    text
}

fn block(key: &Key, value: Option<&str>) -> String {
    let (default, shown) = match key.fallback {
        Fallback::Required => ("none, it must be written".to_owned(), "\"\""),
        Fallback::Value(literal) => (literal.to_owned(), literal),
        Fallback::Derived(words) => (words.to_owned(), "\"control.sock\""),
    };
    let line = match value {
        Some(value) => format!("{} = {value}", key.name),
        None => format!("#{} = {shown}", key.name),
    };
    format!(
        "\n# {}\n# Default: {default}\n# When to change it: {}\n{line}\n",
        key.doc, key.why
    )
}
