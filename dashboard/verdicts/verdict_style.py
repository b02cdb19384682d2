"""Rules of the style sheet for verdicts: dot plots, galleries, heatmaps of phrases. Part of ``dashboard.style``."""

from __future__ import annotations

FADED = "color-mix(in srgb, currentColor 72%, transparent)"
LINE = "color-mix(in srgb, currentColor 22%, transparent)"
BLUE, GREEN, RED, AMBER = (
    f"light-dark({light},{dark})"
    for light, dark in (("#1d4fb8", "#8ab8ff"), ("#00705a", "#5ad1b0"), ("#b3261e", "#ff8a80"), ("#8a5300", "#ffb454"))
)

RULES = f"""
.p-kind{{display:inline-block;border:1px solid currentColor;border-radius:.4rem;padding:0 .4rem;font-size:.8rem;
font-weight:600;white-space:nowrap;letter-spacing:.02em}}
.p-kind.p-holds{{color:{GREEN}}}.p-kind.p-partly{{color:{BLUE}}}.p-kind.p-fails{{color:{RED}}}
.p-kind.p-open{{color:inherit;border-style:dashed}}
.p-verdict{{border-left:5px solid {LINE};padding:.5rem 1rem .6rem;overflow-wrap:anywhere;border-radius:.3rem;
background:color-mix(in srgb, currentColor 5%, transparent)}}
.p-verdict.p-holds{{border-color:{GREEN}}}.p-verdict.p-partly{{border-color:{BLUE}}}
.p-verdict.p-fails{{border-color:{RED}}}.p-verdict.p-open{{border-left-style:dashed;border-color:{AMBER}}}
.p-verdict h2{{font-size:1.25rem;padding:0;margin:.25rem 0}}
.p-verdict h2 small{{font-size:.8rem;font-weight:400;color:{FADED}}}
.p-verdict p{{margin:0 0 .15rem;font-size:.9rem;color:{FADED}}}
.p-verdict p:first-child{{color:inherit}}
.p-verdict .p-why{{font-size:1.05rem;color:inherit;margin-bottom:.35rem;max-width:75ch}}
.p-brief ul[aria-label="Planted truth"] li+li{{display:none}}
.p-hid{{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}}
.p-dots{{width:100%;border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}}
.p-dots caption{{text-align:left;font-size:.85rem;color:{FADED};caption-side:top;padding:0 0 .2rem}}
.p-dots th,.p-dots td{{border:0!important;padding:.1rem .6rem .1rem 0!important;text-align:left;font-weight:400;
vertical-align:middle}}
.p-dots th[scope=row]{{width:30%;max-width:17rem;overflow-wrap:anywhere;line-height:1.2}}
.p-dots th small{{color:{FADED};font-size:.78rem}}
.p-dots td:nth-child(3){{white-space:nowrap;width:1%}}.p-dots td:nth-child(4){{width:1%;white-space:nowrap}}
.p-dots thead th{{font-size:.8rem;color:{FADED}}}
.p-dots td.p-ax,.p-dots th.p-ax{{padding:0 1.6rem 0 0!important;min-width:9rem}}
.p-classes th[scope=row]{{width:36%;max-width:20rem}}
.p-dots .p-r-part th{{padding-left:1rem!important}}
.p-r-pooled>*{{border-bottom:1px solid {LINE}!important}}.p-r-whole>*{{border-top:1px solid {LINE}!important}}
.p-scale{{display:flex;justify-content:space-between;margin:0 -.9rem 0 -.3rem}}.p-scale i{{font-style:normal}}
.p-track{{display:block;position:relative;height:1.65rem;border-left:1px solid {LINE};border-right:1px solid {LINE};
background:linear-gradient({LINE},{LINE}) 0 50%/100% 1px no-repeat}}
.p-track i,.p-track b{{position:absolute}}
.p-zone{{left:0;top:0;bottom:0;background:repeating-linear-gradient(135deg,
color-mix(in srgb, currentColor 12%, transparent) 0 2px,transparent 2px 6px);border-right:1px dashed {FADED}}}
.p-r0{{top:0;bottom:0;border-left:2px solid {AMBER};margin-left:-1px}}
.p-iv{{top:50%;height:4px;margin-top:-2px;border-radius:2px;background:color-mix(in srgb,currentColor 45%,transparent)}}
.p-dot{{display:inline-block;box-sizing:border-box;width:.85rem;height:.85rem;border-radius:50%;
background:{BLUE};border:2px solid {BLUE}}}
.p-track .p-dot{{top:50%;margin:-.425rem 0 0 -.425rem}}
.p-s-open{{background:light-dark(#fff,#14171c)}}
.p-dot.p-s-absent,.p-dot.p-s-rare{{border:0;border-radius:0;
background:linear-gradient(45deg,transparent 40%,{RED} 40% 60%,transparent 60%),
linear-gradient(-45deg,transparent 40%,{RED} 40% 60%,transparent 60%)}}
.p-d-part.p-s-none,.p-d-pooled.p-s-none{{background:{FADED};border-color:{FADED}}}
.p-d-own{{border-radius:0;transform:rotate(45deg) scale(.85);background:{GREEN};border-color:{GREEN}}}
.p-d-whole:is(.p-s-up,.p-s-open){{border-radius:2px}}
.p-d-near{{clip-path:polygon(50% 0,100% 100%,0 100%);border-radius:0;background:{AMBER};border-color:{AMBER}}}
.p-d-other{{border-radius:0;width:3px;border-width:0;background:{AMBER};margin-left:-1px!important}}
.p-d-label,.p-d-shuffled{{border-radius:0;width:.55rem;height:.55rem;margin:-.275rem 0 0 -.275rem!important;
background:currentColor;border-color:currentColor}}
.p-track .p-moved{{top:50%;height:0;border-top:2px dotted {FADED};margin-top:-1px}}
.p-dot.p-was{{background:transparent;border:1.5px dashed {FADED};border-radius:50%}}
.p-s-same{{background:light-dark(#fff,#14171c)}}
.p-bos{{margin:.6rem 0 .3rem;font-size:.95rem;max-width:75ch}}
.p-d-yours{{border-radius:0;clip-path:polygon(0 0,100% 0,50% 100%);background:{RED};border-color:{RED}}}
.p-legend{{display:flex;flex-wrap:wrap;gap:.1rem 1.2rem;font-size:.8rem;color:{FADED};margin:.3rem 0 0}}
.p-legend span{{display:inline-flex;align-items:center;gap:.35rem}}
.p-legend .p-dot{{width:.7rem;height:.7rem}}.p-legend :is(i,b){{flex:none}}
.p-legend i{{display:inline-block;width:1rem;height:.8rem}}
.p-k-r0{{width:0!important;border-left:2px solid {AMBER}}}
.p-k-zone{{position:static;background:repeating-linear-gradient(135deg,
color-mix(in srgb, currentColor 25%, transparent) 0 2px,transparent 2px 6px);border-right:1px dashed currentColor}}
.p-k-iv{{height:4px!important;border-radius:2px;background:color-mix(in srgb,currentColor 60%,transparent)}}
.p-small{{display:block}}.p-small .p-track{{height:.62rem}}
.p-small .p-dot{{width:.55rem;height:.55rem;margin:-.275rem 0 0 -.275rem;border-width:1.5px}}
.p-small .p-iv{{height:2px;margin-top:-1px}}.p-small .p-r0{{border-left-width:1px}}
.p-gallery{{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,15rem),1fr));gap:1rem 1.4rem;
list-style:none;margin:0;padding:0!important}}
.p-gallery li{{margin:0!important}}
.p-card{{border:1px solid {LINE};border-radius:.5rem;padding:.5rem .7rem .6rem;min-width:0;font-size:.9rem}}
.p-card a,.p-heat a{{color:{BLUE};text-decoration:underline}}
.p-cl{{display:block;height:2.5em;overflow:hidden;line-height:1.25;margin:.2rem 0 .3rem;overflow-wrap:anywhere}}
.p-list .p-small{{min-width:8rem}}.p-list .p-small .p-track{{height:.46rem}}
.p-labels-list td,.p-labels-list th[scope=row]{{vertical-align:middle}}
.p-labels-list thead th:nth-child(n+4){{min-width:3.9rem}}
.p-labels-list td{{white-space:nowrap}}.p-labels-list td.p-about{{white-space:normal}}
.p-note+.p-facts{{margin-top:1rem}}.p-dots+.p-legend,.p-classes{{margin-bottom:1rem}}
.p-heat{{width:100%;border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}}
.p-heat caption{{text-align:left;font-size:.85rem;color:{FADED};caption-side:top;padding:0 0 .2rem}}
.p-heat th,.p-heat td{{border:0!important;border-top:1px solid {LINE}!important;padding:.25rem .6rem .25rem 0!important;
text-align:left;font-weight:400;vertical-align:top}}
.p-heat th[scope=row]{{width:12rem;overflow-wrap:anywhere;line-height:1.2}}
.p-heat small{{color:{FADED}}}
.p-cells{{display:flex;flex-wrap:wrap;gap:2px}}
.p-cells span{{min-width:2.4rem;padding:.05rem .2rem;text-align:center;border:1px solid {LINE};border-radius:3px;
font-size:.8rem}}
.p-cells .p-f{{font-weight:700;outline:2px solid currentColor;outline-offset:-2px}}
.p-asked pre{{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.8rem}}
.p-asked h4{{font-size:.85rem;padding:.3rem 0 0}}
.p-cross th[scope=row]{{white-space:nowrap}}.p-cross .p-kind{{font-size:.7rem;padding:0 .2rem}}
.p-cross .p-zero{{color:{FADED}}}
.p-g h3{{padding:0;margin:0;font-size:1.05rem}}
@media (max-width:640px){{.p-dots thead{{display:none}}
.p-dots tr{{display:grid;grid-template-columns:auto 1fr auto;padding:.2rem 0}}
.p-dots th[scope=row]{{grid-area:1/1;width:auto;max-width:none}}.p-dots th small{{display:none}}
.p-dots td:nth-child(4){{grid-area:1/2;color:{FADED};font-size:.8rem}}
.p-dots td:nth-child(3){{grid-area:1/3;padding-right:0!important}}
.p-dots td.p-ax{{grid-area:2/1/auto/-1;padding-right:0!important}}
.p-classes tr{{grid-template-columns:1fr auto}}.p-classes th[scope=row]{{grid-area:1/1/auto/-1}}
.p-classes th small{{display:inline}}
.p-classes td.p-ax{{grid-area:2/1/auto/-1}}.p-classes td:nth-child(3){{grid-area:3/1}}
.p-classes td:nth-child(4){{grid-area:3/2}}
.p-r-pooled>*,.p-r-whole>*{{border:0!important}}
.p-classes td:nth-child(4)::before{{content:"swapped: "}}
.p-labels-list thead{{display:none}}
.p-labels-list tr{{display:flex;flex-wrap:wrap;align-items:baseline;gap:.1rem .9rem;padding:.45rem 0;
border-bottom:1px solid {LINE}}}
.p-labels-list th[scope=row],.p-labels-list td{{border:0!important;padding:0!important;min-width:0}}
.p-labels-list td.p-about{{flex:1 1 70%;width:auto}}
.p-labels-list td:last-child{{flex-basis:100%;padding:0 .4rem!important}}
.p-labels-list td[data-h]:not([data-h=class])::before{{content:attr(data-h) " ";color:{FADED};font-size:.8rem}}
.p-heat tr{{display:block}}.p-heat th,.p-heat td{{display:block;width:auto!important}}
.p-heat td{{border:0!important}}}}
"""
