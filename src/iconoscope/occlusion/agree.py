"""One image covered with two fills."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, overload

from iconoscope.errors import QuestionError
from iconoscope.occlusion.fills import FillLike
from iconoscope.occlusion.occlude import METHOD, Common, Settings, ask_each
from iconoscope.occlusion.query import is_one
from iconoscope.results import Agreement
from iconoscope.store import Store
from iconoscope.subject.images import Image, Images
from iconoscope.subject.network import Network
from iconoscope.vocabulary.unit import Unit

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

__all__ = ["agree"]


class _Settings(Common, total=False):
    fills: Sequence[FillLike]
    patch: int | tuple[int, int] | None


@overload
def agree(
    network: Network, images: Image | PillowImage, unit: str | Unit | None = None, **settings: Unpack[_Settings]
) -> Agreement: ...
@overload
def agree(
    network: Network,
    images: Images | Sequence[Any] | Path,
    unit: str | Unit | None = None,
    **settings: Unpack[_Settings],
) -> list[Agreement]: ...
@overload
def agree(network: Network, images: Any, unit: str | Unit | None = None, **settings: Unpack[_Settings]) -> Any: ...
def agree(
    network: Network,
    images: Any,
    unit: str | Unit | None = None,
    *,
    fills: Sequence[FillLike] = ("zero", "mean"),
    patch: int | tuple[int, int] | None = None,
    stride: int | tuple[int, int] | None = None,
    method: str = METHOD,
    memory: str | int | None = None,
    seed: int = 0,
    store: Store | str | Path | None = None,
) -> Agreement | list[Agreement]:
    """Ask with two fills whether they tell the same: is what a map shows robust, or does it depend on the fill?

    Both are asked as `occlude` asks, with the same numbers and the same place in a store.

    Parameters
    ----------
    network
        The network.
    images
        One image, or a set of them.
    unit
        The unit that is asked: prob:truck, logit:truck, layer2.0.conv1:17 and so on. If not given, the probability of the
        image's label or, if it has none, of the class that the network predicts.
    fills
        Two of zero, black, mean, patch-mean, blur, noise and images, as for `occlude`: zero,mean (in Python ("zero", "mean")).
    patch
        Side of the patch, or height and width as 8x12 (in Python (8, 12)), in pixels of the network's input. If not given,
        a sixth of its short side.
    stride
        Step from one position to the next, in pixels, likewise. If not given, a quarter of the patch.
    method
        exact, fast or dense, as for `occlude`.
    memory
        Bound on the memory that the network's inputs and maps take: 500MB, 2GB, 1.5GiB, or bytes.
    seed
        Seed of the random fill.
    store
        Folder where the answers are looked for first, and kept: one for each fill.

    Returns
    -------
    Agreement or list of Agreement
        One for one image, a list for a set.

    Raises
    ------
    QuestionError
        If there are not two fills, or a setting is no choice.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net = ico.load_network("cars-honest", device="cpu")
    >>> ico.agree(net, ico.demo_images(2, seed=1)[0], fills=("zero", "mean"), patch=24, stride=12).robust
    False
    """
    if isinstance(fills, str) or len(fills) != 2:
        raise QuestionError(f"fills={fills!r} must be two fills.", hint="Give zero,mean; in Python ('zero', 'mean').")
    common: Settings = {
        "patch": patch, "stride": stride, "method": method, "memory": memory, "seed": seed, "store": store,
    }  # fmt: skip
    found = [
        Agreement(results) for results in ask_each(network, images, unit, [{**common, "fill": fill} for fill in fills])
    ]
    return found[0] if is_one(images) else found
