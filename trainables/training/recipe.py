"""What a training run is made of, apart from the data and the network. A trainable's ``Config`` extends it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from trainables.api import Fraction, NonNegative, PerMember, Positive, PositiveInt
from trainables.config import Component
from trainables.training.augmentations import AugmentationConfig, HiddenAugmentationConfig, identity
from trainables.training.averages import AverageConfig
from trainables.training.averages import none as last_weights
from trainables.training.initialisations import InitialisationConfig, kaiming
from trainables.training.losses import LossConfig, RememberingLossConfig, cross_entropy
from trainables.training.optimizers import OptimizerConfig, sgd
from trainables.training.perturbations import PerturbationConfig
from trainables.training.perturbations import none as unmoved
from trainables.training.regularisers import RegulariserConfig
from trainables.training.regularisers import none as unregularised
from trainables.training.schedules import ScheduleConfig, cosine


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    optimizer: Annotated[OptimizerConfig, Component("trainables.training.optimizers")] = field(
        default_factory=sgd.Config
    )
    """The update rule, with its learning rate."""
    schedule: Annotated[ScheduleConfig, Component("trainables.training.schedules")] = field(
        default_factory=cosine.Config
    )
    """How the learning rate changes over the steps."""
    loss: Annotated[LossConfig | RememberingLossConfig, Component("trainables.training.losses")] = field(
        default_factory=cross_entropy.Config
    )
    """What is minimised."""
    augmentation: Annotated[
        AugmentationConfig | HiddenAugmentationConfig, Component("trainables.training.augmentations")
    ] = field(default_factory=identity.Config)
    """What each training batch goes through."""
    regulariser: Annotated[RegulariserConfig, Component("trainables.training.regularisers")] = field(
        default_factory=unregularised.Config
    )
    """What is added to the loss, apart from weight decay, which belongs to the optimizer."""
    perturbation: Annotated[PerturbationConfig, Component("trainables.training.perturbations")] = field(
        default_factory=unmoved.Config
    )
    """Where the gradient of a step is taken."""
    average: Annotated[AverageConfig, Component("trainables.training.averages")] = field(
        default_factory=last_weights.Config
    )
    """Which mean of the weights over the steps is evaluated, if any."""
    initialisation: Annotated[InitialisationConfig, Component("trainables.training.initialisations")] = field(
        default_factory=kaiming.Config
    )
    """What is done to the weights before training, after ``init_scale``."""
    label_smoothing: PerMember[Fraction] = 0.0
    """Share of the target that is spread evenly over all classes (Szegedy et al., 2016, arXiv:1512.00567, sec. 7)."""
    clip_norm: PerMember[NonNegative] = 0.0
    """Longest gradient that a step takes; longer ones are shortened to it. 0: any (Pascanu et al., 2013)."""
    gradient_noise: PerMember[NonNegative] = 0.0
    """Variance of the normal noise that is added to each element of the gradient, before clipping, in the first step.
    0: none. The scale is absolute (Neelakantan et al., 2015, arXiv:1511.06807, sec. 3, which has 0.01, 0.3 and 1)."""
    gradient_noise_decay: PerMember[NonNegative] = 0.55
    """In step ``t``, counted from 0, that variance is divided by ``(1 + t)`` to this power."""
    init_scale: PerMember[Positive] = 1.0
    """What the initial weights are multiplied by (biases are zero)."""
    batch_size: PositiveInt = 64
    """Examples in a step, over all workers; the last step of an epoch may have fewer. At least as many as there are
    training examples: full-batch gradient descent, one step per epoch."""
    epochs: PositiveInt = 20
    """Passes over the training examples."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the matrix products; weights, losses and updates are float32 (mixed precision, arXiv:1710.03740)."""
    compile: bool = False
    """Run the training step through ``torch.compile``: a minute of waiting for a quicker long run."""
