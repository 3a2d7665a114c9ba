"""Messages of the pool."""

RESULT_KINDS = range(120, 122)
SHARING_KINDS = range(122, 150)
HOST_KINDS = range(150, 155)
HOLDER_KINDS = range(155, 160)
DURABLE_KINDS = range(160, 170)
KEEPING_KINDS = range(171, 173)
TOOL_KINDS = range(175, 177)
FORWARD_KINDS = range(178, 180)
KEY_KINDS = range(180, 182)
PEOPLE_KINDS = range(185, 187)
