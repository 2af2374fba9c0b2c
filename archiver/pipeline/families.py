"""Families: under which of them an ID is known whose own the manifests do not name."""

from collections.abc import Collection, Iterable, Sequence

from archiver.outputs import link_path

VIDEO_FAMILIES = ("v6/video", "v7/video-fusion", "v6/realtime", "v6/deepfake")
"""Recent IDs of these lie in one sequence: one without a family most likely has one home there."""


class Families:
    """The order in which to ask the video families: the last that was right comes first."""

    def __init__(self, order: Sequence[str] = VIDEO_FAMILIES) -> None:
        self._order = list(order)

    def besides(self, endpoint: str) -> list[str]:
        """Return the others."""
        return [family for family in self._order if family != endpoint]

    def was_right(self, endpoint: str) -> None:
        """Ask this one first from now on."""
        self._order.remove(endpoint)
        self._order.insert(0, endpoint)


def agree(links: Iterable[str], outputs: Iterable[Collection[str]]) -> bool:
    """Return whether the links of a manifest and those of each output lead to the same files.

    Hosts and signatures change, paths do not; one of the two may list fewer files.
    """
    listed = {link_path(link) for link in links}
    found = [{*map(link_path, output)} for output in outputs]
    everything = set[str]().union(*found)
    if not listed or not everything:
        return False
    return listed <= everything or all(paths & listed for paths in found)
