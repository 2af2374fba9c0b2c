"""Interleavings: actors in threads, of which one at a time takes a step; every order is tried."""

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

_WITHIN = 60.0


class Interrupted(BaseException):
    """An actor ends here, as a process that is killed."""


class Turns:
    """Lets actors take their steps in one order.

    Whoever took the last step takes the next, until it ends or it is `choices` that another does:
    those are positions among the actors that can go on, the last one first.
    """

    def __init__(self, choices: Sequence[int] = ()) -> None:
        self.taken: list[tuple[int, int]] = []
        """Which was chosen each time, and among how many."""
        self._choices = choices
        self._waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._go: dict[str, queue.SimpleQueue[None]] = {}
        self._ended: dict[str, BaseException | None] = {}

    def step(self) -> None:
        """Wait for one's turn; whoever is no actor need not."""
        name = threading.current_thread().name
        if turn := self._go.get(name):
            self._waiting.put(name)
            turn.get(timeout=_WITHIN)

    def run(
        self, actors: Mapping[str, Callable[[], None]], after_each: Callable[[str], None]
    ) -> dict[str, BaseException | None]:
        """Run the actors; return with what each ended. `after_each` looks at each step."""
        self._go = {name: queue.SimpleQueue() for name in actors}
        for name, act in actors.items():
            threading.Thread(target=self._act, args=(name, act), name=name, daemon=True).start()
            self._waiting.get(timeout=_WITHIN)
        last = next(iter(actors))
        while able := [name for name in actors if name not in self._ended]:
            last = self._choose(sorted(able, key=lambda name: name != last))
            self._go[last].put(None)
            self._waiting.get(timeout=_WITHIN)
            after_each(last)
        return self._ended

    def _choose(self, able: Sequence[str]) -> str:
        at = len(self.taken)
        choice = self._choices[at] if at < len(self._choices) else 0
        self.taken.append((choice, len(able)))
        return able[choice]

    def _act(self, name: str, act: Callable[[], None]) -> None:
        error: BaseException | None = None
        try:
            act()
        except BaseException as raised:  # noqa: BLE001 (the test looks at it)
            error = raised
        self._ended[name] = error
        self._waiting.put(name)


def every_order(switches: int | None = None) -> Iterator[Turns]:
    """Yield turns until each order was tried, or each with at most so many switches.

    They must be run before the next are asked for.
    """
    choices: list[int] | None = []
    while choices is not None:
        turns = Turns(choices)
        yield turns
        choices = _next(turns.taken, switches)


def _next(taken: Sequence[tuple[int, int]], switches: int | None) -> list[int] | None:
    for at in reversed(range(len(taken))):
        choice, options = taken[at]
        before = [each for each, _ in taken[:at]]
        few = switches is None or sum(map(bool, before)) < switches
        if choice + 1 < options and few:
            return [*before, choice + 1]
    return None
