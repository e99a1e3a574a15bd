"""What clients do with traffic lights."""

from __future__ import annotations

from carla_bridge.embedded.actors import Actor, LightState, LightStatus, Shape
from carla_bridge.embedded.lights import LightBoard
from carla_bridge.embedded.types import Box


class LightSetters:
    """The part of `World` about lights. KeyError for an unknown actor, TypeError for one that is no light."""

    actors: dict[int, Actor]
    _lights: LightBoard
    _shapes: dict[str, Shape]

    def _light(self, actor_id: int) -> LightStatus:
        light = self.actors[actor_id].light
        if light is None:
            raise TypeError(f"actor {actor_id} is a {self.actors[actor_id].type_id}, not a traffic_light")
        return light

    def set_light_state(self, actor_id: int, state: LightState | int) -> None:
        """Shown until the group's clock next changes this light (freeze the lights to keep it)."""
        light = self._light(actor_id)
        light.state, light.elapsed_s = LightState(state), 0.0

    def set_light_times(
        self, actor_id: int, green_s: float | None = None, yellow_s: float | None = None, red_s: float | None = None
    ) -> None:
        light = self._light(actor_id)
        light.green_s = light.green_s if green_s is None else green_s
        light.yellow_s = light.yellow_s if yellow_s is None else yellow_s
        light.red_s = light.red_s if red_s is None else red_s

    def freeze_lights(self, frozen: bool) -> None:
        self._lights.freeze(frozen)

    def reset_lights(self, actor_id: int | None = None) -> None:
        """All groups, or that of one light, back to where they started the episode."""
        self._lights.reset(None if actor_id is None else self._light(actor_id))

    def group_lights(self, actor_id: int) -> list[int]:
        """The lights of this light's junction, itself included."""
        return self._lights.group_of(self._light(actor_id))

    def light_boxes(self, actor_id: int) -> list[Box]:
        """World boxes of a light's lamp housings."""
        self._light(actor_id)
        head = self._shapes["light_off"]
        return [self._lights.head_box(k, head) for k, a in enumerate(self._lights.actors) if a.id == actor_id]
