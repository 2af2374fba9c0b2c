"""Tests that kill the program, fill its disk and make its system calls fail."""
