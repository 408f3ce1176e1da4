"""What the server itself does can be reacted to like any other event, by those who ask."""

from dataclasses import dataclass

import msgspec

from perdure import App, CaughtUp, Context, ServerStarted, ServerStopping
from tests.runtime.support import Opener, opener

__all__ = ["opener"]


@dataclass(frozen=True)
class Diary:
    lines: tuple[str, ...] = ()


def watched() -> Context:
    shop = Context("shop")
    diary = shop.service("diary", Diary, single=True)

    @diary.react
    def noted(model: Diary, event: ServerStarted | ServerStopping | CaughtUp) -> Diary:
        return Diary((*model.lines, type(event).__name__))

    return shop


async def lines(app: App) -> list[str]:
    view = await app.context("shop").models.read("diary")
    return list(msgspec.json.decode(view.json, type=Diary).lines)


async def test_a_service_sees_the_server_start_stop_and_start_again(opener: Opener) -> None:
    async with opener(watched()) as app:
        live = app.context("shop")
        while len(await lines(app)) < 2:
            await live.advanced(await live.head(), 0.02)
    async with opener(watched()) as app:
        live = app.context("shop")
        while len(found := await lines(app)) < 5:
            await live.advanced(await live.head(), 0.02)

    assert sorted(found) == sorted(["ServerStarted", "CaughtUp"] * 2 + ["ServerStopping"])


async def test_nothing_is_recorded_where_nobody_listens(opener: Opener) -> None:
    async with opener(Context("shop")) as app:
        assert await app.context("shop").head() == 0
    async with opener(Context("shop")) as app:
        assert await app.context("shop").head() == 0
