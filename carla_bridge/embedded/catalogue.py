"""What each blueprint of CARLA 0.9.16 is: its class, its size, and the mesh that stands for it.

Ids, classes and sizes are facts of CARLA's catalogue and of the bounding boxes that its server reports; see
https://carla.readthedocs.io/en/0.9.16/catalogue_vehicles/ (and catalogue_props, catalogue_pedestrians). Sizes are
length, width, height in metres. Where CARLA's box counts the mirrors of a lorry or a bus, the width here is that of
the body, at most 2.55 m (Directive 96/53/EC), because here the box is what collides.
"""

from __future__ import annotations

from dataclasses import dataclass

Size = tuple[float, float, float]  # length, width, height [m]


@dataclass(frozen=True)
class VehicleModel:
    prototype: str
    size: Size
    base_type: str = "car"
    special_type: str = ""
    generation: int = 1
    wheels: int = 4
    has_lights: bool = False
    has_doors: bool = False  # has_dynamic_doors
    colour: str = ""  # "r,g,b": its usual paint, where it has one


@dataclass(frozen=True)
class WalkerModel:
    prototype: str
    size: Size
    gender: str
    age: str
    generation: int
    colour: str  # "r,g,b": of its clothes


@dataclass(frozen=True)
class PropModel:
    prototype: str
    size: Size
    colour: str = ""  # "r,g,b": multiplies the paint of its mesh


def _first(
    prototype: str,
    length: float,
    width: float,
    height: float,
    *,
    base_type: str = "car",
    special_type: str = "",
    wheels: int = 4,
    lights: bool = False,
    colour: str = "",
) -> VehicleModel:
    """Of CARLA's first generation: only some have lamps that can be switched, none has doors that open."""
    return VehicleModel(prototype, (length, width, height), base_type, special_type, 1, wheels, lights, False, colour)


def _second(
    prototype: str,
    length: float,
    width: float,
    height: float,
    *,
    base_type: str = "car",
    special_type: str = "",
    doors: bool = True,
    colour: str = "",
) -> VehicleModel:
    """Of CARLA's second generation: with lamps, and most of them with doors that open."""
    return VehicleModel(prototype, (length, width, height), base_type, special_type, 2, 4, True, doors, colour)


def _cycle(
    prototype: str, length: float, width: float, height: float, base_type: str, lights: bool = False
) -> VehicleModel:
    return _first(prototype, length, width, height, base_type=base_type, wheels=2, lights=lights)


_FIRE_RED, _WHITE, _CAB_YELLOW = "178,24,22", "238,238,234", "236,190,34"

