# Acts that need two persons.

err-no-such-approval = There is no request number { $approval } for an act of two persons. "nqsync approval list" shows those there are.
err-approval-none = This act needs no second person.
err-approval-who = The act "{ $act }" needs two persons at this node ([approval] of the configuration). Say who asks for it: a user of this node, with --login USER, or at the console.
err-approval-login = Request { $approval } is decided by a user of this node who proves it by the password: --login USER, or at the console.
err-approval-nobody = The act "{ $act }" needs two persons at this node, and there is no other user who may approve it. An administrator makes one: nqsync user add NAME --role approver.
err-approval-nobody-else = The act "{ $act }" needs two persons at this node, and whoever else may approve it was added by { $name }, or has a password or role that { $name } set. Another administrator sets the password anew: nqsync user password USER.
err-approval-same-person = { $name } asked for { $approval }; somebody else has to decide it.
err-approval-not-approver = { $name } may not decide request { $approval }; it takes the role approver or administrator.
err-approval-new-user = { $name } was added or changed after request { $approval } was made, and cannot decide it. Somebody else may, or it is asked for anew.
err-approval-made-user = { $name } cannot decide request { $approval }: { $asker }, who made it, added { $name } or set the password or role. Somebody else may decide; or another administrator sets a new password for { $name }, and it is asked for anew.
err-approval-decided = Request { $approval } waits no more ({ $state }).
err-approval-changed = What request { $approval } is about has changed since it was made; nothing is done. Refuse it, and ask anew if it is still wanted.
err-approval-asker-gone = { $name }, who made request { $approval }, may not do this any more; nothing is done.
err-approval-too-many = { $most } requests wait already; have some of them decided first ("nqsync approval list").
err-login-wrong = Name and password do not belong together.
err-login-wait = Too many wrong passwords for this name. Try again in { $seconds } seconds.
err-login-busy = Too many people are logging in at this moment. Try again in a few seconds.
err-not-allowed = As { $role } this user may not do that. Ask an administrator.

note-approval-waits = Nothing is done yet: it waits as request { $approval } for a second person, until { $until }. "nqsync approval approve { $approval } --login USER" or the console.
note-approval-approved = Request { $approval } is approved and carried out.
note-approval-refused = Request { $approval } is refused; nothing is done.

problem-approval = Acts wait for a second person: { $detail }, since { $since }. "nqsync approval list" shows them.

console-approvals = Acts of two persons
console-approvals-intro = What one person asked for and another one has to approve. It is carried out exactly as it was asked for, once.
console-approval-n = Act of two persons { $n }
console-approval-changed = What this is about has changed since it was asked for; it cannot be approved any more.
console-approval-own = You asked for this yourself; somebody else has to decide it.
console-approval-not-yours = This is decided by an approver or an administrator.
console-approve = Approve and carry out
console-refuse = Refuse

label-approval = Request
label-asked-by = Asked for by
label-command = Exactly
label-decision = Decision
label-target-changed = Changed since

word-approval-open = waits for a second person
word-approval-approved = approved and carried out
word-approval-refused = refused
word-approval-expired = not decided in time

word-act-revocation = cut a node off, or let it in again
word-act-lowering = lower the level of secrecy of a task
word-act-ceiling = hold state secrets of a level on this computer
word-act-release = let a mass change through
word-act-authority = take a new authority
