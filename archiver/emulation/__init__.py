"""What the emulator is made of: its scripts, its replies and its videos."""
