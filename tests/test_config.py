"""Settings from file, environment and flags; mistakes are told in one line."""

from __future__ import annotations

import pytest

from memchat import paths
from memchat.config import Settings, changed, load_settings, save_setting
from memchat.errors import MemchatError, UsageError
from memchat.tui.link import engine_settings


def write(text: str) -> None:
    paths.config_path().parent.mkdir(parents=True, exist_ok=True)
    paths.config_path().write_text(text, "utf-8")


def test_defaults_without_a_file() -> None:
    settings = load_settings()
    assert (settings.model, settings.memory, settings.generation.temperature) == ("starter", "full", 0.0)


def test_flags_beat_environment_beats_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write('memory = "none"\nmodel = "a"\n[generation]\ntemperature = 0.5\ntop_k = 3\nseed = 1\n')
    monkeypatch.setenv("MEMCHAT_MODEL", "b")
    monkeypatch.setenv("MEMCHAT_GENERATION__TEMPERATURE", "0.7")
    settings = load_settings({"generation.temperature": "0.9"})
    assert (settings.memory, settings.model) == ("none", "b")
    assert (settings.generation.temperature, settings.generation.top_k) == (0.9, 3)
    assert settings.generation.seed == 1
    assert load_settings({"generation.seed": "none"}).generation.seed is None


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("modle", "x", "model"),
        ("generation.temprature", "1", "generation.temperature"),
        ("generation.temperature", "warm", "not a float"),
        ("generation.temperature", "-1", "out of range"),
        ("generation.top_k", "1.5", "not a int"),
        ("ui.enter_sends", "maybe", "not a bool"),
    ],
)
def test_wrong_keys_and_values(key: str, value: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as raised:
        load_settings({key: value})
    assert raised.value.exit_code == 2


def test_wrong_type_in_the_file_names_the_file() -> None:
    write("model = 3\n")
    with pytest.raises(UsageError, match=r"config\.toml"):
        load_settings()


@pytest.mark.parametrize("text", ["memory = \n", "[[["])
def test_broken_file(text: str) -> None:
    write(text)
    with pytest.raises(MemchatError, match="not valid TOML"):
        load_settings()


def test_a_file_that_is_not_text() -> None:
    write("")
    paths.config_path().write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MemchatError, match="not valid TOML"):
        load_settings()


def test_saving_keeps_comments_and_the_rest() -> None:
    write('# mine\nmemory = "none"  # for now\n')
    save_setting("ui.theme", "nord")
    save_setting("memory", "window")
    text = paths.config_path().read_text("utf-8")
    assert "# mine" in text and "# for now" in text
    settings = load_settings()
    assert (settings.memory, settings.ui.theme) == ("window", "nord")
    with pytest.raises(UsageError):
        save_setting("ui.themes", "x")


def test_flags_of_every_section_reach_the_engine_process() -> None:
    settings = changed(Settings(), {"system": "Be kind.", "sql.people": True, "remember.window_turns": 2})
    assert load_settings(engine_settings(settings)) == settings
