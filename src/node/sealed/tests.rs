use nqsync_core::protocol::deposit::Head;

use super::*;
use crate::trust::identity::NodeKey;
use crate::trust::vault::{self, Secret};

/// A folder with a small file, an empty one, and one of several pieces of which two are equal.
fn plain() -> tempfile::TempDir {
    let shelf = tempfile::tempdir().expect("room");
    let root = shelf.path().join("plain");
    fs::create_dir_all(root.join("keys")).expect("room");
    fs::write(root.join("keys/node.key"), "khoá của máy").expect("room");
    fs::write(root.join("empty"), "").expect("room");
    let mut large: Vec<u8> = (0..PIECE * 2 + 5).map(|i| (i % 251) as u8).collect();
    large.extend(vec![0; PIECE * 3]);
    fs::write(root.join("store.db"), large).expect("room");
    shelf
}

/// Seals it into a folder, as a backup is.
fn sealed(shelf: &Path, key: &NodeKey, secret: &Secret) -> (PathBuf, Sealed) {
    let folder = shelf.join("sealed");
    let put = |path: PathBuf, bytes: &[u8]| {
        fs::create_dir_all(path.parent().expect("a folder")).expect("room");
        fs::write(path, bytes).expect("room");
    };
    let public = vault::public_part(key);
    let made = seal(&shelf.join("plain"), secret, &public, &mut |name, bytes| {
        put(piece_path(&folder, name), bytes);
        Ok(())
    });
    let made = made.expect("sealed");
    put(folder.join(HEAD), &made.head);
    (folder, made)
}

fn key() -> NodeKey {
    NodeKey::generate().expect("a key")
}

fn open_into(folder: &Path, key: &NodeKey, to: &Path) -> Result<(), SealedError> {
    let mut fetch = |name: &Name| folder_piece(folder, name);
    open_folder(folder, key)?.write_out(to, &|_| true, &mut fetch)
}

#[test]
fn what_was_sealed_comes_out_as_it_was_and_nothing_of_it_can_be_read_before() {
    let shelf = plain();
    let (key, secret) = (key(), Secret::draw().expect("random"));
    let (folder, made) = sealed(shelf.path(), &key, &secret);
    let out = shelf.path().join("out");
    open_into(&folder, &key, &out).expect("opened");
    for name in ["keys/node.key", "empty", "store.db"] {
        let (before, after) = (shelf.path().join("plain").join(name), out.join(name));
        assert_eq!(
            fs::read(before).expect("a file"),
            fs::read(after).expect("a file")
        );
    }
    let text = "khoá của máy".as_bytes();
    for (name, place) in &made.pieces {
        let bytes = folder_piece(&folder, name).expect("a piece");
        assert!(!bytes.windows(text.len()).any(|part| part == text));
        assert_eq!(bytes.len() % 1024, vault::OVERHEAD, "lengths are coarse");
        assert_eq!(sealed_piece(&secret, place).expect("again"), (*name, bytes));
    }
    assert!(
        matches!(check(&folder, None), Ok(None)),
        "whole, as far as one sees"
    );
}

#[test]
fn one_changed_byte_changes_one_piece_of_the_file_and_no_other() {
    let shelf = plain();
    let (key, secret) = (key(), Secret::draw().expect("random"));
    let (_, before) = sealed(shelf.path(), &key, &secret);
    let path = shelf.path().join("plain/store.db");
    let mut bytes = fs::read(&path).expect("a file");
    bytes[PIECE + 7] ^= 1;
    fs::write(&path, bytes).expect("room");
    let (_, after) = sealed(shelf.path(), &key, &secret);
    let held: Vec<Name> = before.pieces.iter().map(|(name, _)| *name).collect();
    let fresh = after.pieces.iter().filter(|(name, _)| !held.contains(name));
    // The one, and the list of files.
    assert_eq!(fresh.count(), 2);
}

#[test]
fn another_key_a_changed_byte_and_a_missing_piece_are_told_apart() {
    let shelf = plain();
    let (key, secret) = (key(), Secret::draw().expect("random"));
    let (folder, made) = sealed(shelf.path(), &key, &secret);
    let other = NodeKey::generate().expect("a key");
    let out = shelf.path().join("out");
    let refused = open_into(&folder, &other, &out);
    assert!(
        matches!(refused, Err(SealedError::OtherKey { .. })),
        "{refused:?}"
    );

    let head = fs::read(folder.join(HEAD)).expect("a head");
    let mut parsed = Head::parse(&head).expect("a head");
    parsed.root[80] ^= 1;
    for bad in [parsed.render(), head[..head.len() - 32].to_vec()] {
        fs::write(folder.join(HEAD), bad).expect("room");
        let refused = open_into(&folder, &key, &out);
        assert!(
            matches!(refused, Err(SealedError::Damaged { .. })),
            "{refused:?}"
        );
    }
    fs::write(folder.join(HEAD), &head).expect("room");

    for (number, (name, _)) in made.pieces.iter().enumerate() {
        let path = piece_path(&folder, name);
        let whole = fs::read(&path).expect("a piece");
        let mut changed = whole.clone();
        changed[40] ^= 1;
        for bad in [changed, whole[..whole.len() - 1].to_vec()] {
            fs::write(&path, bad).expect("room");
            let out = shelf.path().join(format!("out-{number}"));
            let refused = open_into(&folder, &key, &out);
            assert!(
                matches!(refused, Err(SealedError::Damaged { .. })),
                "{refused:?}"
            );
            assert!(check(&folder, None).is_err());
            fs::remove_dir_all(&out).unwrap_or_default();
        }
        fs::write(&path, whole).expect("room");
    }
    open_into(&folder, &key, &out).expect("whole again");
}

#[test]
fn a_path_that_leads_out_of_the_folder_is_refused() {
    let shelf = plain();
    let (key, secret) = (key(), Secret::draw().expect("random"));
    let (folder, _) = sealed(shelf.path(), &key, &secret);
    let mut opened = open_folder(&folder, &key).expect("opened");
    opened.rename_all("../../outside");
    let mut fetch = |name: &Name| folder_piece(&folder, name);
    let out = shelf.path().join("out");
    let refused = opened.write_out(&out, &|_| true, &mut fetch);
    assert!(
        matches!(refused, Err(SealedError::Damaged { .. })),
        "{refused:?}"
    );
    assert!(!shelf.path().join("outside").exists());
}
