"""The mailer: the only part of the counter that acts on the world.

One rule: it runs after the commit that asked for it. A message that was rejected, or that lost against
another, has asked for nothing.

What it sends with is the ``config`` given to ``perdure.open``: a mail service, or a list in a test.
"""

import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from examples.counter.counter import SendAlert

#: Sends one message. It returns when the message is on its way.
Mailer: TypeAlias = Callable[[Mapping[str, int]], Awaitable[None]]


async def print_message(message: Mapping[str, int]) -> None:
    """Send a message no further than to whoever watches the server."""
    sys.stdout.write(f"mail to the administrator: {dict(message)}\n")
    sys.stdout.flush()


async def send_alert(effect: SendAlert, *, config: Mailer | None) -> None:
    """Send the alert with the mailer of the application; without one, print it."""
    send = config or print_message
    await send({"alert": effect.count})
