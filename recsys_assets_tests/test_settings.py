from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from recsys_assets.errors import HomeError, SettingsError
from recsys_assets.models.members import MEMBER_MODELS
from recsys_assets.settings import Home, Settings, Source, init_home, load_settings, open_home
from recsys_assets.sources import MEMBERS
from recsys_assets.tuning import Tuning
from recsys_assets_tests import readme


def settings(folder: Path, **more: str) -> Settings:
    return load_settings({"RECSYS_HOME": str(folder / "a home"), **more})


def made(given: Settings, **more: object) -> None:
    asked = {"first_day": date(2017, 1, 1), "time_zone": "Europe/Berlin", "currency": "EUR", **more}
    init_home(given, **asked)  # type: ignore[arg-type]  # a test passes wrong values on purpose


def test_wrong_settings_are_refused_all_at_once_by_name() -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(
            {
                "RECSYS_API_PORT": "70000",
                "RECSYS_THREADS": "two",
                "RECSYS_SECRET": "short",
                "RECSYS_REDIS_URL": "http://x",
                "RECSYS_POSTGRES_ULR": "postgresql://x/y",
                "PATH": "/usr/bin",
            }
        )
    said = str(refused.value)
    for name in ("RECSYS_API_PORT", "RECSYS_THREADS", "RECSYS_SECRET", "RECSYS_REDIS_URL"):
        assert name in said
    assert "RECSYS_POSTGRES_ULR is not a setting; did you mean RECSYS_POSTGRES_URL?" in said


def test_secrets_and_passwords_stay_out_of_repr(tmp_path: Path) -> None:
    given = settings(tmp_path, RECSYS_SECRET="s" * 16, RECSYS_POSTGRES_URL="postgresql://u:hush@h/d")
    assert "hush" not in repr(given)
    assert "ssss" not in repr(given)


def test_a_home_is_made_once_and_opened_again(tmp_path: Path) -> None:
    given = settings(tmp_path)
    home = init_home(
        given,
        first_day=date(2017, 1, 1),
        time_zone="Europe/Berlin",
        currency="EUR",
        sources=(Source(format="contract", path='/data/a "quoted" \\ name'),),
    )
    again = open_home(given)
    assert again == home
    assert again.config.sources[0].path == '/data/a "quoted" \\ name'
    assert ((given.home / "secret").stat().st_mode & 0o777) == 0o600
    made(given)  # the same values: nothing happens
    assert open_home(given) == home


def test_init_refuses_other_values_for_a_home_that_exists(tmp_path: Path) -> None:
    made(settings(tmp_path))
    with pytest.raises(HomeError, match="currency is EUR, not USD"):
        made(settings(tmp_path), currency="USD")


@pytest.mark.parametrize(("field", "value"), [("time_zone", "Mars/Olympus"), ("currency", "Euro")])
def test_init_names_a_wrong_value(tmp_path: Path, field: str, value: str) -> None:
    with pytest.raises(SettingsError, match=field):
        made(settings(tmp_path), **{field: value})


def test_another_secret_is_refused(tmp_path: Path) -> None:
    made(settings(tmp_path, RECSYS_SECRET="0123456789abcdef"))
    with pytest.raises(HomeError, match="secret is not the one"):
        open_home(settings(tmp_path, RECSYS_SECRET="fedcba9876543210"))
    with pytest.raises(HomeError, match="no secret"):
        open_home(settings(tmp_path))


def test_a_missing_home_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="recsys init"):
        open_home(settings(tmp_path))


def test_knobs_are_overridden_in_the_home_and_unknown_ones_refused(tmp_path: Path) -> None:
    given = settings(tmp_path)
    made(given)
    file = given.home / "home.toml"
    text = file.read_text()
    file.write_text(text + "[tuning.als]\nfactors = 16\n")
    assert open_home(given).config.tuning.als.factors == 16
    file.write_text(text + "[tuning]\nwindow_day = 3\n")
    with pytest.raises(HomeError, match=r"tuning\.window_day"):
        open_home(given)
    file.write_text(text + "[tuning.price_tiers]\nmid_from = 0.9\n")
    with pytest.raises(HomeError, match=r"tuning\.price_tiers: mid_from, premium_from have to ascend"):
        open_home(given)


@pytest.mark.parametrize(
    ("knobs", "told"),
    [
        ({"blend": {"members": ["foo", "als"]}}, "no member is called foo; there are als, item_cf, popularity"),
        ({"blend": {"members": []}}, "no member is called nothing"),
        ({"als": {"factors": 100_000}}, "less than or equal to 1024"),
        ({"als": {"factor": 8}}, "als.factor"),
    ],
)
def test_unknown_names_and_slips_of_the_finger_are_refused_at_load(knobs: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Tuning.model_validate(knobs)


def test_every_member_has_a_model() -> None:
    assert set(MEMBERS) <= set(MEMBER_MODELS)


def test_a_folder_that_was_there_is_closed_when_it_becomes_a_home(
    make_home: Callable[..., Home], tmp_path: Path
) -> None:
    (tmp_path / "a shop").mkdir(mode=0o755)
    (tmp_path / "a shop").chmod(0o755)
    home = make_home()
    modes = {path.name: path.stat().st_mode & 0o777 for path in (home.path, *home.path.iterdir())}
    assert modes == {"a shop": 0o700, "home.toml": 0o600, "secret": 0o600}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('shop_nam = "x"', "shop_nam is not a key; did you mean shop_name? The keys there are layout, first_day,"),
        (
            '[[sources]]\nformat = "auto"\npth = "x"',
            "sources.0.pth is not a key; did you mean path? The keys there are",
        ),
        ('[[sources]]\nformat = "auto"', "sources.0.path is missing."),
        ("[tuning.als]\nfactor = 8", "tuning.als.factor is not a key; did you mean factors? The keys there are"),
        ("[tunning]\nx = 1", "tunning is not a key; did you mean tuning?"),
        ("zzz = 1", "zzz is not a key. The keys there are layout,"),
    ],
)
def test_a_wrong_key_of_home_toml_is_told_with_the_keys_that_exist(tmp_path: Path, line: str, words: str) -> None:
    made(settings(tmp_path))
    file = tmp_path / "a home" / "home.toml"
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(HomeError) as refused:
        open_home(settings(tmp_path))
    assert words in str(refused.value)


def test_the_page_of_home_toml_is_made_from_the_code() -> None:
    """Mended by ``RECSYS_HOME=… python -m recsys_assets_tests.readme``, with any home."""
    text = readme.HOME_PAGE.read_text()
    assert readme.home_page(text) == text
