"""Rules of the style sheet for the prompt lab: token strips, the matrix, ranked bars. Part of ``dashboard.style``."""

from __future__ import annotations

from dashboard.verdicts.verdict_style import AMBER, BLUE, FADED, GREEN, LINE, RED

RULES = f"""
.p-strip{{display:flex;flex-wrap:wrap;gap:.3rem 0;line-height:1.3;white-space:pre-wrap}}
.p-strip>span{{display:inline-flex;flex-direction:column;align-items:center;min-width:.7rem;max-width:100%;
padding:0 .1rem;unicode-bidi:isolate}}
.p-strip b{{font-weight:400;overflow-wrap:anywhere;white-space:pre-wrap;border-radius:2px 2px 0 0}}
.p-strip i{{font-style:normal;font-size:.68rem;line-height:1.15;color:{FADED};font-variant-numeric:tabular-nums}}
.p-strip .p-peak b{{font-weight:700}}
.p-strip .p-spec b{{opacity:.6;font-style:italic}}
.p-preview{{font-size:.95rem}}
.p-preview ol{{list-style:none;margin:0;padding:0!important}}
.p-preview li{{display:flex;gap:.7rem;align-items:baseline;margin:0!important;padding:.25rem 0;
border-top:1px solid {LINE}}}
.p-chips{{min-width:0;overflow-wrap:anywhere;line-height:1.9;white-space:pre-wrap}}
.p-chips>*{{unicode-bidi:isolate}}
.p-chips b{{font-weight:400;border-radius:3px;padding:.05rem 0;box-shadow:inset 0 0 0 1px {LINE};
background:color-mix(in srgb,{BLUE} 7%,transparent)}}
.p-chips b:nth-of-type(even){{background:color-mix(in srgb,{BLUE} 17%,transparent)}}
.p-chips .p-spec{{background:none;opacity:.65;font-style:italic}}
.p-chips .p-unk{{background:color-mix(in srgb,{RED} 14%,transparent);box-shadow:inset 0 0 0 1px {RED}}}
.p-chips s{{text-decoration:none;color:{RED};font-size:.85rem}}
.p-lab{{border-collapse:separate;border-spacing:2px;font-size:.85rem;font-variant-numeric:tabular-nums}}
.p-lab caption{{text-align:left;font-size:.85rem;color:{FADED};caption-side:top;padding:0 0 .2rem}}
.p-lab th,.p-lab td{{border:0!important;padding:0!important;font-weight:400;text-align:left;vertical-align:middle}}
.p-pane{{max-height:34rem;overflow:auto;border-block:1px solid {LINE}}}
.p-pane thead th{{position:sticky;top:0;background:light-dark(#ffffff,#14171c);z-index:1}}
.p-pane tfoot :is(td,th){{position:sticky;bottom:0;background:light-dark(#ffffff,#14171c)}}
.p-lab thead th{{vertical-align:bottom;font-size:.8rem;min-width:3.6rem;max-width:7rem;line-height:1.2;
overflow-wrap:anywhere;padding:.1rem .2rem!important}}
.p-lab thead small{{display:block;color:{FADED};max-height:3.6em;overflow:hidden}}
.p-lab th[scope=row]{{max-width:26rem;min-width:9rem;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;
padding:.15rem .5rem .15rem 0!important}}
.p-lab th small{{color:{FADED}}}
.p-lab a{{color:inherit;text-decoration:none;display:block;padding:.2rem .35rem;border-radius:3px;
border-bottom:0!important}}
.p-lab td a{{text-align:center;min-width:3.2rem}}
.p-lab a:is(:hover,:focus-visible){{outline:2px solid {BLUE};outline-offset:0}}
.p-lab thead a{{color:{BLUE};text-decoration:underline;padding:.1rem 0}}
.p-lab td a.p-f{{font-weight:700;box-shadow:inset 0 0 0 1.5px light-dark(#a34700,#ffb454)}}
.p-lab td a.p-here{{outline:3px solid {BLUE};outline-offset:1px}}
.p-lab tfoot td,.p-lab tfoot th{{font-size:.8rem;color:{FADED};text-align:center;padding:.2rem!important}}
.p-lab tfoot th{{text-align:left!important}}
.p-bar{{display:block;position:relative;height:1rem;min-width:7rem;
background:linear-gradient({LINE},{LINE}) 0 50%/100% 1px no-repeat;
border-left:1px solid {LINE};border-right:1px solid {LINE}}}
.p-bar i,.p-bar b{{position:absolute;top:50%}}
.p-bar i{{height:4px;margin-top:-2px;border-radius:2px;background:color-mix(in srgb,currentColor 45%,transparent)}}
.p-bar b{{width:.7rem;height:.7rem;margin:-.35rem 0 0 -.35rem;border-radius:50%;background:{BLUE}}}
.p-bar u{{position:absolute;top:0;bottom:0;border-left:2px solid {AMBER};margin-left:-1px}}
.p-no b{{background:none;box-shadow:inset 0 0 0 2px {FADED}}}
.p-ranks td:nth-child(2){{width:22%;min-width:8rem;vertical-align:middle}}
.p-ranks td:not(.p-about),.p-rates td:not(.p-about),.p-rates th{{white-space:nowrap}}
.p-ranks td.p-about{{min-width:12rem}}.p-ranks small,.p-rates small{{color:{FADED}}}
.p-notes{{list-style:none;margin:.2rem 0 .6rem;padding:0!important;font-size:.85rem;color:{FADED}}}
.p-notes li{{margin:0!important}}
.p-rates td:nth-child(3){{width:30%;min-width:8rem;vertical-align:middle}}
.p-bar s{{position:absolute;top:0;bottom:0;border-left:2px dotted {AMBER};margin-left:-1px}}
.p-places{{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,18rem),1fr));gap:1rem 2rem}}
.p-places div>div{{display:flex;align-items:flex-end;gap:2px;height:6rem;border-bottom:1px solid currentColor}}
.p-places i{{flex:1;background:{BLUE};min-height:1px}}
.p-places .p-neg i{{background:{AMBER}}}
.p-places small{{display:flex;justify-content:space-between;color:{FADED}}}
.p-cloud{{margin:0}}.p-cloud figcaption{{display:flex;justify-content:space-between;font-size:.8rem}}
.p-cloud>div{{position:relative;height:20rem;margin:.4rem;border-left:1px solid {LINE};border-bottom:1px solid {LINE}}}
.p-cloud i{{position:absolute;width:.6rem;height:.6rem;margin:-.3rem;border-radius:50%;background:{AMBER};opacity:.85}}
.p-cloud .p-no{{background:none;box-shadow:inset 0 0 0 1px {BLUE};opacity:.6}}
.p-cloud u{{position:absolute;left:0;right:0;border-top:2px dashed {FADED}}}
.p-toks{{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,20rem),1fr));gap:1rem 2rem}}
.p-toks ol{{list-style:none;margin:0;padding:0!important}}
.p-toks li{{display:grid;grid-template-columns:minmax(4rem,9rem) 1fr 3.4rem;gap:.6rem;align-items:center;
margin:0!important;padding:.12rem 0;font-size:.9rem;font-variant-numeric:tabular-nums}}
.p-toks li>span:first-child{{overflow:hidden;text-overflow:ellipsis;white-space:pre}}
.p-meter{{position:relative;display:block;height:.85rem;background:color-mix(in srgb,currentColor 7%,transparent)}}
.p-meter i{{position:absolute;left:0;top:0;bottom:0;background:{GREEN}}}
.p-down .p-meter i{{background:{RED}}}
.p-meter u{{position:absolute;top:-2px;bottom:-2px;border-left:2px solid {AMBER}}}
.p-cont{{border-top:1px solid {LINE};padding:.5rem 0}}
.p-cont p{{margin:0;font-size:.8rem;color:{FADED}}}
.p-cont .p-t b{{font-weight:400;border-radius:2px}}
.p-score{{border-left:5px solid {LINE};padding:.5rem 1rem .6rem;border-radius:.3rem;overflow-wrap:anywhere;
background:color-mix(in srgb,currentColor 5%,transparent);margin-bottom:.6rem}}
.p-score p{{margin:0 0 .15rem;max-width:75ch}}
@media (max-width:640px){{.p-rates td:nth-child(3),.p-rates .p-bar{{width:auto;min-width:4rem}}
.p-rates td:first-child,.p-rates th:first-child{{padding-right:.2rem}}.p-rates .p-about{{display:none}}
.p-lab th[scope=row]{{max-width:9rem;min-width:6rem}}
.p-preview li{{flex-direction:column;gap:0}}}}
"""
