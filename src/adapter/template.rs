//! New profiles from templates. Pure.
//!
//! A template is a profile that works, with a comment `#? …` above each key that nobody can guess. Every key can be set
//! by its path, and comments stay where they are; so a profile can be asked about again.

use std::collections::BTreeMap;

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, TableLike, Value};

/// A shipped template.
#[derive(Clone, Copy, Debug)]
pub struct Template {
    /// Its name: the folder under `adapters/`.
    pub name: &'static str,
    /// The profile.
    pub text: &'static str,
}

macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        &[$(Template { name: $name, text: include_str!(concat!("../../adapters/", $name, "/profile.toml")) }),*]
    };
}

/// The templates, one for each folder under `adapters/`.
pub const TEMPLATES: &[Template] = templates![
    "email-report",
    "eoffice",
    "excel-drop",
    "ioc",
    "leadership-tasks",
    "lgsp",
    "national-reporting",
    "nq57",
    "resolution-tracker",
    "rest",
    "roundup",
    "statistics",
    "theodoinq",
    "tracker"
];

/// The template with this name.
pub fn find(name: &str) -> Option<Template> {
    TEMPLATES
        .iter()
        .find(|template| template.name == name)
        .copied()
}

/// A key that a person has to decide on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Path of the key, such as `http.base_url`.
    pub path: String,
    /// What is asked.
    pub text: String,
    /// What the template has.
    pub default: String,
    /// The key names the file of a secret.
    pub is_secret: bool,
}

/// A secret of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFile {
    /// What it is: the name of its key, such as `password`.
    pub key: String,
    /// What its file, beside the profile, is called after the adapter's name and a dot.
    pub ending: String,
}

/// A path or a value that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} {why}")]
pub struct Unfit {
    /// The path.
    pub path: String,
    /// What is wrong.
    pub why: String,
}

/// A profile in the making.
#[derive(Clone)]
pub struct Draft(DocumentMut);

impl Draft {
    /// Begins an adapter `name` from a template. Secrets get files of its own name.
    pub fn begin(template: Template, name: &str) -> Result<Draft, Unfit> {
        let mut draft = Draft::of(template.name, template.text)?;
        let rename = &mut |_: &str, ending: &str| Some(format!("{name}.{ending}"));
        each_secret(draft.0.as_table_mut(), "", template.name, rename);
        Ok(draft)
    }

    /// The profile of an adapter that is there.
    pub fn of(name: &str, text: &str) -> Result<Draft, Unfit> {
        let document = text.parse::<DocumentMut>().map_err(|error| Unfit {
            path: name.to_owned(),
            why: error.message().to_owned(),
        })?;
        Ok(Draft(document))
    }

    /// The secrets of the adapter `name` that have files of its own name.
    pub fn secrets(&self, name: &str) -> Vec<SecretFile> {
        let mut found = Vec::new();
        let mut table = self.0.as_table().clone();
        each_secret(&mut table, "", name, &mut |key, ending| {
            found.push(SecretFile {
                key: key.to_owned(),
                ending: ending.to_owned(),
            });
            None
        });
        found
    }

    /// The value of a key, as a person would type it.
    pub fn get(&self, path: &str) -> Option<String> {
        let parts: Vec<String> = path.split('.').map(str::to_owned).collect();
        get(self.0.as_table(), &parts).map(shown)
    }

    /// What is to be asked, in the order of the file.
    pub fn questions(&self) -> Vec<Question> {
        let text = self.0.to_string();
        let (mut found, mut asked, mut table) = (Vec::new(), Vec::new(), Vec::new());
        let mut counts = BTreeMap::new();
        for line in text.lines().map(str::trim) {
            if let Some(part) = line.strip_prefix("#?") {
                asked.push(part.trim());
            } else if let Some(header) = line.strip_prefix("[[").and_then(|l| l.split_once("]]")) {
                let count: &mut usize = counts.entry(header.0.to_owned()).or_default();
                let named = self.name_in_list(header.0, *count);
                table = vec![header.0.to_owned(), named];
                *count += 1;
            } else if let Some(header) = line.strip_prefix('[').and_then(|l| l.split_once(']')) {
                table = self.within(header.0, &counts);
            } else if let (Some((key, _)), false) = (line.split_once('='), asked.is_empty()) {
                let mut path = table.clone();
                path.extend(key.trim().split('.').map(str::to_owned));
                // A line of a longer text is no key.
                if let Some(value) = get(self.0.as_table(), &path) {
                    let table = value.as_inline_table();
                    let names_file = table.is_some_and(|table| table.contains_key("file"));
                    found.push(Question {
                        is_secret: names_file || path.last().is_some_and(|key| key == "file"),
                        path: path.join("."),
                        text: asked.join(" "),
                        default: shown(value),
                    });
                }
                asked.clear();
            }
        }
        found
    }

