"""What ``make soak-shell`` does, for a while."""

import pytest
from soak_shell import Host, conversed

from ssm_hdl.boards.protocol import Status


@pytest.mark.parametrize("number", [0, 2])
def test_frames_whole_and_damaged(number, cache):
    counts = conversed(number, cache, frames=400)
    assert counts["frames"] + counts["resets"] == 400
    assert all(counts[status.name.lower()] for status in Status if status is not Status.NOT_LOADED)


def test_an_answer_that_is_not_expected_is_found(cache, monkeypatch):
    expects = Host.expects
    monkeypatch.setattr(Host, "expects", lambda self, burst: expects(self, burst)[:1])
    with pytest.raises(AssertionError):
        conversed(0, cache, frames=200)
