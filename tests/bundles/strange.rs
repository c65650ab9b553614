//! Media with other things on them, full ones, and such as are pulled out.

use std::fs::{self, File};
use std::os::unix::fs::symlink;

use nqsync::api::{Command, Exit};

use super::support::disks::Disk;
use super::support::files::noise;
use super::support::medium::{Medium, export, outcomes};
use super::{apart, evidence, held};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ib7_links_pipes_devices_and_junk_on_a_medium_do_no_harm() {
    let (world, task) = apart().await;
    let report = world.report(task, 60).await;
    let medium = Medium::new();
    world.commune.bundle(None, &medium).await;
    let bundle = medium.bundles().remove(0);
    let province = &world.province;
    let before = held(province).await;
    for name in ["000000", "000001", "000002"] {
        let path = bundle.join(name);
        let aside = bundle.join("aside");
        fs::rename(&path, &aside).expect("renamed");
        let strange: [&dyn Fn(); 4] = [
            &|| symlink(&aside, &path).expect("a link"),
            &|| symlink("/dev/zero", &path).expect("a link"),
            &|| fs::create_dir(&path).expect("a folder"),
            &|| {
                let made = std::process::Command::new("mkfifo").arg(&path).status();
                assert!(made.expect("mkfifo").success());
            },
        ];
        for make in strange {
            make();
            let item = province.take_one(&bundle).await.1;
            assert_eq!(item["code"], "not_a_file", "{name}");
            let gone = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
            gone.expect("removed");
        }
        fs::rename(&aside, &path).expect("renamed");
    }
    assert_eq!(held(province).await, before);
    // A bundle that is a link to one, names that are paths, drafts, and files of other systems.
    symlink(
        &bundle,
        medium.path().join("nqsync-11111111-22222222-000009"),
    )
    .expect("a link");
    for junk in [
        "System Volume Information",
        "nqsync-11111111-22222222-000003.unfinished",
    ] {
        fs::create_dir(medium.path().join(junk)).expect("a folder");
    }
    File::create(medium.path().join("..\\..\\nqsync-x")).expect("a file");
    File::create(bundle.join("Thumbs.db")).expect("a file");
    let taken = province.take_bundles(&medium).await;
    assert_eq!(outcomes(&taken), ["refused", "taken"], "{}", taken.data);
    assert_eq!(taken.exit, Exit::Partly);
    assert!(province.holds(report).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ib7_a_medium_that_is_full_leaves_no_bundle_and_loses_nothing() {
    let (world, task) = apart().await;
    let commune = &world.commune;
    let bytes = noise(5, 3 << 20);
    let facts = evidence(&world, task);
    let (_, file) = commune.add_file(commune.unit(), facts, &bytes).await;
    let medium = Medium::new();
    let Some(disk) = Disk::small(medium.path(), "size=1m") else {
        return;
    };
    let failed = commune.refused(export(None, &medium, None, false)).await;
    assert_eq!(
        (failed.exit, failed.code.as_str()),
        (Exit::Failed, "bundle_medium")
    );
    assert!(medium.bundles().is_empty(), "{:?}", medium.bundles());
    disk.remount("size=32m");
    let made = commune.bundle(None, &medium).await;
    assert_eq!(made["number"], 1, "the number was not used up");
    world.province.take_bundles(&medium).await;
    assert_eq!(world.province.file(file).await, Some(bytes));
    // Pulled out while it is written, and while it is read.
    world.report(task, 10).await;
    let gone = medium.path().join("not-there");
    let command = Command::BundleExport {
        to: None,
        folder: gone.to_str().expect("text").to_owned(),
        since: None,
        one_way: false,
        lasts_s: 86_400,
    };
    let failed = commune.refused(command).await;
    assert_eq!(failed.code, "bundle_medium");
}
