# Backup, restore, clones, comparison.

err-backup-in-the-way = { $path } is not empty. Name a folder that does not exist yet; nothing was written.
err-backup-under-way = A backup to { $path } is being written already. Wait for it, or name another folder.
err-backup-damaged = The copy could not be read back as it was written, so there is no backup: { $detail }. Check this disk and the one the backup goes to ("nqsync verify --local").
err-not-a-backup = { $path } is not a complete backup: { $reason }. A folder with the ending .unfinished was cut while it was written and cannot be used.

note-backup-made = The backup in { $path } is complete and was read back. It is readable and holds private keys: keep it away from others, and on another disk. After "nqsync backup key new" backups are sealed.
note-backup-whole = The backup is whole: database, keys and files are as they were written.
note-backup-damaged = This backup CANNOT be used: { $found }
note-backup-files = { $count } attachments are missing or changed. The records can be restored; those files are fetched again from the other level where it still has them.

label-folder = Folder
label-made-at = Made
label-sha256 = SHA-256 of the database
label-aside = The old store is in

err-half-restored = A restore was cut here, so the node does not start: { $detail }
err-restore-in-the-way = { $dir } holds a store. With --replace it is moved aside under a dated name and kept; nothing was changed.
err-restore-damaged = This backup cannot be used: { $found }. Nothing was changed; take another backup.
err-restore-other-unit = The backup is of unit { $found }, this directory is for unit { $here }. Nothing was changed; check --dir, or use the backup of { $here }.
err-restored-waiting = This node was restored from the backup of { $made } and takes no new writes until it has met its parent once and has its lost writes back. Nothing was written. Run the service with the line up ("nqsync status" tells when it is done), or, when no parent will come, "nqsync adopt --alone".
err-nothing-to-adopt = Nothing to do: this store waits for nobody.

note-restored-waits = Restored. Start the service: the node takes no new writes until it has met its parent once and has its lost writes back; "nqsync status" tells when that is done. If no parent will come: "nqsync adopt --alone".
note-restored-top = Restored. Start the service: what the nodes below still hold comes back as each of them connects; "nqsync status" lists those that have not been here yet.
note-adopted-alone = This node takes new writes again. What it had sent before and the backup does not have comes back when a parent or child connects that holds it.

problem-restored-waiting = Restored from the backup of { $detail }; takes no new writes until it has met its parent. Bring the line up, or "nqsync adopt --alone".
problem-restored-children = Restored; these nodes below have not been compared with since, and may hold what the backup does not have: { $detail }.

err-no-such-incarnation = Node { $unit } has no machine { $incarnation }. "nqsync node clones" lists them: { $known }.
note-clones-held = Nothing is lost: each machine goes on for itself. Find out which one people work on, choose it with "nqsync node adopt UNIT --incarnation …", and run "nqsync adopt --new" on the other one.
note-node-adopted = The chosen machine of { $unit } exchanges again at its next try. The other one is refused; a token of "nqsync node token { $unit }" with "nqsync adopt --new --token …" there brings what it has not sent.
problem-cloned = Two machines use the identity of { $detail }; both are held. "nqsync node clones" shows them, "nqsync node adopt" chooses.
label-incarnation = Incarnation
label-head = Latest opening
word-branch-superseded = replaced by a restore
word-branch-clone = waits for a person
word-branch-chosen = goes on
word-branch-refused = refused
note-adopted-new = This store has a new identity. Start the service: what it had not sent goes up now, and the unit { $unit } stays with the other machine, so nothing new is written here. "nqsync status" tells when nothing waits any more; then this machine can be set up anew or switched off.
err-moved = This store was last used on another machine. Nothing was written and nothing is exchanged; reading works. If it was moved and the old machine is off: "nqsync adopt --moved". If it is a copy: leave it, or "nqsync adopt --new".
err-not-moved = Nothing to do: this store is on the machine it knows.
note-adopted-moved = This machine goes on with the store. The old one must stay off: two live ones are held by the level above.
problem-moved = This store was last used on another machine; nothing is exchanged and nothing new is taken. Moved, and the old machine is off: "nqsync adopt --moved".
err-verify-needs-service = Comparing needs the line, so the service must run: "nqsync run". "nqsync verify --local" checks this store alone.
err-verify-no-parent = There is no node above to compare with. "nqsync verify --local" checks this store; each node below compares itself with this one.
err-verify-refused = Nothing was compared or changed: { $detail }. Trying again does not help; "nqsync status" says who has to act.
err-verify-unreachable = The comparison was cut: { $detail }. Nothing was changed; try again.
note-verify-same = Both levels hold the same { $records } records.
note-verify-repaired = Both levels hold the same { $records } records again; { $before } differed before.
note-verify-differs = { $count } records differ. "nqsync verify --repair" makes both sides offer them again.
note-verify-stays = { $count } records still differ after they were offered again. Look at "nqsync quarantine list" on both levels.
note-verify-undamaged = This store is undamaged: { $records } records and { $files } files are what was written.
note-verify-damaged = This store is DAMAGED: { $found }. Make no more changes, look at the disk, and restore the last backup; what was sent comes back from the other levels.
note-verify-files = { $count } attachments are missing or damaged; "nqsync verify --local --repair" has them fetched again.
note-verify-files-again = { $count } attachments are missing or damaged and are fetched again from the levels that have them.
note-verify-standings = Of { $count } pieces of work it was noted otherwise where they stand than the records say. Run it again with --repair to derive it anew; no report is lost.
note-verify-standings-again = Of { $count } pieces of work it was noted otherwise where they stand than the records say; it is being derived anew.
label-side = Held
label-differ = Not as written
word-holder-here = only here
word-holder-there = only above
word-holder-both = differently on both sides
