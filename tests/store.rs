//! The store against what happens to disks and processes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use nqsync::store::links::{self, Direction};
use nqsync::store::{Role, Store, StoreError, StoreOptions, quarantine, queries};
use nqsync_core::model::NodeId;
use rusqlite::Connection;

fn options(dir: &Path) -> StoreOptions {
    StoreOptions {
        create: true,
        ..StoreOptions::new(dir)
    }
}

fn write(store: &Store, key: &str, value: &str) -> Result<(), StoreError> {
    let (key, value) = (key.to_owned(), value.to_owned());
    store.write_blocking(move |tx| tx.set_meta(&key, &value))
}

fn read(store: &Store, key: &str) -> Option<String> {
    store
        .read_blocking(|c| queries::meta(c, key))
        .expect("a read")
}

#[test]
fn d11_a_second_opening_of_a_directory_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(&options(dir.path())).expect("open");
    let refused = Store::open(&options(dir.path()))
        .map(|_| ())
        .expect_err("locked");
    let pid = std::process::id().to_string();
    assert!(matches!(&refused, StoreError::Locked { pid: found, .. } if *found == pid));
    assert!(refused.to_string().contains(&pid), "{refused}");
    write(&store, "a", "1").expect("the first one goes on");
    store.close();
    let again = Store::open(&options(dir.path())).expect("free again");
    assert_eq!(read(&again, "a").as_deref(), Some("1"));
}

/// Not a test by itself: the process that the next one kills.
#[test]
fn writer_process() {
    let Some(dir) = std::env::var_os("NQSYNC_TEST_WRITER") else {
        return;
    };
    let store = Store::open(&options(Path::new(&dir))).expect("open");
    for number in 0u64.. {
        let key = format!("{}-{number}", std::process::id());
        write(&store, &key, "written").expect("written");
        println!("acked {key}");
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut acknowledged = Vec::new();
    for kill_after in [1, 37, 150] {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "writer_process", "--nocapture"])
            .env("NQSYNC_TEST_WRITER", dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        let mut lines = BufReader::new(child.stdout.take().expect("its output"));
        let (mut line, mut count, mut killed) = (String::new(), 0, false);
        // After the kill, what it had said before is still in the pipe.
        while lines.read_line(&mut line).expect("readable") > 0 {
            if line.ends_with('\n')
                && let Some((_, key)) = line.trim_end().split_once("acked ")
            {
                acknowledged.push(key.to_owned());
                count += 1;
            }
            line.clear();
            if count >= kill_after && !killed {
                child.kill().expect("SIGKILL");
                killed = true;
            }
        }
        assert!(killed, "it was still writing when it was killed");
        child.wait().expect("its end");
        let store = Store::open(&options(dir.path())).expect("opens again");
        for key in &acknowledged {
            assert_eq!(
                read(&store, key).as_deref(),
                Some("written"),
                "{key} is lost"
            );
        }
        store.close();
        let check: String = Connection::open(dir.path().join("store.db"))
            .and_then(|c| c.query_row("PRAGMA integrity_check", [], |row| row.get(0)))
            .expect("readable");
        assert_eq!(check, "ok");
    }
    assert!(acknowledged.len() >= 188);
}

