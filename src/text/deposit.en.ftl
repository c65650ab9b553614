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

status-only-here = no backup is deposited with the node above; a lost disk would lose { $count } records and { $files } files that are only here
status-deposited = deposited with the node above at { $at }; { $count } changes made here since are not in it
status-deposit-unsupported = the node above has a version that keeps no backups yet
status-deposit-no-key = "nqsync backup key new --out FILE" makes the recovery key that it needs

err-deposit-no-key = Without a recovery key nothing is deposited: the node above must not be able to read it. "nqsync backup key new --out FILE" makes one.
err-deposit-no-parent = There is no line to a node above that could keep a backup. Nothing was done; "nqsync backup FOLDER" makes one for another disk.
note-deposit-wanted = A backup goes to the node above as soon as nothing else waits; "nqsync status" tells when it is there.

problem-deposit-newer = The node above holds a backup of this node that is newer than this store, as after an older copy was restored; it is kept, and nothing is deposited since { $since }. Look whether it is needed ("nqsync restore --from-parent"); when this store is the right one: "nqsync backup deposit --anyway".
problem-deposit-refused = No backup of this node is deposited with the node above since { $since }: { $detail }
problem-deposit-old = The last backup deposited with the node above is of { $since }. Does the service run, and is the line up?

err-comeback-not-enrolled = This machine has not enrolled, so no node above gives it a backup. First "nqsync init" and "nqsync enrol" with a token for this unit; nothing was changed.
err-comeback-unsent = { $count } records on this machine are nowhere else, and would be moved aside. Let the service send them first, or add --replace; nothing was changed.
err-comeback-none = The node above holds no backup that fits. It holds those of: { $held }. Nothing was changed.
err-comeback-line = The backup could not be fetched from the node above: { $detail }. Nothing was changed; run the same line again, it goes on where it stopped.
restore-fetching = fetched { $done } of { $of } pieces
note-restored-elsewhere = { $count } attachments were left out of the backup because the node above has them; they are fetched from there when the service runs.

err-deposit-in-force = Node { $node } is not cut off; its backup is the last hope of its disk. "nqsync node revoke" comes first; nothing was changed.
err-deposit-none = Node { $node } has no backup here; nothing was changed.
note-deposit-dropped = The backup of node { $node } was thrown away.
label-deposited-at = Backup kept here since
label-deposited = Size of that backup
