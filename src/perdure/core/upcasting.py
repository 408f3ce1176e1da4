"""From the shape an event was recorded in to the shape it has today.

What is recorded never changes; what is read is led through *upcasters*, pure functions from one version
of a payload to the next, until it is what a class of today takes. On the way an event may get another
name, become several payloads, or none.

One rule: an upcaster says where its payloads go (``into``), so that it is known before anything is read
which recorded names a reactor must select. ``lineage`` checks the upcasters of a context and joins them,
``widening`` makes of it what a reactor does.
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec

from perdure.core.event_type import EventType
from perdure.vocabulary.errors import InvalidData
from perdure.vocabulary.jsontext import read_object, write_object

#: A payload as JSON has it. Numbers with a fraction are ``Decimal``, to the digit.
Data: TypeAlias = dict[str, Any]
#: A payload of the same name; one of another, at version 1 unless a third element says which.
Piece: TypeAlias = Data | tuple[str, Data] | tuple[str, Data, int]
#: A name, a version of its shape, and a payload in that shape.
Place: TypeAlias = tuple[str, int, Data]


class _Stated(msgspec.Struct):
    schema: int = 1


_decode_stated = msgspec.json.Decoder(_Stated).decode
_decode_data = msgspec.json.Decoder(Data, float_hook=Decimal).decode


def stamped(metadata: bytes, version: int) -> bytes:
    """Say in an event's metadata which version of its type's shape it has.

    A version that is stated already stands. Version 1 is what is meant when nothing is stated.
    """
    if version == 1 or (b'"schema"' in metadata and _states_schema(metadata)):
        return metadata
    members = metadata.strip()[1:-1].strip()
    return b'{%b%b"schema":%d}' % (members, b"," if members else b"", version)


def schema_of(metadata: bytes) -> int:
    """Give the version of the shape an event was recorded in. Raises ``InvalidData``."""
    if b'"schema"' not in metadata:
        return 1
    try:
        schema = _decode_stated(metadata).schema
    except msgspec.MsgspecError as fault:
        raise InvalidData(f"metadata: {fault}", "/metadata/schema") from fault
    if schema < 1:
        raise InvalidData(f"metadata: there is no version {schema}", "/metadata/schema")
    return schema


def _states_schema(metadata: bytes) -> bool:
    return "schema" in msgspec.json.decode(metadata, type=dict[str, msgspec.Raw])


class Upcaster(msgspec.Struct, frozen=True):
    """A step from one version of a type's shape. See ``Context.upcast``.

    ``into`` are the names its payloads may have. ``splits``: it gives a list of them, not just one.
    """

    type: str
    version: int
    function: Callable[[Data], Any]
    into: tuple[str, ...]
    splits: bool

    @property
    def label(self) -> str:
        """The function's name, for messages."""
        name = getattr(self.function, "__qualname__", repr(self.function))
        return f"{name} (upcast {self.type!r} {self.version})"

    def apply(self, data: Data) -> list[Place]:
        """Lead a payload on. Raises ``InvalidData`` for whatever goes wrong."""
        try:
            answer = self.function(data)
        except Exception as failure:
            raise InvalidData(f"{self.label}: {type(failure).__name__}: {failure}") from failure
        if not self.splits:
            return [self._place(answer, self.into[0])]
        pieces = answer if isinstance(answer, list) else [answer]
        return [self._place(piece, self.type) for piece in pieces]

    def _place(self, piece: Any, name: str) -> Place:
        version = 0
        match piece:
            case dict():
                data: Data = piece
            case (str(name), dict(data)):
                pass
            case (str(name), dict(data), int(version)):
                pass
            case _:
                wanted = "a list of payloads" if self.splits else "a dict"
                raise InvalidData(f"{self.label} gave {type(piece).__name__}, not {wanted}")
        if name not in self.into:
            raise InvalidData(f"{self.label} gave {name!r}, which its into= does not name")
        same = name == self.type
        version = version or (self.version + 1 if same else 1)
        if same and version <= self.version:
            raise InvalidData(f"{self.label} gave version {version}, which does not lead on")
        return name, version, data


class Upcasters(msgspec.Struct, frozen=True):
    """All upcasters of a context, checked. Made by ``lineage.join``.

    ``comes_to`` says, for each recorded name with upcasters, which names of today it may come to;
    ``certain`` are those that come to exactly one payload of one name, whatever is in them.
    """

    types: Mapping[str, EventType]
    steps: Mapping[tuple[str, int], Upcaster]
    comes_to: Mapping[str, frozenset[str]]
    certain: frozenset[str]

    def names_for(self, name: str) -> tuple[str, ...]:
        """Give the recorded names to select so that nothing is missed that is ``name`` today."""
        older = (old for old, names in self.comes_to.items() if name in names)
        itself = () if name in self.comes_to else (name,)
        return tuple(sorted((*itself, *older)))

    def read(
        self, name: str, metadata: bytes, data: bytes
    ) -> tuple[tuple[str, EventType | None, Any], ...]:
        """Read a recorded payload as today's: name, type and object of each part it comes to.

        Where no class is declared for the name, the object is a dictionary. Raises ``InvalidData``.
        """
        parts = []
        for today, text in self.upcast(name, metadata, data):
            declared = self.types.get(today)
            payload = declared.codec.decode(text) if declared else read_object(text)[0]
            parts.append((today, declared, payload))
        return tuple(parts)

    def upcast(self, name: str, metadata: bytes, data: bytes) -> tuple[tuple[str, bytes], ...]:
        """Lead a recorded payload to today's shape: name and JSON of each part it comes to.

        What has it already is given as it is. Raises ``InvalidData`` for an upcaster that fails, and
        for a version that is newer than today's or that nothing leads on from.
        """
        schema = schema_of(metadata)
        if (name, schema) not in self.steps:
            self._check_todays(name, schema)
            return ((name, data),)
        try:
            value = _decode_data(data)
        except ArithmeticError as fault:
            raise InvalidData(f"{name}: a number that cannot be read: {fault!r}") from fault
        return tuple((today, write_object(v)) for today, v in self._lead((name, schema, value)))

    def _lead(self, place: Place) -> Iterator[tuple[str, Data]]:
        name, version, data = place
        step = self.steps.get((name, version))
        if step is None:
            self._check_todays(name, version)
            yield name, data
            return
        for piece in step.apply(data):
            yield from self._lead(piece)

    def _check_todays(self, name: str, version: int) -> None:
        declared = self.types.get(name)
        today = declared.version if declared else version
        if version > today:
            raise InvalidData(
                f"{name!r} was recorded in version {version}; this application knows {today}: "
                "a newer one recorded it"
            )
        if version < today or (declared is None and name in self.comes_to):
            raise InvalidData(
                f"nothing leads on from version {version} of {name!r}: add an upcaster"
            )
