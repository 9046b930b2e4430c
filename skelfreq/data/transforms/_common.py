"""What all transforms share: the batch, its checks, padding and random draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from skelfreq._checks import (
    check_axis,
    check_floating,
    check_int,
    check_number,
    check_skeletons,
    compute_dtype,
)
from skelfreq.functional._axis import check_lengths, zero_padding
from skelfreq.skeletons import SkeletonLayout, get_layout


class Skeletons(NamedTuple):
    """A batch of skeletons, as every transform returns it.

    Attributes
    ----------
    x : Tensor
        [N, C, T, V] coordinates. Frames from ``lengths`` on are zero after any transform.
    lengths : Tensor or None
        int64 [N]: frames really present; None where all T are.
    confidence : Tensor or None
        [N, T, V]: 0 where a joint was not seen, otherwise its weight.
    persons : int
        Persons M of a sample, who are M rows in a row.
    """

    x: Tensor
    lengths: Tensor | None = None
    confidence: Tensor | None = None
    persons: int = 1


class Transform(nn.Module):
    """A transform of a batch; a subclass says what it does in :meth:`change`.

    A transform has no parameters and acts whenever it is called, in training and evaluation.
    """

    def forward(
        self,
        x: Tensor,
        lengths: Tensor | None = None,
        *,
        confidence: Tensor | None = None,
        generator: torch.Generator | None = None,
        persons: int = 1,
    ) -> Skeletons:
        """Transform ``x`` [N, C, T, V].

        Parameters
        ----------
        x : Tensor
            [N, C, T, V], floating point; never changed in place.
        lengths : Tensor, optional
            Integer [N]: frames really present, from 0 to T.
        confidence : Tensor, optional
            Floating point [N, T, V], at least 0; 0 where a joint was not seen.
        generator : torch.Generator, optional
            Source of random numbers, which are drawn on its device; torch's global one on the
            device of ``x`` if not given.
        persons : int, default 1
            Persons M of a sample, folded into N: person m of sample n is row ``n * M + m``. They
            are moved as one: the draw is one per sample, and origin, direction and size are those
            of the first person who has one.

        Returns
        -------
        Skeletons
            The new ``(x, lengths, confidence, persons)``.

        Raises
        ------
        TypeError
            If ``x`` or ``confidence`` is not floating point or ``lengths`` not integer.
        ValueError
            If shapes do not fit each other or the transform.
        """
        lengths = check_batch(x, lengths, confidence, persons)
        return self.change(Skeletons(x, lengths, confidence, persons), generator)

    def change(self, batch: Skeletons, generator: torch.Generator | None) -> Skeletons:
        """Return the transformed batch."""
        raise NotImplementedError


class Compose(Transform):
    """Transforms one after the other; lengths, confidence and generator are passed through.

    Parameters
    ----------
    *transforms : Transform
        Called in this order.

    Raises
    ------
    TypeError
        At construction, if an argument is no :class:`Transform`.

    Examples
    --------
    >>> from skelfreq.data.transforms import Centre, Resample
    >>> transform = Compose(Centre("ntu25", on="first"), Resample(64))
    >>> batch = transform(torch.randn(2, 3, 80, 25), torch.tensor([80, 31]))
    >>> batch.x.shape, batch.lengths
    (torch.Size([2, 3, 64, 25]), tensor([64, 64]))
    """

    def __init__(self, *transforms: Transform) -> None:
        super().__init__()
        for transform in transforms:
            if not isinstance(transform, Transform):
                raise TypeError(
                    f"transforms must be modules of type Transform, got {type(transform).__name__}."
                )
        self.transforms = nn.ModuleList(transforms)

    def change(self, batch: Skeletons, generator: torch.Generator | None) -> Skeletons:
        """Apply the transforms in order."""
        for transform in self.transforms:
            x, lengths, confidence, persons = batch
            batch = transform(
                x, lengths, confidence=confidence, generator=generator, persons=persons
            )
        return batch


def check_batch(
    x: Tensor, lengths: Tensor | None, confidence: Tensor | None = None, persons: int = 1
) -> Tensor | None:
    """Return lengths as int64 on the device of ``x``.

    Raise unless the arguments describe one batch of at least one frame and one joint.
    """
    check_skeletons("x", x)
    for dim in (1, 2, 3):
        check_axis("x", x, dim)
    check_int("persons", persons, 1)
    if len(x) % persons:
        raise ValueError(
            f"persons must divide the {len(x)} skeletons on axis 0 of x, got {persons}."
        )
    if confidence is not None:
        check_floating("confidence", confidence)
        expected = (x.shape[0], *x.shape[2:])
        if confidence.shape != expected:
            raise ValueError(
                f"confidence must have shape {expected}, one weight per frame and joint of x, "
                f"got {tuple(confidence.shape)}."
            )
    return None if lengths is None else check_lengths(lengths, x, 2)


def check_range(name: str, value: float, low: float, high: float | None = None) -> float:
    """Return a number as a float; raise unless it lies in ``[low, high]``."""
    number = check_number(name, value)
    if high is None:
        if not low <= number < float("inf"):
            raise ValueError(f"{name} must be a finite number of at least {low:g}, got {value}.")
    elif not low <= number <= high:
        raise ValueError(f"{name} must lie between {low:g} and {high:g}, got {value}.")
    return number


def named_layout(layout: SkeletonLayout | str) -> SkeletonLayout:
    """Return a layout that is given by name or itself."""
    return get_layout(layout) if isinstance(layout, str) else layout


def check_joints(x: Tensor, layout: SkeletonLayout) -> None:
    """Raise unless ``x`` has the joints of ``layout`` on its last axis."""
    if x.shape[-1] != layout.num_joints:
        raise ValueError(
            f"x must have the {layout.num_joints} joints of {layout.name!r} on axis 3, "
            f"got shape {tuple(x.shape)}."
        )


def joint_pair(layout: SkeletonLayout, part: str) -> tuple[int, int]:
    """Return the left and the right joint of a part of the body."""
    try:
        left, right = (layout.joints.index(f"{side} {part}") for side in ("left", "right"))
    except ValueError:
        raise ValueError(
            f"layout must have the joints 'left {part}' and 'right {part}', "
            f"got {layout.name!r} without them."
        ) from None
    return left, right


def select_joints(x: Tensor, joints: Sequence[int]) -> Tensor:
    """Return ``x[..., joints]`` without an index tensor, whose way to a GPU would stall it."""
    return torch.stack([x[..., joint] for joint in joints], -1)


def clear_padding(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Set frames of [N, C, T, V] from ``lengths`` on to zero, whatever they hold."""
    return x if lengths is None else zero_padding(x, lengths, 2)


