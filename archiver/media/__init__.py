"""Media: are these bytes one whole video? The structure of the container alone decides."""
