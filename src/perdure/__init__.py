"""Perdure: an event store and a reactive domain-driven-design framework.

A user writes plain functions over plain values; ``Context`` collects them, ``open`` runs them.
"""

from perdure.core.context import Context as Context
from perdure.core.entity import EntityKind as EntityKind
from perdure.core.retrying import Retry as Retry
from perdure.core.saga import Saga as Saga
from perdure.core.service import Service as Service
from perdure.core.system import CaughtUp as CaughtUp
from perdure.core.system import KeyParked as KeyParked
from perdure.core.system import KeyReleased as KeyReleased
from perdure.core.system import ServerStarted as ServerStarted
from perdure.core.system import ServerStopping as ServerStopping
from perdure.opening import open as open  # noqa: A004
from perdure.runtime.app import App as App
from perdure.runtime.config import Settings as Settings
from perdure.runtime.discards import Discarded as Discarded
from perdure.runtime.parked import ParkedView as ParkedView
from perdure.runtime.subscriptions import Subscription as Subscription
from perdure.runtime.trial import Trial as Trial
from perdure.vocabulary.commits import Committed as Committed
from perdure.vocabulary.commits import EntityAt as EntityAt
from perdure.vocabulary.commits import NothingAfter as NothingAfter
from perdure.vocabulary.commits import Receipt as Receipt
from perdure.vocabulary.commits import Statement as Statement
from perdure.vocabulary.criteria import Criteria as Criteria
from perdure.vocabulary.errors import CommandNotFound as CommandNotFound
from perdure.vocabulary.errors import ConcurrencyError as ConcurrencyError
from perdure.vocabulary.errors import ConditionFailed as ConditionFailed
from perdure.vocabulary.errors import ConfigurationError as ConfigurationError
from perdure.vocabulary.errors import Contended as Contended
from perdure.vocabulary.errors import ContextNotFound as ContextNotFound
from perdure.vocabulary.errors import Corrupt as Corrupt
from perdure.vocabulary.errors import DefinitionError as DefinitionError
from perdure.vocabulary.errors import EffectFailed as EffectFailed
from perdure.vocabulary.errors import EngineError as EngineError
from perdure.vocabulary.errors import EventIdTaken as EventIdTaken
from perdure.vocabulary.errors import EventNotFound as EventNotFound
from perdure.vocabulary.errors import HandlerFailed as HandlerFailed
from perdure.vocabulary.errors import IntentNotFound as IntentNotFound
from perdure.vocabulary.errors import InvalidData as InvalidData
from perdure.vocabulary.errors import InvalidId as InvalidId
from perdure.vocabulary.errors import InvalidInput as InvalidInput
from perdure.vocabulary.errors import InvalidName as InvalidName
from perdure.vocabulary.errors import LimitExceeded as LimitExceeded
from perdure.vocabulary.errors import ModelNotFound as ModelNotFound
from perdure.vocabulary.errors import NotCaughtUp as NotCaughtUp
from perdure.vocabulary.errors import NotFound as NotFound
from perdure.vocabulary.errors import OutcomeUnknown as OutcomeUnknown
from perdure.vocabulary.errors import Parked as Parked
from perdure.vocabulary.errors import ParkedNotFound as ParkedNotFound
from perdure.vocabulary.errors import PerdureError as PerdureError
from perdure.vocabulary.errors import QueryNotFound as QueryNotFound
from perdure.vocabulary.errors import Rejected as Rejected
from perdure.vocabulary.errors import RequestKeyReused as RequestKeyReused
from perdure.vocabulary.errors import StorageFull as StorageFull
from perdure.vocabulary.errors import Unavailable as Unavailable
from perdure.vocabulary.errors import WrongVersion as WrongVersion
from perdure.vocabulary.events import NewEvent as NewEvent
from perdure.vocabulary.events import RecordedEvent as RecordedEvent
from perdure.vocabulary.ids import entity_named as entity_named
from perdure.vocabulary.messages import After as After
from perdure.vocabulary.messages import At as At
from perdure.vocabulary.messages import Cancel as Cancel
from perdure.vocabulary.messages import Complete as Complete
from perdure.vocabulary.messages import Done as Done
from perdure.vocabulary.messages import Emit as Emit
from perdure.vocabulary.messages import Envelope as Envelope
from perdure.vocabulary.messages import Refused as Refused
from perdure.vocabulary.messages import Reply as Reply
from perdure.vocabulary.messages import Send as Send
from perdure.vocabulary.messages import Stop as Stop
from perdure.vocabulary.outcomes import Accepted as Accepted
from perdure.vocabulary.references import EntityRef as EntityRef
from perdure.vocabulary.references import Matching as Matching
from perdure.vocabulary.references import ModelRef as ModelRef
from perdure.vocabulary.references import matching as matching

__version__ = "0.1.0"
__all__ = [
    "Accepted",
    "After",
    "App",
    "At",
    "Cancel",
    "CaughtUp",
    "CommandNotFound",
    "Committed",
    "Complete",
    "ConcurrencyError",
    "ConditionFailed",
    "ConfigurationError",
    "Contended",
    "Context",
    "ContextNotFound",
    "Corrupt",
    "Criteria",
    "DefinitionError",
    "Discarded",
    "Done",
    "EffectFailed",
    "Emit",
    "EngineError",
    "entity_named",
    "EntityAt",
    "EntityKind",
    "EntityRef",
    "Envelope",
    "EventIdTaken",
    "EventNotFound",
    "HandlerFailed",
    "IntentNotFound",
    "InvalidData",
    "InvalidId",
    "InvalidInput",
    "InvalidName",
    "KeyParked",
    "KeyReleased",
    "LimitExceeded",
    "matching",
    "Matching",
    "ModelNotFound",
    "ModelRef",
    "NewEvent",
    "NotCaughtUp",
    "NotFound",
    "NothingAfter",
    "open",
    "OutcomeUnknown",
    "Parked",
    "ParkedNotFound",
    "ParkedView",
    "PerdureError",
    "QueryNotFound",
    "Receipt",
    "RecordedEvent",
    "Refused",
    "Rejected",
    "Reply",
    "RequestKeyReused",
    "Retry",
    "Saga",
    "Send",
    "ServerStarted",
    "ServerStopping",
    "Service",
    "Settings",
    "Statement",
    "Stop",
    "StorageFull",
    "Subscription",
    "Trial",
    "Unavailable",
    "WrongVersion",
]
