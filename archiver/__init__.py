"""Back up videos generated through the ModelsLab API before their links die."""
