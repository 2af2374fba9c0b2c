"""The ModelsLab API: ask what became of a generation."""
