"""The terminal interface: a Textual app that talks to the engine process."""

import os

# A key waits for the next frame: at Textual's 60 a second that alone is up to 17 ms while a reply streams.
os.environ.setdefault("TEXTUAL_FPS", "120")
