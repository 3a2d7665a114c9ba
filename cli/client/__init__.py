"""A client of a node's API in Python, which the command line uses, too: see the how-to
"Script the pool"."""

from buildnet.cli.client.asking import AnswerError, NodeUnreachableError, path_part
from buildnet.cli.client.build import Build
from buildnet.cli.client.connection import Client
from buildnet.cli.client.pool import Pool

__all__ = ["AnswerError", "Build", "Client", "NodeUnreachableError", "Pool", "path_part"]
