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
    System {
        name: "leadership-tasks",
        auth: Auth::Cookie,
        paging: Paging::Offset,
        collections: &[Collection {
            path: "/tasks",
            new: r#"{"number": "", "title": "", "unit": null, "deadline": "", "given_by": "", "state": "Chưa thực hiện", "percent": 0, "progress": "", "reported": false}"#,
            required: "title",
            form: false,
            approved: &[],
        }],
        ..TRACKER
    },
    System {
        name: "resolution-tracker",
        users: &["entry1", "entry2", "entry3", "entry4", "entry5", "approval"],
        approver: Some("approval"),
        collections: &[Collection {
            path: "/entries",
            new: r#"{"code": null, "title": "", "state": null, "percent": null, "content": "", "approved": true, "pending": null, "sent_back": false}"#,
            required: "title",
            form: false,
            approved: &["state", "percent", "content"],
        }],
        ..TRACKER
    },
    System {
        name: "statistics",
        auth: Auth::Key("x-api-key", ""),
        collections: &[Collection {
            path: "/figures",
            new: r#"{"indicator": null, "unit": null, "period": null, "value": ""}"#,
            required: "indicator",
            form: true,
            approved: &[],
        }],
        ..TRACKER
    },
    System {
        name: "ioc",
        auth: Auth::Key("authorization", "Bearer "),
        envelope: Envelope::Bare,
        collections: &[Collection {
            path: "/indicator-data",
            new: r#"{"indicator": null, "name": "", "measure": "", "unit": null, "unit_name": "", "period": null, "value": null}"#,
            required: "indicator",
            form: false,
            approved: &[],
        }],
        ..TRACKER
    },
    System {
        name: "national-reporting",
        auth: Auth::Oauth2,
        paging: Paging::Cursor,
        collections: &[Collection {
            path: "/messages",
            new: r#"{"type": "", "kpi": null, "period": null, "data": {}}"#,
            required: "type",
            form: false,
            approved: &[],
        }],
        ..TRACKER
    },
];