    /// The path of a table; inside a list of tables it is the last one that began.
    fn within(&self, header: &str, counts: &BTreeMap<String, usize>) -> Vec<String> {
        let parts = header
            .split('.')
            .map(|part| part.trim().trim_matches('"').to_owned());
        let mut parts: Vec<String> = parts.collect();
        if let Some(count) = parts.first().and_then(|first| counts.get(first)) {
            let named = self.name_in_list(&parts[0], count.saturating_sub(1));
            parts.insert(1, named);
        }
        parts
    }

    /// What a table of a list is called in a path: its name, else its number.
    fn name_in_list(&self, list: &str, number: usize) -> String {
        let tables = self.0.get(list).and_then(Item::as_array_of_tables);
        let table = tables.and_then(|tables| tables.get(number));
        let name = table
            .and_then(|table| table.get("name"))
            .and_then(Item::as_str);
        name.map_or_else(|| number.to_string(), str::to_owned)
    }

    /// Sets a key. A value has the type of what is there; what is not there yet may be any TOML, or text.
    pub fn set(&mut self, path: &str, text: &str) -> Result<(), Unfit> {
        let parts: Vec<&str> = path.split('.').collect();
        set(self.0.as_table_mut(), &parts, text).map_err(|why| Unfit {
            path: path.to_owned(),
            why,
        })
    }

    /// The profile's text. What is asked stays marked, so that it can be asked again.
    pub fn text(&self) -> String {
        self.0.to_string()
    }
}

fn get<'t>(table: &'t dyn TableLike, path: &[String]) -> Option<&'t Value> {
    let (first, rest) = path.split_first()?;
    let item = table.get(first)?;
    match (item, rest) {
        (item, []) => item.as_value(),
        (Item::ArrayOfTables(list), [which, rest @ ..]) => {
            get(list.get(place(list, which)?)?, rest)
        }
        (item, rest) => get(item.as_table_like()?, rest),
    }
}

fn set(table: &mut dyn TableLike, path: &[&str], text: &str) -> Result<(), String> {
    let Some((first, rest)) = path.split_first().filter(|(first, _)| !first.is_empty()) else {
        return Err("is no key".to_owned());
    };
    if rest.is_empty() {
        match table.get_mut(first).filter(|item| !item.is_none()) {
            // In place: the comments above belong to the key.
            Some(Item::Value(now)) => {
                let mut value = value_like(Some(now), text)?;
                *value.decor_mut() = now.decor().clone();
                *now = value;
            }
            Some(_) => return Err("is a table; set a key in it".to_owned()),
            None => {
                table.insert(first, Item::Value(value_like(None, text)?));
            }
        }
        return Ok(());
    }
    if table.get(first).is_none_or(Item::is_none) {
        table.insert(first, toml_edit::table());
    }
    match (table.get_mut(first), rest) {
        (Some(Item::ArrayOfTables(list)), [which, rest @ ..]) => {
            match place(list, which).and_then(|place| list.get_mut(place)) {
                Some(table) => set(table, rest, text),
                None => Err(format!("is not there: {first} has no {which}")),
            }
        }
        (Some(item), rest) => match item.as_table_like_mut() {
            Some(table) => set(table, rest, text),
            None => Err(format!("is no key: {first} is a value")),
        },
        (None, _) => Err("is not there".to_owned()),
    }
}

/// The number of a table in a list, from its name or its number.
fn place(list: &ArrayOfTables, which: &str) -> Option<usize> {
    let named = |table: &Table| table.get("name").and_then(Item::as_str) == Some(which);
    list.iter().position(named).or_else(|| which.parse().ok())
}

/// The text as a value of the same type as `now`; a list of texts may be typed with `;` between them.
fn value_like(now: Option<&Value>, text: &str) -> Result<Value, String> {
    let parsed = text.trim().parse::<Value>();
    match (now, parsed) {
        (Some(Value::String(_)), Ok(Value::String(quoted))) => {
            Ok(Value::from(quoted.value().as_str()))
        }
        (Some(Value::String(_)), _) => Ok(Value::from(text)),
        (Some(now), Ok(value)) if now.type_name() == value.type_name() => Ok(value),
        (Some(now), _) if texts(now).is_some() => {
            let parts = text.split(';').map(str::trim);
            Ok(Value::from_iter(parts.filter(|part| !part.is_empty())))
        }
        (Some(now), _) => Err(format!("is \"{text}\"; write a TOML {}", now.type_name())),
        (None, Ok(value)) => Ok(value),
        (None, Err(_)) => Ok(Value::from(text)),
    }
}

/// The texts of a list that holds nothing else.
fn texts(value: &Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(Value::as_str).collect()
}

/// A value as a person would type it.
fn shown(value: &Value) -> String {
    match (value.as_str(), texts(value)) {
        (Some(text), _) => text.to_owned(),
        (None, Some(list)) => list.join("; "),
        (None, None) => value.to_string().trim().to_owned(),
    }
}

