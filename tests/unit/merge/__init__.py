"""Tests of the merge of several archives."""
