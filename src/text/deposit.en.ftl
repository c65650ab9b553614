# Recovery keys, sealed backups, deposits.

err-recovery-key-set = This node has a recovery key already ({ $key }), and its backups are sealed for it. Nothing was changed. With --replace another one takes its place; keep the old file for the old backups.
err-recovery-key-bad = What was given is no recovery key; nothing was changed. "nqsync backup key new" makes one.
err-recovery-file-exists = { $path } exists already and is not overwritten: it may be the only key of older backups. Name another file.
err-recovery-file-bad = { $path } cannot be used as a recovery key: { $reason }
err-recovery-file-exposed = { $path } can be read by other users. If nobody else used this machine: chmod 600 { $path }. Otherwise make a new recovery key.
err-sealed-no-key = { $path } is sealed for the recovery key { $key }. Name the file of that key with --key; nothing was changed.
err-sealed-other-key = { $path } is sealed for the recovery key { $wanted }; the file that was named holds key { $given }. Nothing was changed; take the file of the right key from the safe.
err-sealed-damaged = { $path } cannot be used: { $what }. Nothing was changed; take another backup.
err-sealed-crypto = Cannot seal: { $detail }. Nothing was written.
err-not-sealed = { $path } is not sealed, so it needs no key. Leave --key out; nothing was changed.

note-backup-sealed = The backup in { $path } is complete, sealed for the recovery key { $key }, and was read back. Without the file of that key nobody can open it.
note-backup-sealed-whole = Every part of this sealed backup is as it was written. With --key the contents are looked at as well.
note-recovery-key = Backups are sealed for this key from now on. The file is the only way to open them: lock it away, not on this machine, and delete it here.
note-recovery-key-none = There is no recovery key: backups are readable to whoever gets hold of them. "nqsync backup key new --out FILE" makes one.

label-recovery-key = Recovery key