VEHICLES: dict[str, VehicleModel] = {
    # The shipped driving network learned to drive this box (CARLA's own is 4.892 x 1.837 x 1.490 m): it stays.
    "vehicle.lincoln.mkz_2020": _second("car_sedan", 4.80, 1.90, 1.48, colour="92,98,104"),
    "vehicle.lincoln.mkz_2017": _first("car_sedan", 4.902, 2.128, 1.511, lights=True),
    "vehicle.tesla.model3": _first("car_sedan", 4.792, 2.163, 1.488, lights=True),
    "vehicle.audi.tt": _first("car_sedan", 4.181, 1.994, 1.385, lights=True),
    "vehicle.audi.etron": _first("suv", 4.856, 2.033, 1.649, lights=True),
    "vehicle.mercedes.coupe_2020": _second("car_sedan", 4.674, 1.812, 1.442),
    "vehicle.mercedes.coupe": _first("car_sedan", 5.027, 2.152, 1.651),
    "vehicle.dodge.charger_2020": _second("car_sedan", 5.008, 1.882, 1.535),
    "vehicle.dodge.charger_police": _first(
        "police", 4.974, 2.038, 1.542, lights=True, special_type="emergency", colour="24,26,32"
    ),
    "vehicle.dodge.charger_police_2020": _second(
        "police", 5.238, 1.930, 1.638, special_type="emergency", colour="24,26,32"
    ),
    "vehicle.chevrolet.impala": _first("car_sedan", 5.357, 2.033, 1.411, lights=True),
    "vehicle.ford.crown": _second("taxi", 5.366, 1.801, 1.575, special_type="taxi", colour=_CAB_YELLOW),
    "vehicle.ford.mustang": _first("sports", 4.718, 1.895, 1.301, lights=True, colour="150,22,20"),
    "vehicle.bmw.grandtourer": _first("suv", 4.611, 2.242, 1.667),
    "vehicle.audi.a2": _first("car_hatch", 3.705, 1.789, 1.549),
    "vehicle.mini.cooper_s": _first("car_hatch", 3.806, 1.970, 1.475),
    "vehicle.mini.cooper_s_2021": _second("car_hatch", 4.553, 2.097, 1.767),
    "vehicle.citroen.c3": _first("car_hatch", 3.988, 1.851, 1.617),
    "vehicle.seat.leon": _first("car_hatch", 4.193, 1.816, 1.474),
    "vehicle.toyota.prius": _first("car_hatch", 4.514, 2.007, 1.525),
    "vehicle.nissan.micra": _first("car_hatch", 3.633, 1.845, 1.501),
    "vehicle.nissan.patrol_2021": _second("suv", 5.566, 2.150, 2.045),
    "vehicle.nissan.patrol": _first("suv", 4.605, 1.932, 1.855),
    "vehicle.jeep.wrangler_rubicon": _first("suv", 3.866, 1.905, 1.878),
    "vehicle.micro.microlino": _first("microlino", 2.207, 1.481, 1.376, special_type="electric"),
    "vehicle.tesla.cybertruck": _second(
        "pickup", 6.274, 2.390, 2.098, doors=False, base_type="truck", special_type="electric", colour="186,190,194"
    ),
    "vehicle.mercedes.sprinter": _second("van", 5.915, 1.988, 2.561, base_type="van"),
    "vehicle.volkswagen.t2": _first("van", 4.480, 2.069, 2.038, lights=True, base_type="van"),
    "vehicle.volkswagen.t2_2021": _second("van", 4.442, 1.775, 1.987, base_type="van"),
    "vehicle.ford.ambulance": _second(
        "ambulance", 6.366, 2.351, 2.431, base_type="van", special_type="emergency", colour=_WHITE
    ),
    "vehicle.carlamotors.carlacola": _first("truck", 5.204, 2.55, 2.467, base_type="truck"),
    "vehicle.carlamotors.firetruck": _second(
        "firetruck", 8.468, 2.55, 3.827, base_type="truck", special_type="emergency", colour=_FIRE_RED
    ),
    "vehicle.carlamotors.european_hgv": _second("hgv", 7.936, 2.55, 3.462, doors=False, base_type="truck"),
    "vehicle.mitsubishi.fusorosa": _second("bus", 10.273, 2.55, 3.40, doors=False, base_type="bus", colour=_WHITE),
    "vehicle.harley-davidson.low_rider": _cycle("motorbike", 2.350, 0.766, 1.649, "motorcycle", True),
    "vehicle.kawasaki.ninja": _cycle("motorbike", 2.044, 0.797, 1.523, "motorcycle", True),
    "vehicle.yamaha.yzf": _cycle("motorbike", 2.191, 0.866, 1.530, "motorcycle", True),
    "vehicle.vespa.zx125": _cycle("scooter", 1.817, 0.866, 1.590, "motorcycle", True),
    "vehicle.bh.crossbike": _cycle("bicycle", 1.509, 0.866, 1.612, "bicycle"),
    "vehicle.diamondback.century": _cycle("bicycle", 1.656, 0.582, 1.620, "bicycle"),
    "vehicle.gazelle.omafiets": _cycle("bicycle", 1.843, 0.659, 1.776, "bicycle"),
}

# What a vehicle weighs and how it pulls away follows from this class (dynamics.py).
PHYSICS_CLASS: dict[str, str] = {
    "police": "car_sedan",
    "taxi": "car_sedan",
    "sports": "car_sedan",
    "microlino": "microlino",
    "pickup": "pickup",
    "ambulance": "van",
    "firetruck": "hgv",
    "scooter": "scooter",
}

_ADULT: Size = (0.375, 0.375, 1.86)
_SMALL_CHILD: Size = (0.50, 0.50, 1.10)
_CHILD: Size = (0.375, 0.375, 1.30)
_SMALL_CHILDREN, _CHILDREN, _POLICE = (9, 10, 11, 48, 49), (12, 13, 14), (30, 32)
_FIRST_GENERATION = range(1, 15)
_CLOTHES = (
    "232,232,228", "58,84,132", "150,44,40", "64,96,70", "210,180,120", "70,70,76",
    "176,120,140", "36,44,64", "120,150,190", "196,104,48", "104,88,120", "30,30,34",
)  # fmt: skip
_POLICE_BLUE = "30,38,66"


def _walker(number: int) -> WalkerModel:
    """Number of the catalogue -> who that is. Every other one is a woman, as far as anybody can tell here."""
    small, child = number in _SMALL_CHILDREN, number in _CHILDREN
    gender = "female" if number % 2 else "male"
    build = "pedestrian_woman" if gender == "female" else "pedestrian_stout" if number % 6 == 4 else "pedestrian"
    police = number in _POLICE
    return WalkerModel(
        "child" if small or child else "pedestrian" if police else build,
        _SMALL_CHILD if small else _CHILD if child else _ADULT,
        gender,
        "child" if small or child else "adult",
        1 if number in _FIRST_GENERATION else 2,
        _POLICE_BLUE if police else _CLOTHES[(number * 5) % len(_CLOTHES)],
    )


