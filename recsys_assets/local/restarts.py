"""How often a program that dies is started again."""

RESTARTS = 5
WITHIN_SECONDS = 60.0
FIRST_PAUSE = 0.5  # seconds; each further one within the minute is twice as long


class Restarts:
    """Those of one program: `RESTARTS` within `WITHIN_SECONDS` at most, after pauses that grow.

    >>> some = Restarts()
    >>> [some.pause(now) for now in (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 60.5, 200.0)]
    [0.5, 1.0, 2.0, 4.0, 8.0, None, 8.0, 0.5]
    """

    def __init__(self) -> None:
        self._times: list[float] = []

    def pause(self, now: float) -> float | None:
        """Seconds to wait before the start that it counts; None where it has died too often."""
        self._times = [time for time in self._times if time > now - WITHIN_SECONDS]
        if len(self._times) == RESTARTS:
            return None
        self._times.append(now)
        return FIRST_PAUSE * 2.0 ** (len(self._times) - 1)
