"""Orchestration of finecap: thin Dagster assets over the library, tracked by MLflow, data by DVC.

Layers, imported one way: `definitions -> jobs, automation, checks -> assets -> stages, resources`.
No module here imports torch, mlflow or great_expectations at its top, apart from `tracking` and
what only it and the command line need, which is imported when a run needs it, and `preload`: a code
location must load in a second or two.
"""
