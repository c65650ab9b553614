//! The message catalogue: every sentence a person reads, in Vietnamese and in English.
//!
//! Keys are grouped by their first word: `cli-`, `status-`, `err-`, `note-`, `label-` (headings and field names) and
//! `word-` (words for values, such as `word-status-completed`). Code holds keys, never sentences, and a test compares
//! both catalogues with each other and with the source.

use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
use unic_langid::LanguageIdentifier;

use crate::api::Lang;

pub mod shown;
#[cfg(test)]
mod tests;

const VI: &str = concat!(
    include_str!("vi.ftl"),
    "\n",
    include_str!("node.vi.ftl"),
    "\n",
    include_str!("adapter.vi.ftl"),
    "\n",
    include_str!("brake.vi.ftl"),
    "\n",
    include_str!("approval.vi.ftl"),
    "\n",
    include_str!("units.vi.ftl"),
    "\n",
    include_str!("recovery.vi.ftl"),
    "\n",
    include_str!("period.vi.ftl"),
    "\n",
    include_str!("calendar.vi.ftl"),
    "\n",
    include_str!("warning.vi.ftl"),
    "\n",
    include_str!("score.vi.ftl"),
    "\n",
    include_str!("audit.vi.ftl"),
    "\n",
    include_str!("bundle.vi.ftl"),
    "\n",
    include_str!("classification.vi.ftl"),
    "\n",
    include_str!("deposit.vi.ftl"),
    "\n",
    include_str!("doctor.vi.ftl"),
    "\n",
    include_str!("users.vi.ftl"),
    "\n",
    include_str!("api.vi.ftl"),
    "\n",
    include_str!("console.vi.ftl"),
    "\n",
    include_str!("fleet.vi.ftl")
);
const EN: &str = concat!(
    include_str!("en.ftl"),
    "\n",
    include_str!("node.en.ftl"),
    "\n",
    include_str!("adapter.en.ftl"),
    "\n",
    include_str!("brake.en.ftl"),
    "\n",
    include_str!("approval.en.ftl"),
    "\n",
    include_str!("units.en.ftl"),
    "\n",
    include_str!("recovery.en.ftl"),
    "\n",
    include_str!("period.en.ftl"),
    "\n",
    include_str!("calendar.en.ftl"),
    "\n",
    include_str!("warning.en.ftl"),
    "\n",
    include_str!("score.en.ftl"),
    "\n",
    include_str!("audit.en.ftl"),
    "\n",
    include_str!("bundle.en.ftl"),
    "\n",
    include_str!("classification.en.ftl"),
    "\n",
    include_str!("deposit.en.ftl"),
    "\n",
    include_str!("doctor.en.ftl"),
    "\n",
    include_str!("users.en.ftl"),
    "\n",
    include_str!("api.en.ftl"),
    "\n",
    include_str!("console.en.ftl"),
    "\n",
    include_str!("fleet.en.ftl")
);

type Bundle = FluentBundle<FluentResource>;

static BUNDLES: LazyLock<[Bundle; 2]> = LazyLock::new(|| [bundle(Lang::Vi), bundle(Lang::En)]);

fn bundle(lang: Lang) -> Bundle {
    let (source, id) = match lang {
        Lang::Vi => (VI, "vi"),
        Lang::En => (EN, "en"),
    };
    // A broken entry costs that entry only; the catalogue test refuses it before a release.
    let resource = match FluentResource::try_new(source.to_owned()) {
        Ok(resource) | Err((resource, _)) => resource,
    };
    let id: LanguageIdentifier = id.parse().unwrap_or_default();
    let mut bundle = Bundle::new_concurrent(vec![id]);
    // Isolation marks are invisible characters that end up in files, searches and tests; neither language needs them.
    bundle.set_use_isolating(false);
    bundle.add_resource_overriding(resource);
    bundle
}

fn of(lang: Lang) -> &'static Bundle {
    &BUNDLES[match lang {
        Lang::Vi => 0,
        Lang::En => 1,
    }]
}

/// The sentence of a key with its arguments filled in; an unknown key comes back as it is, so that nothing is hidden.
pub fn text(lang: Lang, key: &str, args: &[(&str, &str)]) -> String {
    find(lang, key, args).unwrap_or_else(|| key.to_owned())
}

/// The word for a value of a closed list, such as `completed` in the family `word-status-`; `None` for a value this
/// version does not know.
pub fn word(lang: Lang, family: &str, value: &str) -> Option<String> {
    let key = format!("{family}{}", value.replace('_', "-"));
    find(lang, &key, &[])
}

fn find(lang: Lang, key: &str, args: &[(&str, &str)]) -> Option<String> {
    let bundle = of(lang);
    let pattern = bundle.get_message(key)?.value()?;
    let mut values = FluentArgs::new();
    for (name, value) in args {
        values.set(*name, *value);
    }
    let mut errors = Vec::new();
    Some(
        bundle
            .format_pattern(pattern, Some(&values), &mut errors)
            .into_owned(),
    )
}

/// `t!(lang, "key", name = value, …)`: the sentence of a key; values need `Display`.
#[macro_export]
macro_rules! t {
    ($lang:expr, $key:literal $(, $name:ident = $value:expr)* $(,)?) => {
        $crate::text::text($lang, $key, &[$((stringify!($name), &$value.to_string() as &str)),*])
    };
}
