"""Decomposition tests of a run: labels in, phrases proposed and measured, verdicts with their error rates stored.

``choose`` which labels · ``near`` what is too close to count as a control · ``bank`` control phrases · ``own_text``
the feature's own text at a phrase's length · ``stimuli`` everything that is measured, once · ``swaps`` labels on
features they do not belong to · ``work`` what is tested, and its identity · ``judging`` controls, measured acts,
verdicts · ``tables`` and ``rows`` what is stored · ``tester`` the whole of it.
"""
