"""The one style sheet of our own HTML. Colours follow the page's light or dark theme through ``light-dark``."""

from __future__ import annotations

from dashboard.lab import lab_style
from dashboard.patterns import pattern_style
from dashboard.verdicts import verdict_style

N_LEVELS = 10
FADED = "color-mix(in srgb, currentColor 72%, transparent)"
LINE = "color-mix(in srgb, currentColor 22%, transparent)"


def _levels() -> str:
    """Background and line under a token for act in tenths of the maximum: the line tells it without colour."""
    rules = []
    for step in range(1, N_LEVELS + 1):
        light, dark = 0.12 + 0.07 * step, 0.10 + 0.05 * step
        line = ("1px dotted", "1px solid", "2px solid", "3px solid", "4px solid")[(step - 1) // 2]
        rules.append(
            f".p-a{step}{{background:light-dark(rgba(255,166,0,{light:.2f}),rgba(224,128,0,{dark:.2f}));"
            f"border-bottom:{line} light-dark(#a34700,#ffb454)}}"
        )
    return "".join(rules)


# Streamlit fetches material and emoji favicons from a font host; a picture of our own needs no network.
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path d="M16 4 29 27H3z" fill="none" stroke="#1d4fb8" '
    'stroke-width="3" stroke-linejoin="round"/><path d="M16 13h14" stroke="#e08000" stroke-width="3"/></svg>'
)

CSS = f"""<style>
.p-h{{padding:0;margin:0;font-size:1.6rem}}
.p-flag{{font-size:.85rem;font-weight:400;border:1px solid {LINE};border-radius:.4rem;padding:.1rem .4rem}}
.p-labels{{margin:.2rem 0 .7rem;padding:0!important;list-style:none;overflow-wrap:anywhere}}
.p-labels small,.p-facts small,.p-prov small{{color:{FADED}}}
.p-facts,.p-prov{{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.7rem 1.1rem;
margin:0 0 .9rem;padding:0!important}}
.p-prov{{grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));font-size:.85rem}}
.p-facts dt,.p-prov dt{{font-size:.8rem;font-weight:400;color:{FADED}}}
.p-facts dd,.p-prov dd{{margin:0;overflow-wrap:anywhere}}
.p-facts dd{{font-size:1.15rem;font-variant-numeric:tabular-nums;line-height:1.25}}
.p-facts small,.p-prov small{{display:block;font-size:.8rem;line-height:1.3}}
.p-groups{{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,23rem),1fr));gap:1rem 2rem}}
.p-one{{grid-template-columns:minmax(0,1fr)}}
.p-g{{min-width:0;content-visibility:auto;contain-intrinsic-size:auto 24rem}}
.p-g :is(h2,h4){{padding:0;margin:0;font-size:1.05rem}}
.p-g p{{margin:0 0 .3rem;font-size:.85rem;color:{FADED}}}
.p-g ol{{list-style:none;margin:0;padding:0!important}}
.p-g li{{display:flex;gap:.7rem;align-items:baseline;margin:0!important;padding:.3rem 0;border-top:1px solid {LINE};
font-size:.95rem}}
.p-v{{flex:none;width:4.8rem;font-size:.8rem;color:{FADED};font-variant-numeric:tabular-nums}}
.p-t{{min-width:0;white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.75}}
.p-t>*{{unicode-bidi:isolate}}
.p-t mark{{color:inherit;padding:0;border-radius:2px 2px 0 0}}
.p-sp{{opacity:.6;font-style:italic}}
.p-nm{{text-decoration:none;outline:2px dashed light-dark(#1d4fb8,#8ab8ff);outline-offset:1px;border-radius:2px}}
.p-hist{{margin:0}}
.p-hist div{{display:flex;align-items:flex-end;height:12rem;border-bottom:1px solid currentColor}}
.p-hist i{{flex:1;background:light-dark(#1d4fb8,#8ab8ff);margin-right:1px}}
.p-hist figcaption{{display:flex;justify-content:space-between;font-size:.8rem;font-variant-numeric:tabular-nums}}
.p-hist small{{font-size:.8rem;color:{FADED}}}
.p-list{{width:100%;border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}}
.p-list caption{{text-align:left;font-size:.85rem;color:{FADED};caption-side:top;padding:0}}
.p-list th,.p-list td{{border:0!important;border-bottom:1px solid {LINE}!important;
padding:.18rem .5rem .18rem 0!important;text-align:left;font-weight:400;vertical-align:baseline}}
.p-list th[scope=row]{{min-width:4.2rem}}
.p-scroll{{overflow-x:auto}}
.p-list a,.p-labels a{{color:light-dark(#1d4fb8,#8ab8ff);text-decoration:underline}}
.p-list thead th{{font-size:.8rem;color:{FADED}}}
.p-about{{width:100%;min-width:9rem;overflow-wrap:anywhere}}
.p-about small{{color:{FADED}}}
.p-msg{{border-left:4px solid light-dark(#b3261e,#ff8a80);padding:.6rem .9rem;overflow-wrap:anywhere;
background:color-mix(in srgb, currentColor 6%, transparent);border-radius:.3rem}}
.p-note{{border-left-color:light-dark(#1d4fb8,#8ab8ff)}}
.p-msg p{{margin:.3rem 0 0;white-space:pre-wrap}}
.p-msg code{{font-size:.9em}}
{_levels()}
{verdict_style.RULES}
{lab_style.RULES}
{pattern_style.RULES}
@media (max-width:640px){{.p-g li{{flex-direction:column;gap:0}}.p-v{{width:auto}}
.p-facts{{grid-template-columns:repeat(2,minmax(0,1fr))}}}}
</style>"""
