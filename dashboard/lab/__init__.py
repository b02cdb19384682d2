"""The Prompt lab: five tasks on people's own prompts, and the sets they are kept in."""
