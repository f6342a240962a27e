"""Take a model from a notebook to production through gates whose evidence anyone can check, and back in one verified command.

Modules:

- `mlops_kit.core`: Statuses, checks, verdicts, exit codes and errors: the words that every other page uses."""

__version__ = "0.1.0"