/// Calls `with` for each `file = "NAME.ENDING"` with the key that it stands under and its ending; what it answers becomes the
/// name of the file. The secrets of an adapter have files of its name.
fn each_secret(
    table: &mut dyn TableLike,
    under: &str,
    name: &str,
    with: &mut dyn FnMut(&str, &str) -> Option<String>,
) {
    for (key, item) in table.iter_mut() {
        if let Item::ArrayOfTables(list) = item {
            for table in list.iter_mut() {
                each_secret(table, &key, name, with);
            }
        } else if let Some(table) = item.as_table_like_mut() {
            each_secret(table, &key, name, with);
        } else if let (true, Some(value)) = (key.get() == "file", item.as_value_mut()) {
            let file = value.as_str().and_then(|file| file.strip_prefix(name));
            let ending = file.and_then(|rest| rest.strip_prefix('.'));
            if let Some(renamed) = ending.and_then(|ending| with(under, ending)) {
                let decor = value.decor().clone();
                *value = Value::from(renamed);
                *value.decor_mut() = decor;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# A tracker.
format = 1
#? What people call it
title = "Tracker" # shown in lists
enabled = false

[http]
#? Address of the API
base_url = "https://tracker.example"
[http.auth]
#? File that holds
#? the token
token.file = "t.token"

[[stream]]
name = "progress"
[stream.http.paging]
#? Records in a page
limit = 50
"#;

    fn draft() -> Draft {
        let template = Template {
            name: "t",
            text: TEXT,
        };
        Draft::begin(template, "nq57").unwrap()
    }

    #[test]
    fn questions_name_their_key_and_what_the_template_has() {
        let questions = draft().questions();
        let told: Vec<_> = questions
            .iter()
            .map(|q| (q.path.as_str(), q.text.as_str(), q.default.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("title", "What people call it", "Tracker"),
                (
                    "http.base_url",
                    "Address of the API",
                    "https://tracker.example"
                ),
                (
                    "http.auth.token.file",
                    "File that holds the token",
                    "nq57.token"
                ),
                (
                    "stream.progress.http.paging.limit",
                    "Records in a page",
                    "50"
                ),
            ]
        );
    }

    #[test]
    fn a_key_is_set_and_comments_stay() {
        let mut draft = draft();
        draft.set("title", "Theo dõi 57").unwrap();
        draft
            .set("stream.progress.http.paging.limit", "100")
            .unwrap();
        draft.set("stream.0.http.list.path", "issues").unwrap();
        draft.set("enabled", "true").unwrap();
        let text = draft.text();
        for part in [
            "# A tracker.\n",
            "#? What people call it\ntitle = \"Theo dõi 57\" # shown in lists\n",
            "limit = 100\n",
            "path = \"issues\"\n",
            "enabled = true\n",
            "token.file = \"nq57.token\"\n",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        let again = Draft::of("nq57", &text).unwrap();
        assert_eq!(again.questions().len(), draft.questions().len());
        assert_eq!(again.get("title").as_deref(), Some("Theo dõi 57"));
    }

    #[test]
    fn a_secret_has_a_file_of_the_adapters_own_name() {
        let template = Template {
            name: "t",
            text: "[http.auth]\n#? The key\nkey = { file = \"t.key\" }\n[stream.workbook]\nfile = \"theirs.xlsx\"\n",
        };
        let draft = Draft::begin(template, "nq57").unwrap();
        let [key] = &draft.secrets("nq57")[..] else {
            panic!("{:?}", draft.secrets("nq57"));
        };
        assert_eq!((key.key.as_str(), key.ending.as_str()), ("key", "key"));
        assert!(draft.questions()[0].is_secret);
        let text = draft.text();
        assert!(
            text.contains("nq57.key") && text.contains("theirs.xlsx"),
            "{text}"
        );
    }

    #[test]
    fn a_list_of_texts_is_shown_and_typed_without_brackets() {
        let text = "#? Whom\nto = [\"a@x\", \"B <b@x>\"]\n";
        let mut draft = Draft::of("t", text).unwrap();
        assert_eq!(draft.questions()[0].default, "a@x; B <b@x>");
        draft.set("to", "c@x; D <d@x>").unwrap();
        assert_eq!(draft.get("to").as_deref(), Some("c@x; D <d@x>"));
        draft.set("to", "[\"e@x\"]").unwrap();
        assert_eq!(draft.get("to").as_deref(), Some("e@x"));
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let mut draft = draft();
        let why = |result: Result<(), Unfit>| result.unwrap_err().to_string();
        assert_eq!(
            why(draft.set("stream.0.http.paging.limit", "many")),
            "stream.0.http.paging.limit is \"many\"; write a TOML integer"
        );
        assert_eq!(
            why(draft.set("stream.tasks.submit", "true")),
            "stream.tasks.submit is not there: stream has no tasks"
        );
        assert_eq!(
            why(draft.set("title.x", "1")),
            "title.x is no key: title is a value"
        );
        assert_eq!(
            why(draft.set("http", "1")),
            "http is a table; set a key in it"
        );
    }
}
