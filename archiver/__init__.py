"""Back up videos generated through the ModelsLab API before their links die."""

__version__ = "0.1.0"
