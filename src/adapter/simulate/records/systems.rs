//! The systems that hold records. What is known of each, and what is assumed, is on its page under `adapters/`.

use super::{Auth, Collection, Envelope, Paging, System};

/// The system to train on.
pub const TRACKER: System = System {
    name: "tracker",
    auth: Auth::Token,
    users: &["demo"],
    secret: "demo",
    approver: None,
    envelope: Envelope::Data,
    paging: Paging::Page,
    collections: &[Collection {
        path: "/items",
        new: r#"{"title": "", "state": "todo", "progress": 0, "note": "", "code": null}"#,
        required: "title",
        form: false,
        approved: &[],
    }],
};

/// All of them.
pub const ALL: &[System] = &[
    TRACKER,
    System {
        name: "lgsp",
        auth: Auth::Lgsp,
        envelope: Envelope::Result,
        collections: &[Collection {
            path: "/task-service/v1/tasks",
            new: r#"{"code": null, "name": "", "status": "CHUA_THUC_HIEN", "percent": 0, "result": "", "unit": null}"#,
            required: "name",
            form: false,
            approved: &[],
        }],
        ..TRACKER
    },
];
