"""A local ModelsLab and its link hosts, told what to do: for the demo and the tests."""
