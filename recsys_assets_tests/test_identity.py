from hypothesis import given
from hypothesis import strategies as st

from recsys_assets.identity import KeyRing, id_problem

KEYS = KeyRing(b"0123456789abcdef")
IDS = st.text(min_size=1, max_size=40)


@given(IDS)
def test_labels_keep_kinds_of_id_apart(raw: str) -> None:
    kinds = {KEYS.user_key(raw), KEYS.anon_key(raw), KEYS.session_key(raw), KEYS.mark(raw)}
    assert len(kinds) == 4
    assert all(len(key) == 32 for key in kinds)


@given(IDS, IDS)
def test_keys_differ_between_people_and_between_secrets(one: str, other: str) -> None:
    assert (KEYS.user_key(one) == KEYS.user_key(other)) == (one == other)
    assert KEYS.user_key(one) != KeyRing(b"another secret !").user_key(one)


def test_a_key_as_listings_print_it_is_accepted() -> None:
    key = KEYS.user_key("7")
    assert KEYS.resolve(f"key:{key}") == key
    assert KEYS.resolve("7") == key
    assert KEYS.resolve("key:not-hex") == KEYS.user_key("key:not-hex")
    assert KEYS.resolve("7", anonymous=True) == KEYS.anon_key("7")


def test_known_answer_so_that_a_home_survives_an_upgrade() -> None:
    assert KEYS.user_key("7") == "9afc78e5718db237731f24a80167a43e"


def test_odd_ids_are_legal_and_only_these_are_not() -> None:
    for raw in ("007", "a/b", "o'clock", "\N{GRINNING FACE}", str(2**60), "x" * 128, "a\nb"):
        assert id_problem(raw) is None
    assert id_problem("") == "is empty"
    assert id_problem("a\x00b") == "holds a NUL character"
    assert id_problem("\N{GRINNING FACE}" * 33) == "is longer than 128 bytes"
    assert id_problem("\ud800") == "is not valid UTF-8"
