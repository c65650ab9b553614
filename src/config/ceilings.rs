//! What a configuration may say of state secrets, and why not more.
//!
//! Each rule stands for itself: a ceiling that was raised by mistake must not open a second door that another key would
//! have kept shut.

use nqsync_core::model::Classification;

use super::layers::{KeyId, Layers};
use super::problem::Fault;
use super::rules::refuse;

const CEILING: KeyId = ("node", "ceiling");
const LEVEL: KeyId = ("node", "classification");

/// Refuses what contradicts the profile, and every line of a store above *none*.
pub fn check(layers: &mut Layers) {
    let word = |layers: &Layers, id: KeyId| {
        let written = layers
            .values
            .get(&id)
            .filter(|_| !layers.refused.contains(&id));
        written
            .and_then(|w| w.value.as_str())
            .unwrap_or_default()
            .to_owned()
    };
    let level = |layers: &Layers, id| word(layers, id).parse().unwrap_or(Classification::None);
    let isolated = word(layers, ("node", "profile")) == "isolated";
    let (ceiling, own) = (level(layers, CEILING), level(layers, LEVEL));
    if ceiling > Classification::None && !isolated {
        let hint = "by Law 117/2025/QH15 no state secret may be drafted or stored on a computer connected to a network: \
            leave the key out, or set node.profile = \"isolated\" where the authority in charge has decided that";
        let message = "cannot be given to a node with node.profile = \"networked\"";
        refuse(layers, CEILING, Fault::Contradiction, message, hint);
    }
    if own > ceiling {
        let hint = "the store of a level is opened on a node whose node.ceiling allows that level";
        refuse(
            layers,
            LEVEL,
            Fault::Contradiction,
            "is above node.ceiling",
            hint,
        );
    }
    if level(layers, ("upstream", "ceiling")) > Classification::None {
        let hint = "leave the key out, and carry higher levels with `nqsync bundle export --classification LEVEL`";
        let message = "is more than a line carries: nothing above none goes over a line";
        refuse(
            layers,
            ("upstream", "ceiling"),
            Fault::Contradiction,
            message,
            hint,
        );
    }
    if own == Classification::None {
        return;
    }
    let hint = "remove the section: what is above none goes by bundle";
    if layers.sections.contains_key("listen") {
        let message = "opens a line into a store above none";
        refuse(
            layers,
            ("listen", "address"),
            Fault::Contradiction,
            message,
            hint,
        );
    }
    if layers.sections.contains_key("upstream") && word(layers, ("upstream", "kind")) != "bundle" {
        let hint = "write upstream.kind = \"bundle\": what is above none goes by bundle";
        let message = "is a line out of a store above none";
        refuse(
            layers,
            ("upstream", "kind"),
            Fault::Contradiction,
            message,
            hint,
        );
    }
}
