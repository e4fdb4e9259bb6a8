"""Everything the user can do, once: the command palette, the keys, the slash commands and the help read this table.

``run`` finds the method ``do_<id>`` (dots become underscores) of the chat screen's commands.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Action:
    """One thing to do. ``keys`` work on the chat screen; ``slash`` is its command, ``args`` what follows it."""

    id: str
    title: str
    group: str
    keys: tuple[str, ...] = ()
    slash: tuple[str, ...] = ()
    args: str = ""
    help: str = ""
    footer: str = ""


ACTIONS: tuple[Action, ...] = (
    Action("help", "Help", "memchat", ("f1",), ("help", "?"), footer="Help", help="Keys and commands"),
    Action("settings", "Settings", "memchat", ("f2",), ("settings", "set"), "[set KEY VALUE]",
           "Show settings, or change one"),
    Action("palette", "Command palette", "memchat", ("ctrl+p",), footer="Commands", help="Find anything to do"),
    Action("theme", "Theme", "memchat", (), ("theme",), "[NAME]", "Choose the colours, with a preview"),
    Action("restart", "Restart the engine", "memchat", (), ("restart",), help="A new engine process"),
    Action("quit", "Quit", "memchat", ("ctrl+q",), ("quit", "exit", "bye"), help="Leave; what is typed is kept"),
    Action("session.new", "New conversation", "Conversation", ("ctrl+n",), ("new",), "[NAME]", "Start afresh",
           footer="New"),
    Action("session.list", "Conversations", "Conversation", ("f5",), ("sessions", "open"), "[NAME]",
           "Open, rename or delete a conversation", footer="Chats"),
    Action("session.rename", "Rename this conversation", "Conversation", (), ("rename",), "NAME"),
    Action("session.delete", "Delete this conversation", "Conversation", (), ("delete",)),
    Action("session.export", "Export this conversation", "Conversation", (), ("export",), "[md|json|html] [FILE]",
           "Write it to a file"),
    Action("suggest", "Try a suggestion", "Conversation", ("ctrl+t",), ("try",), "[N]",
           "Put a suggested message into the empty input; again: the next", footer="Try"),
    Action("find", "Find", "Conversation", ("ctrl+f",), ("find",), "[WORDS]", "Search all conversations"),
    Action("history", "Earlier prompts", "Conversation", ("ctrl+r",), ("history",), help="Search what you wrote"),
    Action("editor", "Write in $EDITOR", "Conversation", ("ctrl+g",), ("editor",),
           help="Open the text in your editor"),
    Action("stop", "Stop the reply", "Conversation", (), ("stop",), help="Also Esc; the partial text is kept"),
    Action("message.regenerate", "Answer again", "Message", ("alt+r",), ("regenerate", "again"),
           help="Another version of the last reply"),
    Action("message.version", "Turn the versions", "Message", (), ("version",), "[N]",
           "Left and right do so in an empty input"),
    Action("message.edit", "Edit a message", "Message", ("alt+e",), ("edit",), "[TURN]",
           "Your last message, or the chosen one"),
    Action("message.fork", "Fork here", "Message", (), ("fork",), "[TURN]",
           "A new conversation up to this message"),
    Action("message.copy", "Copy", "Message", ("alt+c",), ("copy",), "[TURN|code|prompt|all]",
           "The last reply, or the chosen message"),
    Action("message.forget", "Forget messages", "Message", (), ("forget",), "[TURN...]",
           "Out of the conversation and out of the memory"),
    Action("message.choose", "Choose a message", "Message", ("alt+up",),
           help="Then c copy, e edit, r again, f fork, x forget"),
    Action("memory", "Memory mode", "Memory", ("f3",), ("memory", "mode"), "[MODE]", "How the model remembers",
           footer="Memory"),
    Action("facts", "Command the memory", "Memory", (), ("facts",), "COMMAND",
           "What the memory can be told: undo, history, lock ..."),
    Action("model", "Model", "Memory", ("f4",), ("model",), "[NAME]", "Choose or download a model",
           footer="Model"),
    Action("panel", "Inspector", "Memory", ("f6",), ("panel",), help="Show or hide what the model remembers",
           footer="Inspector"),
    Action("panel.next", "Next inspector tab", "Memory", ("f7",), help="Memory, Prompt, Turns, Engine"),
    Action("prompt", "What the model sees", "Memory", ("f8",), ("prompt", "context"),
           help="The exact prompt of the next reply"),
    Action("panel.zoom", "Enlarge the inspector", "Memory", ("f9",), help="Or make it small again"),
)  # fmt: skip

BY_ID = {action.id: action for action in ACTIONS}
BY_SLASH = {name: action for action in ACTIONS for name in action.slash}

KEY_NAMES = {
    "ctrl+": "^", "alt+": "alt-", "shift+": "shift-", "f": "F", "up": "↑", "down": "↓", "enter": "⏎",
}  # fmt: skip


def key_name(key: str) -> str:
    """``ctrl+p`` as ``^p``, ``f1`` as ``F1``."""
    if key[0] == "f" and key[1:].isdigit():
        return key.upper()
    return key.replace("ctrl+", "^").replace("alt+", "Alt-").replace("shift+", "Shift-").replace("up", "↑")


def parse_slash(text: str) -> tuple[str, str] | None:
    """(command, arguments) when ``text`` is a command line, else None; ``//`` and paths are ordinary text."""
    if not text.startswith("/") or "\n" in text.strip():
        return None
    name, _, args = text[1:].rstrip().partition(" ")
    if not name or not (name.replace("-", "").isalpha() or name == "?"):
        return None
    return name.lower(), args.strip()
