"""One image covered with patches of several sizes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, overload

from iconoscope.errors import QuestionError
from iconoscope.occlusion.fills import FillLike
from iconoscope.occlusion.geometry import make_grid
from iconoscope.occlusion.occlude import METHOD, Common, Settings, ask_each
from iconoscope.occlusion.query import is_one
from iconoscope.results import Scales
from iconoscope.store import Store
from iconoscope.subject.images import Image, Images
from iconoscope.subject.network import Network
from iconoscope.vocabulary.unit import Unit

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

__all__ = ["occlude_scales"]


class _Settings(Common, total=False):
    patches: Sequence[int | tuple[int, int]]
    fill: FillLike


@overload
def occlude_scales(
    network: Network, images: Image | PillowImage, unit: str | Unit | None = None, **settings: Unpack[_Settings]
) -> Scales: ...
@overload
def occlude_scales(
    network: Network,
    images: Images | Sequence[Any] | Path,
    unit: str | Unit | None = None,
    **settings: Unpack[_Settings],
) -> list[Scales]: ...
@overload
def occlude_scales(
    network: Network, images: Any, unit: str | Unit | None = None, **settings: Unpack[_Settings]
) -> Any: ...
def occlude_scales(
    network: Network,
    images: Any,
    unit: str | Unit | None = None,
    *,
    patches: Sequence[int | tuple[int, int]] = (16, 32, 64),
    stride: int | tuple[int, int] | None = None,
    fill: FillLike = "zero",
    method: str = METHOD,
    memory: str | int | None = None,
    seed: int = 0,
    store: Store | str | Path | None = None,
) -> Scales | list[Scales]:
    """Slide patches of several sizes over an image: is the cue as small as a wheel, or as large as the car?

    Every size is asked as `occlude` asks it, with the same numbers and the same place in a store; all sizes of one image are
    asked before the next image.

    Parameters
    ----------
    network
        The network.
    images
        One image, or a set of them.
    unit
        The unit that is asked: prob:truck, logit:truck, layer2.0.conv1:17 and so on. If not given, the probability of the
        image's label or, if it has none, of the class that the network predicts.
    patches
        The sizes, in pixels of the network's input: 16,32,64, or height and width as 8x12,16x24 (in Python (16, 32, 64), or
        pairs).
    stride
        Step from one position to the next, in pixels, for all sizes; a quarter of each patch if not given.
    fill
        What covers the region: zero, black, mean, patch-mean, blur, noise, or an image, as for `occlude`.
    method
        exact, fast or dense, as for `occlude`.
    memory
        Bound on the memory that the network's inputs and maps take: 500MB, 2GB, 1.5GiB, or bytes.
    seed
        Seed of the random fill.
    store
        Folder where the answers are looked for first, and kept: one for every size.

    Returns
    -------
    Scales or list of Scales
        One for one image, a list for a set.

    Raises
    ------
    QuestionError
        If a patch does not fit, is given twice, or a setting is no choice.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net = ico.load_network("cars-honest", device="cpu")
    >>> found = ico.occlude_scales(net, ico.demo_images(2, seed=1)[0], patches=(24, 48), fill="mean", stride=24)
    >>> [result.map.shape for result in found.results]
    [(4, 4), (3, 3)]
    """
    sizes = [make_grid(network.preprocessing.size, patch=patch).patch for patch in patches]
    if not sizes or len(set(sizes)) < len(sizes):
        raise QuestionError(f"patches={patches!r} must be sizes of patches, each given once.", hint="Give 16,32,64.")
    common: Settings = {
        "stride": stride,
        "fill": fill,
        "method": method,
        "memory": memory,
        "seed": seed,
        "store": store,
    }
    found = [
        Scales(results) for results in ask_each(network, images, unit, [{**common, "patch": size} for size in sizes])
    ]
    return found[0] if is_one(images) else found