/// A file system of a few megabytes, unmounted at the end.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<SmallDisk> {
        let dir = tempfile::tempdir().expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
            .arg(dir.path())
            .stderr(Stdio::null())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then_some(SmallDisk(dir))
    }

    /// Fills it to the last byte; answers the file that does.
    fn fill(&self) -> std::path::PathBuf {
        let path = self.0.path().join("filler");
        let mut file = std::fs::File::create(&path).expect("a file");
        for size in [64 << 10, 4096, 512, 1] {
            let piece = vec![0u8; size];
            while std::io::Write::write_all(&mut file, &piece).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a failing test may still hold files open.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_refuses_writes_by_name_and_they_go_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount() else {
        println!("not run: only root can mount a small file system");
        return;
    };
    let dir = disk.0.path().join("store");
    let store = Store::open(&options(&dir)).expect("open");
    write(&store, "before", "kept").expect("room");
    let filler = disk.fill();
    let large = "x".repeat(200_000);
    for _ in 0..3 {
        let refused = write(&store, "large", &large).expect_err("no room");
        assert!(matches!(refused, StoreError::Full(_)), "{refused}");
    }
    assert_eq!(
        read(&store, "before").as_deref(),
        Some("kept"),
        "reads go on"
    );
    assert_eq!(read(&store, "large"), None, "nothing of it");
    // Larger than SQLite's cache: it reaches the disk in the middle of the job.
    let refused = store.write_blocking(|tx| {
        for number in 0..400 {
            tx.set_meta(&format!("n{number}"), &"y".repeat(100_000))?;
        }
        Ok::<_, StoreError>(())
    });
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    std::fs::remove_file(filler).expect("room again");
    write(&store, "after", "kept").expect("goes on by itself");
    store.close();
    let store = Store::open(&options(&dir)).expect("opens again");
    assert_eq!(read(&store, "before").as_deref(), Some("kept"));
    assert_eq!(read(&store, "after").as_deref(), Some("kept"));
    assert_eq!(read(&store, "n0"), None);
    store.close();
}

#[test]
fn each_job_of_a_commit_is_answered_by_itself_and_a_panic_undoes_one_job_only() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(&options(dir.path())).expect("open");
    let commits = store.commits();
    let before = *commits.borrow();
    // The writer is held while the others queue up, so that one commit takes them all.
    let (held, release) = mpsc::channel::<()>();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let answers = runtime.block_on(async {
        let blocking = store.write(move |_| {
            release.recv().map_err(|_| StoreError::Stopped)?;
            Ok::<_, StoreError>(())
        });
        let jobs = (0..30u32).map(|number| {
            store.write(move |tx| {
                tx.set_meta(&format!("job{number}"), "done")?;
                match number % 3 {
                    0 => Ok(number),
                    1 => Err(StoreError::Damaged(number.to_string())),
                    _ => panic!("job {number} breaks"),
                }
            })
        });
        let all = futures(jobs.collect());
        let release = async {
            tokio::task::yield_now().await;
            held.send(()).expect("the writer waits");
        };
        let (_, answers, ()) = tokio::join!(blocking, all, release);
        answers
    });
    for (number, answer) in (0u32..).zip(answers) {
        let shown = read(&store, &format!("job{number}"));
        match number % 3 {
            0 => assert!(matches!(answer, Ok(n) if n == number) && shown.is_some()),
            1 => assert!(matches!(answer, Err(StoreError::Damaged(n)) if n == number.to_string())),
            _ => {
                assert!(matches!(answer, Err(StoreError::Panicked(why)) if why.contains("breaks")))
            }
        }
        assert_eq!(shown.is_some(), number % 3 == 0, "job {number}");
    }
    assert!(*commits.borrow() - before <= 3, "many jobs, few commits");
    write(&store, "after", "1").expect("the writer goes on");
}