def nonzero(x: Tensor) -> Tensor:
    """Return bool [N, 1, T, V], True where a joint is not at zero, the mark of a missing one."""
    return (x != 0).any(1, keepdim=True)


def seen(x: Tensor, confidence: Tensor | None) -> Tensor:
    """Return bool [N, 1, T, V], True where a joint was seen: by confidence, or not at zero."""
    return nonzero(x) if confidence is None else (confidence > 0).unsqueeze(1)


def draw(
    batch: Skeletons,
    *shape: int,
    generator: torch.Generator | None,
    low: float = 0.0,
    high: float = 1.0,
) -> Tensor:
    """Return [N, *shape] numbers uniform in [low, high), the same for the persons of a sample.

    They have the device of ``x``, and its dtype if that is fp32 or fp64. They are drawn on the
    generator's device, so one seed gives one result wherever the batch lies, and in fp32: in half
    precision a number just below 1 would round up to it.
    """
    x, persons = batch.x, batch.persons
    device = x.device if generator is None else generator.device
    shape = (len(x) // persons, *shape)
    u = torch.rand(shape, generator=generator, device=device, dtype=torch.float32)
    number = (low + (high - low) * u).to(x.device, compute_dtype(x))
    return number if persons == 1 else number.repeat_interleave(persons, 0)


def of_first(values: Tensor, valid: Tensor, persons: int) -> tuple[Tensor, Tensor]:
    """Return for all persons of a sample the entries of the first one who has a valid one.

    ``valid`` is bool and broadcasts with ``values``; both have the skeletons on axis 0.
    """
    if persons == 1:
        return values, valid
    shape = (len(values) // persons, persons, *values.shape[1:])
    groups = values.reshape(shape)
    there = valid.expand_as(values).reshape(shape)
    # Where nobody has one, the first person's entry.
    choice = there.to(torch.uint8).argmax(1, keepdim=True)
    picked = [y.gather(1, choice).expand(shape).flatten(0, 1) for y in (groups, there)]
    return picked[0], picked[1]


def turn(x: Tensor, cos: Tensor, sin: Tensor, first: int, second: int) -> Tensor:
    """Rotate the channels ``first`` and ``second`` of [N, C, T, V] from the first to the second.

    ``cos`` and ``sin`` are of the angle and broadcast with [N, T, V].
    """
    a, b = x[:, first], x[:, second]
    turned = list(x.unbind(1))
    turned[first] = cos * a - sin * b
    turned[second] = sin * a + cos * b
    return torch.stack(turned, 1)
