"""Settings of a host: values are checked, safe ones are passed on, others refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import hosting, server_options
from core.errors import InputError
from core.server_options import ALLOWED_HOSTS, OPTIONS, Option
from core.settings import SWITCHES, VARIABLES, Settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def hosted(**values: object) -> Settings:
    return Settings(Path("cache"), "auto", hosted=True, **values)  # type: ignore[arg-type]


# --- our own variables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("value", ["true", "yes", "on", "2", "01", "1;"])
def test_a_switch_is_1_or_0_and_anything_else_is_said(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=name) as error:
        Settings.from_env()
    assert f"{name}=1" in error.value.remedy


@pytest.mark.parametrize("name", SWITCHES)
def test_every_switch_is_off_until_it_is_1(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    field = name.removeprefix("PRISM_").lower()
    for value, on in ((None, False), ("", False), ("0", False), ("1", True), (" 1 ", True)):
        if value is not None:
            monkeypatch.setenv(name, value)
        assert getattr(Settings.from_env(), field) is on


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "a minute", "3601"])
def test_seconds_are_positive_and_bounded(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRISM_HOSTED_JOB_S", value)
    with pytest.raises(InputError, match="PRISM_HOSTED_JOB_S"):
        Settings.from_env()


@pytest.mark.parametrize("value", ["https://a.org", "a.org:80", "a.org/x", "*", "a b_c", "-a.org", "a..org", "*.*.org"])
def test_a_public_host_is_a_name_and_nothing_else(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRISM_PUBLIC_HOST", value)
    with pytest.raises(InputError, match="PRISM_PUBLIC_HOST"):
        Settings.from_env()


def test_several_public_hosts_are_divided_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRISM_PUBLIC_HOST", "Prism.Example.org., *.example.net")
    assert Settings.from_env().public_hosts == ("prism.example.org", "*.example.net")


def test_limits_are_of_a_host_only_and_its_owner_may_change_the_seconds() -> None:
    own = hosting.limits(Settings(Path("cache"), "auto", hosted=False, job_s=5))
    assert (own.job_s, own.hour_s) == (None, None)
    assert hosting.limits(hosted()).job_s == 60
    assert hosting.limits(hosted(job_s=5.0, hour_s=30.0)) == hosting.Limits(
        **(vars(hosting.HOSTED) | {"job_s": 5.0, "hour_s": 30.0})
    )
    for name, value in vars(hosting.HOSTED).items():
        assert getattr(own, name) is None or value <= getattr(own, name)


# --- Streamlit's ---------------------------------------------------------------------------------------------


def pairs(flags: list[str]) -> dict[str, str]:
    return {name.removeprefix("--"): value for name, value in zip(flags[::2], flags[1::2], strict=True)}


def test_where_no_file_says_anything_every_setting_is_passed_on(tmp_path: Path) -> None:
    found = pairs(server_options.flags(tmp_path, Settings(Path("cache"), "auto", hosted=False)))
    assert set(found) == {o.name for o in OPTIONS if o.value != {}}
    assert (found["server.address"], found["server.enableCORS"], found["server.maxUploadSize"]) == (
        "localhost", "true", "20")  # fmt: skip


def test_the_checkout_says_all_and_a_host_adds_its_name() -> None:
    assert server_options.flags(ROOT, Settings(Path("cache"), "auto", hosted=False)) == []
    flags = server_options.flags(ROOT, hosted(public_hosts=("a.org", "*.b.org")))
    names = [f"--{ALLOWED_HOSTS}", "a.org", f"--{ALLOWED_HOSTS}", "*.b.org"]
    assert flags == [*names, "--browser.serverAddress", "a.org"]


def bad_values(option: Option) -> list[object]:
    if option.rule == "at most":
        return [option.value + 1, -1, 10**9]
    return [] if option.rule == "any" else [not option.value if isinstance(option.value, bool) else "full"]


BAD = [(option.name, bad) for option in OPTIONS for bad in bad_values(option)]


@pytest.mark.parametrize(("name", "bad"), BAD, ids=str)
def test_a_host_refuses_an_unsafe_setting_from_a_file_and_from_the_environment(
    name: str, bad: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    safe = hosted(public_hosts=("a.org",))
    server_options.flags(tmp_path, safe)
    section, key = name.split(".")
    file = tmp_path / ".streamlit" / "config.toml"
    file.parent.mkdir()
    text = str(bad).lower() if isinstance(bad, bool) else f'"{bad}"' if isinstance(bad, str) else str(bad)
    file.write_text(f"[{section}]\n{key} = {text}\n", encoding="utf-8")
    with pytest.raises(InputError, match="not safe") as error:
        server_options.flags(tmp_path, safe)
    assert name in error.value.detail
    assert str(file) in error.value.detail
    server_options.flags(tmp_path, Settings(Path("cache"), "auto", hosted=False))
    file.unlink()
    if name != "server.trustedUserHeaders":
        monkeypatch.setenv(server_options.variable(name), str(bad))
        with pytest.raises(InputError, match="not safe"):
            server_options.flags(tmp_path, safe)


def test_stricter_values_of_the_owner_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMLIT_SERVER_MAX_UPLOAD_SIZE", "5")
    monkeypatch.setenv("STREAMLIT_SERVER_ADDRESS", "0.0.0.0")
    found = pairs(server_options.flags(tmp_path, hosted(public_hosts=("a.org",))))
    assert not {"server.maxUploadSize", "server.address"} & set(found)


@pytest.mark.parametrize("names", [None, ["*"], ["a.org", "*"]])
def test_a_host_without_a_name_is_refused(names: list[str] | None, tmp_path: Path) -> None:
    if names:
        (tmp_path / ".streamlit").mkdir()
        (tmp_path / ".streamlit" / "config.toml").write_text(f"[server]\nallowedHosts = {names}\n", encoding="utf-8")
    with pytest.raises(InputError) as error:
        server_options.flags(tmp_path, hosted())
    assert ALLOWED_HOSTS in error.value.detail
    assert "PRISM_PUBLIC_HOST" in error.value.remedy


def test_a_broken_settings_file_is_said(tmp_path: Path) -> None:
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit" / "config.toml").write_text("[server\n", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be read"):
        server_options.flags(tmp_path, hosted())
