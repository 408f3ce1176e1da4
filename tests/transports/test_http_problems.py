"""Every error has its row: no error becomes a 500 because nobody thought of it."""

from __future__ import annotations

import inspect
import json

import pytest

from perdure.transports import problems
from perdure.transports.limits import PROBLEMS
from perdure.transports.problems import INTERNAL, KINDS, HttpError, document, kind_of
from perdure.vocabulary import errors
from perdure.vocabulary.errors import InvalidName, LimitExceeded, PerdureError, Rejected, TooLarge


def vocabulary() -> list[type[PerdureError]]:
    found = inspect.getmembers(errors, inspect.isclass)
    return [cls for _, cls in found if issubclass(cls, PerdureError)]


def test_every_error_of_the_vocabulary_has_a_row_of_its_own() -> None:
    assert [cls.__name__ for cls in vocabulary() if cls not in KINDS] == []


def test_every_row_is_of_the_vocabulary() -> None:
    assert set(KINDS) == set(vocabulary())


def test_the_seed_s_catalogue_of_errors_is_covered() -> None:
    statuses = {kind.status for kind in KINDS.values()} | {
        cls.kind.status
        for _, cls in inspect.getmembers(problems, inspect.isclass)
        if issubclass(cls, HttpError)
    }
    refused = {status.value for status, _ in PROBLEMS.values()}

    assert statuses | refused >= {400, 404, 405, 408, 409, 412, 413, 415, 422, 500, 503, 507}


def test_one_slug_means_one_status_and_one_title_everywhere() -> None:
    kinds = [*KINDS.values(), *(cls.kind for cls in HttpError.__subclasses__())]
    meanings = {kind.slug: (kind.status, kind.title) for kind in kinds}

    assert all(meanings[kind.slug] == (kind.status, kind.title) for kind in kinds)
    for slug, (status, title) in PROBLEMS.items():
        assert meanings.get(slug, (status, title)) == (status, title)


def test_an_error_that_a_user_derives_is_of_its_nearest_kind() -> None:
    class OutOfStock(Rejected):
        """No more of it."""

    kind = kind_of(OutOfStock("no tea"))

    assert (kind.status, kind.slug) == (422, "rejected")
    assert json.loads(document(OutOfStock("no tea"), kind, "r"))["reason"] == "no tea"


@pytest.mark.parametrize(
    "failure", [ValueError("secret"), KeyError("secret"), PerdureError("secret")]
)
def test_what_nobody_expected_is_an_internal_error_without_its_words(failure: Exception) -> None:
    kind = kind_of(failure)

    assert kind is INTERNAL
    assert b"secret" not in document(failure, kind, "r")


def test_where_a_fault_is_depends_on_what_was_faulty() -> None:
    inside, outside = InvalidName("x", "/events/1/type"), InvalidName("x", "order")
    inside.index = 1

    assert json.loads(document(inside, kind_of(inside), "r"))["pointer"] == "/events/1/type"
    assert json.loads(document(inside, kind_of(inside), "r"))["index"] == 1
    assert json.loads(document(outside, kind_of(outside), "r"))["parameter"] == "order"


def test_too_many_bytes_are_413_and_other_limits_400() -> None:
    assert kind_of(TooLarge("x")).status == 413
    assert kind_of(LimitExceeded("x")).status == 400
