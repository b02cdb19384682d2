"""SAE Prism's core: encode text with an SAE, keep every activation, analyse, test labels.

Layers, each importing only from those to its right (held by import-linter, see pyproject.toml)::

    dashboard > core.cli > core.demo > core.decompose > core.formats > core.proposals > core.engine, core.llm
              > core.results > core.analyses > core.store > core.maths, core.recipe, core.parquet > core.tables
              > core.types, core.errors, core.settings

``core.decompose`` tests labels: it puts together proposals, a source of acts and the verdicts of ``core.maths``.
``core.engine`` alone imports torch and the model libraries. This package re-exports nothing:
import from the module that defines a name.
"""
