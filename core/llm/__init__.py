"""Asking language models: any endpoint that speaks the chat-completions protocol.

``base`` what is asked and answered · ``endpoint`` where, and whose key goes there · ``client`` the OpenAI-compatible
generator · ``limiter`` how many at once · ``prices`` and ``budget`` what it costs and when to stop · ``ledger`` every
reply on disk · ``session`` all of these together · ``schema`` JSON out of replies · ``prompts`` versioned prompt files.

The package imports without ``openai``; only asking needs it (the extra ``llm``).
"""
