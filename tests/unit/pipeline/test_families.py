"""Links prove whose an ID is: their paths must lead to the same files."""

import pytest

from archiver.pipeline.families import agree

A, B = "https://a.example/x.mp4?s=1", "https://a.example/y.mp4"


@pytest.mark.parametrize(
    ("links", "outputs", "expected"),
    [
        ([A], [[A]], True),
        ([A], [["https://other.example/x.mp4?s=2"]], True),
        ([A], [[B]], False),
        ([A], [[A], [B]], True),
        ([A, B], [[A]], True),
        ([A, B], [["https://c.example/z.mp4"]], False),
        ([A], [[B, A]], True),
        ([A], [], False),
        ([A], [[]], False),
        ([], [[A]], False),
        ([], [], False),
    ],
)
def test_paths_decide(links: list[str], outputs: list[list[str]], expected: bool) -> None:
    """Hosts and signatures do not matter, and where there is no link nothing is proven."""
    assert agree(links, outputs) is expected
