"""An event of a Node is what the API server takes, and says the most important of a message that is too long."""

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from podnet.cluster.kubernetes.events import END, LENGTH, event

WHEN = datetime(2026, 11, 25, 7, 1, 45, tzinfo=UTC)


def test_an_event_is_of_its_node() -> None:
    """It names the node, the reason, and when."""
    told = json.loads(event("n1", "a route was gone", WHEN))
    assert told["involvedObject"]["kind"] == "Node"
    assert told["involvedObject"]["name"] == told["source"]["host"] == "n1"
    assert (told["reason"], told["message"]) == ("NetworkDrift", "a route was gone")
    assert told["firstTimestamp"] == told["lastTimestamp"] == "2026-11-25T07:01:45Z"


@given(st.text(max_size=3 * LENGTH))
def test_a_message_is_whole_or_has_both_its_ends(message: str) -> None:
    """A message that the API server would refuse is cut in its midst: what and since when stay."""
    told = json.loads(event("n1", message, WHEN))["message"]
    assert len(told) == min(len(message), LENGTH)
    assert told == message or (told[: LENGTH - END - 1] + told[-END:] == message[: LENGTH - END - 1] + message[-END:])
