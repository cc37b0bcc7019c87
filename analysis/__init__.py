"""What it means: a run folder in, tables, figures, verdicts and a report out. Never torch, never Ray."""