/// Polls all jobs at once, in order; the answers in the same order.
async fn futures<F: Future>(jobs: Vec<F>) -> Vec<F::Output> {
    let mut running: Vec<_> = jobs.into_iter().map(|job| (Box::pin(job), None)).collect();
    std::future::poll_fn(|context| {
        for (job, answer) in &mut running {
            if answer.is_none()
                && let std::task::Poll::Ready(value) = job.as_mut().poll(context)
            {
                *answer = Some(value);
            }
        }
        match running.iter().all(|(_, answer)| answer.is_some()) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    running
        .into_iter()
        .filter_map(|(_, answer)| answer)
        .collect()
}

#[test]
fn f3_a_store_of_a_newer_program_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(&options(dir.path())).expect("open");
    write(&store, "a", "1").expect("written");
    store.close();
    let path = dir.path().join("store.db");
    let newer = Connection::open(&path).expect("open");
    newer
        .pragma_update(None, "user_version", 1_000)
        .expect("set");
    newer.close().expect("closed");
    for _ in 0..2 {
        let refused = Store::open(&options(dir.path()))
            .map(|_| ())
            .expect_err("newer");
        assert!(matches!(
            refused,
            StoreError::NewerStore { found: 1_000, .. }
        ));
        let version = env!("CARGO_PKG_VERSION");
        let told = refused.to_string();
        assert!(
            told.contains(&format!("nqsync {version} or later")),
            "{told}"
        );
    }
    let back = Connection::open(&path).expect("open");
    let value: String = back
        .query_row("SELECT value FROM meta WHERE key = 'a'", [], |row| {
            row.get(0)
        })
        .expect("its data");
    assert_eq!(value, "1");
}

#[test]
fn every_table_is_strict_and_every_commit_is_synced() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(&options(dir.path())).expect("open");
    let modes = store.write_blocking(|tx| {
        let pragma = |name| {
            tx.connection()
                .pragma_query_value(None, name, |row| row.get(0))
        };
        let sync: i64 = pragma("synchronous")?;
        let mode: String = tx
            .connection()
            .pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        Ok::<_, StoreError>((sync, mode))
    });
    assert_eq!(modes.expect("a read"), (2, "wal".to_owned()));
    let loose: Vec<String> = store
        .read_blocking(|c| {
            let mut tables = c.prepare(
                "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'
                    AND strict = 0 AND name NOT LIKE 'sqlite%'",
            )?;
            let rows = tables.query_map([], |row| row.get(0))?;
            Ok::<_, StoreError>(rows.collect::<Result<_, _>>()?)
        })
        .expect("a read");
    assert!(loose.is_empty(), "{loose:?}");
}

#[test]
fn another_parent_takes_the_place_of_the_one_before_and_starts_from_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(&options(dir.path())).expect("open");
    let node = |number| NodeId(uuid::Uuid::from_u128(number));
    let rows = store.write_blocking(move |tx| {
        let first = links::ensure(tx.connection(), node(1), Role::Upstream)?;
        let child = links::ensure(tx.connection(), node(2), Role::Downstream)?;
        let position = links::Position {
            batch: 7,
            hash: vec![1],
            before: vec![2],
        };
        links::set_position(tx.connection(), first, Direction::Up, &position)?;
        assert_eq!(
            links::ensure(tx.connection(), node(1), Role::Upstream)?,
            first
        );
        let second = links::ensure(tx.connection(), node(3), Role::Upstream)?;
        assert_eq!(first, second);
        assert_ne!(child, second);
        links::rows(tx.connection())
    });
    let rows: Vec<_> = rows
        .expect("written")
        .into_iter()
        .map(|row| (row.node, row.role, row.up.batch))
        .collect();
    let expected = [(node(3), Role::Upstream, 0), (node(2), Role::Downstream, 0)];
    assert_eq!(rows, expected);
}

#[test]
fn what_the_parent_said_of_a_record_is_not_undone_by_its_answer_that_came_later() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(&options(dir.path())).expect("open");
    let node = |number| NodeId(uuid::Uuid::from_u128(number));
    let record = uuid::Uuid::from_u128(7);
    let (child, told) = store
        .write_blocking(move |tx| {
            let c = tx.connection();
            links::ensure(c, node(1), Role::Upstream)?;
            let child = links::ensure(c, node(2), Role::Downstream)?;
            let item = quarantine::Item {
                item: 0,
                incoming: true,
                link: child,
                kind: "task".to_owned(),
                record,
                digest: None,
                code: "not_theirs".to_owned(),
                reason: String::new(),
                body: Some("{}".to_owned()),
                at: 0,
                to_parent: true,
                task: None,
            };
            quarantine::put(c, &item)?;
            let shown = quarantine::to_parent(c, 10, usize::MAX)?;
            assert_eq!(quarantine::note_gone(c, record)?, [child]);
            quarantine::shown_to_parent(c, shown[0].item)?;
            Ok::<_, StoreError>((child, quarantine::gone(c, child, 10)?))
        })
        .expect("written");
    assert_eq!(told.len(), 1, "link {} still has to hear it", child.0);
}
