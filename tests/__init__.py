"""Tests: `from tests.tiny import tiny_model` and the like work from the root of the checkout."""
