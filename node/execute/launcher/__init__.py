"""The launcher: a small process beside the node that starts every command.

What runs in it (:mod:`server`, :mod:`supervisor`, :mod:`sandbox`, :mod:`kernel`, :mod:`syscalls`)
uses the standard library alone and few modules of it: it is forked for each command, and its size
is what a fork costs. The node's side is :mod:`client`.
"""
