"""Reads messages, one JSON object a line, and has slack_sdk's models judge their blocks.

Prints how many were accepted. The first that is not ends it with an error.
"""

import json
import logging
import sys

from slack_sdk.models.blocks import Block


class Loud(logging.Handler):
    """The models only log what they do not know: a block, or a field of one."""

    def emit(self, record):
        raise ValueError(record.getMessage())


logging.getLogger().addHandler(Loud())
logging.getLogger().setLevel(logging.DEBUG)


def known(value):
    """What to_dict leaves: neither the default numbers of lists nor empty styles."""
    if isinstance(value, dict):
        return {k: known(v) for k, v in value.items() if v not in (None, 0, [], {})}
    if isinstance(value, list):
        return [known(v) for v in value]
    return value


accepted = 0
for line in sys.stdin:
    message = json.loads(line)
    blocks = Block.parse_all(message["blocks"])
    if any(block is None for block in blocks):
        raise ValueError(f"an unknown block in {line}")
    back = []
    for block in blocks:
        block.validate_json()
        back.append(block.to_dict())
    if known(back) != known(message["blocks"]):
        raise ValueError(f"the models make {back} of {line}")
    accepted += 1
print(accepted)
