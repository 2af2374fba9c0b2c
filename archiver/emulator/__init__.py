"""A local ModelsLab and its link hosts that follow scripts: for the demo and the tests."""
