#!/usr/bin/env python3
"""A tracker in a file, reached by the engine `process`: what docs/adapter-process.md describes, in Python.

Only the standard library is needed. The file is named by TRACKER_FILE; it is a JSON object of records by id.
"""
import json
import os
import sys

FILE = os.environ.get("TRACKER_FILE", "tracker.json")
PAGE = 100


def load():
    if not os.path.exists(FILE):
        return {}
    with open(FILE, encoding="utf-8") as file:
        return json.load(file)


def save(records):
    # Whole or not at all: a program can be ended at any moment.
    with open(FILE + ".part", "w", encoding="utf-8") as file:
        json.dump(records, file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(FILE + ".part", FILE)


def answer(question):
    records = load()
    ask = question["ask"]
    if ask == "hello":
        return {"protocol": 1, "changes": False}
    if ask == "list":
        ids = sorted(records, key=int)
        begin = question["from"] or 0
        page = [records[id] for id in ids[begin : begin + PAGE]]
        more = begin + PAGE < len(ids)
        return {"records": page, "next": begin + PAGE if more else None, "total": len(ids)}
    if ask == "fetch":
        return {"record": records.get(question["id"])}
    if ask == "lookup":
        return {"records": [r for r in records.values() if r.get("code") == question["key"]]}
    if ask == "write":
        body = question["body"]
        if not str(body.get("title") or "").strip():
            return {"error": "refused", "message": "a record needs a title"}
        id = question["id"] or str(max(map(int, records), default=0) + 1)
        if question["id"] and id not in records:
            return {"error": "refused", "message": f"there is no record {id}"}
        records[id] = {**records.get(id, {}), **body, "id": id}
        save(records)
        return {"id": id, "record": records[id]}
    return {"error": "unexpected", "message": f"this program does not know {ask}"}


for line in sys.stdin:
    try:
        reply = answer(json.loads(line))
    except Exception as error:  # Whatever happens is told; the run decides what it means.
        reply = {"error": "unexpected", "message": f"{type(error).__name__}: {error}"}
    print(json.dumps(reply, ensure_ascii=False), flush=True)
