"""Names of contexts, domains, types and tags: what is one, and what is not."""

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from perdure.vocabulary.errors import InvalidName
from perdure.vocabulary.names import (
    RESERVED_CONTEXTS,
    RESERVED_SEGMENTS,
    check_context,
    check_name,
    check_tag,
    looks_like_id,
)

UUID_TEXT = "e1c3029a-2a96-11e7-93ae-92361f002671"


@pytest.mark.parametrize("name", ["a", "shop", "shop_2", "a" * 48, "events"])
def test_a_context_name_is_given_back(name: str) -> None:
    assert check_context(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Shop",
        "2shop",
        "_shop",
        "shop-2",
        "shop.2",
        "a" * 49,
        "a\n",
        "a b",
        "é",
        "a/b",
        "\ud800",
    ],
)
def test_a_context_name_is_short_and_plain(name: str) -> None:
    with pytest.raises(InvalidName, match="not a context name") as failure:
        check_context(name)
    str(failure.value).encode()


@pytest.mark.parametrize("name", sorted(RESERVED_CONTEXTS))
def test_a_path_at_the_root_is_no_context(name: str) -> None:
    with pytest.raises(InvalidName):
        check_context(name)


@pytest.mark.parametrize(
    "name", ["a", "Z", "ItemAdded", "item.added-v2_x", "a" * 128, "perdure.parked", "Events"]
)
def test_a_name_is_given_back(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "1a",
        "_a",
        ".a",
        "-a",
        "a" * 129,
        "a\n",
        "a b",
        "a/b",
        "a%2Fb",
        "é",
        "\u0430dmin",
        "a\x00",
        "\ud800",
    ],
)
def test_a_name_begins_with_a_letter_and_stays_within_ascii(name: str) -> None:
    with pytest.raises(InvalidName, match="not a domain") as failure:
        check_name(name, "domain")
    str(failure.value).encode()


@pytest.mark.parametrize("name", sorted(RESERVED_SEGMENTS))
def test_a_segment_of_a_path_is_no_name(name: str) -> None:
    with pytest.raises(InvalidName, match="reserved"):
        check_name(name)


@pytest.mark.parametrize(
    "name", [UUID_TEXT, UUID_TEXT.upper(), UUID_TEXT.replace("-", ""), UUID_TEXT[:30], "a" * 38]
)
def test_what_looks_like_an_id_is_no_name(name: str) -> None:
    assert looks_like_id(name)
    with pytest.raises(InvalidName, match="UUID"):
        check_name(name if name[0].isalpha() else "a" + name[1:])


@pytest.mark.parametrize("text", ["", "cart", "a" * 29, "a" * 39, "{" + UUID_TEXT + "}", "g" * 36])
def test_what_does_not_look_like_an_id_may_be_a_name(text: str) -> None:
    assert not looks_like_id(text)


def test_names_are_compared_letter_by_letter() -> None:
    assert check_name("Cart") != check_name("cart")


@pytest.mark.parametrize("tag", ["a", "sku:BOOK-001", "größe", "🛒", " ", "a" * 256, UUID_TEXT])
def test_a_tag_is_given_back(tag: str) -> None:
    assert check_tag(tag) == tag


@pytest.mark.parametrize(
    "tag", ["", "a" * 257, "a\n", "\x00", "\x1b[31m", "\x7f", "\x85", "\x9f", "\ud800", "a\udfff"]
)
def test_a_tag_has_no_control_and_no_half_character(tag: str) -> None:
    with pytest.raises(InvalidName, match="not a tag") as failure:
        check_tag(tag)
    str(failure.value).encode()


@pytest.mark.parametrize("check", [check_context, check_name, check_tag])
@given(text=st.text(st.characters(exclude_categories=())))
@example(text="\ud800")
def test_what_passes_is_unchanged_and_can_be_stored(check: Callable[[str], str], text: str) -> None:
    try:
        passed = check(text)
    except InvalidName:
        return
    assert passed == text
    assert passed.encode().decode() == text
