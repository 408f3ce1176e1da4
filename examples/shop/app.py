"""The shop: which events there are, who listens to which, and who keeps a model of what.

One rule: this is the only module of the shop that knows Perdure, and there is no logic in it. The
functions it names are plain functions over plain values, and the annotation of a function's
``event`` says which events it gets.

``perdure serve examples.shop.app:app`` runs it. The eight questions of the shop, and the field of
the model that answers each:

| | question | model | field |
|---|---|---|---|
| 1 | How old is the cart? | ``visits`` (all: ``carts``) | ``age_seconds`` (``age``) |
| 2 | How much time passes between events around it? | ``visits`` | ``gaps`` |
| 3 | What was put in and then taken back out again? | ``visits`` | ``taken_out`` |
| 4 | How long did those items stay in the cart? | ``visits`` | ``taken_out[...].stays`` |
| 5 | How does the highest value compare to that at checkout? | ``visits`` | ``value_max``, ``checkout`` |
| 6 | When in the process did the discount code come? | ``visits`` | ``discount`` |
| 7 | What is most often removed before checkout? | ``products`` | ``most_removed`` |
| 8 | What goes most closely with an abandoned cart? | ``products`` | ``most_left_behind`` |
"""

from examples.shop.cart import Cart, item_added, item_removed
from examples.shop.cart_analytics import Carts, moved
from examples.shop.coupons import Coupons, redeemed
from examples.shop.events import (
    CartEmptied,
    CheckoutFinished,
    CheckoutStarted,
    DiscountAdded,
    ItemAdded,
    ItemRemoved,
)
from examples.shop.product_analytics import Products, shopped
from examples.shop.visits import Visit, entered_code, put_in, reached_till, took_out
from perdure import Context

shop = Context("store")

shop.event("item_added")(ItemAdded)
shop.event("item_removed")(ItemRemoved)
shop.event("discount_added")(DiscountAdded)
shop.event("checkout_started")(CheckoutStarted)
shop.event("checkout_finished")(CheckoutFinished)
shop.event("cart_emptied")(CartEmptied)

# What is in the cart: a model per cart.
cart = shop.service("cart", Cart)
cart.react(item_added)
cart.react(item_removed)

# The story of the cart: a model per cart.
visits = shop.service("visits", Visit)
visits.react(put_in)
visits.react(took_out)
visits.react(entered_code)
visits.react(reached_till)

# The carts in circulation, the products, the coupons: one model each, over all carts.
carts = shop.service("carts", Carts, single=True)
carts.react(moved)

products = shop.service("products", Products, single=True)
products.react(shopped)

coupons = shop.service("coupons", Coupons, single=True)
coupons.react(redeemed)

app = shop
