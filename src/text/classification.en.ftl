# Levels of secrecy: what a store may hold, the stores above none, lowering a level.

err-above-ceiling = Not taken: { $level } is a state secret, and this computer is connected to a network. By Law 117/2025/QH15 state secrets may not be drafted or stored on it. Nothing of it was kept; use the way your office has for such documents.
err-above-node-ceiling = Not taken: { $level } is above { $ceiling }, the highest level of secrecy that this computer may hold (node.ceiling). Nothing of it was kept.
err-level-by-itself = Not opened: this is a store of the level { $level }, and whether this computer may hold it is not for its own configuration to say. Give the configuration of the node that holds it, and --classification { $word }. By Law 117/2025/QH15 state secrets may not be drafted or stored on a computer that is connected to a network.
err-other-level = Not taken: this is the store of the level { $own }, and { $level } has a store of its own. Nothing of it was kept; give the verb --classification { $word }.
err-unknown-classification = "{ $text }" is no level of secrecy that is known here (none, Mật, Tối mật, Tuyệt mật). Nothing was kept, because it may mean one.
err-not-lower = { $level } is not below { $own }, the level of this store. A level is only lowered here; what is to be raised is typed anew in the store of the higher level, and withdrawn here.
err-no-store-of-its-own = What has no level of secrecy lies in the node's own store; there is nothing to be made.
err-no-units-below = The store of this node does not know its unit yet. Enrol the node first, then try again.
err-no-level-store = This node has no store of the level { $level } yet. Make it: nqsync classification prepare { $word }
err-units-unreadable = The units from the store below cannot be taken: { $detail }
err-other-level-store = { $detail }
err-restore-other-level = The backup is of a store of the level { $found }, this directory is for { $here }. Nothing was restored.
err-adapter-ceiling-of-node = The adapter { $name } has the ceiling { $ceiling }, which is more than this node may hold (node.ceiling). Only an isolated node has a ceiling above none: by Law 117/2025/QH15 state secrets may not be stored on a computer connected to a network.
err-other-service = This is the service of the store of the level { $own }, and the verb is meant for { $meant }: node.socket leads to the wrong one (NQSYNC_NODE_SOCKET, --set). Nothing was kept.
err-enrol-by-file = The store of the level { $level } is enrolled by file only (--request, --answer): a line carries nothing above none.
err-adapter-above-store = The adapter { $name } has the ceiling { $ceiling }, and this is the store of the level { $level }: nothing of that system may come into it. Connect it to the store of { $ceiling }.
err-adapter-below-store = The adapter { $name } has the ceiling { $ceiling }, and this is the store of the level { $level }: nothing of it may go to that system.
err-level-not-agreed = Not brought: [approval] of this node wants a second person to agree before this computer holds { $level }. Ask first: nqsync classification prepare { $word } --reason TEXT --login USER
err-ceiling-not-in-force = Nothing is decided: the service of this node runs by an earlier configuration. Restart it, and ask again.
note-level-prepared = The store of the level { $level } is ready. Verbs reach it with --classification { $word }; its service is "nqsync run --classification { $word }". Nothing goes to or from it over a line: carry it with "nqsync bundle".
word-remark-classified = The row states a level of secrecy that this store does not hold and was not taken ({ $found }). On a computer connected to a network no state secret may be stored (Law 117/2025/QH15).
word-register-lowered = level lowered
label-classification = Level of secrecy
