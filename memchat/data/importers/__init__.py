"""Importers: files of known and of any shape, and hub data sets, as the project's own data files.

`sources.py` lists what can be read, `prepare.py` does it; `reading.py` turns files into rows; `dialogues.py`, `msc.py`,
`plain.py` and `fields.py` turn rows into conversations, texts and pairs with the help of `convert.py`.
"""
