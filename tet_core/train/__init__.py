"""Training one stage: its parts (`stage`), its epochs (`epochs`), and all of it in one call (`fitting`).

Nothing is imported here, so that each module loads only what it needs; `tet_core` itself exports `fit` and
`train_epochs`.
"""
