"""A scripted engine process: speaks the protocol on its pipes and writes to the real store, without any model.

What a prompt says decides what happens: ``crash`` ends the process in mid-reply, ``fail`` fails it, ``hold`` waits
for a cancel, ``deaf`` ignores one for good, ``markdown``, ``evil`` and ``long N`` choose the reply; all else is echoed.

    python fake_worker.py [--gate FILE] [--bad-model NAME] [--delay SECONDS]
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from memchat import protocol as p
from memchat.errors import MemchatError
from memchat.store import Store

MARKDOWN = """# A heading

Some **bold**, *slanted* and `inline code`, with a [link](https://example.org) and <tags> kept.

## What is held

- first point
- second point with a longer line that has to be wrapped when the terminal is narrow
  1. nested one
  2. nested two

> A quotation of two lines
> and its second line.

```python
def greet(name: str) -> str:
    \"\"\"Say hello.\"\"\"
    return f"Hello, {name}!"  # a comment
```

| turn | tokens | held |
|-----:|-------:|------|
|    1 |    180 | yes  |
|    2 |    644 | no   |

That is all.
"""
EVIL = "[bold]not markup[/] [/] [link=x] \x1b[31mred\x1b[0m \u202eabc\u202c 漢字 👩‍👩‍👧 é \ud800 \x07 `[b]` <b>x</b>"
MODES = [
    {"name": "none", "summary": "every message alone", "available": True, "reason": "", "remedy": ""},
    {"name": "window", "summary": "the last messages word for word", "available": True, "reason": "", "remedy": ""},
    {"name": "full", "summary": "everything, as long as it fits", "available": True, "reason": "", "remedy": ""},
    {"name": "ccm", "summary": "turns compressed into slots", "available": False,
     "reason": "no ccm adapter for this model", "remedy": "memchat train ccm"},
]  # fmt: skip


class FakeWorker:
    """Answers requests in order; a cancel overtakes them."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.store = Store()
        self.requests: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.cancelled: set[int] = set()
        self.request = 0
        self.session = ""
        self.model = "starter"
        self.mode = "full"

    def run(self) -> None:
        self.emit(p.Hello(p.VERSION, os.getpid()))
        print("fake engine starts", file=sys.stderr, flush=True)
        threading.Thread(target=self.listen, daemon=True).start()
        while (request := self.requests.get()) is not None:
            self.request = request["id"]
            try:
                getattr(self, f"do_{request['op']}")(**{k: v for k, v in request.items() if k not in ("id", "op")})
            except MemchatError as error:
                self.emit(p.Failed(error.message, error.remedy))
            except Exception as error:
                self.emit(p.Failed(f"a bug: {error}", "Look at the log.", detail=repr(error)))
            if request["op"] == "shutdown":
                return

    def listen(self) -> None:
        for line in sys.stdin:
            request = json.loads(line)
            if request["op"] == "cancel":
                self.cancelled.add(request.get("target", self.request))
            else:
                self.requests.put(request)
        os._exit(0)

    def emit(self, event: p.Event) -> None:
        sys.stdout.write(event.to_json(self.request) + "\n")
        sys.stdout.flush()

    def do_load(self, model: str = "starter", memory: str = "full", settings: Any = None) -> None:
        gate = self.options.gate
        for step in range(100_000):
            if not gate or Path(gate).exists():
                break
            self.emit(p.Progress("loading the model", step % 100, 100))
            time.sleep(0.05)
        if model == self.options.bad_model:
            raise MemchatError(f"there is no model {model!r} here", "Press F4 to choose another.")
        if memory not in [m["name"] for m in MODES]:
            raise MemchatError(f"unknown memory mode {memory!r}", "Press F3 to choose one.")
        self.model, self.mode = model, memory
        info = {"id": model, "description": "a tiny model", "parameters": 12_300_000, "device": "cpu",
                "dtype": "float32", "context": 2048, "weight_bytes": 49_200_000, "kv_bytes_per_token": 12_288,
                "random_weights": False}  # fmt: skip
        self.emit(p.Ready(info, memory, MODES))
        self.emit(p.Finished())

    def do_open(self, session: str | None = None, memory: str | None = None) -> None:
        row = self.store.find_session(session) if session else None
        row = row or self.store.create_session(session, model=self.model, memory=self.mode)
        self.session = row.id
        revived = self.store.recover()
        self.emit(p.Opened(row.id, row.name, self.mode, "an interrupted reply was kept" if revived else ""))
        self.emit(p.Finished())

    def do_ask(self, text: str) -> None:
        head = self.store.session(self.session).head
        turn = self.store.add_turn(self.session, "user", text, parent=head)
        self.emit(p.Stored(turn.id, "user", head))
        self.reply(turn.id, text)

    def do_regenerate(self) -> None:
        asked = [turn for turn in self.store.path(self.session) if turn.role == "user"][-1]
        self.reply(asked.id, asked.content)

    def do_edit(self, turn: int, text: str) -> None:
        row = self.store.turn(turn)
        new = self.store.add_turn(self.session, row.role, text, parent=row.parent)
        self.emit(p.Stored(new.id, row.role, row.parent))
        if row.role == "user":
            self.reply(new.id, text)
        else:
            self.emit(p.Finished(turn=new.id))

    def do_select(self, turn: int) -> None:
        self.store.select(turn)
        self.emit(p.Finished(turn=turn))

    def do_fork(self, turn: int) -> None:
        row = self.store.fork(turn)
        self.session = row.id
        self.emit(p.Opened(row.id, row.name, self.mode))
        self.emit(p.Finished())

    def do_forget(self, turns: list[int]) -> None:
        self.store.forget(turns)
        self.emit(p.Wrote(0, 0, len(turns), 0.5))
        self.emit(p.Finished())

    def do_rename(self, session: str, name: str) -> None:
        self.store.rename_session(session, name)
        self.emit(p.Finished())

    def do_delete(self, session: str) -> None:
        self.store.delete_session(session)
        self.emit(p.Finished())

    def do_memory(self, mode: str) -> None:
        if mode not in [m["name"] for m in MODES if m["available"]]:
            raise MemchatError(f"the memory mode {mode!r} is not available", "memchat train ccm")
        self.mode = mode
        self.emit(p.Opened(self.session, self.store.session(self.session).name, mode))
        self.emit(p.Finished())

    def do_prompt(self, text: str | None = None) -> None:
        held = self.held()
        parts = [{"kind": "text", "tokens": len(t.content.split()), "source": f"turn {t.id}", "text": t.content}
                 for t in held]  # fmt: skip
        if text:
            parts.append({"kind": "text", "tokens": len(text.split()), "source": "now", "text": text})
        whole = "".join(f"<|{part['source']}|>{part['text']}\n" for part in parts)
        self.emit(p.Prompt(whole, sum(int(part["tokens"]) for part in parts), parts))
        self.emit(p.Finished())

    def do_items(self, query: str | None = None) -> None:
        held = self.held()
        items = [{"kind": "turn", "text": t.content, "turns": [t.id], "id": str(t.id), "score": None,
                  "used": t in held, "meta": {"role": t.role, "tokens": len(t.content.split())}}
                 for t in self.store.path(self.session)]  # fmt: skip
        self.emit(p.Items(items, {"device": 12_288 * len(items), "host": 0, "disk": 0}))
        self.emit(p.Finished())

    def do_download(self, model: str) -> None:
        for step in range(1, 21 if model.endswith("tiny-chat") else 100_000):
            if self.request in self.cancelled:
                self.emit(p.Finished("cancelled"))
                return
            self.emit(p.Progress("downloading", min(step * 5e6, 9e8), 1e9, "bytes"))
            time.sleep(0.02)
        self.emit(p.Finished())

    def do_shutdown(self) -> None:
        self.emit(p.Finished())

    def held(self) -> list[Any]:
        turns = [t for t in self.store.path(self.session) if t.status != "forgotten"]
        keep = {"none": 0, "window": 4}.get(self.mode, len(turns))
        return turns[len(turns) - keep :] if keep else []

    def reply(self, parent: int, text: str) -> None:
        began = time.monotonic()
        held, total = self.held(), len(self.store.path(self.session))
        items = [{"kind": "turn", "text": t.content, "turns": [t.id], "used": t in held}
                 for t in self.store.path(self.session)[:-1]]  # fmt: skip
        self.emit(p.Recalled(items, 40 + 10 * len(held), len(held), total - len(held), 0.3))
        if text.startswith("fail"):
            raise MemchatError("the prompt is longer than the context", "Start a new conversation: Ctrl+N")
        turn = self.store.add_turn(self.session, "assistant", "", parent=parent, status="streaming")
        self.emit(p.Stored(turn.id, "assistant", parent))
        said, reason = "", "stop"
        for number, piece in enumerate(self.pieces(text)):
            if self.request in self.cancelled and not text.startswith("deaf"):
                reason = "cancelled"
                break
            said += piece
            self.emit(p.Token(piece))
            if text.startswith("crash") and number == 2:
                self.store.update_turn(turn.id, content=said)
                os.kill(os.getpid(), 9)
            time.sleep(self.options.delay)
        if self.request in self.cancelled:
            reason = "cancelled"
        stats = p.Stats(40 + 10 * len(held), 30, len(said.split()), 310.0, 38.4, 12_288 * 120, 300_000_000, 0.41, 2048)
        status = "cancelled" if reason == "cancelled" else "complete"
        meta = {"model": self.model, "memory": self.mode, "stats": stats.__dict__}
        self.store.update_turn(turn.id, content=said, status=status, meta=meta)  # type: ignore[arg-type]
        self.emit(p.Wrote(2, 0, 0, 1.0, device_bytes=12_288 * 120))
        self.emit(stats)
        self.emit(p.Finished(reason, turn.id))
        print(f"replied after {time.monotonic() - began:.3f} s", file=sys.stderr, flush=True)

    def pieces(self, text: str) -> Any:
        word, _, rest = text.partition(" ")
        if word in ("hold", "deaf"):
            yield "I begin "
            while word == "deaf" or self.request not in self.cancelled:
                time.sleep(0.005)
                yield ""
            return
        reply = {"markdown": MARKDOWN, "evil": EVIL}.get(word, f"You said: {text}")
        if word == "long":
            reply = " ".join(f"word{i}" + (".\n\n" if i % 40 == 39 else "") for i in range(int(rest or 200)))
        for start in range(0, len(reply), 4):
            yield reply[start : start + 4]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--gate", default="")
    parser.add_argument("--bad-model", default="")
    parser.add_argument("--delay", type=float, default=0.0)
    FakeWorker(parser.parse_args()).run()
