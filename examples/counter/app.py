"""The counter, wired to Perdure: one kind of entity and one effect.

One rule: there is no logic here. ``perdure serve examples.counter.app:app`` runs it; ``README.md`` says
what to ask it then.
"""

from examples.counter.counter import Counter, Increased, increased, increment, total
from examples.counter.mailer import send_alert
from perdure import Context

counters = Context("counters")

counters.event("increased")(Increased)

counter = counters.entity("counter", Counter)
counter.handle(increment)
counter.update(increased)
counter.query(total)

# An alert is tried again until it gets through: at least once, which is the default.
counters.effect()(send_alert)

app = counters
