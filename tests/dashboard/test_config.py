"""Settings of the server and colours, by value."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from streamlit import config

from core import server_options
from dashboard import style

ROOT = Path(__file__).resolve().parents[2]
CONFIG = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
THEME = tomllib.loads((ROOT / "dashboard" / ".streamlit" / "config.toml").read_text(encoding="utf-8"))["theme"]
Colour = tuple[float, float, float]


@pytest.mark.parametrize(
    ("section", "option", "value"),
    [
        ("server", "address", "localhost"),
        ("server", "enableStaticServing", False),
        ("server", "enableAgentApi", False),
        ("server", "enableXsrfProtection", True),
        ("server", "enableCORS", True),
        ("server", "maxUploadSize", 20),
        ("server", "maxMessageSize", 50),
        ("server", "maxWidgetStateSize", 5),
        ("server", "disconnectedSessionTTL", 30),
        ("server", "trustedUserHeaders", {}),
        ("browser", "gatherUsageStats", False),
        ("client", "showErrorDetails", "none"),
        ("client", "showErrorLinks", False),
    ],
)
def test_the_server_is_closed_until_opened(section: str, option: str, value: object) -> None:
    assert CONFIG[section][option] == value


def test_the_command_knows_what_the_file_says() -> None:
    ours = {option.name: option.value for option in server_options.OPTIONS}
    assert ours == {f"{s}.{key}": value for s, values in CONFIG.items() for key, value in values.items()}


def test_our_names_are_options_and_variables_of_the_installed_streamlit() -> None:
    known = config._config_options_template
    for name in [*(o.name for o in server_options.OPTIONS), server_options.ALLOWED_HOSTS]:
        assert known[name].env_var == server_options.variable(name)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_chart_palettes_have_the_ten_colours_streamlit_asks_for(scheme: str) -> None:
    for palette in ("Categorical", "Sequential", "Diverging"):
        assert len(set(THEME[scheme][f"chart{palette}Colors"])) == 10


def rgb(colour: str) -> Colour:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))  # type: ignore[return-value]


def over(top: Colour, alpha: float, below: Colour) -> Colour:
    return tuple(alpha * t + (1 - alpha) * b for t, b in zip(top, below, strict=True))  # type: ignore[return-value]


def contrast(a: Colour, b: Colour) -> float:
    """WCAG 2 contrast ratio."""

    def luminance(colour: Colour) -> float:
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    hi, lo = sorted((luminance(a), luminance(b)), reverse=True)
    return (hi + 0.05) / (lo + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_links_and_marked_tokens_are_legible(scheme: str) -> None:
    theme = THEME[scheme]
    page, text = rgb(theme["backgroundColor"]), rgb(theme["textColor"])
    for below in (page, rgb(theme["secondaryBackgroundColor"])):
        assert contrast(text, below) >= 7
        assert contrast(over(text, 0.6, below), below) >= 4.5  # Streamlit's captions
        assert contrast(rgb(theme["linkColor"]), below) >= 4.5
    backgrounds = re.findall(
        r"light-dark\(rgba\((\d+),(\d+),(\d+),([\d.]+)\),rgba\((\d+),(\d+),(\d+),([\d.]+)\)\)", style.CSS
    )
    assert len(backgrounds) >= style.N_LEVELS
    for found in backgrounds:
        r, g, b, alpha = map(float, found[:4] if scheme == "light" else found[4:])
        assert contrast(text, over((r / 255, g / 255, b / 255), alpha, page)) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_chart_colours_stand_out_from_the_page(scheme: str) -> None:
    theme = THEME[scheme]
    assert all(contrast(rgb(c), rgb(theme["backgroundColor"])) >= 3 for c in theme["chartCategoricalColors"])


def test_how_strongly_a_token_fires_is_told_without_colour() -> None:
    lines = re.findall(r"\.p-a\d+{[^}]*border-bottom:(\d)px (\w+)", style.CSS)
    thickness = [int(px) for px, _ in lines]
    assert thickness == sorted(thickness)
    assert (len(lines), len(set(lines))) == (style.N_LEVELS, 5)
