//! The merge written a second time, straight from the words of the design and sharing no code with the core: a
//! record is a set of siblings, what was seen is a plain set of dots, and a join is a union followed by a sieve.

use std::collections::{BTreeMap, BTreeSet};

/// Opening of a store and counter in the record.
pub type RefDot = (u8, u32);

/// One value somebody wrote into one register.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sibling {
    pub register: String,
    pub dot: RefDot,
    pub value: String,
    pub seen: BTreeSet<RefDot>,
}

/// What a form was shown, by register.
pub type RefToken = BTreeMap<String, BTreeSet<RefDot>>;

/// A record as the set of its present siblings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reference(BTreeSet<Sibling>);

impl Reference {
    /// Union of the siblings, then drop each whose dot is in the `seen` of another sibling of the same register.
    pub fn join(&mut self, other: &Reference) {
        self.0.extend(other.0.iter().cloned());
        self.sieve();
    }

    /// Adds new writes, each with what its author was shown.
    pub fn write(&mut self, writes: impl IntoIterator<Item = Sibling>) {
        self.0.extend(writes);
        self.sieve();
    }

    /// The union of the present siblings' dots and of their `seen`.
    pub fn context(&self, register: &str) -> BTreeSet<RefDot> {
        let mut context = BTreeSet::new();
        for sibling in self.of(register) {
            context.insert(sibling.dot);
            context.extend(&sibling.seen);
        }
        context
    }

    /// The contexts of all registers.
    pub fn token(&self) -> RefToken {
        let names = self.0.iter().map(|s| s.register.clone());
        names.map(|r| (r.clone(), self.context(&r))).collect()
    }

    /// Dots and values of a register, by dot.
    pub fn present(&self, register: &str) -> Vec<(RefDot, String)> {
        self.of(register)
            .map(|s| (s.dot, s.value.clone()))
            .collect()
    }

    /// Names of the registers that have siblings.
    pub fn registers(&self) -> BTreeSet<String> {
        self.0.iter().map(|s| s.register.clone()).collect()
    }

    fn of<'a>(&'a self, register: &'a str) -> impl Iterator<Item = &'a Sibling> {
        self.0.iter().filter(move |s| s.register == register)
    }

    fn sieve(&mut self) {
        let all = self.0.clone();
        self.0.retain(|one| {
            !all.iter()
                .any(|s| s.register == one.register && s.seen.contains(&one.dot))
        });
    }
}
