"""The science: data, models and training in torch and numpy. Nothing here knows Ray or Optuna."""
