//! Templates parse, load nothing from elsewhere, and hold no sentence of their own.

use super::*;

fn without(text: &str, open: &str, close: &str) -> String {
    let mut rest = text;
    let mut kept = String::new();
    while let Some((before, after)) = rest.split_once(open) {
        kept.push_str(before);
        let (_, after) = after.split_once(close).expect("what opens also closes");
        rest = after;
    }
    kept + rest
}

#[test]
fn every_template_parses() {
    let zone = TimeZone::UTC;
    let Pages(environments) = Pages::new(&zone);
    for environment in environments {
        for (name, _) in TEMPLATES {
            if let Err(error) = environment.get_template(name) {
                panic!("{name}: {error:#}");
            }
        }
    }
}

#[test]
fn what_a_reader_sees_comes_from_the_catalogue() {
    for (name, source) in TEMPLATES {
        let mut text = (*source).to_owned();
        for (open, close) in [("{#", "#}"), ("{%", "%}"), ("{{", "}}"), ("<", ">")] {
            text = without(&text, open, close);
        }
        let text = text.replace("nqsync", "").replace("&amp;", "");
        let words: Vec<&str> = text
            .split(|c: char| !c.is_alphabetic())
            // Milliseconds are the same in both languages.
            .filter(|word| !word.is_empty() && *word != "ms")
            .collect();
        assert!(words.is_empty(), "{name} holds text of its own: {words:?}");
    }
}

#[test]
fn pages_load_nothing_from_elsewhere_and_run_nothing_inline() {
    for (name, source) in TEMPLATES {
        for bad in [
            "http://", "https://", "src=\"//", "style=", "onclick", "onload", "|safe",
        ] {
            assert!(!source.contains(bad), "{name} has {bad}");
        }
        let scripts = source.matches("<script").count();
        assert!(scripts == 0 || *name == "layout.html", "{name}");
    }
}

#[test]
fn assets_are_small() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console/assets");
    let sizes = std::fs::read_dir(folder).expect("assets are here");
    let sum: u64 = sizes
        .map(|entry| entry.and_then(|e| e.metadata()).expect("readable").len())
        .sum();
    assert!(sum < 150 * 1024, "{sum} bytes");
}

#[test]
fn where_buttons_decide_different_things_enter_chooses_none_of_them() {
    for (name, source) in TEMPLATES {
        for form in source.split("<form").skip(1) {
            let (form, _) = form.split_once("</form>").expect("it ends");
            let typed = form.contains("<input id") || form.contains("p.field(");
            let named = form.matches("<button name=").count();
            if typed && named > 1 {
                assert!(form.contains("p.no_enter()"), "{name}: {form}");
            }
        }
    }
}
