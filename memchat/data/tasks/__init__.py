"""The tasks of the synthetic world that are no plain chat: SQL, tool calls, labels learnt from examples, long stories.

Each module offers ``xxx_task(split, rng, size) -> Dialogue``: one episode of roughly `size` characters, deterministic
by its random generator, with values and phrasings that belong to its split alone. Their texts are data
(``assets/world/*.toml``). Assistant lines of kind ``answer`` are what the task is about.
"""
