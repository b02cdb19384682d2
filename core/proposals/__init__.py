"""Proposals: into which parts a label is taken apart, and phrases that ought to make the feature fire.

``proposal`` the plain values · ``check`` what phrases must be like · ``from_llm`` ask a language model · ``upload`` a
file of part, phrase · ``from_corpus`` keywords and phrases out of the run's own text, without any language model.
"""
