"""SAE Prism's core: encode text with an SAE, keep every activation, analyse, test labels.

Layers, each importing only from those to its right (held by import-linter, see pyproject.toml)::

    dashboard > core.cli > core.demo > core.decompose, core.lab > core.formats > core.proposals > core.engine, core.llm
              > core.results > core.analyses > core.annotation, core.publish > core.store > core.run_folder
              > core.maths, core.recipe, core.parquet, core.journal > core.tables
              > core.hosting, core.server_options > core.settings > core.types, core.errors, core.units, core.licences

``core.store`` finds and reads runs, ``core.publish`` puts a finished one in its place, ``core.run_folder`` has what
both need of a run's folder: its lock, its sealed manifest, writes that no reader sees half of.
``core.decompose`` tests labels: it puts together proposals, a source of acts and the verdicts of ``core.maths``;
``work`` has what is tested and its identity, ``judging`` comes to the verdicts, ``rows`` makes table rows of them,
``tester`` runs one test and stores it.
``core.hosting`` has what a visitor may ask, ``core.server_options`` the server's settings; ``core.host_check`` and
``core.host_runs``, beside ``core.doctor``, say what would fail where strangers visit.
``core.lab`` answers questions about people's own prompts: measured by a ``PromptModel``, kept as named prompt sets.
``core.engine`` alone imports torch and the model libraries. This package re-exports nothing:
import from the module that defines a name.
"""
