"""Tests of the whole program against servers on loopback."""
