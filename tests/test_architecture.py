"""The walls of the house (docs/architecture.md): who may import whom."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = {"bev", "planner", "scheduling", "carla_bridge", "e2e_drive"}
MAY_IMPORT = {
    "bev": {"bev"},
    "scheduling": {"scheduling"},
    "planner": {"planner", "bev"},
    "carla_bridge": {"carla_bridge", "planner", "bev", "scheduling"},
    "e2e_drive": OURS,
}


def imported_modules(path: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            modules.add(node.module)
    return modules


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_imports_point_down_only(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        for module in imported_modules(path):
            top = module.split(".")[0]
            assert top not in OURS - MAY_IMPORT[package], f"{path.relative_to(ROOT)} imports {module}"
            assert top != "carla" or package == "carla_bridge", f"{path.relative_to(ROOT)} imports carla"
            if "embedded" in path.relative_to(ROOT).parts and top in OURS:
                assert module.startswith("carla_bridge.embedded"), f"the embedded world imports {module}"
