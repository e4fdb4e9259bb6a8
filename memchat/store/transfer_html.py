"""The visible branch as one HTML file for reading: nothing is loaded, nothing runs, everything is escaped."""

from __future__ import annotations

from html import escape

from memchat.store.records import SessionRow, TurnRow

_STYLE = """
:root { color-scheme: light dark; --page: #fff; --ink: #1b1b1f; --soft: #66666e; --user: #eef3fb; --code: #f4f4f6; }
@media (prefers-color-scheme: dark) {
  :root { --page: #16161a; --ink: #e6e6ea; --soft: #9a9aa4; --user: #22283a; --code: #24242a; }
}
body { background: var(--page); color: var(--ink); font: 1rem/1.6 system-ui, sans-serif; margin: 0; }
header, article { max-width: 46rem; margin: 0 auto; padding: 0.75rem 1.25rem; overflow-wrap: anywhere; }
header p, h2 small { color: var(--soft); font-weight: normal; font-size: 0.85rem; }
h2.who { font-size: 0.95rem; margin: 0 0 0.25rem; }
article.user { background: var(--user); border-radius: 0.6rem; }
.plain { white-space: pre-wrap; }
pre, code { background: var(--code); border-radius: 0.3rem; }
pre { padding: 0.75rem; overflow-x: auto; }
table { border-collapse: collapse; } th, td { border: 1px solid var(--soft); padding: 0.2rem 0.6rem; }
@media print { article { break-inside: avoid; } }
"""


def dump(session: SessionRow, turns: list[TurnRow]) -> str:
    """A self-contained HTML document, light or dark as the reader's system is."""
    about = " · ".join(filter(None, (session.model, f"memory: {session.memory}", _time(session.created_at))))
    system = f'<p class="plain">{_plain(session.system)}</p>\n' if session.system else ""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{_plain(session.name)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{_plain(session.name)}</h1>
<p>{_plain(about)}</p>
{system}</header>
<main>
{"".join(map(_article, turns))}</main>
</body>
</html>
"""


def _article(turn: TurnRow) -> str:
    status = "interrupted" if turn.status == "streaming" else turn.status
    facts = [_time(turn.at), "" if status == "complete" else status]
    who = turn.name or turn.role.capitalize()
    if turn.role == "assistant":
        text = _markdown(turn.content)
    else:
        text = f'<div class="plain">{_plain(turn.content)}</div>\n'
    return (
        f'<article class="{turn.role}">\n'
        f'<h2 class="who">{_plain(who)} <small>{_plain(" · ".join(filter(None, facts)))}</small></h2>\n'
        f"{text}</article>\n"
    )


def _plain(text: str) -> str:
    return escape(text.replace("\0", "\ufffd"))


def _markdown(text: str) -> str:
    """Markdown as HTML; HTML inside it is shown as text, and images, which would be loaded, become links."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
    return parser.render(text)


def _time(at: str) -> str:
    """Date and minute, as they were stored (UTC for what memchat wrote itself)."""
    return at[:16].replace("T", " ")
