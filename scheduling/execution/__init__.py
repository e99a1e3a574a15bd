"""Execution in virtual time: stages compute for real, or are only accounted for; the clock is simulated.

By the recursion of docs/scheduling.md. Car, edge, cloud, uplink and downlink serve one job at a time, the wide-area
network any number; reservations of earlier frames stay, later frames fill the gaps. Rules beyond the recursion:

- *Frames in flight.* A frame's whole future is settled when it is captured; what it reserved is not taken back.
- *Other cars' jobs.* What a frame sends to a server waits there for the work that stands in line when it arrives
  (`SharedQueue`); work that follows from work at the same server does not. Its place in that line is not superseded.
- *Latest wins.* Work that would wait one frame period for its resource, be it behind our own earlier frames or for a
  link that is down, is superseded by the next frame before it starts, and with it the frame's main run. `fifo`
  schedules wait instead, however long. A fallback that finds the car taken for so long is superseded as well.
- *The first answer* cancels at that moment whatever still runs for the frame; that frees the resources.
- *The fallback* is the fallback model's complete run on the car, at the precision with which it is quickest, from the
  car's own memory. It starts at `fallback_at_s`, also when a remote controller's decision never arrives. From then on
  the car works for it alone. A schedule without one (None) may end without an answer (`ready_s` None): when its work
  is superseded, when its messages are lost, when the link never comes back. A transfer that began but can never end is
  given up one frame period after its beginning.
- *A local schedule* (nothing critical off the car, no state away) has no fallback. One whose state lies elsewhere
  fetches it, in a race with the fallback; without a fallback it makes do with the car's own memory instead.
- *Loss* is one draw a frame: of a lost frame nothing arrives that goes over the radio.
- *States.* A frame works with the memory that exists when it is captured. The run that answers makes the next one
  (so does a remote run that got that far before another answered). The car's own memory is the last that the car made.
- *Auxiliary stages* follow the maker of their first input, at that computer's default precision, after the answer;
  after the fallback's answer they run on the car. Their outputs stay where they are made.
"""

from scheduling.execution.executor import ExecutorConfig, VirtualExecutor

__all__ = ["ExecutorConfig", "VirtualExecutor"]
