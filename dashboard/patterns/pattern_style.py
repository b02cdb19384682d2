"""Rules of the style sheet for two features marked in one text. Part of ``dashboard.style``."""

from __future__ import annotations

ORANGE, BLUE = (
    "light-dark(rgba(255,166,0,.45),rgba(224,128,0,.45))",
    "light-dark(rgba(43,99,207,.28),rgba(90,146,220,.4))",
)
INK_A, INK_B = "light-dark(#a34700,#ffb454)", "light-dark(#1d4fb8,#8ab8ff)"

RULES = f"""
.p-pair{{overflow-wrap:anywhere}}.p-pair p{{margin:0 0 .4rem}}
.p-pair mark,.p-t mark.p-qa,.p-t mark.p-qb,.p-t mark.p-qab{{color:inherit;padding:0 1px;border-radius:2px 2px 0 0}}
mark.p-qa{{background:{ORANGE};border-bottom:2px solid {INK_A}}}
mark.p-qb{{background:{BLUE};border-bottom:2px dotted {INK_B}}}
.p-steps{{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,19rem),1fr));gap:.8rem 2rem;
margin-bottom:.8rem;align-items:start}}
.p-three{{grid-template-columns:repeat(auto-fit,minmax(min(100%,15.5rem),1fr))}}
mark.p-qab{{background:linear-gradient({ORANGE} 50%,{BLUE} 50%);border-bottom:3px double currentColor}}
"""
