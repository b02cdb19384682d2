"""SAE Prism's core: encode text with an SAE, keep every activation, analyse, test labels.

Layers, each importing only from those to its right (held by import-linter, see pyproject.toml)::

    dashboard > core.cli > core.demo, core.formats > core.engine > core.analyses > core.store
              > core.maths, core.recipe, core.parquet > core.tables > core.types, core.errors, core.settings

``core.engine`` alone imports torch and the model libraries. This package re-exports nothing:
import from the module that defines a name.
"""
