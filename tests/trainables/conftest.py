"""Under pytest the shapes in the signatures of these modules are checked at every call."""

from jaxtyping import install_import_hook

TRAINING = ("draws", "examples", "fitting", "initialising", "layers", "members", "partition", "stacking")
CHECKED = ("metrics", *(f"training.{name}" for name in TRAINING))

install_import_hook([f"trainables.{name}" for name in CHECKED], "beartype.beartype")
