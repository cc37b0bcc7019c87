"""Under pytest the shapes in the signatures of these modules are checked at every call."""

from jaxtyping import install_import_hook

CHECKED = ("metrics", "training.fitting", "training.layers", "training.partition")

install_import_hook([f"trainables.{name}" for name in CHECKED], "beartype.beartype")
