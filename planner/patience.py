"""For how long a car stands that does not know whether it should.

At a stop sign, at the edge of a junction, before something that may be parked, one look does not tell whether the car
has just arrived or has waited long enough: the network, taught by an expert who did both, then answers with both, say
60 % stop and 40 % go. As long as nothing changes in front of the car, neither does its answer, and a threshold alone
leaves it there for ever.
"""

from __future__ import annotations

import numpy as np

from bev import FloatArray
from planner.types import Light, Trajectory

STANDING_MPS = 0.3
LIGHT_MEMORY_M = 15.0  # driven since a light was seen, until it is forgotten


class Patience:
    """The share of "go" in the answers is read as how often the expert went in moments like this one: while the car
    stands, it is added up over time, and when it reaches go_after_s, the car goes, as the expert would have by then.
    Who may be standing for a light, one in sight or one that was so on the last metres (who stands at the line may not
    see it any more), waits as much longer as go_after_at_light_s says.
    """

    def __init__(self, go_after_s: float, go_after_at_light_s: float, go_m: float) -> None:
        self._go_after_s, self._go_after_at_light_s, self._go_m = go_after_s, go_after_at_light_s, go_m
        self._spent = 0.0  # share of the patience
        self._left_m = 0.0  # to drive without minding doubts
        self._no_light = 1.0  # probability; what was seen of a light fades over LIGHT_MEMORY_M

    def is_over(self, trajectory: Trajectory, speed_mps: float, delta_s: float) -> bool:
        """Call once a tick. Whether doubts about going do not count now."""
        driven_m = max(speed_mps, 0.0) * delta_s
        faded = min(1.0, self._no_light + driven_m / LIGHT_MEMORY_M)
        self._no_light = no_light = min(float(trajectory.light_probabilities[Light.NONE]), faded)
        if self._left_m > 0.0:
            self._left_m -= driven_m
            return True
        if speed_mps > STANDING_MPS:
            self._spent = 0.0
            return False
        whole_s = no_light * self._go_after_s + (1.0 - no_light) * self._go_after_at_light_s
        self._spent += (1.0 - float(trajectory.speed_probabilities[0])) * delta_s / whole_s
        if self._spent < 1.0:
            return False
        self._spent, self._left_m = 0.0, self._go_m
        return True


def unless_stopping(probabilities: FloatArray) -> FloatArray:
    """(C,) of target speeds -> the same, given that the car goes."""
    going = np.array(probabilities, dtype=np.float64)
    going[0] = 0.0
    return going / going.sum()
