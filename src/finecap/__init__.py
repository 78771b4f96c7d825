"""Image captioning with a multi-modal reward, and search by what the captions say.

The library half: pure functions over paths, arrays and config. It knows nothing of Dagster, MLflow
or DVC; `dagster_project` does, and calls in here.

Letters used for shapes in every docstring and comment:

    B images, K samples per image, R references, T tokens, V vocabulary, D embedding,
    P patches (cells of the feature grid), C channels of a grid cell, N index rows.
"""