WALKERS: dict[str, WalkerModel] = {f"walker.pedestrian.{number:04d}": _walker(number) for number in range(1, 52)}

_CARDBOARD, _STEEL, _DARK, _GREEN, _CLAY = "178,140,96", "150,154,158", "62,64,68", "52,96,62", "164,98,70"
_PROPS: dict[str, PropModel] = {
    "advertisement": PropModel("billboard", (1.549, 0.287, 2.443)),
    "atm": PropModel("cabinet", (0.713, 0.874, 2.276), _STEEL),
    "barbeque": PropModel("barrel", (0.946, 0.499, 1.264), _DARK),
    "barrel": PropModel("barrel", (0.460, 0.471, 0.807), "196,92,40"),
    "bench01": PropModel("bench", (1.544, 0.736, 0.970)),
    "bench02": PropModel("bench", (1.564, 0.545, 0.509)),
    "bench03": PropModel("bench", (1.583, 0.513, 0.513)),
    "bike helmet": PropModel("ball", (0.186, 0.277, 0.171), "40,80,150"),
    "bin": PropModel("bin", (0.548, 0.638, 1.059), _GREEN),
    "box01": PropModel("box", (0.652, 0.652, 0.692), _CARDBOARD),
    "box02": PropModel("box", (0.649, 0.649, 0.649), _CARDBOARD),
    "box03": PropModel("box", (0.661, 0.670, 0.649), _CARDBOARD),
    "briefcase": PropModel("case", (0.543, 0.181, 0.433), "92,62,40"),
    "brokentile01": PropModel("box", (0.134, 0.176, 0.007), _CLAY),
    "brokentile02": PropModel("box", (0.210, 0.152, 0.008), _CLAY),
    "brokentile03": PropModel("box", (0.154, 0.145, 0.009), _CLAY),
    "brokentile04": PropModel("box", (0.130, 0.126, 0.010), _CLAY),
    "busstop": PropModel("shelter", (3.876, 1.894, 2.739)),
    "busstoplb": PropModel("shelter", (1.894, 3.876, 2.739)),
    "calibrator": PropModel("box", (1.548, 0.690, 0.202), "240,240,240"),
    "chainbarrier": PropModel("chain_barrier", (1.494, 0.239, 0.889)),
    "chainbarrierend": PropModel("post", (0.239, 0.239, 0.889), _DARK),
    "clothcontainer": PropModel("container", (1.239, 1.887, 1.810), "190,176,60"),
    "clothesline": PropModel("frame", (6.652, 1.118, 2.061), _STEEL),
    "colacan": PropModel("barrel", (0.068, 0.072, 0.110), "190,26,28"),
    "constructioncone": PropModel("cone", (0.344, 0.344, 0.586)),
    "container": PropModel("container", (1.932, 1.012, 1.714), _GREEN),
    "creasedbox01": PropModel("box", (0.809, 0.713, 0.118), _CARDBOARD),
    "creasedbox02": PropModel("box", (1.633, 0.713, 0.212), _CARDBOARD),
    "creasedbox03": PropModel("box", (1.669, 0.713, 0.022), _CARDBOARD),
    "dirtdebris01": PropModel("rubble", (1.857, 1.514, 0.149)),
    "dirtdebris02": PropModel("rubble", (1.857, 1.514, 0.149)),
    "dirtdebris03": PropModel("rubble", (1.857, 1.514, 0.188)),
    "doghouse": PropModel("hut", (1.079, 1.272, 1.094), "168,96,60"),
    "foodcart": PropModel("stall", (2.285, 4.638, 3.573), "206,64,52"),
    "fountain": PropModel("fountain", (8.402, 8.402, 6.924)),
    "garbage01": PropModel("barrel", (0.053, 0.053, 0.087), _STEEL),
    "garbage02": PropModel("box", (0.053, 0.053, 0.009), _STEEL),
    "garbage03": PropModel("ball", (0.060, 0.059, 0.079), _STEEL),
    "garbage04": PropModel("ball", (0.057, 0.056, 0.069), _STEEL),
    "garbage05": PropModel("box", (0.232, 0.233, 0.058), "200,190,170"),
    "garbage06": PropModel("ball", (0.366, 0.213, 0.077), "200,190,170"),
    "gardenlamp": PropModel("post", (0.297, 0.281, 0.648), _DARK),
    "glasscontainer": PropModel("container", (1.955, 2.009, 1.788), "60,120,84"),
    "gnome": PropModel("hut", (0.367, 0.376, 0.883), "190,40,36"),
    "guitarcase": PropModel("case", (1.242, 0.125, 0.494), _DARK),
    "haybale": PropModel("bale", (1.248, 1.193, 1.195)),
    "haybalelb": PropModel("bale", (1.248, 1.193, 1.195)),
    "ironplank": PropModel("box", (1.452, 1.174, 0.021), _STEEL),
    "kiosk_01": PropModel("hut", (1.625, 1.654, 3.245), "70,104,92"),
    "mailbox": PropModel("cabinet", (0.527, 0.438, 1.157), "34,62,140"),
    "maptable": PropModel("table", (1.573, 0.617, 1.181)),
    "mobile": PropModel("box", (0.080, 0.007, 0.166), _DARK),
    "motorhelmet": PropModel("ball", (0.200, 0.259, 0.258), "170,30,30"),
    "pergola": PropModel("pergola", (5.029, 5.085, 3.542)),
    "plantpot01": PropModel("planter", (1.089, 0.476, 0.557)),
    "plantpot02": PropModel("planter", (1.051, 0.431, 0.487)),
    "plantpot03": PropModel("planter", (1.051, 0.431, 0.487)),
    "plantpot04": PropModel("planter", (4.967, 0.737, 0.125)),
    "plantpot05": PropModel("planter", (0.400, 0.400, 0.280)),
    "plantpot06": PropModel("planter", (1.593, 1.593, 0.850)),
    "plantpot07": PropModel("planter", (0.495, 0.476, 0.557)),
    "plantpot08": PropModel("planter", (0.530, 0.530, 0.489)),
    "plasticbag": PropModel("bag", (0.311, 0.403, 0.552), "226,226,222"),
    "plasticchair": PropModel("chair", (0.730, 0.750, 1.271), "236,236,232"),
    "plastictable": PropModel("parasol", (2.482, 2.482, 2.480), "222,206,160"),
    "platformgarbage01": PropModel("rubble", (3.633, 1.711, 0.332)),
    "purse": PropModel("bag", (0.159, 0.333, 0.585), "120,56,60"),
    "shoppingbag": PropModel("bag", (0.474, 0.243, 0.601), _CARDBOARD),
    "shoppingcart": PropModel("trolley", (0.669, 1.208, 1.079)),
    "shoppingtrolley": PropModel("case", (0.506, 0.331, 1.094), "60,72,120"),
    "slide": PropModel("slide", (0.943, 4.122, 1.977)),
    "streetbarrier": PropModel("barrier", (1.215, 0.372, 1.069)),
    "streetfountain": PropModel("cabinet", (0.287, 0.670, 1.259), _STEEL),
    "streetsign": PropModel("street_sign", (1.064, 0.125, 2.154)),
    "streetsign01": PropModel("street_sign", (2.470, 0.303, 3.878)),
    "streetsign04": PropModel("street_sign", (1.171, 0.125, 2.773)),
    "swing": PropModel("frame", (4.105, 1.577, 2.572), "60,110,150"),
    "swingcouch": PropModel("stall", (1.357, 2.362, 2.249), "150,140,110"),
    "table": PropModel("table", (2.156, 2.152, 0.846)),
    "trafficcone01": PropModel("cone", (0.883, 0.882, 1.133)),
    "trafficcone02": PropModel("delineator", (0.456, 0.395, 1.183)),
    "trafficwarning": PropModel("arrow_board", (2.373, 2.871, 3.570)),
    "trampoline": PropModel("pergola", (4.132, 4.132, 2.802)),
    "trashbag": PropModel("bag", (0.378, 0.430, 0.702), "30,30,34"),
    "trashcan01": PropModel("bin", (0.635, 0.568, 0.848), _DARK),
    "trashcan02": PropModel("bin", (0.524, 0.514, 1.045), _GREEN),
    "trashcan03": PropModel("bin", (0.629, 0.545, 0.934), _DARK),
    "trashcan04": PropModel("bin", (0.789, 0.580, 1.016), _GREEN),
    "trashcan05": PropModel("bin", (0.789, 0.580, 1.016), "40,70,120"),
    "travelcase": PropModel("case", (0.567, 0.328, 1.263), "130,40,44"),
    "vendingmachine": PropModel("cabinet", (0.873, 1.102, 2.108), "176,30,32"),
    "warningaccident": PropModel("warning_sign", (1.305, 1.055, 1.860)),
    "warningconstruction": PropModel("warning_sign", (1.305, 1.055, 1.860)),
    "wateringcan": PropModel("barrel", (0.070, 0.194, 0.135), _GREEN),
}
PROPS: dict[str, PropModel] = {f"static.prop.{name}": model for name, model in _PROPS.items()}
