//! Consoles of real services, and who may come in.

use std::io::Write;

use super::browser::Browser;
use super::machine::Machine;
use super::pair::Pair;

pub const PASSWORD: &str = "ba con vịt xoè ra hai cái cánh";
pub const CONSOLE: &str = "console.address=127.0.0.1:0";

pub fn add_user(machine: &Machine, name: &str, role: &str) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(file, "{PASSWORD}").expect("written");
    let path = file.path().to_str().expect("text");
    let line = ["user", "add", name, "--role", role, "--password-file", path];
    machine.run(&line).expect(0);
}

pub fn console(machine: &Machine) -> String {
    let status = machine.run(&["status", "--json"]).json();
    status["console"].as_str().expect("it is open").to_owned()
}

pub fn logged_in(machine: &Machine, name: &str, lang: &str) -> Browser {
    let mut browser = Browser::at(&console(machine));
    browser.login(name, PASSWORD, lang).expect(303);
    browser
}

/// A pair whose machines both have a console and an administrator.
pub fn pair() -> Pair {
    let mut pair = Pair::new();
    pair.stop_all();
    pair.above = Some(pair.ministry.serve_with(&[CONSOLE]));
    pair.serve_below(&[CONSOLE]);
    for machine in [&pair.ministry, &pair.commune] {
        add_user(machine, "an", "administrator");
    }
    pair
}

pub fn period(pair: &Pair) -> String {
    let list = pair.commune.run(&["period", "list", "--json"]).json();
    list["period"].as_str().expect("a period").to_owned()
}
