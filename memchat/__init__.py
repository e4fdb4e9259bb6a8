"""memchat: a terminal chat for local language models in which you choose how the model remembers."""

__version__ = "0.1.0"
