"""Tests that kill the program, fill its disk and fail its system calls."""
