from pathlib import Path

import pytest

from telemetry.catalogue import Catalogue
from telemetry.declaration import Mistakes
from tests import district


def mistakes(folder: Path, **files: str) -> list[str]:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(Mistakes) as refused:
        Catalogue.load(folder)
    return [str(m).removeprefix(f"{folder}/") for m in refused.value.mistakes]


BASE = district.CATALOGUE


def test_a_good_catalogue_is_cross_referenced(tmp_path: Path) -> None:
    catalogue, _, _ = district.load(tmp_path)
    assert catalogue.site_of("level-1") == "east"
    assert [place.id for place in catalogue.path_of("mh-1")] == ["drains", "mh-1"]
    assert catalogue.metric["level-1", "level"].unit == "m"
    assert catalogue.site["east"].name.zh == "East"
    assert catalogue.site["west"].name.zh == "西院"


def test_an_unknown_field_is_named_with_its_line(tmp_path: Path) -> None:
    text = "sites:\n  - {id: a, name: A}\n  - id: b\n    name: B\n    timezon: Asia/Shanghai\n"
    assert mistakes(tmp_path, a=text) == ["a.yaml:5: sites[1].timezon: unknown field; remove it or mend its spelling"]


def test_two_devices_of_one_name_are_shown_both(tmp_path: Path) -> None:
    again = "devices:\n  - {id: meter, kind: room-meter, place: room, gateway: gw-west}\n"
    (said,) = mistakes(tmp_path, a=BASE, b=again)
    assert said.startswith("b.yaml:2: devices[0].id: 'meter' is taken: see ")
    assert "a.yaml:" in said


def test_parents_in_a_circle_are_found(tmp_path: Path) -> None:
    text = BASE.replace("kind: lane, site: east}", "kind: lane, parent: x}").replace(
        "places:", "places:\n  - {id: x, name: X, kind: y, parent: lane}"
    )
    assert any("parents run in a circle" in said for said in mistakes(tmp_path, a=text))


def test_water_in_a_circle_is_found(tmp_path: Path) -> None:
    text = BASE.replace("crown_m: 0.3}", "crown_m: 0.3, downstream: mh-1}")
    (said,) = mistakes(tmp_path, a=text)
    assert "water runs in a circle" in said


@pytest.mark.parametrize(
    ("change", "into", "said"),
    [
        ("kind: room-meter, place", "kind: rom-meter, place", "there is no kind 'rom-meter'"),
        ("place: mh-2, gateway", "place: mh-9, gateway", "there is no place 'mh-9'"),
        ("place: room, gateway: gw-west", "place: room, gateway: gw-east", "serves east, not west"),
        ("{id: east, name: East}", "{id: East, name: East}", "should match pattern"),
        ("{id: east, name: East}", "{id: east, name: East, timezone: Mars/Olympus}", "is not a time zone"),
        ("depth_m: 2,", "depth_m: -2,", "greater than 0"),
        ("crown_m: 0.5", "crown_m: 5", "above the rim"),
        ("kind: lane, site: east", "kind: lane", "either 'site'"),
        ("unit: W}, {id: energy", "unit: W}, {id: power", "stands twice"),
    ],
)
def test_each_mistake_says_what_to_mend(tmp_path: Path, change: str, into: str, said: str) -> None:
    assert change in BASE
    assert any(said in line for line in mistakes(tmp_path, a=BASE.replace(change, into, 1)))


def test_a_file_that_is_not_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    (said,) = mistakes(tmp_path, a="sites:\n  - {id: a\n")
    assert said.startswith("a.yaml:") and "not YAML" in said


def test_a_key_that_stands_twice_is_not_silently_the_last(tmp_path: Path) -> None:
    assert mistakes(tmp_path, a="sites: []\nkinds: []\nsites: []\n") == ["a.yaml:3: sites: stands twice; keep one"]


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    assert len(mistakes(tmp_path, a="sites:\n  - {id: A, nam: x}\n", b="kinds: 7\n")) >= 3


def test_an_empty_folder_is_no_catalogue(tmp_path: Path) -> None:
    with pytest.raises(Mistakes, match=r"holds no \*.yaml"):
        Catalogue.load(tmp_path)
