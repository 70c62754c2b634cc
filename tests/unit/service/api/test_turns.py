import anyio
import anyio.lowlevel
import pytest

from service.api import turns
from service.api.turns import Turns
from service.errors import Overloaded

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_requests_take_turns_one_at_a_time_in_the_order_in_which_they_come() -> None:
    limited = Turns(1, 3, "specs")
    order: list[str] = []

    async def work(name: str) -> None:
        async with limited.turn():
            order.append(f"{name} starts")
            await anyio.lowlevel.checkpoint()
            order.append(f"{name} ends")

    async with anyio.create_task_group() as group:
        for name in "abc":
            group.start_soon(work, name)
    assert order == [f"{name} {what}" for name in "abc" for what in ("starts", "ends")]


async def test_a_request_that_finds_too_many_waiting_is_refused_at_once() -> None:
    limited = Turns(1, 0, "specs")
    with pytest.raises(Overloaded, match=r"busy with specs, 1 at a time; send the request again") as caught:
        async with limited.turn():
            pass
    assert caught.value.retry_after_s == 2


async def test_a_request_that_waits_for_too_long_is_refused_and_takes_no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE_S", 0.05)
    limited = Turns(1, 1, "specs")
    async with limited.turn():
        with pytest.raises(Overloaded, match="busy with specs"):
            async with limited.turn():
                pass
    async with limited.turn():  # free again
        pass


async def test_a_turn_is_free_again_after_an_error() -> None:
    limited = Turns(1, 1, "specs")
    for _ in range(3):
        with pytest.raises(ValueError, match="of the work"):
            async with limited.turn():
                raise ValueError("of the work")
