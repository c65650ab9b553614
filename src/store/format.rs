//! The format of the database: the steps from one to the next, forward only, and what is done before one.

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use super::engine::StoreOptions;
use super::{StoreError, backup, queries};

/// Fact of the store: the version that brought it to its format, for older ones that cannot read it.
const BROUGHT_BY: &str = "format_by";

/// The steps from nothing to the present format.
const STEPS: &[M<'_>] = &[
    M::up(include_str!("migrations/0001_first.sql")),
    M::up(include_str!("migrations/0002_adapters.sql")),
    M::up(include_str!("migrations/0003_holds.sql")),
    M::up(include_str!("migrations/0004_files_again.sql")),
    M::up(include_str!("migrations/0005_branches.sql")),
    M::up(include_str!("migrations/0006_homecoming.sql")),
    M::up(include_str!("migrations/0007_witness.sql")),
    M::up(include_str!("migrations/0008_renewal.sql")),
    M::up(include_str!("migrations/0009_bundles.sql")),
    M::up(include_str!("migrations/0010_reminders.sql")),
    M::up(include_str!("migrations/0011_warnings.sql")),
    M::up(include_str!("migrations/0012_users.sql")),
    M::up(include_str!("migrations/0013_notices.sql")),
    M::up(include_str!("migrations/0014_closings.sql")),
    M::up(include_str!("migrations/0015_approvals.sql")),
    M::up(include_str!("migrations/0016_waiting_keys.sql")),
    M::up(include_str!("migrations/0017_api.sql")),
    M::up(include_str!("migrations/0018_standings.sql")),
    M::up(include_str!("migrations/0019_rosters.sql")),
    M::up(include_str!("migrations/0020_forks_seen.sql")),
    M::up(include_str!("migrations/0021_compared_at.sql")),
    M::up(include_str!("migrations/0022_user_hands.sql")),
];

/// Greatest format of a database that this version reads.
pub(super) fn known_format() -> i64 {
    STEPS.len() as i64
}

/// A store of an older format is backed up, and the copy read again, before it is brought to this one: there is no way
/// back but that. The folder stays until somebody removes it.
pub(super) fn back_up_before_upgrade(
    connection: &Connection,
    options: &StoreOptions,
) -> Result<(), StoreError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = known_format();
    if found == 0 || found >= known {
        return Ok(());
    }
    let source = backup::Source {
        elsewhere: None,
        dir: options.dir.clone(),
        config: None,
        adapters: None,
        made_at: options.opened_at.clone(),
    };
    let folder = options.dir.join("backups");
    let name = format!("format-{found}-before-{known}");
    let mut to = folder.join(&name);
    let mut number = 1;
    while to.exists() {
        number += 1;
        to = folder.join(format!("{name}-{number}"));
    }
    backup::private_folder(&folder)?;
    match backup::make(&source, &to) {
        Ok(_) => {
            tracing::info!(folder = %to.display(), found, known, "backed up before the upgrade");
            Ok(())
        }
        Err(backup::BackupError::Store(error)) => Err(error),
        Err(other) => Err(StoreError::NotBackedUp(other.to_string())),
    }
}

/// Brings a database to the present format; refuses a newer one.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let known = known_format();
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        // Whatever a newer version has made of the table of facts: the refusal stands without it.
        let needed = queries::meta(connection, BROUGHT_BY).unwrap_or_default();
        return Err(StoreError::NewerStore {
            found,
            known,
            needed,
        });
    }
    Migrations::from_slice(STEPS).to_latest(connection)?;
    if found < known {
        connection.execute(
            "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)",
            [BROUGHT_BY, env!("CARGO_PKG_VERSION")],
        )?;
    }
    Ok(())
}
