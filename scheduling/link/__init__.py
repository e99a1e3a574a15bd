"""Radio links: from true geometry (`RadioLink`), constant (`FixedLink`), absent (`OffLink`)."""

from scheduling.link.base import UNAVAILABLE, LinkForecast, LinkModel, LinkTrace
from scheduling.link.fixed import FixedLink, FixedLinkConfig, OffLink
from scheduling.link.radio import RadioLink
from scheduling.link.radio_config import RadioConfig

__all__ = [
    "UNAVAILABLE",
    "FixedLink",
    "FixedLinkConfig",
    "LinkForecast",
    "LinkModel",
    "LinkTrace",
    "OffLink",
    "RadioConfig",
    "RadioLink",
]
