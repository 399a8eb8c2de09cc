import shutil
from pathlib import Path

import pytest
from firmware_sim.district import District
from firmware_sim.scenario import Scenario

from telemetry.errors import BadConfiguration
from tests.firmware_sim.conftest import FOLDER


def test_every_device_of_a_gateway_is_reached_by_one_of_its_drivers(district: District) -> None:
    for name, gateway in district.gateways.items():
        polled = [m.device for driver in gateway.modbus for m in driver.devices]
        reached = polled + [scanner.device for scanner in gateway.scanners]
        assert sorted(reached) == sorted(d.id for d in district.catalogue.devices if d.gateway == name)


def test_every_metric_of_a_polled_device_has_a_register(district: District) -> None:
    for gateway in district.gateways.values():
        for driver in gateway.modbus:
            for meter in driver.devices:
                declared = {metric for device, metric in district.catalogue.metric if device == meter.device}
                assert {register.metric for register in driver.profiles[meter.profile]} == declared


def test_units_of_one_address_differ(district: District) -> None:
    for gateway in district.gateways.values():
        units = [m.unit for driver in gateway.modbus for m in driver.devices]
        assert len(units) == len(set(units))


def test_drains_stand_upstream_first_and_run_to_an_outfall(district: District) -> None:
    places = list(district.drains)
    for place, drain in district.drains.items():
        assert drain.downstream is None or places.index(place) < places.index(drain.downstream)
    assert {place for place, drain in district.drains.items() if drain.downstream is None} == {"outfall-1", "outfall-2"}


def test_water_runs_downhill(district: District) -> None:
    for drain in district.drains.values():
        assert drain.downstream is None or drain.invert_m > district.drains[drain.downstream].invert_m


def test_names_are_given_in_chinese(district: District) -> None:
    catalogue = district.catalogue
    names = [site.name for site in catalogue.sites] + [kind.name for kind in catalogue.kinds]
    names += [place.name for place in catalogue.places] + [gateway.name for gateway in catalogue.gateways]
    for name in names:
        assert any("\u4e00" <= character <= "\u9fff" for character in name.zh), name


def test_a_stranger_in_a_gateway_file_is_named(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "district")
    file = tmp_path / "district" / "gateways" / "gw-compound-1.yaml"
    file.write_text(file.read_text("utf-8").replace("mh-1-3-level", "mh-9-9-level"), "utf-8")
    with pytest.raises(BadConfiguration, match="mh-9-9-level"):
        District.load(tmp_path / "district")


def test_a_stranger_in_a_scenario_is_named_with_its_line(tmp_path: Path, district: District) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text("timeline:\n  - {at_s: 1, do: sensor_dies, device: nobody}\n", "utf-8")
    with pytest.raises(BadConfiguration, match=r"scenario\.yaml:2: timeline\[0\]\.device: there is no device 'nobody'"):
        Scenario.load(file, district)
