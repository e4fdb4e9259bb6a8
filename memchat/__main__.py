"""The console script: runs a command, and turns what goes wrong into one line and an exit code."""

from __future__ import annotations

import os
import sys

_INTERRUPTED = 130
"""Typer's exit code for Ctrl-C."""


def main() -> None:
    """Exit codes: 0 done, 1 failed or stopped, 2 wrong usage."""
    from memchat.errors import MemchatError

    arguments = sys.argv[1:]
    debug = "--debug" in arguments or bool(os.environ.get("MEMCHAT_DEBUG"))
    try:
        _run([a for a in arguments if a != "--debug"])  # it may stand after a command, too
    except MemchatError as error:
        if debug:
            raise
        print(f"memchat: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except (SystemExit, KeyboardInterrupt) as done:
        if isinstance(done, SystemExit) and done.code != _INTERRUPTED:
            raise
        print("\nmemchat: stopped. What was said is kept.", file=sys.stderr)
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        _report(error)
        sys.exit(1)


def _run(arguments: list[str]) -> None:
    if arguments or "_MEMCHAT_COMPLETE" in os.environ:  # a shell asks for completions
        from memchat.cli.main import app

        app(arguments)
    # Without arguments there is nothing to parse, and the first frame comes earlier by the command line's import.
    from memchat.config import load_settings
    from memchat.memory import registry
    from memchat.tui.app import run

    settings = load_settings()
    registry.check(settings.memory)
    sys.exit(run(settings))


def _report(error: Exception) -> None:
    """A bug: one line for the user, the traceback for the log."""
    import traceback

    from memchat import paths

    log = paths.state_dir() / "errors.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write("".join(traceback.format_exception(error)) + "\n")
        where = f"The details are in {log}."
    except OSError:
        where = "Run it again with --debug for the details."
    what = (str(error).splitlines() or [""])[0]
    print(f"memchat: unexpected error, {type(error).__name__}: {what}. {where}", file=sys.stderr)


if __name__ == "__main__":
    main()
